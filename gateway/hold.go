package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
)

// peerOffers answers a re-INVITE and carries what it means, hold or resume, to the far party.
func (c *Call) peerOffers(l *sipLeg, e LegEvent) {
	like := l.current()
	if far := c.far(l); far != nil {
		like = far.current()
	}
	want := media.Want{Formats: l.party.order(like), Direction: c.allowed(l), SRTP: l.party.srtp}
	r := e.Offer.Remote()
	if r != nil {
		want.Formats = only(common(want.Formats, offered(r)))
	}
	// Whatever becomes of it, what we wanted to offer ourselves had to wait for it.
	defer c.align(l)
	if err := e.Offer.Accept(want); err != nil {
		c.log.Warn("re-offer refused", "leg", l.no, "err", err)
		c.rec.note(l.no, e.At, call.Note{Text: "the peer's re-offer was refused: " + err.Error()})
		return
	}
	l.want = want.Direction
	if r == nil {
		return // the ACK brings the answer
	}
	c.rec.note(l.no, e.At, call.Dialog{Dialog: l.state()})
	c.renegotiated(l, e.At, func() { l.peer = r.Direction() })
}

// renegotiated writes what an offer and its answer changed, and carries it to the far party. learn finds out what the
// peer wants now.
func (c *Call) renegotiated(l *sipLeg, at time.Time, learn func()) {
	was := l.peer
	learn()
	l.silent = false // it is looked for anew
	c.noteMedia(l, at)
	switch {
	case was == sdp.SendRecv && l.peer != sdp.SendRecv:
		c.rec.note(l.no, at, call.Hold{})
		c.tell(AppEvent{Kind: AppHeld, At: at})
		c.log.Info("hold", "leg", l.no, "direction", l.peer.String())
	case was != sdp.SendRecv && l.peer == sdp.SendRecv:
		c.rec.note(l.no, at, call.Resume{})
		c.tell(AppEvent{Kind: AppResumed, At: at})
		c.log.Info("resume", "leg", l.no)
	}
	if far := c.far(l); far != nil {
		c.align(far)
	}
}

func common(own, theirs []*media.Format) []*media.Format {
	var out []*media.Format
	for _, f := range own {
		if find(theirs, f) != nil {
			out = append(out, f)
		}
	}
	return out
}

// reoffering is one re-offer to a leg, run beside the call's goroutine, and what is wanted once it is done.
type reoffering struct {
	running bool
	again   bool
}

// align re-offers to l until what is negotiated is what the far party allows. Only the call's goroutine calls it; the
// result comes back through the mailbox.
func (c *Call) align(l *sipLeg) {
	if c.far(l) == nil && c.app == nil || l.over || l.answered.Load() == 0 {
		return
	}
	want := c.allowed(l)
	defer c.settleHold(l)
	r := c.reoffers[l]
	if r == nil {
		r = &reoffering{}
		c.reoffers[l] = r
	}
	if r.running {
		r.again = true
		return
	}
	if want == l.want {
		return
	}
	r.running, r.again = true, false
	w := media.Want{Formats: firstOf(l.party.order(nil), l.current()), Direction: want, SRTP: l.party.srtp}
	c.g.wg.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, 32*time.Second)
		defer cancel()
		err := l.Reoffer(ctx, w)
		c.order(command{kind: cmdReoffered, leg: l, dir: want, err: err})
	})
}

// reoffered takes the result of a re-offer.
func (c *Call) reoffered(l *sipLeg, dir sdp.Direction, err error) {
	r := c.reoffers[l]
	r.running = false
	now := time.Now()
	switch {
	case err == nil:
		l.want = dir
		c.rec.note(l.no, now, call.Dialog{Dialog: l.state()})
		c.renegotiated(l, now, func() { l.learn(dir) })
		c.align(l)
		return
	case errors.Is(err, errGaveWay): // its own offer is on the way to us, or was answered already
		c.log.Info("re-offer gave way to the peer's", "leg", l.no)
	default:
		c.log.Warn("re-offer failed", "leg", l.no, "direction", dir.String(), "err", err)
		c.rec.note(l.no, now, call.Note{Text: "re-offer (" + dir.String() + ") failed: " + err.Error()})
		c.holdFailed(dir, err)
	}
	if r.again {
		c.align(l)
	}
}

func direction(sends, receives bool) sdp.Direction {
	switch {
	case sends && receives:
		return sdp.SendRecv
	case sends:
		return sdp.SendOnly
	case receives:
		return sdp.RecvOnly
	}
	return sdp.Inactive
}
