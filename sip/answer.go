package sip

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/sip/wire"
)

// repeatProgress is how often a provisional response is sent again, so that proxies don't give the INVITE up
// (RFC 3261 13.3.1.1).
const repeatProgress = time.Minute

// answer is a 2xx of ours to INVITE that waits for its ACK. It is repeated by us, on every transport, with T1
// doubling to T2 (RFC 3261 13.3.1.4).
type answer struct {
	d     *Dialog
	t     *answering
	cseq  uint32
	first bool // of the INVITE that made the dialog
	until time.Time
	wait  time.Duration
	timer *time.Timer
	done  chan struct{} // ACKed, or over
	once  sync.Once
}

// newInbound makes the dialog of an inbound INVITE, which may take the place of another one.
func (u *UA) newInbound(t *serverTx, user string, replaces *Dialog) (*Dialog, error) {
	m := t.m
	d := u.newDialog(m.CallID, t.tag, true)
	d.phase = ringing
	d.in, d.flow = t, t.flow
	d.local, d.peer = m.Headers.Get("To"), m.From.WithTag("").String()
	d.contact = "<" + u.contactURI(wire.Unescape(m.URI.User), t.flow, m.URI.Scheme).String() + ">"
	l := &leg{tag: m.From.Tag(), routes: m.Headers.Values("Record-Route"), cseq: m.CSeq, flow: t.flow}
	l.retarget(m)
	d.legs[l.tag], d.winner = l, l
	d.request = &Request{
		URI: m.URI, From: m.From, To: m.To, Headers: m.Headers, Source: t.source(), Network: t.flow.Network(), User: user, At: t.at, Replaces: replaces,
	}
	if c := m.Headers.Values("Contact"); len(c) > 0 {
		d.request.Contact, _ = ParseNameAddr(c[0])
	}
	d.request.ContentType, d.request.Body = content(m)
	d.request.Location = location(m)
	if err := u.front.addDialog(d); err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.dialog = d
	t.mu.Unlock()
	return d, nil
}

// Progress sends a provisional response, 101 to 199, with SDP or without. It may be called any number of times.
func (d *Dialog) Progress(status int, reason string, body []byte, h ...Header) error {
	if status <= 100 || status > 199 {
		return fmt.Errorf("sip: Progress status %d: expected 101 to 199", status)
	}
	extra, err := d.responseHeaders(reason, body, h)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.unanswered(); err != nil {
		return err
	}
	if err := d.provide(provisional{status, reason, extra, body}); err != nil {
		d.end(Event{By: ByTransport, Err: err})
		return err
	}
	if d.last == nil {
		d.last = d.repeatProvisional
		d.after(repeatProgress, d.repeatProvisional)
	}
	return nil
}

func (d *Dialog) repeatProvisional() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unanswered() == nil {
		d.in.repeat()
		d.after(repeatProgress, d.repeatProvisional)
	}
}

// unanswered tells whether the inbound INVITE still waits for its final response; d.mu is held.
func (d *Dialog) unanswered() error {
	switch {
	case d.over:
		return ErrEnded
	case !d.inbound || d.phase == confirmed || d.in == nil:
		return ErrState
	}
	return nil
}

// responseHeaders checks and completes the header fields of a response that may make a dialog.
func (d *Dialog) responseHeaders(reason string, body []byte, h []Header) ([]Header, error) {
	if err := checkHeaders(h); err != nil {
		return nil, err
	}
	if err := checkPhrase(reason); err != nil {
		return nil, err
	}
	extra := []Header{{Name: "Contact", Value: d.contact}, d.ua.allow()}
	if d.ua.extends() {
		extra = append(extra, d.ua.supported())
	}
	if len(body) > 0 {
		extra = append(extra, Header{Name: "Content-Type", Value: sdpType})
	}
	return append(extra, h...), nil
}

// Answer sends 200 with the SDP: the answer, or the offer if the INVITE had none; none after an offer in a provisional response. It is repeated until the ACK
// comes, which is told as Acked; while an earlier response with SDP waits for its PRACK, it waits too; if none comes within 64*T1 the dialog gets a BYE and ends by timeout.
func (d *Dialog) Answer(body []byte, h ...Header) error {
	extra, err := d.responseHeaders("", body, h)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.unanswered(); err != nil {
		return err
	}
	if d.heldAnswer != nil {
		return ErrState
	}
	answer := func() error {
		d.answered()
		d.phase = confirmed
		if w := d.unacked; w != nil {
			w.timer.Stop()
			d.unacked = nil
		}
		if len(body) > 0 { // else it went in a provisional response
			d.body = body
		}
		extra = append(extra, d.grant(d.in.m)...)
		if err := d.in.respond(200, "", extra, body); err != nil {
			d.end(Event{By: ByTransport, Err: err})
			return err
		}
		d.await(d.in, true)
		return nil
	}
	if d.unacked != nil && d.unacked.sdp { // RFC 3262 3: its answer must have arrived first
		d.heldAnswer = answer
		return nil
	}
	return answer()
}

