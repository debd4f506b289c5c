package webrtc

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	prtcp "github.com/pion/rtcp"

	"github.com/patchbay/patchbay/media"
)

var errNotCompound = errors.New("webrtc: no compound RTCP packet")

// control is RTCP: what we report of the peer's stream, and what the peer reports of ours (RFC 3550 6). It is never relayed.
type control struct {
	mu     sync.Mutex
	next   int64 // when the next report is due, 0 = not begun
	spoken bool  // a report was sent

	peer     uint32 // SSRC of the sender report that came last
	ntp      uint32 // middle 32 bits of its NTP time
	came     int64  // when, 0 = never
	rtt      time.Duration
	lost     int64
	jitter   uint32 // timestamp units
	peak     uint32
	reported bool
}

// interval draws the time to the next report (RFC 3550 6.3.1). With two members and audio's bandwidth the least mean
// time, 5 s, always holds.
func interval(mean time.Duration) int64 {
	const compensation = 1.21828 // e - 3/2: for the reconsideration that two members have no use for
	return int64(float64(mean) * (0.5 + rand.Float64()) / compensation)
}

// report sends a report when one is due.
func (e *Endpoint) report(a *agreement, now int64) {
	c := &e.control
	c.mu.Lock()
	due := c.next != 0 && now >= c.next
	if due || c.next == 0 {
		c.next = now + interval(e.cfg.Port.cfg.Report)
	}
	c.mu.Unlock()
	if due {
		e.sendControl(a, now, false)
	}
}

// bye takes leave, if the peer ever heard of us (RFC 3550 6.3.7).
func (e *Endpoint) bye(now int64) {
	a := e.agreed.Load()
	if a == nil {
		return
	}
	e.control.mu.Lock()
	spoken := e.control.spoken
	e.control.mu.Unlock()
	if spoken || e.sink.stats().Packets > 0 {
		e.sendControl(a, now, true)
	}
}

// sendControl sends a compound packet: a report, our name, and a BYE if asked for.
func (e *Endpoint) sendControl(a *agreement, now int64, bye bool) {
	blocks := e.blocks(now)
	sr, ssrc := e.sink.sr(now, time.Now())
	var list []prtcp.Packet
	if sr != nil && now-e.sink.stats().Last < 2*int64(e.cfg.Port.cfg.Report) { // RFC 3550 6.4: who sent lately is a sender
		sr.Reports = blocks
		list = append(list, sr)
	} else {
		list = append(list, &prtcp.ReceiverReport{SSRC: ssrc, Reports: blocks})
	}
	list = append(list, prtcp.NewCNAMESourceDescription(ssrc, e.cname))
	if bye {
		list = append(list, &prtcp.Goodbye{Sources: []uint32{ssrc}})
	}
	b, err := prtcp.Marshal(list)
	if err != nil {
		e.cfg.Log.Error("write RTCP", "endpoint", e.cfg.Name, "err", err)
		return
	}
	if a.line.SendControl(b) == nil {
		e.control.mu.Lock()
		e.control.spoken = true
		e.control.mu.Unlock()
	}
}

// blocks reports the peer's stream, if there is one.
func (e *Endpoint) blocks(now int64) []prtcp.ReceptionReport {
	r := &e.in
	r.mu.Lock()
	q := &r.seq
	if !q.started {
		r.mu.Unlock()
		return nil
	}
	b := prtcp.ReceptionReport{
		SSRC: q.ssrc, FractionLost: q.fraction(), LastSequenceNumber: q.extended(),
		TotalLost: uint32(min(max(q.missing(), -1<<23), 1<<23-1)) & 0xffffff, // 24 bits, signed
		Jitter:    uint32(q.jitter * float64(q.clock) / 1e9),
	}
	r.mu.Unlock()
	c := &e.control
	c.mu.Lock()
	if c.came != 0 && c.peer == b.SSRC {
		b.LastSenderReport = c.ntp
		b.Delay = uint32(max(now-c.came, 0) * 65536 / 1e9)
	}
	c.mu.Unlock()
	return []prtcp.ReceptionReport{b}
}

