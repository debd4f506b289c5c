package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
)

// legEnded writes that a leg is over; on disk before its peer's request is confirmed.
func (c *Call) legEnded(l *sipLeg, e LegEvent) { c.legOver(l, e, false) }

// legOver is legEnded of a leg that may have left a call which goes on.
func (c *Call) legOver(l *sipLeg, e LegEvent, left bool) {
	defer l.confirm()
	if l.over {
		return
	}
	l.over = true
	c.notePath(l, e.At)
	_ = c.rec.commit(c.rec.event(l.no, e.At, call.LegEnd{Cause: e.Cause, HungUp: e.ByPeer, Left: left, Quality: counted(l.ep, l.answered.Load())}))
}

// byeTime is how long a peer has to confirm the end of its leg (timer F, and a little).
const byeTime = 34 * time.Second

// close hangs up what is left and closes the record.
func (c *Call) close(end ending) {
	by, cause, ended := end.by, end.cause, end.at
	if ended.IsZero() {
		ended = time.Now()
	}
	c.stopMoves(cause)
	c.measured(ended, c.parties()...)
	var hanging sync.WaitGroup
	if c.app != nil {
		c.rec.note(c.app.no, ended, call.LegEnd{Cause: cause, HungUp: by == c.app.party()})
	}
	for _, l := range c.parties() {
		if l.over {
			continue
		}
		l.over = true
		c.notePath(l, ended)
		c.rec.note(l.no, ended, call.LegEnd{Cause: cause, Quality: counted(l.ep, l.answered.Load())})
		hanging.Go(func() {
			ctx, cancel := context.WithTimeout(c.g.ctx, byeTime)
			defer cancel()
			if r := c.refers; r != nil && r.given && r.by == l {
				r.part()
			}
			if err := l.Hangup(ctx, cause); err != nil && !errors.Is(err, sip.ErrEnded) {
				l.log.Warn("leg not hung up", "err", err)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		hanging.Wait()
		close(done)
	}()
	c.drainUntil(done)
	if c.rec.call.AnsweredAt != nil && !c.unsaid && cause.SIP == 0 {
		cause.SIP = 200 // the call's final response, however it ended
	}
	e := c.rec.event(0, c.endedAt(by, ended), call.End{By: by, Cause: cause, Unsaid: c.unsaid})
	c.settle(cause)
	c.pays(ended, cause)
	_ = c.rec.commit(e)
	c.g.count(&c.rec.call)
	c.tell(AppEvent{Kind: AppEnded, At: ended, By: by, Cause: c.rec.call.Cause})
	c.log.Info("call ended", "by", by, "cause", cause.String(), "duration", c.rec.call.Duration, "bill", c.rec.call.Bill)
}

// endedAt is when the call ended: when the party that ended it said so.
func (c *Call) endedAt(by call.Party, otherwise time.Time) time.Time {
	l := c.caller
	switch {
	case by == call.Callee:
		l = c.callee
	case by != call.Caller:
		return otherwise
	}
	if l == nil || c.refers != nil && c.refers.given {
		return otherwise
	}
	if r := c.rec.call.Leg(l.no); r != nil && r.EndedAt != nil {
		return *r.EndedAt
	}
	return otherwise
}

// drainUntil keeps taking events, so that nobody waits for a call that is ending.
func (c *Call) drainUntil(done <-chan struct{}) {
	for {
		for e, ok := c.next(); ok; e, ok = c.next() {
			c.tooLate(e)
		}
		select {
		case e := <-c.events:
			c.tooLate(e)
		case cmd := <-c.box:
			c.tooLateFor(cmd)
		case <-done:
			return
		}
	}
}

// tooLate takes an event of a call that is ending.
func (c *Call) tooLate(e LegEvent) {
	switch e.Kind {
	case LegOffered:
		_ = e.Offer.Reject(call.Cause{Q850: 41, SIP: 481, Text: "Call Ended"})
	case LegRefer:
		_ = e.Refer.Reject(call.Cause{Q850: 41, SIP: 481, Text: "Call Ended"})
	case LegEnded: // its BYE crossed ours: the leg's end is noted
		_ = c.rec.commit()
		e.Leg.(*sipLeg).confirm()
	}
}

// tooLateFor answers a command to a call that is ending.
func (c *Call) tooLateFor(cmd command) {
	switch cmd.kind {
	case cmdGive:
		c.deny(cmd.move)
	case cmdReplace:
		c.refuseMove(cmd.move, ErrNoCall)
	}
	respond(cmd, ErrNoCall)
}

// untake gives up a party that is on its way here: if it comes still, nobody takes it.
func (c *Call) untake(cause call.Cause) {
	if t := c.taking; t != nil {
		c.taking = nil
		c.rec.note(t.no, time.Now(), call.LegEnd{Cause: cause})
	}
}

// stopMoves ends what parties of this call and others have to do with each other.
func (c *Call) stopMoves(cause call.Cause) {
	c.untake(cause)
	if c.refers != nil {
		c.refers.reports.stop()
	}
	if r := c.refers; r != nil && r.attended && !r.given && r.call != nil { // it may wait for the party as its heir
		other, gone := r.call, &move{from: c, final: true, status: 487, cause: call.Cancelled}
		c.g.wg.Go(func() { other.order(command{kind: cmdReferTold, move: gone}) })
	}
	if r := c.refers; r != nil && !r.attended && !r.given && r.call != nil {
		other := r.call
		gaveUp := call.Cancelled
		gaveUp.Text = "the transferred party hung up"
		c.g.wg.Go(func() { other.order(command{kind: cmdHangup, by: call.Caller, cause: gaveUp}) })
	}
}
