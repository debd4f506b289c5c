package sip

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/sip/wire"
)

// Reliability says how provisional responses travel (RFC 3262).
type Reliability uint8

const (
	// ReliableOffered: our INVITEs offer 100rel. Of our own provisional responses those with SDP are sent reliably to peers
	// that can, and all of them to peers that require it.
	ReliableOffered Reliability = iota
	// ReliableNever: 100rel isn't offered, and an INVITE that requires it is refused with 420.
	ReliableNever
	// ReliableRequired: our INVITEs require it of the peer.
	ReliableRequired
)

// Preconditions says whether a UA knows preconditions (RFC 3312). What they are stands in SDP, which is its user's matter. They need
// reliable provisional responses.
type Preconditions uint8

const (
	// PreconditionsNever: an INVITE that requires them is refused with 420.
	PreconditionsNever Preconditions = iota
	// PreconditionsAnswered: they may be required of us, and our responses say so.
	PreconditionsAnswered
	// PreconditionsOffered: our INVITEs say so too.
	PreconditionsOffered
)

// maxProvisionals bounds the provisional responses that wait for an earlier one's PRACK.
const maxProvisionals = 8

// provisional is a provisional response of ours.
type provisional struct {
	status int
	reason string
	extra  []Header
	body   []byte
}

// unacked is one that was sent reliably and waits for its PRACK.
type unacked struct {
	rseq  uint32
	sdp   bool
	offer bool // the sdp is one: the PRACK brings the answer
	until time.Time
	wait  time.Duration
	timer *time.Timer
}

// asks tells whether a message lists an option tag in a header field.
func asks(h Headers, field, tag string) bool {
	for _, v := range h.Values(field) {
		if strings.EqualFold(strings.TrimSpace(v), tag) {
			return true
		}
	}
	return false
}

// reliably tells how a provisional response must leave. skip: it can't leave at all, since a reliable one would have to
// carry an offer that we don't make before the answer (RFC 3262 5). d.mu is held.
func (d *Dialog) reliably(p provisional) (yes, skip bool) {
	h := d.in.m.Headers
	sdp := len(p.body) > 0
	if sdp && len(d.request.Body) == 0 && !d.mayOffer() {
		return false, true
	}
	switch {
	case d.ua.cfg.Reliable == ReliableNever:
		return false, false
	case asks(h, "Require", "100rel"):
		return true, len(d.request.Body) == 0 && !sdp && d.rseq == 0
	}
	return sdp && asks(h, "Supported", "100rel"), false
}

// MayOffer tells whether a provisional response of ours may carry an offer: the inbound INVITE has none, and its sender knows
// reliable provisional responses (RFC 3262 5). The PRACK then brings the answer, told by KindPracked, and Answer has no SDP.
func (d *Dialog) MayOffer() bool {
	return d.inbound && d.in != nil && len(d.request.Body) == 0 && d.mayOffer()
}

// Reliable tells whether provisional responses to the inbound INVITE can be reliable: we, and its sender, know them.
func (d *Dialog) Reliable() bool { return d.inbound && d.in != nil && d.mayOffer() }

func (d *Dialog) mayOffer() bool {
	h := d.in.m.Headers
	return d.ua.cfg.Reliable != ReliableNever && (asks(h, "Require", "100rel") || asks(h, "Supported", "100rel"))
}

// provide sends a provisional response, or keeps it until the one before is acknowledged; d.mu is held.
func (d *Dialog) provide(p provisional) error {
	yes, skip := d.reliably(p)
	if skip {
		return nil
	}
	if !yes {
		return d.in.respond(p.status, p.reason, p.extra, p.body)
	}
	if d.unacked != nil {
		if n := len(d.waiting); n > 0 && d.waiting[n-1].status == p.status && len(p.body) == 0 {
			return nil // nothing new
		}
		if len(d.waiting) < maxProvisionals {
			d.waiting = append(d.waiting, p)
		}
		return nil
	}
	if d.rseq == 0 {
		d.rseq = uint32(rand.IntN(1<<30) + 1) // RFC 3262 3: 1 to 2^31-1
	} else {
		d.rseq++
	}
	extra := append([]Header{{Name: "Require", Value: "100rel"}, {Name: "RSeq", Value: strconv.FormatUint(uint64(d.rseq), 10)}}, p.extra...)
	if err := d.in.respond(p.status, p.reason, extra, p.body); err != nil {
		return err
	}
	w := &unacked{rseq: d.rseq, sdp: len(p.body) > 0, offer: len(p.body) > 0 && len(d.request.Body) == 0, wait: d.ua.timers.T1, until: time.Now().Add(d.ua.timers.life())}
	d.unacked = w
	if w.offer {
		d.body = p.body
	}
	w.timer = d.ua.later(w.wait, d.callID, func() { d.unpracked(w) })
	return nil
}

