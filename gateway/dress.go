package gateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/gateway/numbering"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/sip"
)

// dress completes an INVITE with what the call knows: what goes along from the caller, how the call was led here, the mark of
// its way; and the codecs that are left where media isn't to be converted.
func (c *Call) dress(t *target) error {
	if cause, ok := c.fits(t); !ok {
		c.warning = 305
		return causeError{cause, fmt.Errorf("%s", cause.Text)}
	}
	header := slices.Clone(t.header)
	if tr := t.trunk; tr != nil {
		if tr.Trusted {
			header = append(header, sip.Header{Name: earlyField, Value: "supported"})
		}
		place, at := c.whereabouts()
		carried := tr.Headers.Out.pick(c.src.carried)
		if len(place) > 0 {
			carried = slices.DeleteFunc(carried, func(h sip.Header) bool { return strings.EqualFold(h.Name, "Geolocation") })
		}
		t.at = at
		header = append(append(header, carried...), place...)
		told, err := tr.tell(c.led(), t.uri, c.src.who.privacy.history)
		if err != nil {
			cause := call.Cause{Q850: 28, SIP: 484, Text: "the call's diversions can't be told: " + err.Error()}
			return causeError{cause, err}
		}
		header = append(header, told...)
		marks := append(slices.Clone(c.src.marks), c.g.mark(&c.rec.call))
		header = append(header, sip.Header{Name: markHeader, Value: strings.Join(marks, ", ")})
	} else if c.src.trunk != nil {
		header = append(header, c.src.carried...)
	}
	t.header = header
	return nil
}

// led is how the call was led away from whom it was for: before it came here, and here.
func (c *Call) led() []diverted {
	list := slices.Clone(c.src.diverted)
	for _, d := range c.diversions {
		reason := map[string]string{forwardAlways: "unconditional", forwardBusy: "user-busy", forwardNoAnswer: "no-answer", forwardOffline: "unavailable", forwardRedirect: "deflection"}[d.Reason]
		n, public := c.g.plan.Read(d.From)
		if u := c.g.userByID[d.User]; !public && u != nil { // an extension means nothing elsewhere
			n = c.g.plan.In(numbering.Caller, u.CallerID).Number
		} else if !public {
			n = d.From
		}
		list = append(list, diverted{number: n, reason: reason, times: 1})
	}
	return list
}

// fits leaves a target the codecs that the caller has too, where one of the sides is to have its media passed through; false
// if there are none.
func (c *Call) fits(t *target) (call.Cause, bool) {
	if c.caller == nil || !t.party.passing && !c.caller.party.passing {
		return call.Cause{}, true
	}
	mine := formats(c.caller.party.codecs, "")
	theirs := slices.DeleteFunc(slices.Clone(c.callerFormats()), func(f *media.Format) bool { return find(mine, f) == nil })
	if c.caller.earlier {
		theirs = keepAudio(theirs, agreed(c.caller.ep).Codec)
	}
	own := slices.DeleteFunc(slices.Clone(t.party.codecs), func(name string) bool {
		f := formats([]string{name}, "")
		return len(f) == 0 || find(theirs, f[0]) == nil
	})
	if len(own) == 0 {
		cause := noCodec(t.party.codecs)
		cause.Text += ", and media may not be converted"
		return cause, false
	}
	t.party.codecs, t.party.passing = own, true
	return call.Cause{}, true
}

// passing tells whether the caller's media is never converted.
func (s source) passing() bool {
	if s.user != nil {
		return s.user.Passing
	}
	return s.trunk != nil && s.trunk.Passing
}

// keepAudio leaves one audio codec, and events.
func keepAudio(list []*media.Format, codec string) []*media.Format {
	return slices.DeleteFunc(slices.Clone(list), func(f *media.Format) bool { return f.Kind == media.Audio && f.String() != codec })
}

// understood is the number that a plan dials, E.164 if users' numbering or the first trunk's understands it.
func (g *Gateway) understood(p Plan) string {
	if n, ok := g.plan.Read(p.Number); ok {
		return n
	}
	for _, h := range p.Hops {
		if t := g.trunks[h.Trunk]; t != nil {
			if n, ok := t.plan.Read(p.Number); ok {
				return n
			}
			break
		}
	}
	return p.Number
}
