package gateway

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
)

// Emergency is how calls for help go. No limit holds for them: neither calls at a time or per second, nor the time that a call may
// last, nor what an account may call or spend; and they go out while the gateway drains, and where records can't be written.
type Emergency struct {
	Numbers []string // that users and applications dial; the first is dialled for urn:service:sos (RFC 5031)
	// Alternative has a call that has nowhere to go answered 380, with a body that asks the phone to call by another network
	// (TS 24.229 5.1.6); false: 503.
	Alternative bool
	Hops        []Hop // tried in order whatever comes of each, those that are up first; none: the routes decide
}

// help tells whether a URI calls for help, and which number that is.
func (e Emergency) help(u sip.URI) (dial string, ok bool) {
	if len(e.Numbers) == 0 {
		return "", false
	}
	if u.Scheme == "urn" {
		service := strings.ToLower(u.Opaque)
		return e.Numbers[0], service == "service:sos" || strings.HasPrefix(service, "service:sos.")
	}
	n := number(u)
	return n, slices.Contains(e.Numbers, n)
}

// Calls tells whether a request-URI calls for help.
func (e Emergency) Calls(u sip.URI) bool {
	_, ok := e.help(u)
	return ok
}

// noHelp is the cause of a call for help that has nowhere to go.
func (e Emergency) noHelp() call.Cause {
	if e.Alternative {
		return call.Cause{Q850: 38, SIP: 380, Text: "no emergency route is configured: dial by another network"}
	}
	return call.Cause{Q850: 38, SIP: 503, Text: "no emergency route is configured: dial by another phone"}
}

// callHelp is where a call for help goes: by its own hops, or else by the routes that everybody has.
func (c *Call) callHelp() (Plan, call.Cause, bool) {
	e := c.g.cfg.Emergency
	plan := Plan{Route: "emergency", Number: c.src.help, Hops: slices.Clone(e.Hops), Why: "emergency call " + c.rec.call.To}
	if len(e.Hops) == 0 {
		as := c.rec.call
		as.To, as.ToN = c.src.help, ""
		var r *Refusal
		var err error
		switch plan, err = c.g.router.Route(c.ctx, &as); {
		case errors.As(err, &r) || err == nil && len(plan.Hops) == 0:
			return plan, e.noHelp(), false
		case err != nil:
			c.log.Error("routing", "err", err)
			return plan, e.noHelp(), false
		}
		plan.Hops, plan.Why = slices.Clone(plan.Hops), "emergency call, without a route of its own: "+plan.Why
	}
	slices.SortStableFunc(plan.Hops, func(a, b Hop) int { return cmp.Compare(c.g.doubtful(a), c.g.doubtful(b)) })
	c.rec.note(0, time.Now(), call.Decision{Route: plan.Route, ToN: plan.Number, FromN: c.rec.call.From, To: call.Out, Text: plan.Why, Emergency: true})
	c.g.tally.helps.Add(1)
	c.log.Warn("emergency call", "number", c.src.help, "source", c.src.key())
	return plan, call.Cause{}, true
}

// doubtful is how little can be expected of a hop: 0 if nothing speaks against it. None is left out.
func (g *Gateway) doubtful(h Hop) int {
	t := g.trunks[h.Trunk]
	if t == nil {
		return 0
	}
	if !t.up() {
		return 2
	}
	if left, _ := t.aside(); left > 0 {
		return 1
	}
	return 0
}

// portReserve is how many pairs of ports, of a range that has n, other calls leave to those for help.
func portReserve(n int) int { return min(8, n/16) }

// elsewhere is the body of such a 380 (TS 24.229 7.6).
const (
	elsewhereType = "application/3gpp-ims+xml"
	elsewhere     = `<?xml version="1.0" encoding="UTF-8"?>
<ims-3gpp version="1"><alternative-service><type>emergency</type><reason>no emergency route</reason></alternative-service></ims-3gpp>
`
)

// whereabouts are the header fields that tell where who calls for help is (RFC 6442), and that place itself: they go on whatever the
// trunks' lists say.
func (c *Call) whereabouts() (header []sip.Header, at *sip.Location) {
	if !c.src.urgent || c.caller == nil {
		return nil, nil
	}
	r := c.caller.d.Request()
	for _, h := range carriable(r.Headers) {
		if strings.EqualFold(h.Name, "Geolocation") {
			header = append(header, h)
		}
	}
	if routing := r.Headers.Get("Geolocation-Routing"); routing == "yes" || routing == "no" {
		header = append(header, sip.Header{Name: "Geolocation-Routing", Value: routing})
	}
	return header, r.Location
}