// sr is our sender report without blocks, nil if nothing was sent. Both times are the same instant.
func (s *sender) sr(now int64, wall time.Time) (sr *prtcp.SenderReport, ssrc uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.packets > 0 {
		sr = &prtcp.SenderReport{
			SSRC: s.ssrc, NTPTime: ntp(wall), RTPTime: s.ts + uint32((now-s.at)*int64(s.clock)/1e9),
			PacketCount: uint32(s.packets), OctetCount: uint32(s.bytes),
		}
	}
	return sr, s.ssrc
}

// ntp is a time as NTP's 64 bits: seconds since 1900 and their fraction.
func ntp(t time.Time) uint64 {
	const since1900 = 2208988800
	return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/1e9
}

// ReceiveControl takes the peer's reports. Nothing of a compound packet counts unless all of it is well-formed.
func (e *Endpoint) ReceiveControl(l line, p []byte, now int64) {
	r := &e.in
	r.flow.Lock()
	defer r.flow.Unlock()
	if r.closed {
		return
	}
	list, err := unmarshal(p)
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
	ssrc, known := r.seq.ssrc, r.seq.started
	r.mu.Unlock()
	for _, q := range list {
		switch q := q.(type) {
		case *prtcp.SenderReport:
			e.control.heard(q, now)
			e.feedback(q.Reports)
		case *prtcp.ReceiverReport:
			e.feedback(q.Reports)
		case *prtcp.Goodbye:
			if known && slices.Contains(q.Sources, ssrc) {
				e.cfg.Notify(media.Gone{})
			}
		}
	}
}

// unmarshal reads a compound packet after the checks of RFC 3550 A.2: version 2 throughout, a report first, lengths that
// add up, padding on the last alone. Reduced size (RFC 5506) isn't negotiated.
func unmarshal(p []byte) ([]prtcp.Packet, error) {
	if !compound(p) {
		return nil, errNotCompound
	}
	return prtcp.Unmarshal(p)
}

func compound(p []byte) bool {
	for first := true; ; first = false {
		if len(p) < 4 || p[0]>>6 != 2 || first && p[1] != 200 && p[1] != 201 {
			return false
		}
		n := 4 * (int(binary.BigEndian.Uint16(p[2:])) + 1)
		if n > len(p) || p[0]&0x20 != 0 && n < len(p) {
			return false
		}
		if n == len(p) {
			return true
		}
		p = p[n:]
	}
}

// heard takes a sender report of the peer's.
func (c *control) heard(q *prtcp.SenderReport, now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peer, c.ntp, c.came = q.SSRC, uint32(q.NTPTime>>16), now
}

// feedback takes what the peer says of our stream.
func (e *Endpoint) feedback(list []prtcp.ReceptionReport) {
	for _, b := range list {
		if b.SSRC != e.sink.ssrc {
			continue
		}
		c := &e.control
		c.mu.Lock()
		c.reported = true
		c.lost = int64(int32(b.TotalLost<<8) >> 8) // 24 bits, signed
		c.jitter, c.peak = b.Jitter, max(c.peak, b.Jitter)
		if b.LastSenderReport != 0 {
			// RFC 3550 6.4.1: in 1/65536 s; what isn't plausible is the peer's mistake
			d := uint32(ntp(time.Now())>>16) - b.LastSenderReport - b.Delay
			if rtt := time.Duration(int64(int32(d)) * 1e9 / 65536); rtt > -time.Millisecond && rtt < time.Minute {
				c.rtt = max(rtt, time.Microsecond)
			}
		}
		c.mu.Unlock()
		e.sink.Upstream(media.Feedback{Kind: media.Loss, Value: float64(b.FractionLost) / 256})
	}
}

// stats adds what RTCP knows to the two streams.
func (c *control) stats(in, out *media.Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in.RTT, out.RTT = c.rtt, c.rtt
	if !c.reported {
		return
	}
	out.Lost = c.lost
	if out.Format != nil {
		out.Jitter = units(c.jitter, out.Format.Clock)
		out.JitterMax = units(c.peak, out.Format.Clock)
	}
}

func units(n uint32, clock int) time.Duration {
	return time.Duration(int64(n) * int64(time.Second) / int64(clock))
}

func nanos(n float64) time.Duration { return time.Duration(n) }
