package gateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/gateway/numbering"
	"github.com/patchbay/patchbay/sip"
)

// outgoing is what a trunk is told of a call.
type outgoing struct {
	uri     sip.URI // request-URI
	to      sip.NameAddr
	from    sip.NameAddr
	contact string // user of Contact
	header  []sip.Header
}

// present writes a call for a trunk: the numbers in its format, the caller where it wants to see it, as private as it was asked.
func (t *trunk) present(h Hop, number string, who identity, src source) (outgoing, call.Cause) {
	var out outgoing
	var err error
	out.uri = h.uri
	if out.uri.IsZero() {
		if out.uri, err = t.plan.URI(t.plan.Out(numbering.Called, number).Number, t.Domain); err != nil {
			return out, call.Cause{Q850: 28, SIP: 484, Text: fmt.Sprintf("number %q can't be dialled: %v", clip(number), err)}
		}
	}
	out.to = sip.NameAddr{URI: out.uri}
	shown := t.shown(who, src)
	hidden := who.privacy.hidden || t.Caller.Hide && !who.privacy.none || strings.EqualFold(shown, anonymous)
	if who.privacy.critical && who.privacy.unknown != "" { // RFC 3323 5
		return out, call.Cause{Q850: 63, SIP: 500, Text: fmt.Sprintf("privacy %q can't be given, and is critical to the caller", who.privacy.unknown)}
	}
	written := t.plan.Out(numbering.Caller, shown).Number
	from := written
	switch {
	case t.From == "account" && t.User != "":
		from = t.User
	case t.From == "fixed" && t.FromNumber != "":
		from = t.FromNumber
	}
	if out.from, out.contact, err = t.fromOf(from, who.name, hidden); err != nil {
		return out, call.Cause{Q850: 21, SIP: 403, Text: fmt.Sprintf("caller %q can't be shown: %v", clip(from), err)}
	}
	if err := t.assert(&out, written, who, hidden); err != nil {
		return out, call.Cause{Q850: 21, SIP: 403, Text: fmt.Sprintf("caller %q can't be shown: %v", clip(written), err)}
	}
	return out, call.Cause{}
}

// fromOf is From, and the user of Contact, which names the caller too.
func (t *trunk) fromOf(number, name string, hidden bool) (from sip.NameAddr, contact string, err error) {
	if hidden {
		if t.From == "account" && t.User != "" { // it is the account's name, not the caller's
			return anonymousCaller(), t.User, nil
		}
		return anonymousCaller(), anonymous, nil
	}
	u, err := t.plan.AtHost(number, t.Domain)
	if t.Caller.NoNames {
		name = ""
	}
	return sip.NameAddr{URI: u, Display: name}, number, err
}

// assert adds the header fields that carry the caller's number, and Privacy. A private number goes to a trusted carrier alone.
func (t *trunk) assert(out *outgoing, number string, who identity, hidden bool) error {
	send := t.Caller.Send
	if send == nil && (t.From == "account" || t.From == "fixed") {
		send = []string{byPAI}
	}
	if hidden && !t.Trusted || number == "" || strings.EqualFold(number, anonymous) {
		send = nil
	}
	if len(send) > 0 {
		u, err := t.plan.URI(number, t.Domain)
		if err != nil {
			return err
		}
		na := sip.NameAddr{URI: u, Display: who.name}
		if t.Caller.NoNames {
			na.Display = ""
		}
		if err := na.Check(); err != nil {
			return err
		}
		for _, h := range send {
			switch h {
			case byPAI:
				out.header = append(out.header, sip.Header{Name: "P-Asserted-Identity", Value: na.String()})
			case byPPI:
				out.header = append(out.header, sip.Header{Name: "P-Preferred-Identity", Value: na.String()})
			case byRPID:
				rp := na
				rp.Params = []sip.Parameter{{Name: "party", Value: "calling"}, {Name: "screen", Value: "yes"}, {Name: "privacy", Value: map[bool]string{true: "full", false: "off"}[hidden]}}
				out.header = append(out.header, sip.Header{Name: "Remote-Party-ID", Value: rp.String()})
			}
		}
	}
	switch {
	case hidden:
		value := "id"
		if who.privacy.history {
			value += ";history"
		}
		out.header = append(out.header, sip.Header{Name: "Privacy", Value: value})
	case who.privacy.none:
		out.header = append(out.header, sip.Header{Name: "Privacy", Value: "none"})
	}
	return nil
}

// Screenings of callers' numbers.
const (
	screenAll  = "all"
	screenNone = "none"
)

// shown is the caller's number at this trunk. Users show numbers of their own, unless the trunk takes any from them. With
// screening of all, a number that isn't the trunk's to show gives way to the one that it has.
func (t *trunk) shown(who identity, src source) string {
	n := who.shown()
	switch t.Caller.Screen {
	case screenNone:
		if src.user != nil && src.app == nil && who.claimed != "" {
			return who.claimed
		}
	case screenAll:
		if strings.EqualFold(n, anonymous) || t.mayShow(n) {
			return n
		}
		for _, own := range []string{t.FromNumber, t.User} {
			if own != "" {
				return own
			}
		}
		return anonymous
	}
	return n
}

func (t *trunk) mayShow(number string) bool {
	return slices.ContainsFunc(t.Caller.Numbers, func(own string) bool {
		if p, prefix := strings.CutSuffix(own, "*"); prefix {
			return strings.HasPrefix(number, p)
		}
		return t.plan.Same(own, number)
	})
}
