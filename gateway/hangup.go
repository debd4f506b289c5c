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
func (c *Call) legEnded(l *sipLeg, e LegEvent) {
	defer l.confirm()
	if l.over {
		return
	}
	l.over = true
	_ = c.rec.commit(c.rec.event(l.no, e.At, call.LegEnd{Cause: e.Cause, HungUp: e.ByPeer, Quality: quality(l.ep, l.answered.Load())}))
}

// close hangs up what is left and closes the record.
func (c *Call) close(end ending) {
	by, cause, ended := end.by, end.cause, time.Now()
	var hanging sync.WaitGroup
	for _, l := range []*sipLeg{c.caller, c.callee} {
		if l == nil || l.over {
			continue
		}
		l.over = true
		c.rec.note(l.no, ended, call.LegEnd{Cause: cause, Quality: quality(l.ep, l.answered.Load())})
		hanging.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 34*time.Second)
			defer cancel()
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
	if c.authed {
		c.g.cfg.Charger.Settle(c.grant, Used{Talk: time.Duration(c.rec.call.Bill) * time.Millisecond, Cause: cause})
	}
	at := ended
	if l := c.rec.call.Leg(1); l != nil && by == call.Caller && l.EndedAt != nil {
		at = *l.EndedAt
	}
	if l := c.callee; l != nil && by == call.Callee {
		if r := c.rec.call.Leg(l.no); r != nil && r.EndedAt != nil {
			at = *r.EndedAt
		}
	}
	if c.rec.call.AnsweredAt != nil && cause.SIP == 0 {
		cause.SIP = 200 // the call's final response, however it ended
	}
	_ = c.rec.commit(c.rec.event(0, at, call.End{By: by, Cause: cause}))
	if c.rec.call.AnsweredAt == nil {
		c.g.stats.failed.Add(1)
	}
	c.g.count(cause)
	c.log.Info("call ended", "by", by, "cause", cause.String(), "duration", c.rec.call.Duration, "bill", c.rec.call.Bill)
}

// drainUntil keeps taking events, so that nobody waits for a call that is ending.
func (c *Call) drainUntil(done <-chan struct{}) {
	for {
		select {
		case e := <-c.events:
			if e.Kind == LegOffered {
				_ = e.Offer.Reject(call.Cause{Q850: 41, SIP: 481, Text: "Call Ended"})
			}
		case cmd := <-c.box:
			respond(cmd, ErrNoCall)
		case <-done:
			return
		}
	}
}
