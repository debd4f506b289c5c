package gateway

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
)

// A leg moves from one call to another by messages: the call that shall have it says so (cmdReplace, unless it began by
// itself), asks for it (cmdGive), and gets it (cmdHere). A call that gives waits for nobody, so that no two wait for each other.

// move is what such a message says.
type move struct {
	from    *Call   // who sent it
	leg     *sipLeg // that moves
	instead *sipLeg // cmdReplace: whose place it takes
	family  call.ID // LinkedID of the call that gives
	depth   int     // transfers so far
	err     error   // cmdHere: it isn't there
	at      time.Time
	events  []LegEvent // of the leg, that the call before has not seen
	taken   chan struct{}
	given   atomic.Bool     // cmdGive: it is on its way
	like    []*media.Format // cmdGive: what the other party speaks
	fare    *fare           // cmdHere: what is owed for the leg
	carried *call.Carried   // what the record says of that
	who     identity        // and who its party is

	// cmdReferTold
	status int
	phrase string
	final  bool
	cause  call.Cause
}

// moves is what a call has to do with transfers.
type moves struct {
	refers  *referring // a transfer that a party asked for; nil: none is under way
	taking  *taking    // a party of another call that comes over; nil: none does
	heir    *move      // who takes the caller's place once somebody answers; nil: nobody
	errand  *errand    // what a transfer has made the call for; nil: it's a call of its own
	depth   int        // transfers in a row that led here
	held    []string   // keys of limits, of parties that came from other calls
	backlog []LegEvent // to be handled before those of events
}

// errNotHere is the answer of a call that can't give a leg.
var errNotHere = errors.New("the party isn't there any more")

// taking is a leg that is on its way to the call.
type taking struct {
	from    *Call
	leg     *sipLeg
	instead *sipLeg // whose place it takes; nil: it is the caller
	no      int     // it will have
	side    call.Role
	ahead   []LegEvent // came before it did
}

// take begins to take a leg over. Its record begins before the other call gives it up: a crash in between ends it twice rather
// than never.
func (c *Call) take(t *taking, m *move) error {
	t.no, t.side = 1, call.CallerLeg
	var like []*media.Format
	if t.instead != nil {
		t.no, t.side = c.nextLeg(), t.instead.side
		if far := c.far(t.instead); far != nil {
			like = far.current()
		}
	}
	begun := t.leg.described(t.side)
	c.rec.note(t.no, time.Now(), begun)
	if err := c.rec.commit(); err != nil {
		c.rec.note(t.no, time.Now(), call.LegEnd{Cause: call.JournalDown})
		return err
	}
	c.taking = t
	if m != nil {
		c.depth = max(c.depth, m.depth) + 1
	}
	ask := &move{from: c, leg: t.leg, like: like}
	c.g.wg.Go(func() {
		if t.from.order(command{kind: cmdGive, move: ask}) {
			select {
			case <-t.from.done:
			case <-c.done:
			}
		}
		if ask.given.Load() {
			return
		}
		c.order(command{kind: cmdHere, move: &move{from: t.from, leg: t.leg, err: errNotHere}})
	})
	return nil
}

// described is what a call's record says of a leg that comes from another call.
func (l *sipLeg) described(side call.Role) call.LegNew {
	r := l.d.Request()
	network, peer := l.d.Peer()
	n := call.LegNew{Role: side, Medium: "sip", Direction: call.Out, User: l.user.id(), Trunk: l.trunkID(), Transport: network,
		SIPCallID: l.d.CallID(), LocalTag: l.d.LocalTag(), RemoteTag: l.d.RemoteTag(), FromURI: r.From.String(), ToURI: r.To.String(),
		RequestURI: r.URI.String(), Signalling: peer, Dialog: l.state()}
	if l.party.browser {
		n.Medium = "webrtc"
	}
	if l.d.Inbound() {
		n.Direction = call.In
		n.Dialog = l.confirmed()
	}
	return n
}

