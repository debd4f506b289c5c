package rtp

import (
	"sync"
	"time"

	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/udp"
)

// control is RTCP, and where ours goes.
type control struct {
	rtpstream.Control
	mu    sync.Mutex
	to    udp.Addr // where reports go; invalid = nowhere, or to RTP's own target if muxed
	found bool     // to is where the peer's reports come from
}

func (c *control) change(a *agreement, keep bool, mean time.Duration, now int64) {
	if a != nil {
		c.Begin(mean, now)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a == nil {
		c.to, c.found = udp.Addr{}, false
		return
	}
	if !keep || !c.found || !c.to.SameIP(&a.control) {
		c.to, c.found = a.control, false
	}
}

// report sends a report when one is due.
func (e *Endpoint) report(now int64) {
	if a := e.agreed.Load(); a != nil && !a.silent && e.control.Due(e.cfg.report, now) {
		e.sendControl(a, now, false)
	}
}

// bye takes leave, if the peer ever heard of us (RFC 3550 6.3.7).
func (e *Endpoint) bye() {
	a := e.agreed.Load()
	if a == nil || a.silent {
		return
	}
	if e.control.Spoken() || e.sink.stats().Packets > 0 {
		e.sendControl(a, e.cfg.now(), true)
	}
}

// sendControl sends a compound packet: a report, our name, and a BYE if asked for.
func (e *Endpoint) sendControl(a *agreement, now int64, bye bool) { e.sendCompound(a, now, bye, nil) }

// sendCompound is sendControl with more packets behind.
func (e *Endpoint) sendCompound(a *agreement, now int64, bye bool, more []byte) {
	sent, target := e.sink.sent(now, time.Now())
	sent.About, sent.Hears = e.block(now)
	if sent.Measures = sent.Hears && a.measured > 0; sent.Measures {
		sent.Metrics = e.in.metrics(a.measured)
		sent.Metrics.Trip = e.control.Trip()
	}
	e.control.mu.Lock()
	to := e.control.to
	e.control.mu.Unlock()
	socket := e.rtcp
	if a.mux {
		to, socket = target, e.rtp
	}
	if !to.IsValid() {
		return
	}
	var room [rtpstream.MaxReport]byte
	if e.writeControl(socket, a, append(sent.Append(room[:0], e.control.Name, now, e.cfg.report, bye), more...), &to) == nil {
		e.control.Spoke()
	}
}

// writeControl sends a compound packet, protected if that is agreed.
func (e *Endpoint) writeControl(socket *udp.Socket, a *agreement, b []byte, to *udp.Addr) error {
	if a.crypt == nil {
		return socket.WriteTo(b, to)
	}
	s := &e.sink
	s.mu.Lock()
	defer s.mu.Unlock()
	sealed, err := a.crypt.sealControl(append(s.larger()[:0], b...))
	if err != nil {
		return err
	}
	return socket.WriteTo(sealed, to)
}

// block reports the peer's stream; ok is false if there is none.
func (e *Endpoint) block(now int64) (b rtpstream.Block, ok bool) {
	r := &e.in
	r.mu.Lock()
	if ok = r.seq.Started && r.agreed != nil; ok {
		b = r.seq.Block()
	}
	r.mu.Unlock()
	if ok {
		e.control.Answer(&b, now)
	}
	return b, ok
}

// metrics measures the peer's stream, whose packets last so many ms.
func (r *receiver) metrics(ptime int) rtpstream.Metrics {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seq.Metrics(ptime)
}

// sent is our stream as a report tells it, at one instant by both clocks.
func (s *sender) sent(now int64, wall time.Time) (r rtpstream.Report, target udp.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Report(now, wall), s.target
}
