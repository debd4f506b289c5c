package gateway

import (
	"cmp"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
)

// errand is what a call is for that a blind transfer makes: it dials with the rights, and under the limits, of who transfers, and
// then takes the transferred party over.
type errand struct {
	from   *Call
	leg    *sipLeg // who is transferred
	who    identity
	to     sip.URI // that is dialled
	why    string
	linked call.ID
	passed bool // it replaces a dialog that isn't ours

	privacy privacy // of who transfers
}

// sendOn begins the call to where a party is transferred.
func (c *Call) sendOn(r *referring, at time.Time) {
	l := r.by
	c.log.Info("transfer", "leg", l.no, "to", r.to)
	src := source{user: l.user, trunk: l.trunk, transfers: true}
	if src.user != nil {
		src.help, src.urgent = c.g.cfg.Emergency.help(r.target)
	}
	s, refused, ok := c.g.admit(src)
	if s == nil {
		c.report(503, phrases[503], true)
		c.rec.note(l.no, at, call.Note{Text: "transfer to " + r.to + " refused: " + refused.String()})
		c.refers = nil
		return
	}
	r.call = s
	c.rec.note(l.no, at, call.Transfer{To: r.to, Linked: s.id})
	s.depth = c.depth + 1
	s.errand = &errand{from: c, leg: r.stays, to: r.target, linked: c.rec.call.LinkedID, who: c.identity(r.stays), privacy: c.identity(l).privacy,
		why: l.name() + " transfers call " + c.id.String() + " here"}
	s.src.hops, s.src.marks = max(1, c.src.hops-1), c.src.marks
	s.wish = &DialRequest{Headers: c.referredBy(l)}
	for _, f := range r.stays.current() {
		s.wish.Prefer = append(s.wish.Prefer, f.Codec)
	}
	if r.passed != "" {
		s.errand.passed = true
		s.wish.Headers = append(s.wish.Headers, sip.Header{Name: "Replaces", Value: r.passed})
	}
	c.mind(s)
	go func() { // admit has counted it
		defer c.g.leave(s)
		s.runErrand(refused, ok)
	}()
}

// name is what the record calls a leg's party.
func (l *sipLeg) name() string {
	switch {
	case l.user != nil:
		return "user " + l.user.ID
	case l.trunk != nil:
		return "trunk " + l.trunk.ID
	}
	return string(l.side)
}

// identity is who a party is, as far as we believe it.
func (c *Call) identity(l *sipLeg) identity {
	switch {
	case l.who != nil:
		return *l.who
	case l.user != nil:
		who := identity{raw: l.user.CallerID, number: l.user.CallerID, name: l.user.CallerName}
		if l == c.caller {
			who.privacy = c.src.who.privacy
		}
		return who
	case l == c.caller:
		who := c.src.who
		who.name = cmp.Or(c.src.callerName(), who.name, c.src.own)
		return who
	}
	return identity{raw: c.rec.call.To, number: c.rec.call.ToN}
}

// runErrand is such a call from its order to its record's last event.
func (c *Call) runErrand(refused call.Cause, admitted bool) {
	e := c.errand
	at := time.Now()
	to, toN, cut := c.src.dialledNumber(c.g, e.to)
	c.cut = cut
	st := call.Start{Tenant: c.src.tenant(), LinkedID: e.linked, Node: c.g.cfg.Node, Epoch: c.g.cfg.Journal.Epoch(), Origin: "sip",
		Direction: call.Out, To: to, ToN: toN, From: e.who.raw}
	if u := c.src.user; u != nil {
		st.User, st.From = u.ID, u.CallerID
	} else {
		st.Trunk, st.Direction = c.src.trunk.ID, call.In
	}
	c.src.who = c.src.identity(c.g, st.From)
	c.src.who.privacy = e.privacy
	if c.src.user == nil { // a trunk's: From is who is transferred
		c.src.who.privacy = e.who.privacy
	}
	st.FromN = c.src.who.shown()
	c.rec.note(0, at, st)
	c.decide(e.why)
	c.alive.Store(&Live{ID: c.id, From: c.src.key(), Since: at, Tenant: st.Tenant, Number: st.To})
	if !admitted {
		c.fail(bySystem(refused))
		return
	}
	if cause, lost := c.lost(); lost {
		c.fail(bySystem(cause))
		return
	}
	plan, cause, ok := c.route()
	if !ok {
		c.fail(bySystem(cause))
		return
	}
	if c.outside(plan) {
		return
	}
	winner, end := c.dial(plan)
	if winner == nil {
		c.fail(end)
		return
	}
	if end, ok := c.unite(winner); !ok {
		c.tellFailed(end.cause)
		c.close(end)
		return
	}
	c.close(c.bridged())
}

// unite bridges who has answered with who is transferred.
func (c *Call) unite(l *sipLeg) (ending, bool) {
	c.callee = l
	l.learn(l.want)
	c.noteMedia(l, time.Now())
	if err := c.take(&taking{from: c.errand.from, leg: c.errand.leg}, nil); err != nil {
		return bySystem(call.JournalDown), false
	}
	for {
		select {
		case ev := <-c.events:
			if ev.Leg != Leg(l) {
				c.stray(ev.Leg.(*sipLeg), ev)
			} else if end, over := c.event(l, ev); over {
				return end, false
			}
		case cmd := <-c.box:
			switch cmd.kind {
			case cmdHere:
				if !c.here(cmd.move) {
					return ending{by: call.Caller, cause: call.Cancelled}, false
				}
				return c.united()
			case cmdHangup:
				respond(cmd, nil)
				return ending{by: cmd.by, cause: cmd.cause}, false
			default:
				c.early(cmd)
			}
		case <-c.ctx.Done():
			return bySystem(call.ShuttingDown), false
		}
	}
}

func (c *Call) united() (ending, bool) {
	if err := c.rec.commit(); err != nil {
		return bySystem(call.JournalDown), false
	}
	c.g.stats.answered.Add(1)
	c.canDial(c.callee)
	c.alignAll()
	return ending{}, true
}

// progressErrand tells who transfers of a callee's provisional response.
func (c *Call) progressErrand(e LegEvent) {
	c.errand.from.order(command{kind: cmdReferTold, move: &move{from: c, status: e.Status, phrase: clip(e.Phrase)}})
}

// tellFailed tells who transfers that it didn't work.
func (c *Call) tellFailed(cause call.Cause) {
	status := cause.Status()
	told := cause
	c.errand.from.order(command{kind: cmdReferTold, move: &move{from: c, status: status, phrase: phrase(status, told), final: true, cause: cause}})
}

// fail closes the record of a call that nobody answered, and tells who transfers.
func (c *Call) fail(end ending) {
	now := time.Now()
	c.settle(end.cause)
	c.rec.note(0, now, call.Decision{Text: "refused: " + end.cause.String(), Refuse: true})
	c.log.Info("call refused", "cause", end.cause.String())
	if end.cause.SIP == 0 {
		end.cause.SIP = end.cause.Status()
	}
	_ = c.rec.commit(c.rec.event(0, now, call.End{By: end.by, Cause: end.cause}))
	c.tellFailed(end.cause)
	c.g.count(&c.rec.call)
}