// await repeats our 2xx until the ACK; d.mu is held.
func (d *Dialog) await(t *serverTx, first bool) {
	if d.pending != nil {
		d.pending.stop()
	}
	a := &answer{d: d, t: t.answering, cseq: t.m.CSeq, first: first, wait: d.ua.timers.T1, until: time.Now().Add(d.ua.timers.life()), done: make(chan struct{})}
	d.pending = a
	a.timer = d.ua.later(a.wait, d.callID, a.tick)
}

func (a *answer) stop() {
	a.once.Do(func() {
		a.timer.Stop()
		close(a.done)
	})
}

// tick repeats the 2xx, or gives up.
func (a *answer) tick() {
	d := a.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pending != a || d.over {
		return
	}
	now := time.Now()
	if !now.Before(a.until) {
		a.stop()
		d.pending = nil
		d.sendBye(d.winner, Reason{Protocol: "Q.850", Cause: 102, Text: "No ACK"})
		d.end(Event{By: ByTimeout, Err: fmt.Errorf("sip: no ACK in %v: %w", d.ua.timers.life(), ErrTimeout)})
		return
	}
	if err := a.t.repeat(); err != nil {
		d.ua.log.Debug("200 not repeated", "dialog", d.callID, "err", err)
	}
	a.wait = min(2*a.wait, d.ua.timers.T2)
	a.timer = d.ua.later(min(a.wait, time.Until(a.until)), d.callID, a.tick)
}

// onAck handles the ACK of a 2xx, in order. Repeated ones are absorbed.
func (d *Dialog) onAck(m *wire.Message, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.pending
	if a == nil || a.cseq != m.CSeq || d.winner == nil || m.From.Tag() != d.winner.tag {
		return
	}
	a.stop()
	a.t.confirmed()
	d.pending = nil
	d.emit(d.event(KindAcked, m, at))
}

// Reject answers the inbound INVITE with 300 to 699 and ends the dialog. Warning, Reason and Retry-After may be among
// h, and with 300 to 399 Contact: where the peer may call instead.
func (d *Dialog) Reject(status int, reason string, h ...Header) error {
	return d.RejectWith(status, reason, "", nil, h...)
}

// RejectWith is Reject with a body, of a content type that the header fields don't name.
func (d *Dialog) RejectWith(status int, reason, content string, body []byte, h ...Header) error {
	if status < 300 || status > 699 {
		return fmt.Errorf("sip: Reject status %d: expected 300 to 699", status)
	}
	for _, x := range h {
		err := checkHeaders([]Header{x})
		if status < 400 && strings.EqualFold(x.Name, "Contact") {
			err = wire.CheckHeader(x)
		}
		if err != nil {
			return err
		}
	}
	if err := checkPhrase(reason); err != nil {
		return err
	}
	why := preferred(Reasons(h))
	h, err := typed(content, body, h)
	if err != nil {
		return err
	}
	return d.refuse(status, reason, h, body, why)
}

// typed adds the type of a body to header fields.
func typed(content string, body []byte, h []Header) ([]Header, error) {
	if len(body) == 0 {
		return h, nil
	}
	t := Header{Name: "Content-Type", Value: content}
	return append(h[:len(h):len(h)], t), wire.CheckHeader(t)
}

func (d *Dialog) refuse(status int, reason string, h []Header, body []byte, why Reason) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.unanswered(); err != nil {
		return err
	}
	err := d.in.respond(status, reason, h, body)
	e := Event{By: ByLocal, Status: status, Phrase: reason, Reason: why, Err: err}
	if err != nil {
		e.By = ByTransport
	}
	d.end(e)
	return err
}

// onCancel handles the CANCEL of an INVITE of the peer's, in order; it was answered already.
func (d *Dialog) onCancel(invite *answering, m *wire.Message, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.in == nil || invite != d.in.answering { // of a re-INVITE
		if o := d.offer; o != nil && o.t.answering == invite {
			o.t.respond(487, "", nil, nil)
			o.withdraw()
			d.offer = nil
		}
		return
	}
	if d.unanswered() != nil {
		return // too late: the 2xx counts (RFC 3261 9.2)
	}
	in := d.in
	e := d.event(KindEnded, m, at)
	e.By, e.Status, e.Phrase = ByPeer, 487, wire.Phrase(487)
	d.end(e)
	d.confirm(e, func() { in.respond(487, "", nil, nil) })
}
