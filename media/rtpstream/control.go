package rtpstream

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
)

// ErrNotCompound is what Unmarshal says of what is no compound RTCP packet.
var ErrNotCompound = errors.New("rtpstream: no compound RTCP packet")

// Control is RTCP: when we report, and what the peer reports of our stream (RFC 3550 6). Its methods may be called from any
// goroutine.
type Control struct {
	Name string // our CNAME; set by Init

	mu     sync.Mutex
	next   int64 // when the next report is due, 0 = not begun
	spoken bool  // a report was sent

	peer     uint32 // SSRC of the sender report that came last
	ntp      uint32 // middle 32 bits of its NTP time
	came     int64  // when, 0 = never
	rtt      time.Duration
	lost     int64
	fraction uint8  // lost of late, as the latest report says
	jitter   uint32 // timestamp units
	peak     uint32
	reported bool
	xr       *media.XR // what extended reports say; another one, not a changed one, when they say more
}

// Init draws our name.
func (c *Control) Init() {
	var b [12]byte
	_, _ = rand.Read(b[:])                           // crypto/rand never fails
	c.Name = base64.StdEncoding.EncodeToString(b[:]) // RFC 7022 4.2: names nobody
}

// interval draws the time to the next report (RFC 3550 6.3.1). With two members and audio's bandwidth the least mean
// time, 5 s, always holds.
func interval(mean time.Duration) int64 {
	const compensation = 1.21828 // e - 3/2: for the reconsideration that two members have no use for
	return int64(float64(mean) * (0.5 + mrand.Float64()) / compensation)
}

// Begin has the first report come early (RFC 3550 6.2), unless one was planned already.
func (c *Control) Begin(mean time.Duration, now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == 0 {
		c.next = now + interval(mean)/2
	}
}

// Due reports whether a report is due, and plans the next one.
func (c *Control) Due(mean time.Duration, now int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	due := c.next != 0 && now >= c.next
	if due || c.next == 0 {
		c.next = now + interval(mean)
	}
	return due
}

// Spoke says that a report was sent; Spoken tells it.
func (c *Control) Spoke() {
	c.mu.Lock()
	c.spoken = true
	c.mu.Unlock()
}

func (c *Control) Spoken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spoken
}

// Answer adds to a block what it says of the peer's latest sender report.
func (c *Control) Answer(b *Block, now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.came != 0 && c.peer == b.SSRC {
		b.NTP = c.ntp
		b.Delay = uint32(max(now-c.came, 0) * 65536 / 1e9)
	}
}

// Trip is the round trip as metrics tell it: in ms, 1 at least if it is known.
func (c *Control) Trip() uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rtt == 0 {
		return 0
	}
	return uint16(min(max(c.rtt.Milliseconds(), 1), 65535))
}

// Unmarshal reads a compound packet after the checks of RFC 3550 A.2: version 2 throughout, a report first, lengths that
// add up, padding on the last alone. Reduced size (RFC 5506) isn't negotiated. Extended reports (RFC 3611) are left as they are, for Hear,
// as *rtcp.RawPacket in p: what is wrong within one leaves the others good.
func Unmarshal(p []byte) ([]prtcp.Packet, error) {
	extended, ok := compound(p)
	if !ok {
		return nil, ErrNotCompound
	}
	if !extended {
		return prtcp.Unmarshal(p)
	}
	var list []prtcp.Packet
	for len(p) > 0 {
		n := size(p)
		if p[1] == typeXR {
			raw := prtcp.RawPacket(p[:n])
			list = append(list, &raw)
		} else {
			one, err := prtcp.Unmarshal(p[:n])
			if err != nil {
				return nil, err
			}
			list = append(list, one...)
		}
		p = p[n:]
	}
	return list, nil
}

// compound reports whether p is a compound packet, and whether there are extended reports in it.
func compound(p []byte) (extended, ok bool) {
	for first := true; ; first = false {
		if len(p) < 4 || p[0]>>6 != 2 || first && p[1] != typeSR && p[1] != typeRR {
			return false, false
		}
		n := size(p)
		if n > len(p) || p[0]&0x20 != 0 && n < len(p) {
			return false, false
		}
		extended = extended || p[1] == typeXR
		if n == len(p) {
			return extended, true
		}
		p = p[n:]
	}
}

// size is how many bytes the first packet of p has, by its head.
func size(p []byte) int { return 4 * (int(binary.BigEndian.Uint16(p[2:])) + 1) }

// Heard is what a compound packet said.
type Heard struct {
	Sender bool   // it has a sender report
	From   uint32 // of this SSRC
	About  bool   // it reports of our stream
	Loss   float64
	Gone   bool // the peer's stream says BYE
}

// Hear takes a compound packet of the peer's. ours is our SSRC, theirs that of its stream.
func (c *Control) Hear(list []prtcp.Packet, ours, theirs uint32, now int64) (h Heard) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range list {
		switch q := q.(type) {
		case *prtcp.SenderReport:
			c.peer, c.ntp, c.came = q.SSRC, uint32(q.NTPTime>>16), now
			h.Sender, h.From = true, q.SSRC
			c.feedback(q.Reports, ours, &h)
		case *prtcp.ReceiverReport:
			c.feedback(q.Reports, ours, &h)
		case *prtcp.Goodbye:
			h.Gone = h.Gone || slices.Contains(q.Sources, theirs)
		case *prtcp.RawPacket:
			if len(*q) > 1 && (*q)[1] == typeXR {
				c.extended(*q, ours)
			}
		}
	}
	return h
}

// feedback takes what the peer says of our stream. The caller holds mu.
func (c *Control) feedback(list []prtcp.ReceptionReport, ours uint32, h *Heard) {
	for _, b := range list {
		if b.SSRC != ours {
			continue
		}
		c.reported = true
		c.lost = int64(int32(b.TotalLost<<8) >> 8) // 24 bits, signed
		c.fraction = b.FractionLost
		c.jitter, c.peak = b.Jitter, max(c.peak, b.Jitter)
		if b.LastSenderReport != 0 {
			// RFC 3550 6.4.1: in 1/65536 s; what isn't plausible is the peer's mistake
			d := uint32(NTP(time.Now())>>16) - b.LastSenderReport - b.Delay
			if rtt := time.Duration(int64(int32(d)) * 1e9 / 65536); rtt > -time.Millisecond && rtt < time.Minute {
				c.rtt = max(rtt, time.Microsecond)
			}
		}
		h.About, h.Loss = true, float64(b.FractionLost)/256
	}
}

// Stats adds what RTCP knows to the two streams.
func (c *Control) Stats(in, out *media.Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in.RTT, out.RTT, out.XR = c.rtt, c.rtt, c.xr
	if !c.reported {
		return
	}
	out.Reported, out.Lost, out.Fraction = true, c.lost, c.fraction
	if out.Format != nil {
		out.Jitter = units(c.jitter, out.Format.Clock)
		out.JitterMax = units(c.peak, out.Format.Clock)
	}
}

func units(n uint32, clock int) time.Duration {
	return time.Duration(int64(n) * int64(time.Second) / int64(clock))
}
