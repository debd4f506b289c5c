package gateway

import (
	"context"
	"errors"
	"fmt"
	"mime"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/sip"
)

// early takes the answer in a provisional response and lets that dialog's media flow, if it is to be heard.
func (l *sipLeg) early(tag string, body []byte, heard bool) error {
	l.neg.Lock()
	defer l.neg.Unlock()
	if l.offer == nil && l.settled == tag {
		return nil // it repeats itself
	}
	if l.offer == nil {
		return errors.New("an answer came, but nothing was offered")
	}
	if err := l.offer.Accept(tag, body); err != nil || !heard {
		return err
	}
	return l.offer.Activate(tag)
}

// unveil has early media be heard whose SDP came before.
func (l *sipLeg) unveil(tag string) error {
	l.neg.Lock()
	defer l.neg.Unlock()
	if l.offer == nil {
		return errors.New("nothing is offered")
	}
	return l.offer.Activate(tag)
}

// accepted makes the 2xx's answer, or the early one of the same dialog, the agreement.
func (l *sipLeg) accepted(e sip.Event) error {
	l.neg.Lock()
	defer l.neg.Unlock()
	if l.offer == nil {
		if l.settled != "" && l.settled != e.Tag {
			return errors.New("another fork has answered than the one that has offered anew")
		}
		return nil
	}
	if isSDP(e.Content, e.Body) {
		if err := l.offer.Accept(e.Tag, e.Body); err != nil {
			return err
		}
	}
	err := l.offer.Commit(e.Tag)
	l.offer = nil
	return err
}

// acked completes a late offer: the ACK carries the answer (RFC 3261 13.2.1).
func (l *sipLeg) acked(e sip.Event) {
	l.neg.Lock()
	offer := l.offer
	l.offer = nil
	l.neg.Unlock()
	again := l.acks.Swap(true)
	ev := LegEvent{Kind: LegConfirmed, At: e.At, Late: offer != nil}
	if offer != nil {
		err := errors.New("the ACK has no answer to our offer")
		if isSDP(e.Content, e.Body) {
			if err = offer.Accept("", e.Body); err == nil {
				err = offer.Commit("")
			}
		}
		if err != nil {
			offer.Rollback()
			if again { // of a re-INVITE: what was agreed stands
				l.log.Warn("answer to our offer not usable", "err", err)
				ev.Late = false
				l.send(ev)
				return
			}
			c := call.Cause{Q850: 88, SIP: 488, Text: "the answer's media is not usable: " + err.Error()}
			l.g.wg.Go(func() { l.hangup(c) })
			l.finish(LegEvent{At: e.At, Cause: c})
			return
		}
	}
	l.send(ev)
}

// Progress implements Leg.
func (l *sipLeg) Progress(status int, phrase string, early bool, want media.Want) error {
	var body []byte
	if early {
		l.neg.Lock()
		err := l.makeAnswer(want)
		body = l.body
		if !l.hasOffer() {
			body, err = l.offerEarly(want)
		}
		l.neg.Unlock()
		if err != nil {
			return err
		}
	}
	header := l.along()
	if len(body) > 0 && l.asksEarly() {
		header = append(header, sip.Header{Name: earlyField, Value: "sendrecv"})
	}
	return l.d.Progress(status, phrase, body, header...)
}

// offerEarly is our offer to a peer that made none, once: its answer comes in PRACK.
func (l *sipLeg) offerEarly(want media.Want) ([]byte, error) {
	if l.body != nil {
		return nil, nil
	}
	o, err := l.ep.Offer(context.Background(), want)
	if err != nil {
		return nil, err
	}
	l.offer, l.body = o, o.SDP()
	return l.body, nil
}

