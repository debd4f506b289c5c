package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/patchbay/patchbay/gateway/numbering"
	"github.com/patchbay/patchbay/sip"
)

// TrialRequest is a call to try: who calls what. One of User, Trunk and App is set.
type TrialRequest struct {
	User, Trunk, App string // ids
	Number           string // as it is dialled, or a tel or sip URI
	Caller           string // of a trunk's call: the number or URI in its From; "" = anonymous
	Headers          []sip.Header
}

// Trial is what would become of a call.
type Trial struct {
	From       string     `json:"from"` // as it comes, and as it is understood
	FromNumber string     `json:"fromNumber"`
	FromBy     string     `json:"fromBy"` // what names the caller: user, ppi, pai, rpid, from
	Private    bool       `json:"private"`
	To         string     `json:"to"`
	ToNumber   string     `json:"toNumber"`
	Route      string     `json:"route,omitempty"`
	Why        string     `json:"why,omitempty"`
	Hops       []TrialHop `json:"hops"`
	Refused    string     `json:"refused,omitempty"` // why it goes nowhere; "" = it goes somewhere
}

// TrialHop is one INVITE that would be sent, if the hops before it fail.
type TrialHop struct {
	Hop     string        `json:"hop"`
	Ring    time.Duration `json:"ring"`
	Request string        `json:"request,omitempty"` // URI; "" = the phones of a user are known when they ring
	From    string        `json:"from,omitempty"`
	To      string        `json:"to,omitempty"`
	Contact string        `json:"contact,omitempty"` // user part
	Headers []string      `json:"headers,omitempty"`
	Codecs  []string      `json:"codecs,omitempty"`
	Next    string        `json:"next,omitempty"` // where the callee's calls go on to
	Problem string        `json:"problem,omitempty"`

	barred bool // who calls may not call the number
}

// Try tells what would become of a call, without sockets and without calling. An error is of the request; a call that is refused is
// none. Limits, and whether a trunk is up, are those of a running gateway: here each hop is taken for possible.
func Try(ctx context.Context, cfg Config, r TrialRequest) (Trial, error) {
	g, err := sketch(cfg)
	if err != nil {
		return Trial{}, err
	}
	for _, t := range cfg.Trunks {
		if g.trunks[t.ID], err = g.newTrunk(t); err != nil {
			return Trial{}, err
		}
	}
	if err := g.addAccounts(); err != nil {
		return Trial{}, err
	}
	c := &Call{g: g}
	if err := c.pretend(r); err != nil {
		return Trial{}, err
	}
	rec := &c.rec.call
	out := Trial{From: rec.From, FromNumber: rec.FromN, FromBy: cmp.Or(c.src.who.from, "app"), Private: c.src.who.privacy.hidden, To: rec.To, ToNumber: rec.ToN, Hops: []TrialHop{}}
	if cause, lost := c.lost(); lost && c.src.app == nil {
		out.Refused = cause.String()
		return out, nil
	}
	plan, err := g.router.Route(ctx, rec)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		out.Refused = refusal.Cause.String()
		return out, nil
	case err != nil:
		return Trial{}, err
	}
	out.Route, out.Why = plan.Route, plan.Why
	rec.ToN = g.understood(plan)
	for _, h := range plan.Hops {
		out.Hops = append(out.Hops, c.tryHop(h, plan.Number)...)
	}
	if len(out.Hops) > 0 && out.Hops[0].barred { // it goes to no other hop then
		out.Refused = out.Hops[0].Problem
	}
	return out, nil
}

// pretend makes the call as its INVITE, or its application, would.
func (c *Call) pretend(r TrialRequest) error {
	g := c.g
	rec := &c.rec.call
	host := g.cfg.Domain
	switch {
	case r.User != "":
		u := g.userByID[r.User]
		if u == nil {
			return bad("user", "%q: there is no such user", clip(r.User))
		}
		c.src = source{user: u}
		rec.User, r.Caller = u.ID, cmp.Or(r.Caller, u.Login)
	case r.Trunk != "":
		t := g.trunks[r.Trunk]
		if t == nil {
			return bad("trunk", "%q: there is no such trunk", clip(r.Trunk))
		}
		c.src = source{trunk: t}
		rec.Trunk, host = t.ID, t.Domain
	default:
		a := g.apps[r.App]
		if a == nil {
			return bad("app", "%q: there is no such application", clip(r.App))
		}
		c.src = source{app: &appSource{App: *a, name: a.ID, callerID: cmp.Or(r.Caller, a.CallerID, anonymous), callerName: a.CallerName}}
		rec.App = a.ID
	}
	rec.Tenant, rec.Origin = c.src.tenant(), "sip"
	to, err := trialURI("number", r.Number, host)
	if err != nil {
		return err
	}
	var cut bool
	if rec.To, rec.ToN, cut = c.src.dialledNumber(g, to); cut {
		return bad("number", "%q: %s", rec.To, numberTooLong)
	}
	if c.src.app != nil {
		rec.Origin, rec.From = jsonrpc, c.src.app.callerID
		c.src.who = c.src.identity(g, rec.From)
	} else {
		from, err := trialURI("caller", cmp.Or(r.Caller, anonymous), host)
		if err != nil {
			return err
		}
		for _, h := range r.Headers {
			if err := checkText("header "+h.Name, h.Value, maxHeader); err != nil {
				return err
			}
		}
		c.src.hear(g, &sip.Request{URI: to, From: sip.NameAddr{URI: from}, To: sip.NameAddr{URI: to}, Headers: r.Headers})
		rec.From = c.src.who.raw
	}
	rec.FromN = c.src.who.shown()
	return nil
}