// handOver gives a leg to the call that has asked for it.
func (c *Call) handOver(l *sipLeg, ask *move, at time.Time) {
	ask.given.Store(true)
	to, who := ask.from, c.identity(l)
	c.notePath(l, at)
	c.measured(at, l)
	c.rec.note(l.no, at, call.LegEnd{Cause: call.Transferred, Left: true, Quality: counted(l.ep, l.answered.Load())})
	c.leaves(l)
	c.out(l)
	c.pipeline.Release(l.ep)
	c.tries = without(c.tries, l)
	delete(c.reoffers, l)
	m := &move{from: c, leg: l, at: at, taken: make(chan struct{}), family: c.rec.call.LinkedID, fare: c.takesFare(l), carried: c.rec.call.Carry(l.no), who: who}
	l.Yield(to.events)
	m.events, c.backlog = c.draw(l)
	c.g.wg.Go(func() {
		if to.order(command{kind: cmdHere, move: m}) {
			select {
			case <-m.taken:
				return
			case <-to.done:
			}
		}
		if !closed(m.taken) { // that call has ended meanwhile
			l.hangup(call.Transferred)
			l.confirm()
			l.abandon()
			l.ep.Close()
			if m.fare != nil {
				c.g.ends(m.fare, time.Now(), call.Transferred)
			}
		}
	})
}

// draw takes the events of one leg out of the call's queue, once no more of it can come; rest are the others.
func (c *Call) draw(l *sipLeg) (its, rest []LegEvent) {
	rest = c.backlog
	for {
		select {
		case e := <-c.events:
			if e.Leg == Leg(l) {
				its = append(its, e)
			} else {
				rest = append(rest, e)
			}
		default:
			return its, rest
		}
	}
}

// give hands the transferred party over to the call that asks for it, and ends this one.
func (c *Call) give(m *move) (ending, bool) {
	r := c.refers
	if r == nil || r.call != m.from || r.stays != m.leg || r.stays.over {
		c.deny(m)
		return ending{}, false
	}
	if o := c.reoffers[r.stays]; o != nil && o.running {
		r.giving = m
		return ending{}, false
	}
	at := time.Now()
	if r.ringing != nil {
		if err := c.pipeline.Remove(r.ringing); err != nil {
			c.log.Warn("closing ringback", "err", err)
		}
	}
	c.handOver(r.stays, m, at)
	c.log.Info("transferred", "to", r.to, "call", m.from.id)
	c.report(200, "OK", true)
	r.given = true
	return ending{by: call.Party(r.by.side), cause: call.Transferred, at: at}, true
}

// deny answers a call that asks for a leg that it can't have.
func (c *Call) deny(m *move) {
	c.g.wg.Go(func() { m.from.order(command{kind: cmdHere, move: &move{from: c, leg: m.leg, err: errNotHere}}) })
}

// replace takes a party of another call in place of one of this call's.
func (c *Call) replace(m *move) {
	old := m.instead
	var err error
	switch {
	case c.app != nil || c.taking != nil || c.refers != nil:
		err = errors.New("the call is busy with another transfer")
	case old != c.caller && old != c.callee || old.over:
		err = errNotHere
	default:
		err = c.take(&taking{from: m.from, leg: m.leg, instead: old}, m)
	}
	if err != nil {
		c.refuseMove(m, err)
		return
	}
	if m.family != c.rec.call.LinkedID {
		c.rec.note(0, time.Now(), call.Link{LinkedID: m.family})
	}
}

func (c *Call) refuseMove(m *move, err error) {
	cause := call.Cause{Q850: 41, SIP: 481, Text: err.Error()}
	c.g.wg.Go(func() {
		m.from.order(command{kind: cmdReferTold, move: &move{from: c, status: 481, phrase: phrases[481], final: true, cause: cause}})
	})
}

// here takes a leg that has come, or notes that it doesn't. ok: it did.
func (c *Call) here(m *move) (ok bool) {
	t := c.taking
	if t == nil || t.leg != m.leg {
		return false
	}
	c.taking = nil
	if m.err != nil {
		c.rec.note(t.no, time.Now(), call.LegEnd{Cause: call.Cause{Q850: 41, Text: m.err.Error()}})
		return false
	}
	l := c.arrive(t, m)
	switch old := t.instead; {
	case old == nil || old != c.caller && old != c.callee:
	case old.answered.Load() == 0:
		c.outlives(old, m)
	default:
		c.retire(old, m)
	}
	if t.side == call.CallerLeg {
		c.caller = l
	} else {
		c.callee = l
		c.tries = append(c.tries, l)
	}
	c.canDial(l)
	if far := c.far(l); far != nil {
		if err := c.pipeline.Bridge(l.ep, far.ep, media.Pad{}); err != nil {
			c.log.Error("bridge", "err", err)
		}
		c.rec.note(l.no, m.at, call.Bridge{With: far.no})
	}
	c.noteMedia(l, m.at)
	return true
}