// pracked takes the answer to it.
func (l *sipLeg) pracked(e sip.Event) {
	l.neg.Lock()
	offer := l.offer
	l.offer = nil
	l.neg.Unlock()
	if offer == nil {
		return
	}
	err := errors.New("the PRACK has no answer to our offer")
	if isSDP(e.Content, e.Body) {
		if err = offer.Accept("", e.Body); err == nil {
			err = offer.Commit("")
		}
	}
	if err != nil {
		offer.Rollback()
		c := call.Cause{Q850: 88, SIP: 488, Text: "the answer's media is not usable: " + err.Error()}
		l.g.wg.Go(func() { l.hangup(c) })
		l.finish(LegEvent{At: e.At, Cause: c})
		return
	}
	l.send(LegEvent{Kind: LegConfirmed, At: e.At, Late: true})
}

// mayHear tells whether a caller can have media before the answer: it has offered, or we can.
func (l *sipLeg) mayHear() bool { return l.hasOffer() || l.d.MayOffer() }

// makeAnswer answers the offer of the peer's INVITE, once.
func (l *sipLeg) makeAnswer(want media.Want) error {
	if l.body != nil || !l.hasOffer() {
		return nil
	}
	p, err := l.ep.Answer(context.Background(), l.d.Request().Body, want)
	if err != nil {
		return err
	}
	if err := p.Commit(); err != nil {
		p.Rollback()
		return err
	}
	l.body = p.SDP()
	return nil
}

func (l *sipLeg) hasOffer() bool {
	r := l.d.Request()
	return isSDP(r.ContentType, r.Body)
}

// Answer implements Leg.
func (l *sipLeg) Answer(want media.Want, ready func() error) error {
	l.neg.Lock()
	body, err := l.answerBody(want)
	l.neg.Unlock()
	if err != nil {
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	return l.d.Answer(body, l.along()...)
}

// answerBody is our answer or, when the peer offered nothing, our offer (RFC 3261 13.3.1.4).
func (l *sipLeg) answerBody(want media.Want) ([]byte, error) {
	if l.hasOffer() {
		err := l.makeAnswer(want)
		return l.body, err
	}
	if l.body != nil { // offered before
		return nil, nil
	}
	o, err := l.ep.Offer(context.Background(), want)
	if err != nil {
		return nil, err
	}
	l.offer = o
	return o.SDP(), nil
}

// errGaveWay ends a re-offer of ours in favour of the peer's own, while ours waits to be tried again after a glare
// (RFC 3261 14.1).
var errGaveWay = errors.New("the peer offers itself")

// Reoffer implements Leg.
func (l *sipLeg) Reoffer(ctx context.Context, want media.Want) error {
	l.neg.Lock()
	defer l.neg.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.setReoffer(cancel)
	defer l.setReoffer(nil)
	err := l.offerAnew(ctx, want)
	if err != nil && errors.Is(context.Cause(ctx), errGaveWay) {
		return errGaveWay
	}
	return err
}

func (l *sipLeg) setReoffer(cancel context.CancelCauseFunc) {
	l.giving.Lock()
	defer l.giving.Unlock()
	l.reoffer = cancel
}

// giveWay ends a re-offer that waits, so that the peer's can be answered: both would wait for each other.
func (l *sipLeg) giveWay() {
	l.giving.Lock()
	defer l.giving.Unlock()
	if l.reoffer != nil {
		l.reoffer(errGaveWay)
	}
}

func (l *sipLeg) offerAnew(ctx context.Context, want media.Want) error {
	o, err := l.ep.Offer(ctx, want)
	if err != nil {
		return err
	}
	answer, err := l.d.Reinvite(ctx, o.SDP())
	if err != nil {
		o.Rollback()
		return err
	}
	if err := o.Accept("", answer); err != nil {
		o.Rollback()
		return fmt.Errorf("answer to our re-offer: %w", err)
	}
	return o.Commit("")
}

func isSDP(content string, body []byte) bool {
	if len(body) == 0 {
		return false
	}
	t, _, err := mime.ParseMediaType(content)
	return err == nil && t == "application/sdp"
}