func trialURI(field, s, host string) (sip.URI, error) {
	if _, uri, err := parseTarget(field, s); err != nil || !uri.IsZero() {
		return uri, err
	}
	u, err := sip.NewURI(s, host, 0)
	if err != nil {
		return u, bad(field, "%q: %v", clip(s), err)
	}
	return u, nil
}

// tryHop writes what a hop would send: one INVITE for a trunk, one entry for each member of a group.
func (c *Call) tryHop(h Hop, number string) []TrialHop {
	out := TrialHop{Hop: h.String(), Ring: h.Ring}
	rec := &c.rec.call
	switch {
	case h.Group != "":
		g := c.g.groups[h.Group]
		if g == nil {
			out.Problem = "there is no such group"
			return []TrialHop{out}
		}
		var list []TrialHop
		for _, m := range g.Members {
			for _, t := range c.tryHop(m, number) {
				t.Hop = out.Hop + ": " + t.Hop
				list = append(list, t)
			}
		}
		return list
	case h.App != "":
		out.From = c.src.who.told()
	case h.User != "":
		u := c.g.userByID[h.User]
		if u == nil {
			out.Problem = "there is no such user"
			break
		}
		na, err := c.g.callerForUsers(rec.From, c.src)
		if err != nil {
			out.Problem = err.Error()
		}
		out.From, out.Codecs, out.Next = na.String(), u.Codecs, u.Forward.String()
	default:
		out.trunk(c, h, cmp.Or(h.Number, number))
	}
	return []TrialHop{out}
}

func (out *TrialHop) trunk(c *Call, h Hop, number string) {
	t := c.g.trunks[h.Trunk]
	if t == nil {
		out.Problem = "there is no such trunk"
		return
	}
	h.Number = number
	if cause := c.never(h); !cause.IsZero() {
		out.Problem, out.barred = cause.String(), true
		return
	}
	o, cause := t.present(h, number, c.src.identity(c.g, c.rec.call.From), c.src)
	if !cause.IsZero() {
		out.Problem = cause.String()
		return
	}
	target := target{uri: o.uri, header: o.header, trunk: t, party: party{codecs: t.Codecs}}
	if err := c.dress(&target); err != nil {
		out.Problem = err.Error()
		return
	}
	out.Request, out.From, out.To, out.Contact, out.Codecs = o.uri.String(), o.from.String(), o.to.String(), o.contact, t.Codecs
	for _, x := range target.header {
		if x.Name != markHeader {
			out.Headers = append(out.Headers, x.Name+": "+x.Value)
		}
	}
}

// String tells a user's forwarding in a few words; "" = none.
func (f Forwarding) String() string {
	var list []string
	for _, x := range [...][2]string{{forwardAlways, f.Always}, {forwardBusy, f.Busy}, {forwardNoAnswer, f.NoAnswer}, {forwardOffline, f.Offline}} {
		if x[1] != "" {
			list = append(list, x[0]+": "+x[1])
		}
	}
	return strings.Join(list, ", ")
}

// NumberTrial is a number before and after a trunk's rules.
type NumberTrial struct {
	Number string `json:"number"` // what becomes of it: within the gateway, or at the trunk
	E164   string `json:"e164"`   // "" = it isn't understood
	Rule   int    `json:"rule"`   // index of the rule that was applied; -1 = none fitted
	URI    string `json:"uri"`    // outbound: what it stands in
}

// TryNumber puts a number through a trunk's rules: the called one, or the caller's.
func TryNumber(t Trunk, outbound, caller bool, number string) (NumberTrial, error) {
	plan, err := numbering.New(t.Numbers)
	if err != nil {
		return NumberTrial{}, fmt.Errorf("trunk %s: numbers: %w", t.ID, err)
	}
	side := numbering.Called
	if caller {
		side = numbering.Caller
	}
	host := t.Domain
	if _, err := netip.ParseAddr(host); host == "" || err == nil {
		host = cmp.Or(host, "carrier.invalid")
	}
	u, err := trialURI("number", number, host)
	if err != nil {
		return NumberTrial{}, err
	}
	var r numbering.Result
	out := NumberTrial{}
	if outbound {
		raw, _ := numbering.Of(u)
		r = plan.Out(side, raw)
		uri, err := plan.URI(r.Number, host)
		if err != nil {
			return NumberTrial{}, err
		}
		out.URI = uri.String()
		out.E164, _ = plan.Read(raw)
	} else {
		_, r = plan.InURI(side, u)
		out.E164, _ = plan.Read(r.Number)
	}
	out.Number, out.Rule = r.Number, r.Rule
	return out, nil
}
