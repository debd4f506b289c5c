package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/gateway/numbering"
)

// Forwarding is where a user's calls go when they can't, or shall not, be taken: user:ID, group:ID or a number, which is dialled
// as if the user dialled it, with the user's rights and at the user's cost; "" = nowhere.
type Forwarding struct {
	Always   string
	Busy     string
	NoAnswer string
	After    time.Duration // how long the phones ring before NoAnswer; 0 = as long as the hop says
	Offline  string
}

// Why a call goes on to somebody else.
const (
	forwardAlways   = "always"
	forwardBusy     = "busy"
	forwardNoAnswer = "no-answer"
	forwardOffline  = "offline"
	forwardRedirect = "redirect"
)

// maxForwards is how often one call may go on to somebody else.
const maxForwards = 5

// Diversion is one step by which a call was led away from whom it was for: what History-Info and Diversion tell the next
// callee (RFC 7044, RFC 5806).
type Diversion struct {
	From   string // the number or name that was called
	User   string // id of the user who had it forwarded; "" = a trunk redirected
	To     string // user:ID, group:ID or the number that is called instead
	Reason string // always, busy, no-answer, offline, redirect
	Cause  int    // the SIP status that stands for it in History-Info: 302, 486, 408, 480 (RFC 4458 2)
	At     time.Time
}

// forwardCauses are the statuses that stand for reasons (RFC 4458 2).
var forwardCauses = [...]struct {
	reason string
	status int
}{{forwardAlways, 302}, {forwardBusy, 486}, {forwardNoAnswer, 408}, {forwardOffline, 480}, {forwardRedirect, 302}}

// dialUser rings all phones of a user, and goes on to where the user has calls forwarded.
func (c *Call) dialUser(hop Hop, number string) tried {
	u := c.g.userByID[hop.User]
	var f Forwarding
	if u != nil {
		f = u.Forward
	}
	if f.Always != "" {
		return c.forward(u, number, f.Always, forwardAlways)
	}
	list, r, ok := c.atUser(hop)
	if ok {
		if f.NoAnswer != "" && f.After > 0 && f.After < ringing(hop.Ring) {
			for i := range list {
				list[i].hop.Ring = f.After
			}
		}
		if r.winner, r.end = c.ring(list); r.winner != nil || c.stopped {
			return r
		}
		c.unseize(hop)
		if redirects(r.end.cause) && len(c.redirect) > 0 {
			return c.deflected(u, number, r)
		}
	}
	for _, x := range [...]struct {
		when   bool
		to     string
		reason string
	}{{busy(r.end.cause), f.Busy, forwardBusy}, {unanswered(r.end.cause), f.NoAnswer, forwardNoAnswer},
		{r.end.cause.Q850 == call.Offline.Q850 || r.end.cause.Class() == call.Retry, f.Offline, forwardOffline}} {
		if x.when && x.to != "" {
			return c.forward(u, number, x.to, x.reason)
		}
	}
	return r
}

// busy tells whether the callee is there, but can't take another call.
func busy(c call.Cause) bool { return c.Q850 == 17 || c.SIP == 486 || c.SIP == 600 }

// unanswered tells whether the callee's phones rang in vain, or wouldn't.
func unanswered(c call.Cause) bool {
	return c.Q850 == call.NoAnswer.Q850 || c.SIP == 480 && c.Q850 != call.Offline.Q850
}

// atUser is the attempts at all of a user's phones, with a place taken; ok is false when there are none, and r why.
func (c *Call) atUser(hop Hop) (list []attempt, r tried, ok bool) {
	shown, src := c.presents()
	targets, cause := c.g.contacts(hop.User, shown, src)
	if cause.IsZero() {
		cause = c.seize(hop, targets[0])
	}
	if !cause.IsZero() {
		c.decide(hop.String() + ": " + cause.Text)
		return nil, tried{end: bySystem(cause)}, false
	}
	for _, t := range targets {
		list = append(list, attempt{t, hop})
	}
	return list, tried{}, true
}

