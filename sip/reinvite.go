package sip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

// maxGlares is how often a re-INVITE is tried again after 491.
const maxGlares = 4

// Offer is an offer of the peer's within the dialog: a re-INVITE, or an UPDATE with SDP. It is answered once.
type Offer struct {
	Body    []byte // nil: the peer wants us to offer; its answer comes with Acked
	Content string
	Headers Headers
	Method  string // INVITE or UPDATE
	Tag     string // of the peer's: which early dialog it came in

	d    *Dialog
	t    *serverTx
	gone chan struct{}
	once sync.Once
}

// Done is closed when the offer was answered, or can no longer be: cancelled by the peer, or the dialog ended.
func (o *Offer) Done() <-chan struct{} { return o.gone }

func (o *Offer) withdraw() { o.once.Do(func() { close(o.gone) }) }

// onOffer takes a re-INVITE; d.mu is held.
func (d *Dialog) onOffer(t *serverTx, l *leg) {
	switch {
	case d.inbound && d.phase != confirmed, d.offer != nil:
		// RFC 3261 14.2: before the first has its final response.
		t.respond(500, "", []Header{{Name: "Retry-After", Value: strconv.Itoa(rand.IntN(11))}}, nil)
		return
	case d.ours || d.phase != confirmed:
		t.respond(491, "", nil, nil)
		return
	}
	if ref := d.ua.tooShort(t.m); ref != nil {
		t.refuse(ref)
		return
	}
	t.respond(100, "", nil, nil)
	d.offered(t, l)
}

// onUpdate takes UPDATE (RFC 3311): without SDP it only refreshes.
func (d *Dialog) onUpdate(t *serverTx, l *leg) {
	if ref := d.ua.tooShort(t.m); ref != nil {
		t.refuse(ref)
		return
	}
	if len(t.m.Body) == 0 {
		l.retarget(t.m)
		h := []Header{{Name: "Contact", Value: d.contact}, d.ua.allow()}
		if d.phase == confirmed {
			h = append(h, d.grant(t.m)...)
		}
		t.respond(200, "", h, nil)
		return
	}
	switch {
	case d.offer != nil:
		t.respond(500, "", []Header{{Name: "Retry-After", Value: strconv.Itoa(rand.IntN(11))}}, nil)
		return
	case d.ours || d.phase != confirmed && !d.settled(l) || d.pending != nil:
		t.respond(491, "", nil, nil)
		return
	}
	d.offered(t, l)
	// A non-INVITE transaction must be answered soon.
	o := d.offer
	if o != nil {
		d.after(20*d.ua.timers.T1, func() { o.Reject(504, "") })
	}
}

// settled tells whether an early dialog has its first offer and answer behind it, so that there may be another one: they
// went reliably (RFC 3311 5.1). d.mu is held.
func (d *Dialog) settled(l *leg) bool {
	if d.inbound {
		return d.rseq != 0 && d.unacked == nil
	}
	return l.rseq != 0
}

func (d *Dialog) offered(t *serverTx, l *leg) {
	o := &Offer{Headers: t.m.Headers, Method: t.m.Method, d: d, t: t, gone: make(chan struct{})}
	e := d.event(KindOffer, t.m, t.at)
	o.Content, o.Body, o.Tag = e.Content, e.Body, l.tag
	e.Offer = o
	t.mu.Lock()
	t.dialog = d
	t.mu.Unlock()
	d.offer = o
	if !d.emit(e) {
		d.offer = nil
		t.respond(500, "", []Header{{Name: "Retry-After", Value: "5"}}, nil)
	}
}

// Answer accepts with SDP: the answer, or our offer if the peer's had none.
func (o *Offer) Answer(body []byte, h ...Header) error {
	extra, err := o.d.responseHeaders("", body, h)
	if err != nil {
		return err
	}
	d := o.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := o.take(); err != nil {
		return err
	}
	if l := d.winner; l != nil {
		l.retarget(o.t.m)
	}
	if d.body = body; d.phase == confirmed && o.Method != "PRACK" {
		extra = append(extra, d.grant(o.t.m)...)
	}
	if err := o.t.respond(200, "", extra, body); err != nil {
		return err
	}
	if o.Method == "INVITE" {
		d.await(o.t, false)
	}
	return nil
}

