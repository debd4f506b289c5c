package rtp

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	prtcp "github.com/pion/rtcp"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
)

var errNotCompound = errors.New("rtp: no compound RTCP packet")

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
