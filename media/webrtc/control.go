package webrtc

import (
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
)

// report sends a report when one is due. RTCP is never relayed.
func (e *Endpoint) report(a *agreement, now int64) {
	if e.control.Due(e.cfg.Port.cfg.Report, now) {
		e.sendControl(a, now, false)
	}
}

// bye takes leave, if the peer ever heard of us (RFC 3550 6.3.7).
func (e *Endpoint) bye(now int64) {
	a := e.agreed.Load()
	if a != nil && (e.control.Spoken() || e.sink.stats().Packets > 0) {
		e.sendControl(a, now, true)
	}
}

// sendControl sends a compound packet: a report, our name, and a BYE if asked for.
func (e *Endpoint) sendControl(a *agreement, now int64, bye bool) {
	sent := e.sink.sent(now, time.Now())
	sent.About, sent.Hears = e.block(now)
	if sent.Measures = sent.Hears && a.measured > 0; sent.Measures {
		sent.Metrics = e.in.metrics(a.measured)
		sent.Metrics.Trip = e.control.Trip()
	}
	if a.line.SendControl(sent.Append(nil, e.control.Name, now, e.cfg.Port.cfg.Report, bye)) == nil {
		e.control.Spoke()
	}
}

// block reports the peer's stream; ok is false if there is none.
func (e *Endpoint) block(now int64) (b rtpstream.Block, ok bool) {
	r := &e.in
	r.mu.Lock()
	if ok = r.seq.Started; ok {
		b = r.seq.Block()
	}
	r.mu.Unlock()
	if ok {
		e.control.Answer(&b, now)
	}
	return b, ok
}

// metrics measures the peer's stream, whose packets last so many ms.
func (r *incoming) metrics(ptime int) rtpstream.Metrics {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seq.Metrics(ptime)
}

// sent is our stream as a report tells it, at one instant by both clocks.
func (s *sender) sent(now int64, wall time.Time) rtpstream.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Report(now, wall)
}

// ReceiveControl takes the peer's reports. Nothing of a compound packet counts unless all of it is well-formed.
func (e *Endpoint) ReceiveControl(l line, p []byte, now int64) {
	r := &e.in
	r.flow.Lock()
	defer r.flow.Unlock()
	if r.closed {
		return
	}
	list, err := rtpstream.Unmarshal(p)
	r.mu.Lock()
	if r.agreed == nil || r.agreed.line != l {
		r.rejected++
		r.mu.Unlock()
		return
	}
	if err != nil {
		r.malformed++
		r.mu.Unlock()
		return
	}
	r.alive = now
	ssrc, known := r.seq.SSRC, r.seq.Started
	r.mu.Unlock()
	h := e.control.Hear(list, e.sink.SSRC, ssrc, now)
	if h.About {
		e.sink.Upstream(media.Feedback{Kind: media.Loss, Value: h.Loss})
	}
	if h.Gone && known {
		e.cfg.Notify(media.Gone{})
	}
}