// Reject refuses, such as with 488; the session stays as it was.
func (o *Offer) Reject(status int, reason string, h ...Header) error {
	return o.RejectWith(status, reason, "", nil, h...)
}

// RejectWith is Reject with a body, of a content type that the header fields don't name.
func (o *Offer) RejectWith(status int, reason, content string, body []byte, h ...Header) error {
	if status < 300 || status > 699 {
		return fmt.Errorf("sip: Reject status %d: expected 300 to 699", status)
	}
	if err := checkHeaders(h); err != nil {
		return err
	}
	if err := checkPhrase(reason); err != nil {
		return err
	}
	h, err := typed(content, body, h)
	if err != nil {
		return err
	}
	o.d.mu.Lock()
	defer o.d.mu.Unlock()
	if err := o.take(); err != nil {
		return err
	}
	return o.t.respond(status, reason, h, body)
}

// take makes the offer the caller's to answer; d.mu is held.
func (o *Offer) take() error {
	if o.d.over || o.d.offer != o {
		return ErrOfferGone
	}
	o.d.offer = nil
	o.withdraw()
	return nil
}

// Reinvite offers anew within the confirmed dialog and returns the answer. 491 is tried again after the time that
// RFC 3261 14.1 says, 408 and 481 end the dialog, any other refusal is a *StatusError and leaves all as it was. If ctx
// ends first, the re-INVITE is given up; a late 2xx is still ACKed.
func (d *Dialog) Reinvite(ctx context.Context, body []byte, h ...Header) (answer []byte, err error) {
	if err := checkHeaders(h); err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, fmt.Errorf("sip: Reinvite body is empty: expected an offer")
	}
	for try := 0; ; try++ {
		answer, err = d.reinvite(ctx, body, h)
		if !errors.Is(err, errGlare) && !isStatus(err, 491) || try == maxGlares {
			break
		}
		select {
		case <-time.After(d.glare()):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", err, ctx.Err())
		case <-d.gone:
			return nil, ErrEnded
		}
	}
	if isStatus(err, 408, 481) || errors.Is(err, ErrTimeout) && ctx.Err() == nil {
		d.lose(err)
	}
	return answer, err
}

var errGlare = errors.New("sip: another offer is under way")

// glare is how long to wait after 491, in units of 10 ms when T1 is 500 ms.
func (d *Dialog) glare() time.Duration {
	unit := d.ua.timers.T1 / 50
	if d.inbound {
		return unit * time.Duration(rand.IntN(201)) // the peer made the Call-ID
	}
	return unit * time.Duration(210+rand.IntN(191))
}

func (d *Dialog) reinvite(ctx context.Context, body []byte, h []Header) ([]byte, error) {
	d.mu.Lock()
	err := d.ready()
	if err == nil && (d.ours || d.offer != nil || d.pending != nil) {
		err = errGlare
	}
	if err != nil {
		d.mu.Unlock()
		return nil, fmt.Errorf("sip: re-INVITE: %w", err)
	}
	d.ours = true
	l := d.winner
	headers := append([]Header(nil), h...)
	headers = append(headers, d.ua.allow())
	if d.ua.extends() {
		headers = append(headers, d.ua.supported())
	}
	plain := headers
	o := d.inside("INVITE", l, append(plain[:len(plain):len(plain)], d.asking(false)...), sdpType, body)
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		d.ours = false
		d.mu.Unlock()
	}()
	m, err := d.offerAmong(ctx, o, l, plain)
	if err == nil {
		err = statusError(m)
	}
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.body = body
	d.agreed(m)
	d.mu.Unlock()
	_, answer := content(m)
	return answer, nil
}