// deflected follows a redirection by one of a user's phones as forwarding by the user: to a number, or to somebody at one of our
// own hosts. Where it names another host it isn't followed.
func (c *Call) deflected(u *User, number string, r tried) tried {
	why := "the phone names no number of ours"
	for _, contact := range c.redirect {
		to, err := c.g.redirection(contact, c.g.ours)
		if err == nil {
			return c.forward(u, number, to, forwardRedirect)
		}
		why = err.Error()
	}
	c.rec.note(0, time.Now(), call.Forward{User: u.ID, From: number, To: clip(c.redirect[0]), Reason: forwardRedirect, Depth: len(c.diversions) + 1, Refuse: true, Text: why})
	return r
}

// forward goes on to another target with a user's rights. It is written before anybody is tried.
func (c *Call) forward(u *User, from, to, reason string) tried {
	c.path = append(c.path, "user:"+u.ID)
	defer func(n int) { c.path = c.path[:n] }(len(c.path) - 1)
	e := call.Forward{User: u.ID, From: from, To: clip(to), Reason: reason, Depth: len(c.diversions) + 1}
	if why := c.astray(to); why != "" {
		e.Refuse, e.Text = true, why
		c.rec.note(0, time.Now(), e)
		return tried{end: bySystem(call.Cause{Q850: 25, SIP: 482, Text: why})}
	}
	c.diverts(e)
	payers := c.payers
	c.payers = append(c.payers[:len(c.payers):len(c.payers)], u)
	r := c.dialForward(u, to)
	if r.winner == nil {
		c.payers = payers
	}
	return r
}

// diverts writes down that the call goes on.
func (c *Call) diverts(e call.Forward) {
	now := time.Now()
	c.rec.note(0, now, e)
	c.log.Info("forwarded", "user", e.User, "trunk", e.Trunk, "to", e.To, "reason", e.Reason)
	d := Diversion{From: e.From, User: e.User, To: e.To, Reason: e.Reason, At: now}
	for _, x := range forwardCauses {
		if x.reason == e.Reason {
			d.Cause = x.status
		}
	}
	c.diversions = append(c.diversions, d)
}

// astray is why a call may not go on to a target: it has been led on too often, or has been there.
func (c *Call) astray(to string) string {
	switch {
	case len(c.diversions) >= maxForwards:
		return fmt.Sprintf("forwarded more than %d times", maxForwards)
	case slices.Contains(c.path, to):
		return "forwarded in a circle: " + to + " was called before"
	}
	return ""
}

// dialForward calls what a user's calls are forwarded to.
func (c *Call) dialForward(u *User, to string) tried {
	c.path = append(c.path, to)
	defer func(n int) { c.path = c.path[:n] }(len(c.path) - 1)
	kind, id, named := strings.Cut(to, ":")
	switch {
	case named && kind == "user":
		next := c.g.userByID[id]
		if next == nil || next.Tenant != u.Tenant {
			return tried{end: bySystem(call.Cause{Q850: 1, SIP: 404, Text: "user " + clip(id) + " is not configured"})}
		}
		return c.dialHop(Hop{User: id, Ring: ringing(next.Ring)}, c.rec.call.To)
	case named && kind == "group":
		return c.dialHop(Hop{Group: id}, c.rec.call.To)
	}
	as := c.rec.call
	as.Tenant, as.User, as.Trunk, as.App, as.Origin, as.To = u.Tenant, u.ID, "", "", "sip", to
	as.ToN = c.g.plan.In(numbering.Called, to).Number
	plan, err := c.g.router.Route(c.ctx, &as)
	if err != nil {
		var r *Refusal
		if !errors.As(err, &r) {
			c.log.Error("routing", "err", err)
			return tried{end: bySystem(call.Failure)}
		}
		return tried{end: bySystem(r.Cause)}
	}
	c.rec.note(0, time.Now(), call.Decision{Route: plan.Route, ToN: c.g.understood(plan), Text: plan.Why})
	r := tried{}
	r.winner, r.end = c.dial(plan)
	return r
}
