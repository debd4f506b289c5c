package gateway

import (
	"context"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
)

// peerOffers answers a re-INVITE and carries what it means, hold or resume, to the far party.
func (c *Call) peerOffers(l *sipLeg, e LegEvent) {
	far := c.far(l)
	dir, fs := l.peer, l.current()
	if r := e.Offer.Remote(); r != nil {
		dir, fs = r.Direction(), offered(r)
	}
	want := media.Want{Formats: only(common(firstOf(formats(l.party.codecs, l.party.dtmf), far.current()), fs)),
		Direction: direction(far.peer.Sends(), far.peer.Receives())}
	if err := e.Offer.Accept(want); err != nil {
		c.log.Warn("re-offer refused", "leg", l.no, "err", err)
		c.rec.note(l.no, e.At, call.Note{Text: "the peer's re-offer was refused: " + err.Error()})
		return
	}
	was := l.peer
	l.peer = dir
	l.want = direction(want.Direction.Sends() && dir.Receives(), want.Direction.Receives() && dir.Sends())
	c.rec.note(l.no, e.At, call.Dialog{Dialog: l.state()})
	c.noteMedia(l, e.At)
	switch {
	case was == sdp.SendRecv && dir != sdp.SendRecv:
		c.rec.note(l.no, e.At, call.Hold{})
		c.log.Info("hold", "leg", l.no, "direction", dir.String())
	case was != sdp.SendRecv && dir == sdp.SendRecv:
		c.rec.note(l.no, e.At, call.Resume{})
		c.log.Info("resume", "leg", l.no)
	}
	c.align(far)
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
	far := c.far(l)
	if far == nil || l.over || l.answered.Load() == 0 {
		return
	}
	want := direction(far.peer.Sends(), far.peer.Receives())
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
	w := media.Want{Formats: firstOf(formats(l.party.codecs, l.party.dtmf), l.current()), Direction: want}
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
	if err != nil {
		c.log.Warn("re-offer failed", "leg", l.no, "direction", dir.String(), "err", err)
		c.rec.note(l.no, now, call.Note{Text: "re-offer (" + dir.String() + ") failed: " + err.Error()})
	} else {
		l.want = dir
		c.rec.note(l.no, now, call.Dialog{Dialog: l.state()})
		c.noteMedia(l, now)
	}
	if r.again || err == nil {
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
