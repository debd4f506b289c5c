package gateway

import (
	"cmp"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/udp"
)

// interim is how often an answered call says that it lives (TS 32.260: the interim interval), and the span of a bucket of quality.
const interim = 10 * time.Second

func (g *Gateway) interim() time.Duration { return cmp.Or(g.cfg.Records.Interim, interim) }

// bridged is the select loop of an answered call; it returns who ended it and why.
func (c *Call) bridged() ending {
	tick := time.NewTicker(c.g.interim())
	defer tick.Stop()
	c.spares()
	c.measureFrom(c.parties()...)
	partials := partials{Records: c.g.cfg.Records, from: time.Now()}
	clocks := newClocks()
	defer clocks.stop()
	c.rewind = true
	for _, l := range c.parties() {
		if l.broken != "" { // since before the answer
			return bySystem(failed(l))
		}
	}
	for {
		for e, ok := c.next(); ok; e, ok = c.next() {
			if end, over := c.partyEvent(e); over {
				return end
			}
		}
		if c.rewind {
			c.rewind = false
			clocks.set(c)
		}
		select {
		case e := <-c.events:
			if end, over := c.partyEvent(e); over {
				return end
			}
		case cmd := <-c.box:
			if end, over := c.command(cmd); over {
				return end
			}
		case now := <-tick.C:
			c.rec.note(0, now, call.Interim{Quality: c.qualities()})
			c.measure(now)
			if partials.due(now) {
				c.rec.note(0, now, call.PartialRecord{No: c.rec.call.PartialNo + 1})
			}
			if cause, over := c.meters(now); over {
				return bySystem(cause)
			}
			for _, l := range c.parties() {
				if cause, ok := c.mute(l); ok {
					return bySystem(cause)
				}
			}
		case <-clocks.limit.C:
			return bySystem(clocks.why)
		case now := <-clocks.grant.C:
			if cause, ok := c.extend(now); !ok {
				return bySystem(cause)
			}
			c.rewind = true
		case <-c.ctx.Done():
			return bySystem(call.ShuttingDown)
		}
	}
}

// partyEvent handles an event of whatever leg.
func (c *Call) partyEvent(e LegEvent) (ending, bool) {
	if l := e.Leg.(*sipLeg); l == c.caller || l == c.callee {
		return c.event(l, e)
	} else {
		c.stray(l, e)
	}
	return ending{}, false
}

