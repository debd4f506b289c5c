package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

// offered hands the peer's re-INVITE or UPDATE to the call.
func (l *sipLeg) offered(e sip.Event) {
	o := peerOffer{leg: l, offer: e.Offer}
	if isSDP(e.Offer.Content, e.Offer.Body) {
		d, err := l.ep.Remote(e.Offer.Body)
		if err != nil {
			_ = e.Offer.Reject(488, "Not Acceptable Here", warning(304, err.Error(), l.g.cfg.Domain))
			return
		}
		o.remote = d
	}
	l.send(LegEvent{Kind: LegOffered, At: e.At, Offer: o})
}

type peerOffer struct {
	leg    *sipLeg
	offer  *sip.Offer
	remote *sdp.Description
}

func (o peerOffer) Remote() *sdp.Description { return o.remote }

// Accept answers the offer, or offers in the 200 when the peer offered nothing: then the ACK brings the answer.
func (o peerOffer) Accept(want media.Want) error {
	l := o.leg
	l.neg.Lock()
	defer l.neg.Unlock()
	if o.remote == nil {
		offer, err := l.ep.Offer(context.Background(), want)
		if err != nil {
			return errors.Join(err, o.offer.Reject(500, "Server Internal Error"))
		}
		l.offer = offer
		if err := o.offer.Answer(offer.SDP()); err != nil {
			l.offer = nil
			offer.Rollback()
			return err
		}
		return nil
	}
	p, err := l.ep.Answer(context.Background(), o.offer.Body, want)
	if err != nil {
		return errors.Join(err, o.offer.Reject(488, "Not Acceptable Here", warning(305, err.Error(), l.g.cfg.Domain)))
	}
	if err := p.Commit(); err != nil {
		p.Rollback()
		return errors.Join(err, o.offer.Reject(500, "Server Internal Error"))
	}
	return o.offer.Answer(p.SDP())
}

func (o peerOffer) Reject(c call.Cause) error {
	return o.offer.Reject(c.Status(), headerText(c.Text), reasonHeader(c)...)
}

type peerRefer struct{ r *sip.ReferRequest }

func (p peerRefer) Target() (string, string) { return p.r.Target.String(), p.r.Replaces }
func (p peerRefer) Accept() error            { return p.r.Accept() }
func (p peerRefer) Reject(c call.Cause) error {
	return p.r.Reject(c.Status(), headerText(c.Text))
}
func (p peerRefer) Notify(ctx context.Context, status int, phrase string, final bool) error {
	return p.r.Notify(ctx, status, phrase, final)
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

// current is the format in use on a leg, first, so that a re-offer doesn't change it.
func (l *sipLeg) current() []*media.Format {
	var out []*media.Format
	for _, f := range formats(l.party.codecs, "") {
		if f.String() == l.ep.Negotiated().Codec {
			out = append(out, f)
		}
	}
	return out
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
