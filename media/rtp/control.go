package rtp

import (
	"crypto/rand"
	"encoding/base64"
	mrand "math/rand/v2"
	"sync"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
)

// control is RTCP: what we report of the peer's stream, and what the peer reports of ours (RFC 3550 6).
type control struct {
	mu     sync.Mutex
	cname  string
	to     udp.Addr // where reports go; invalid = nowhere, or to RTP's own target if muxed
	found  bool     // to is where the peer's reports come from
	next   int64    // when the next report is due, 0 = not begun
	mean   time.Duration
	spoken bool // a report was sent

	peer     uint32 // SSRC of the sender report that came last
	ntp      uint32 // middle 32 bits of its NTP time
	came     int64  // when, 0 = never
	rtt      time.Duration
	lost     int64
	jitter   uint32 // timestamp units
	peak     uint32
	reported bool
}

func (c *control) init() {
	var b [12]byte
	_, _ = rand.Read(b[:])                            // crypto/rand never fails
	c.cname = base64.StdEncoding.EncodeToString(b[:]) // RFC 7022 4.2: names nobody
}

func (c *control) change(a *agreement, keep bool, mean time.Duration, now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mean = mean
	if a == nil {
		c.to, c.found = udp.Addr{}, false
		return
	}
	if !keep || !c.found || !c.to.SameIP(&a.control) {
		c.to, c.found = a.control, false
	}
	if c.next == 0 {
		c.next = now + c.interval()/2 // the first comes early (RFC 3550 6.2)
	}
}

// interval draws the time to the next report (RFC 3550 6.3.1). With two members and audio's bandwidth the least mean
// time, 5 s, always holds.
func (c *control) interval() int64 {
	const compensation = 1.21828 // e - 3/2: for the reconsideration that two members have no use for
	return int64(float64(c.mean) * (0.5 + mrand.Float64()) / compensation)
}

// report sends a report when one is due.
func (e *Endpoint) report(now int64) {
	a := e.agreed.Load()
	c := &e.control
	c.mu.Lock()
	due := a != nil && !a.silent && c.next != 0 && now >= c.next
	if due {
		c.next = now + c.interval()
	}
	c.mu.Unlock()
	if due {
		e.sendControl(a, now, false)
	}
}

// bye takes leave, if the peer ever heard of us (RFC 3550 6.3.7).
func (e *Endpoint) bye() {
	a := e.agreed.Load()
	if a == nil || a.silent {
		return
	}
	e.control.mu.Lock()
	spoken := e.control.spoken
	e.control.mu.Unlock()
	if spoken || e.sink.stats().Packets > 0 {
		e.sendControl(a, e.cfg.now(), true)
	}
}

// sendControl sends a compound packet: a report, our name, and a BYE if asked for.
func (e *Endpoint) sendControl(a *agreement, now int64, bye bool) {
	sent, target := e.sink.sent(now, time.Now())
	sent.about, sent.hears = e.block(now)
	e.control.mu.Lock()
	to, cname := e.control.to, e.control.cname
	mean := int64(e.control.mean)
	e.control.mu.Unlock()
	socket := e.rtcp
	if a.mux {
		to, socket = target, e.rtp
	}
	if !to.IsValid() {
		return
	}
	var room [maxReport]byte
	b := room[:0]
	if sent.packets > 0 && now-sent.last < 2*mean { // RFC 3550 6.4: who sent lately is a sender
		b = sent.appendSR(b)
	} else {
		b = sent.appendRR(b)
	}
	b = appendName(b, sent.ssrc, cname)
	if bye {
		b = appendBye(b, sent.ssrc)
	}
	if e.writeControl(socket, a, b, &to) == nil {
		e.control.mu.Lock()
		e.control.spoken = true
		e.control.mu.Unlock()
	}
}

// writeControl sends a compound packet, protected if that is agreed.
func (e *Endpoint) writeControl(socket *udp.Socket, a *agreement, b []byte, to *udp.Addr) error {
	if a.crypt == nil {
		return socket.WriteTo(b, to)
	}
	sealed, err := a.crypt.sealControl(append(make([]byte, 0, len(b)+udp.Room), b...))
	if err != nil {
		return err
	}
	return socket.WriteTo(sealed, to)
}

// block reports the peer's stream; ok is false if there is none.
func (e *Endpoint) block(now int64) (b block, ok bool) {
	r := &e.in
	r.mu.Lock()
	q := &r.seq
	if !q.started || r.agreed == nil {
		r.mu.Unlock()
		return b, false
	}
	b.ssrc, b.fraction, b.highest = q.ssrc, q.fraction(), q.extended()
	b.lost = int32(min(max(q.missing(), -1<<23), 1<<23-1))
	b.jitter = uint32(q.jitter * float64(q.clock) / 1e9)
	r.mu.Unlock()
	c := &e.control
	c.mu.Lock()
	if c.came != 0 && c.peer == b.ssrc {
		b.ntp = c.ntp
		b.delay = uint32(max(now-c.came, 0) * 65536 / 1e9)
	}
	c.mu.Unlock()
	return b, true
}

// sent is our stream as a report tells it, at one instant by both clocks.
func (s *sender) sent(now int64, wall time.Time) (r reported, target udp.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return reported{
		ssrc: s.ssrc, ntp: ntp(wall), ts: s.ts + uint32((now-s.at)*int64(s.clock)/1e9),
		packets: s.packets, bytes: s.bytes, last: s.last,
	}, s.target
}

// ntp is a time as NTP's 64 bits: seconds since 1900 and their fraction.
func ntp(t time.Time) uint64 {
	const since1900 = 2208988800
	return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/1e9
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
