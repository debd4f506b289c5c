package gateway

import (
	"errors"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

// stepInTime is how long the other call has to ask for a party that takes the place of one of its own.
const stepInTime = 5 * time.Second

// stepIn answers an INVITE that takes the place of a dialog of another call (RFC 3891), and gives its party to that one: a call
// that rings is picked up, one that is answered is taken over.
func (c *Call) stepIn(d *sip.Dialog) {
	other, old, cause := c.replaces(d.Request().Replaces)
	if !cause.IsZero() {
		c.refuse(d, bySystem(cause))
		return
	}
	c.decide("takes the place of leg " + itoa(old.no) + ", " + old.name() + ", in call " + other.id.String())
	m := &move{from: c, leg: c.caller, instead: old, family: other.rec.linked(), depth: c.depth}
	c.rec.note(0, time.Now(), call.Link{LinkedID: m.family})
	c.g.wg.Go(func() {
		other.order(command{kind: cmdReplace, move: m})
		select {
		case <-other.done:
		case <-c.done:
		}
		c.order(command{kind: cmdReferTold, move: &move{from: other, final: true, cause: call.Cause{Q850: 41, SIP: 481, Text: "the other call has ended"}}})
	})
	if end, ok := c.stepping(other); !ok {
		if c.caller != nil && c.caller.answered.Load() == 0 {
			c.refuse(d, end)
			return
		}
		c.close(end)
		return
	}
	c.close(ending{by: call.Caller, cause: call.Transferred})
}

// replaces is whose place an INVITE may take, and in which call.
func (c *Call) replaces(d *sip.Dialog) (*Call, *sipLeg, call.Cause) {
	c.g.mu.Lock()
	old := c.g.legs[d]
	c.g.mu.Unlock()
	var other *Call
	if old != nil {
		other = old.call.Load()
	}
	switch {
	case other == nil:
		return nil, nil, call.Cause{Q850: 41, SIP: 481, Text: "the call to take over has ended"}
	case other.src.tenant() != c.src.tenant() || c.src.trunk != nil && old.trunk != c.src.trunk:
		return nil, nil, call.Cause{Q850: 21, SIP: 403, Text: "the call to take over is somebody else's"}
	}
	return other, old, call.Cause{}
}

// stepping waits until the other call has the caller.
func (c *Call) stepping(other *Call) (ending, bool) {
	timer := time.NewTimer(stepInTime)
	defer timer.Stop()
	for {
		select {
		case e := <-c.events:
			if c.callerWhileRinging(e) {
				return c.gone(e), false
			}
		case cmd := <-c.box:
			m := cmd.move
			switch {
			case cmd.kind == cmdGive && m.from == other && m.leg == c.caller:
				return c.enter(m)
			case cmd.kind == cmdGive:
				c.deny(m)
			case cmd.kind == cmdReplace:
				c.refuseMove(m, errNotHere)
			case cmd.kind == cmdReferTold && m.from == other && m.final:
				return bySystem(m.cause), false
			case cmd.kind == cmdHangup:
				respond(cmd, nil)
				return ending{by: cmd.by, cause: cmd.cause}, false
			default:
				c.early(cmd)
			}
		case <-timer.C:
			return bySystem(call.NoResponse), false
		case <-c.ctx.Done():
			return bySystem(call.ShuttingDown), false
		}
	}
}

// enter answers the caller with what the other call's party speaks, and hands it over.
func (c *Call) enter(m *move) (ending, bool) {
	want := c.callerLike(m.like)
	l, noted := c.caller, false
	err := l.Answer(want, func() error {
		if closed(l.d.Ended()) {
			return sip.ErrEnded
		}
		at := time.Now()
		l.answered.Store(c.g.clock.at(at))
		c.rec.note(1, at, call.Answer{RemoteTag: l.d.RemoteTag(), Dialog: l.confirmed()})
		c.noteMedia(l, at)
		noted = true
		return c.rec.commit()
	})
	if err != nil {
		c.deny(m)
		c.unsaid = noted
		if errors.Is(err, sip.ErrEnded) {
			return c.farewell(), false
		}
		return c.unanswered(err), false
	}
	l.want = want.Direction
	c.g.stats.answered.Add(1)
	c.handOver(l, m, time.Now())
	return ending{}, true
}

// callerLike is our answer to the caller's offer, made from what somebody else speaks.
func (c *Call) callerLike(like []*media.Format) media.Want {
	w := c.callerWant(nil)
	if c.caller.party.prefers() {
		return w
	}
	own := firstOf(formats(c.caller.party.codecs, c.caller.party.dtmf), like)
	if c.caller.hasOffer() {
		own = only(common(own, c.callerFormats()))
	}
	w.Formats, w.Direction = own, sdp.SendRecv
	return w
}
