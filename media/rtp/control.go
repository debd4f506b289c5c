package rtp

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	mrand "math/rand/v2"
	"slices"
	"sync"
	"time"

	prtcp "github.com/pion/rtcp"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
)

var errNotCompound = errors.New("rtp: no compound RTCP packet")

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
	blocks := e.blocks(now)
	sr, ssrc, target := e.sink.sr(now, time.Now())
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
	var list []prtcp.Packet
	if sr != nil && now-e.sink.stats().Last < 2*mean { // RFC 3550 6.4: who sent lately is a sender
		sr.Reports = blocks
		list = append(list, sr)
	} else {
		list = append(list, &prtcp.ReceiverReport{SSRC: ssrc, Reports: blocks})
	}
	list = append(list, prtcp.NewCNAMESourceDescription(ssrc, cname))
	if bye {
		list = append(list, &prtcp.Goodbye{Sources: []uint32{ssrc}})
	}
	b, err := prtcp.Marshal(list)
	if err != nil {
		e.cfg.Log.Error("write RTCP", "endpoint", e.cfg.Name, "err", err)
		return
	}
	if a.crypt != nil {
		if b, err = a.crypt.sealControl(append(make([]byte, 0, len(b)+udp.Room), b...)); err != nil {
			return
		}
	}
	if socket.WriteTo(b, &to) == nil {
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
	if !q.started || r.agreed == nil {
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

// sr is our sender report without blocks, nil if nothing was sent, and where RTP goes. Both times are the same instant.
func (s *sender) sr(now int64, wall time.Time) (sr *prtcp.SenderReport, ssrc uint32, target udp.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.packets > 0 {
		sr = &prtcp.SenderReport{
			SSRC: s.ssrc, NTPTime: ntp(wall), RTPTime: s.ts + uint32((now-s.at)*int64(s.clock)/1e9),
			PacketCount: uint32(s.packets), OctetCount: uint32(s.bytes),
		}
	}
	return sr, s.ssrc, s.target
}

// ntp is a time as NTP's 64 bits: seconds since 1900 and their fraction.
func ntp(t time.Time) uint64 {
	const since1900 = 2208988800
	return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/1e9
}

// receiveControl takes a datagram of RTCP. Nothing of a compound packet counts unless all of it is well-formed.
func (e *Endpoint) receiveControl(p []byte, from *udp.Addr, now int64, muxed bool) {
	a, ok := e.in.controlFrom(from, muxed)
	if !ok {
		return
	}
	if a.crypt != nil {
		var err error
		if p, err = a.crypt.openControl(p); err != nil {
			e.in.reject()
			return
		}
	}
	list, err := unmarshal(p)
	if err != nil {
		e.in.mu.Lock()
		e.in.malformed++
		e.in.mu.Unlock()
		return
	}
	e.in.mu.Lock()
	e.in.alive = now
	ssrc, known := e.in.seq.ssrc, e.in.seq.started
	e.in.mu.Unlock()
	ours := e.sink.stats().SSRC
	for _, q := range list {
		switch q := q.(type) {
		case *prtcp.SenderReport:
			e.control.heard(q, *from, now, muxed, known && q.SSRC == ssrc)
			e.feedback(q.Reports, ours)
		case *prtcp.ReceiverReport:
			e.feedback(q.Reports, ours)
		case *prtcp.Goodbye:
			if known && slices.Contains(q.Sources, ssrc) {
				e.cfg.Notify(media.Gone{})
			}
		}
	}
}

// controlFrom says whether RTCP may come from there now.
func (r *receiver) controlFrom(from *udp.Addr, muxed bool) (*agreement, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.agreed
	ok := a != nil && r.lock.trusts(from)
	if ok && muxed && r.lock.held {
		ok = *from == r.lock.pair
	}
	if ok && !muxed && a.mux {
		ok = false // all of it comes to the RTP port now
	}
	if !ok {
		r.rejected++
	}
	return a, ok
}

func (r *receiver) reject() {
	r.mu.Lock()
	r.rejected++
	r.mu.Unlock()
}

// unmarshal reads a compound packet after the checks of RFC 3550 A.2: version 2 throughout, a report first, lengths that
// add up, padding on the last alone.
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
func (c *control) heard(q *prtcp.SenderReport, from udp.Addr, now int64, muxed, current bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peer, c.ntp, c.came = q.SSRC, uint32(q.NTPTime>>16), now
	if !muxed && !c.found && current { // behind NAT reports are best sent back to where they come from
		c.to, c.found = from, true
	}
}

// feedback takes what the peer says of our stream.
func (e *Endpoint) feedback(list []prtcp.ReceptionReport, ours uint32) {
	for _, b := range list {
		if b.SSRC != ours {
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