// arrive makes a leg that has come one of the call's.
func (c *Call) arrive(t *taking, m *move) *sipLeg {
	close(m.taken)
	l := m.leg
	l.no, l.side, l.over, l.who = t.no, t.side, false, &m.who
	l.call.Store(c)
	if err := c.pipeline.Add(l.ep); err != nil {
		c.log.Error("media of a transferred party", "err", err)
	}
	c.countIn(l)
	if m.fare != nil {
		c.fares = append(c.fares, m.fare)
	}
	c.rewind = true
	c.measureFrom(l)
	c.rec.note(l.no, m.at, call.Answer{RemoteTag: l.d.RemoteTag(), Dialog: l.state(), Carried: m.carried})
	c.backlog = append(append(c.backlog, m.events...), t.ahead...)
	c.log.Info("party taken over", "leg", l.no, "call", m.from.id)
	return l
}

// pickUp lets somebody else answer in place of a party that rings (RFC 3891): l is who does, once it is here. moves tells that
// the command was about parties that move.
func (c *Call) pickUp(cmd command, ringing []*sipLeg) (l *sipLeg, moves bool) {
	m := cmd.move
	switch cmd.kind {
	case cmdReplace:
		if c.taking != nil || !slices.Contains(ringing, m.instead) || m.instead.over {
			c.refuseMove(m, errNotHere)
		} else if err := c.take(&taking{from: m.from, leg: m.leg, instead: m.instead}, m); err != nil {
			c.refuseMove(m, err)
		}
	case cmdGive:
		c.deny(m)
	case cmdHere:
		t := c.taking
		if t == nil || t.leg != m.leg {
			break
		}
		c.taking = nil
		if m.err != nil {
			c.rec.note(t.no, time.Now(), call.LegEnd{Cause: call.Cause{Q850: 41, Text: m.err.Error()}})
			break
		}
		l = c.arrive(t, m)
		c.tries = append(c.tries, l)
	case cmdReferTold:
	default:
		return nil, false
	}
	return l, true
}

// retire ends the leg of a party whose place another has taken.
func (c *Call) retire(old *sipLeg, m *move) {
	old.over = true
	c.leaves(old)
	c.notePath(old, m.at)
	c.rec.note(old.no, m.at, call.Note{Text: old.name() + " gives way to a party of call " + m.from.id.String()})
	c.measured(m.at, old)
	c.rec.note(old.no, m.at, call.LegEnd{Cause: call.Transferred, Left: true, Quality: counted(old.ep, old.answered.Load())})
	c.paysFor(old, m.at, call.Transferred)
	c.out(old)
	if err := c.pipeline.Remove(old.ep); err != nil {
		c.log.Warn("closing media", "leg", old.no, "err", err)
	}
	c.tries = append(without(c.tries, old), old)
	old.confirm()
	c.g.wg.Go(func() { old.hangup(call.Transferred) })
}

// countIn counts the call against what a leg that came from another call is counted against.
func (c *Call) countIn(l *sipLeg) {
	key := ""
	switch {
	case l.trunk != nil:
		key = "trunk:" + l.trunk.ID
	case l.user != nil:
		key = "user:" + l.user.ID
	default:
		return
	}
	way := outward
	if l.d.Inbound() {
		way = inward
	}
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	c.g.busy[key]++
	c.g.busy[key+way]++
	c.held = append(c.held, key, key+way)
}

// next takes the events that came with a leg before those of the call's queue.
func (c *Call) next() (LegEvent, bool) {
	if len(c.backlog) == 0 {
		return LegEvent{}, false
	}
	e := c.backlog[0]
	c.backlog = c.backlog[1:]
	return e, true
}

// alignAll renegotiates both legs once a new party is there: who was on hold isn't any more.
func (c *Call) alignAll() {
	for _, l := range c.parties() {
		c.align(l)
	}
}

// presents is who calls as our own users see it: in a call that a transfer makes, who is transferred to them. Trunks see who
// transfers, whose numbers they know.
func (c *Call) presents() (*call.Call, source) {
	e := c.errand
	if e == nil {
		return &c.rec.call, c.src
	}
	shown := c.rec.call
	shown.From = e.who.raw
	src := c.src
	src.who, src.own = e.who, ""
	if src.user != nil {
		u := *src.user
		u.CallerName = e.who.name
		src.user = &u
	}
	return &shown, src
}
