package gateway

import (
	"context"
	"errors"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

// offered hands the peer's re-INVITE or UPDATE to the call.
func (l *sipLeg) offered(e sip.Event) {
	l.giveWay()
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
	if err := l.settle(o.offer.Tag); err != nil {
		return errors.Join(err, o.offer.Reject(491, "Request Pending"))
	}
	p, err := l.ep.Answer(context.Background(), o.offer.Body, want)
	if body := demanded(err); body != nil {
		return errors.Join(err, o.offer.RejectWith(580, phrases[580], sdpType, body))
	}
	if err != nil {
		return errors.Join(err, o.offer.Reject(488, "Not Acceptable Here", warning(305, err.Error(), l.g.cfg.Domain)))
	}
	if err := p.Commit(); err != nil {
		p.Rollback()
		return errors.Join(err, o.offer.Reject(500, "Server Internal Error"))
	}
	if l.body != nil && l.answered.Load() == 0 {
		l.body = p.SDP() // what the 200 repeats is what was agreed last
	}
	return o.offer.Answer(p.SDP())
}

// settle makes the early answer of one dialog the agreement, when a new offer comes in that one before the call is answered (RFC 3311
// 5.1): from then on no other fork can answer. The caller holds neg.
func (l *sipLeg) settle(tag string) error {
	if l.offer == nil || l.role != call.CalleeLeg || l.answered.Load() != 0 {
		return nil
	}
	if err := l.offer.Commit(tag); err != nil {
		return err
	}
	l.offer, l.settled = nil, tag
	return nil
}

func (o peerOffer) Reject(c call.Cause) error {
	return o.offer.Reject(c.Status(), headerText(c.Text), reasonHeader(c)...)
}

type peerRefer struct{ r *sip.ReferRequest }

func (p peerRefer) Target() (string, string) { return p.r.Target.String(), p.r.Replaces }

func (p peerRefer) Accept() error { return p.r.Accept() }

func (p peerRefer) Reject(c call.Cause) error {
	return p.r.Reject(c.Status(), headerText(c.Text))
}

func (p peerRefer) Notify(ctx context.Context, status int, phrase string, final bool) error {
	return p.r.Notify(ctx, status, phrase, final)
}

// current is the format in use on a leg, first, so that a re-offer doesn't change it.
func (l *sipLeg) current() []*media.Format {
	var out []*media.Format
	for _, f := range formats(l.party.codecs, "") {
		if f.String() == agreed(l.ep).Codec {
			out = append(out, f)
		}
	}
	return out
}
