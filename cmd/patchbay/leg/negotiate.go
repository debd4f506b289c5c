package leg

import (
	"context"
	"errors"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

// early takes the answer in a provisional response and lets that dialog's media flow.
func (l *Leg) early(tag string, body []byte) error {
	l.neg.Lock()
	defer l.neg.Unlock()
	if l.offer == nil {
		return errors.New("an answer came, but nothing was offered")
	}
	if err := l.offer.Accept(tag, body); err != nil {
		return err
	}
	return l.offer.Activate(tag)
}

// accepted makes the answer of the 2xx, or the early one of the same dialog, the agreement.
func (l *Leg) accepted(e sip.Event) error {
	l.neg.Lock()
	defer l.neg.Unlock()
	if isSDP(e.Content, e.Body) {
		if err := l.offer.Accept(e.Tag, e.Body); err != nil {
			return err
		}
	}
	err := l.offer.Commit(e.Tag)
	if err != nil && !isSDP(e.Content, e.Body) {
		err = errors.Join(errNoAnswer, err)
	}
	l.offer = nil
	return err
}

// acked completes a late offer: the ACK carries the answer (RFC 3261 13.2.1). It tells whether the call stands.
func (l *Leg) acked(e sip.Event) bool {
	l.neg.Lock()
	offer := l.offer
	l.offer = nil
	l.neg.Unlock()
	if offer == nil {
		return true
	}
	err := errNoAnswer
	if isSDP(e.Content, e.Body) {
		if err = offer.Accept("", e.Body); err == nil {
			err = offer.Commit("")
		}
	}
	if err != nil {
		offer.Rollback()
		l.giveUp(err)
		return false
	}
	l.turned()
	return true
}

// makeAnswer answers the offer of the peer's INVITE, once; l.neg is held.
func (l *Leg) makeAnswer() error {
	r := l.d.Request()
	if l.body != nil || !isSDP(r.ContentType, r.Body) {
		return nil
	}
	p, err := l.ep.Answer(context.Background(), r.Body, media.Want{})
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

// answerBody is our answer or, when the peer offered nothing, our offer (RFC 3261 13.3.1.4); l.neg is held.
func (l *Leg) answerBody() ([]byte, error) {
	if r := l.d.Request(); isSDP(r.ContentType, r.Body) {
		err := l.makeAnswer()
		return l.body, err
	}
	o, err := l.ep.Offer(context.Background(), media.Want{})
	if err != nil {
		return nil, err
	}
	l.offer = o
	return o.SDP(), nil
}

var errGlare = errors.New("an offer of ours is under way")

// offered answers a re-offer of the peer's. What it asks for is agreed to: hold, another address, another codec of ours.
func (l *Leg) offered(o *sip.Offer) {
	if err := l.answerOffer(o); err != nil {
		l.log.Warn("re-offer refused", "dialog", l.d.CallID(), "err", err)
		var h []sip.Header
		status := 500
		if errors.Is(err, errGlare) {
			status = 491
		}
		if code, text, ok := sdp.Warning(err); ok {
			status, h = 488, append(h, warning(code, text))
		}
		if err := o.Reject(status, "", h...); err != nil {
			l.log.Debug("re-offer not answered", "dialog", l.d.CallID(), "err", err)
		}
		return
	}
	l.turned()
}

func (l *Leg) answerOffer(o *sip.Offer) error {
	if !l.neg.TryLock() { // Hold has an offer under way
		return errGlare
	}
	defer l.neg.Unlock()
	if !isSDP(o.Content, o.Body) {
		if l.offer != nil {
			l.offer.Rollback()
		}
		ours, err := l.ep.Offer(context.Background(), media.Want{})
		if err != nil {
			return err
		}
		l.offer = ours // its answer comes with the ACK
		return o.Answer(ours.SDP())
	}
	p, err := l.ep.Answer(context.Background(), o.Body, media.Want{})
	if err != nil {
		return err
	}
	if err := p.Commit(); err != nil {
		p.Rollback()
		return err
	}
	return o.Answer(p.SDP())
}

// turned tells Held and Resumed.
func (l *Leg) turned() {
	held := !l.agreed().direction.Sends()
	l.neg.Lock()
	changed := held != l.held
	l.held = held
	l.neg.Unlock()
	switch {
	case changed && held:
		l.send(Event{Kind: Held})
	case changed:
		l.send(Event{Kind: Resumed})
	}
}

// Hold asks the peer not to send, or to send again.
func (l *Leg) Hold(ctx context.Context, on bool) error {
	l.neg.Lock()
	defer l.neg.Unlock()
	want := media.Want{Direction: sdp.SendRecv}
	if on {
		want.Direction = sdp.SendOnly
	}
	o, err := l.ep.Offer(ctx, want)
	if err != nil {
		return err
	}
	answer, err := l.d.Reinvite(ctx, o.SDP())
	if err == nil {
		err = o.Accept("", answer)
	}
	if err != nil {
		o.Rollback()
		return err
	}
	return o.Commit("")
}