// unpracked repeats a reliable response, or gives the INVITE up (RFC 3262 3).
func (d *Dialog) unpracked(w *unacked) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unacked != w || d.unanswered() != nil {
		return
	}
	if !time.Now().Before(w.until) {
		d.unacked = nil
		err := fmt.Errorf("sip: no PRACK in %v: %w", d.ua.timers.life(), ErrTimeout)
		d.in.respond(504, "", reasonHeaders(Reason{Protocol: "Q.850", Cause: 102, Text: "No PRACK"}), nil)
		d.end(Event{By: ByTimeout, Status: 504, Phrase: wire.Phrase(504), Err: err})
		return
	}
	if err := d.in.repeat(); err != nil {
		d.ua.log.Debug("provisional response not repeated", "dialog", d.callID, "err", err)
	}
	w.wait *= 2
	w.timer = d.ua.later(min(w.wait, time.Until(w.until)), d.callID, func() { d.unpracked(w) })
}

// onPrack takes PRACK; d.mu is held. One with an offer is answered when the offer is.
func (d *Dialog) onPrack(t *serverTx, l *leg) {
	w := d.unacked
	rseq, cseq, method := rack(t.m.Headers.Get("RAck"))
	if w == nil || d.in == nil || rseq != w.rseq || cseq != d.in.m.CSeq || !strings.EqualFold(method, "INVITE") {
		t.respond(481, "No Such Provisional Response", nil, nil)
		return
	}
	_, body := content(t.m)
	if w.offer && len(body) == 0 {
		t.refuse(&wire.Refusal{Status: 400, Header: "Content-Type", Why: "no SDP: expected the answer to our offer (RFC 3262 5)"})
		return
	}
	w.timer.Stop()
	d.unacked = nil
	switch {
	case w.offer:
		t.respond(200, "", nil, nil)
		d.emit(d.event(KindPracked, t.m, t.at))
	case len(body) == 0:
		t.respond(200, "", nil, nil)
	case d.offer != nil:
		t.respond(500, "", []Header{{Name: "Retry-After", Value: strconv.Itoa(rand.IntN(11))}}, nil)
	default:
		d.offered(t, l)
		if o := d.offer; o != nil {
			d.after(20*d.ua.timers.T1, func() { o.Reject(504, "") })
		}
	}
	d.goOn()
}

// goOn sends what waited for a PRACK; d.mu is held.
func (d *Dialog) goOn() {
	for d.unacked == nil && len(d.waiting) > 0 && d.unanswered() == nil {
		p := d.waiting[0]
		d.waiting = d.waiting[1:]
		if d.heldAnswer != nil && len(p.body) == 0 {
			continue // it has been answered meanwhile
		}
		if err := d.provide(p); err != nil {
			d.end(Event{By: ByTransport, Err: err})
			return
		}
	}
	if answer := d.heldAnswer; answer != nil && d.unacked == nil && d.unanswered() == nil {
		d.heldAnswer = nil
		if err := answer(); err != nil {
			d.ua.log.Warn("answer not sent", "dialog", d.callID, "err", err)
		}
	}
}

// rack reads RAck: the number of the response, and that and the method of the request (RFC 3262 7.2).
func rack(v string) (rseq, cseq uint32, method string) {
	f := strings.Fields(v)
	if len(f) != 3 {
		return 0, 0, ""
	}
	a, err1 := strconv.ParseUint(f[0], 10, 32)
	b, err2 := strconv.ParseUint(f[1], 10, 32)
	if err1 != nil || err2 != nil {
		return 0, 0, ""
	}
	return uint32(a), uint32(b), f[2]
}

// acknowledge sends PRACK for a provisional response that was sent reliably. It tells whether the response is to be
// looked at: a repeated one, or one that came before an earlier one, isn't (RFC 3262 4). d.mu is held.
func (d *Dialog) acknowledge(r *round, l *leg, m *wire.Message) bool {
	if !asks(m.Headers, "Require", "100rel") {
		return true
	}
	n, err := strconv.ParseUint(strings.TrimSpace(m.Headers.Get("RSeq")), 10, 31)
	if err != nil || n == 0 || l == nil {
		d.ua.log.Info("reliable response without RSeq or tag", "dialog", d.callID, "status", m.Status)
		return true
	}
	rseq := uint32(n)
	if l.rseq != 0 && rseq != l.rseq+1 {
		return false
	}
	l.rseq = rseq
	rackValue := fmt.Sprintf("%d %d INVITE", rseq, r.cseq)
	o := d.inside("PRACK", l, []Header{{Name: "RAck", Value: rackValue}}, "", nil)
	d.ua.spawn(func() {
		ctx, cancel := context.WithTimeout(d.ua.ctx, d.ua.timers.life())
		defer cancel()
		m, err := d.exchange(ctx, o, l)
		if err == nil {
			err = statusError(m)
		}
		if err != nil {
			d.ua.log.Info("PRACK not accepted", "dialog", d.callID, "err", err)
		}
	})
	return true
}
