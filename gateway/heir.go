package gateway

import (
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

// A transferor needn't wait until the one it consults answers (RFC 5589 7.6): its REFER names a call that still rings. Who is
// transferred becomes that call's heir: nobody's phone stops ringing, and whoever answers has the heir.

// names tells whether a command has a party take the place of the call's own caller, while others ring.
func (c *Call) names(cmd command) bool {
	if cmd.kind != cmdReplace || c.caller == nil || cmd.move.instead != c.caller {
		return false
	}
	m := cmd.move
	if c.heir != nil || c.taking != nil || c.errand != nil || c.caller.answered.Load() != 0 || c.caller.over {
		c.refuseMove(m, errNotHere)
		return true
	}
	c.heir = m
	c.decide(c.caller.name() + " transfers call " + m.from.id.String() + " here: whoever answers has its party")
	if m.family != c.rec.call.LinkedID {
		c.rec.note(0, time.Now(), call.Link{LinkedID: m.family})
	}
	if c.rang {
		c.tellHeir(&move{from: c, status: 180, phrase: phraseOf(180)})
	}
	return true
}

// disowned tells whether a command says that the heir is gone; ends, that nobody is left to ring for.
func (c *Call) disowned(cmd command) (yes, ends bool) {
	if cmd.kind != cmdReferTold || c.heir == nil || cmd.move.from != c.heir.from {
		return false, false
	}
	c.heir = nil
	return true, c.caller.over
}

func (c *Call) tellHeir(m *move) {
	c.heir.from.order(command{kind: cmdReferTold, move: m})
}

// disappoint tells the heir's call that nobody has answered.
func (c *Call) disappoint(cause call.Cause) {
	if c.heir == nil {
		return
	}
	status := cause.Status()
	c.tellHeir(&move{from: c, status: status, phrase: phrase(status, cause), final: true, cause: cause})
	c.heir = nil
}

// inherit bridges who has answered with the heir, in place of the caller.
func (c *Call) inherit(l *sipLeg) (ending, bool) {
	m := c.heir
	c.callee = l
	l.learn(l.want)
	c.noteMedia(l, time.Now())
	if err := c.take(&taking{from: m.from, leg: m.leg, instead: c.caller}, m); err != nil {
		c.disappoint(call.JournalDown)
		return bySystem(call.JournalDown), false
	}
	c.heir = nil
	for {
		select {
		case e := <-c.events:
			switch {
			case e.Leg == Leg(l):
				if end, over := c.event(l, e); over {
					return end, false
				}
			case e.Leg == Leg(c.caller) && e.Kind == LegEnded:
				c.legEnded(c.caller, e)
			default:
				c.stray(e.Leg.(*sipLeg), e)
			}
		case cmd := <-c.box:
			switch {
			case cmd.kind == cmdHere && c.here(cmd.move):
				return c.united()
			case cmd.kind == cmdHere && c.caller.over:
				return ending{by: call.Caller, cause: call.Cancelled}, false
			case cmd.kind == cmdHere: // then the caller itself has who answered
				return c.connect(l)
			case cmd.kind == cmdHangup:
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

// outlives ends the leg of a caller that was never answered, whose place its heir has taken.
func (c *Call) outlives(old *sipLeg, m *move) {
	c.out(old)
	if err := c.pipeline.Remove(old.ep); err != nil {
		c.log.Warn("closing media", "leg", old.no, "err", err)
	}
	c.tries = append(without(c.tries, old), old)
	if old.over {
		return
	}
	old.over = true
	cause := call.Transferred
	cause.SIP = 487
	c.rec.note(old.no, m.at, call.LegEnd{Cause: cause, Quality: counted(old.ep, 0)})
	old.confirm()
	c.g.wg.Go(func() { old.hangup(cause) })
}

// awaited lets a party whose transferor has gone hear that the next one rings, if it does.
func (c *Call) awaited(r *referring) {
	if r.rings && r.by.over {
		c.ringback(r)
	}
}