// longest is how long the call may go on that has lasted since its answer: the least that the gateway, the caller and the called trunk
// allow; 0 = for ever; and why no longer. A call for help lasts as long as it takes.
func (c *Call) longest(lasted time.Duration) (time.Duration, call.Cause) {
	if c.src.urgent {
		return 0, call.Cause{}
	}
	least := c.g.cfg.Limits.Duration
	bounds := []time.Duration{c.src.duration()}
	if l := c.callee; l != nil && l.trunk != nil {
		bounds = append(bounds, l.trunk.Duration)
	}
	for _, d := range bounds {
		if d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	if least > 0 {
		least = max(least-lasted, time.Millisecond)
	}
	if d, why := c.tolls(); d > 0 && (least == 0 || d < least) {
		return d, why
	}
	return least, call.TooLong
}

// mute tells whether a leg's media has been missing for longer than is allowed. A leg that is on hold, whoever asked for
// it, needn't send.
func (c *Call) mute(l *sipLeg) (call.Cause, bool) {
	limit := c.g.cfg.Media.Timeout
	since := time.Duration(udp.Now() - l.answered.Load())
	if !l.silent || limit <= 0 || since < limit || l.peer != sdp.SendRecv || l.want != sdp.SendRecv {
		return call.Cause{}, false
	}
	cause := call.MediaLost
	cause.Text = "no media from the " + string(l.side) + " for " + limit.String()
	return cause, true
}

// failed is the cause of a call one of whose legs can never have media.
func failed(l *sipLeg) call.Cause {
	cause := call.MediaLost
	cause.Text = "no media with the " + string(l.side) + ": " + l.broken
	return cause
}

func (c *Call) qualities() map[int]*call.Quality {
	out := map[int]*call.Quality{}
	for _, l := range c.parties() {
		out[l.no] = counted(l.ep, l.answered.Load())
	}
	return out
}

// event handles one event of a bridged leg; over when it ended the call.
func (c *Call) event(l *sipLeg, e LegEvent) (ending, bool) {
	switch e.Kind {
	case LegEnded:
		if c.refers != nil && l == c.refers.by { // it needn't wait for what becomes of its transfer
			c.vacate(l, e)
			return ending{}, false
		}
		c.legEnded(l, e)
		c.hands(l, c.far(l), e.Headers)
		by := call.System
		if e.ByPeer {
			by = call.Party(l.side)
		}
		return ending{by: by, cause: e.Cause}, true
	case LegConfirmed:
		c.rec.note(l.no, e.At, call.Dialog{Dialog: l.state()})
		if e.Late {
			c.renegotiated(l, e.At, func() { l.learn(l.want) })
		}
		c.align(l) // it may have had to wait for this
	case LegForked:
		c.rec.note(l.no, e.At, call.Note{Text: e.Phrase})
	case LegOffered:
		c.peerOffers(l, e)
	case LegRefer:
		c.peerRefers(l, e)
	case LegPressed:
		c.pressed(l, e)
	case LegDigit:
		c.digit(l, e)
	case LegFlowing:
		l.silent = false
	case LegNotified:
		c.outsideTold(l, e)
		return c.notified(e)
	case LegSilent:
		l.silent = true
		c.tell(AppEvent{Kind: AppMediaLost, At: e.At})
		if cause, ok := c.mute(l); ok {
			return bySystem(cause), true
		}
	case LegFailed:
		l.broken = e.Phrase
		return bySystem(failed(l)), true
	}
	return ending{}, false
}

// stray takes events of attempts that lost.
func (c *Call) stray(l *sipLeg, e LegEvent) {
	if c.taking != nil && c.taking.leg == l { // it is on its way here
		c.taking.ahead = append(c.taking.ahead, e)
		return
	}
	switch e.Kind {
	case LegAnswered, LegForked:
		c.rec.note(l.no, e.At, call.Note{Text: "answered too late; hung up"})
	case LegOffered:
		_ = e.Offer.Reject(call.Cause{Q850: 41, SIP: 481, Text: "Call Ended"})
	case LegRefer:
		_ = e.Refer.Reject(call.Cause{Q850: 41, SIP: 481, Text: "Call Ended"})
	}
}

func (c *Call) command(cmd command) (ending, bool) {
	if c.stale(cmd) {
		return ending{}, false
	}
	switch cmd.kind {
	case cmdHangup:
		respond(cmd, nil)
		return ending{by: cmd.by, cause: cmd.cause}, true
	case cmdReoffered:
		c.reoffered(cmd.leg, cmd.dir, cmd.err)
		if r := c.refers; r != nil && r.giving != nil {
			return c.give(r.giving)
		}
	case cmdReplace:
		c.replace(cmd.move)
	case cmdGive:
		return c.give(cmd.move)
	case cmdHere:
		if c.here(cmd.move) {
			c.alignAll()
		}
	case cmdReferTold:
		return c.referTold(cmd.move)
	case cmdDigits:
		if cmd.app.from != nil {
			cmd.no = c.appLeg().no
		}
		c.sendDigits(cmd)
	default:
		return c.obey(cmd)
	}
	return ending{}, false
}

// parties are the legs that the call has: two, or one and an application.
func (c *Call) parties() []*sipLeg {
	var out []*sipLeg
	for _, l := range []*sipLeg{c.caller, c.callee} {
		if l != nil {
			out = append(out, l)
		}
	}
	return out
}

// allowed is the direction of a leg's media, our view, that the far party wants.
func (c *Call) allowed(l *sipLeg) sdp.Direction {
	far := c.far(l)
	switch {
	case far != nil:
		return direction(far.peer.Sends(), far.peer.Receives())
	case c.app != nil && c.app.holds:
		return sdp.SendOnly
	}
	return sdp.SendRecv
}

// far is the leg on the other side, nil before the bridge, and where an application is.
func (c *Call) far(l *sipLeg) *sipLeg {
	if l == c.caller {
		return c.callee
	}
	return c.caller
}
