package rtp

import (
	"crypto/rand"
	"encoding/binary"
	"strconv"
	"strings"

	prtcp "github.com/pion/rtcp"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
)

// againMost is how many packets are sent again in a row. Each needs one that went for the first time: a peer that asks for all of them all the
// time has at most twice the stream.
const againMost = 128

// again is what went out of a line of video, for a peer that asks for it again (RFC 4585 6.2.1). Where streams of retransmissions are agreed
// (RFC 4588) packets go in one, and are kept in the clear; else the same bytes go once more: under SRTP they are what its keys made of that number,
// so nothing else is ever said under it. The sender's lock guards it.
type again struct {
	past   rtpstream.History
	ssrc   uint32 // of the stream of retransmissions
	seq    uint16
	credit int
	nacks  uint64 // requests that came
	sent   uint64 // packets that went again
	room   []byte
}

// beside are the payload types of retransmissions by those of what they repeat, as we send them, and the other way round, as they come; 0 = there
// are none.
type beside struct{ send, recv [128]uint8 }

// agreedBeside reads them from an agreement; nil = there are none.
func agreedBeside(s *sdp.Agreement) (b *beside) {
	for _, pair := range s.Formats {
		theirs, ours := besideOf(s.Remote, pair.Send), besideOf(s.Local, pair.Recv)
		if theirs == 0 || ours == 0 {
			continue
		}
		if b == nil {
			b = &beside{}
		}
		b.send[pair.Send], b.recv[ours] = theirs, pair.Recv
	}
	return b
}

// besideOf is the payload type of retransmissions of a format on a line, 0 if there is none.
func besideOf(m *sdp.Media, pt uint8) uint8 {
	for _, f := range m.Formats {
		if apt, ok := f.Repeats(); ok && apt == pt {
			return f.PT
		}
	}
	return 0
}

// besides draws the SSRC of the stream of retransmissions, and says in SDP which stream it repeats (RFC 4588 8.1, RFC 5576 4.2).
func (e *Endpoint) besides() []sdp.Attribute {
	s := &e.sink
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &e.pictures.again
	for n.ssrc == 0 || n.ssrc == s.SSRC {
		var b [6]byte
		_, _ = rand.Read(b[:]) // crypto/rand never fails
		n.ssrc, n.seq = binary.BigEndian.Uint32(b[:]), binary.BigEndian.Uint16(b[4:])>>1
	}
	one, two := strconv.FormatUint(uint64(s.SSRC), 10), strconv.FormatUint(uint64(n.ssrc), 10)
	return []sdp.Attribute{
		{Key: "ssrc-group", Value: "FID " + one + " " + two},
		{Key: "ssrc", Value: one + " cname:" + e.control.Name},
		{Key: "ssrc", Value: two + " cname:" + e.control.Name},
	}
}

// pushPicture sends a packet of video, and keeps it if the peer may ask for it again.
func (s *sender) pushPicture(f *media.Frame) (at int64, err error) {
	b, at := s.Packet(s.larger(), f, s.pt, s.rate, s.e.cfg.now)
	n, a := &s.e.pictures.again, s.agreed
	var k *rtpstream.Kept
	clear := a.beside != nil && a.beside.send[s.pt] != 0
	if a.repeats && clear {
		k = n.past.Keep(b)
	}
	if s.sealed {
		if b, err = a.crypt.seal(b); err != nil {
			return at, err
		}
	}
	if a.repeats && !clear {
		k = n.past.Keep(b)
	}
	if k != nil {
		k.Sent = at
		n.credit = min(n.credit+1, againMost)
	}
	return at, s.socket.Load().WriteTo(b, &s.target)
}

// again sends packets that the peer has lost.
func (s *sender) again(list []prtcp.NackPair, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &s.e.pictures.again
	n.nacks++
	if !s.ready || !s.agreed.repeats {
		return
	}
	for i := range list {
		list[i].Range(func(seq uint16) bool {
			k := n.past.Again(seq, now)
			if k == nil {
				return true
			}
			if n.credit == 0 {
				return false
			}
			k.Sent = now
			n.credit--
			if s.repeat(k) == nil {
				n.sent++
			}
			return true
		})
	}
}

// repeat sends a packet once more. The caller holds mu.
func (s *sender) repeat(k *rtpstream.Kept) (err error) {
	b := k.Packet()
	if pts := s.agreed.beside; pts != nil && pts.send[k.Type()] != 0 {
		n := &s.e.pictures.again
		if n.room == nil {
			n.room = make([]byte, rtpstream.KeptSize+2)
		}
		n.seq++
		b = k.Beside(n.room, pts.send[k.Type()], n.seq, n.ssrc)
		if s.sealed { // each number goes once: none is before another
			out := s.agreed.crypt.out
			if b, err = out.context.EncryptRTP(b, b, &out.header); err != nil {
				return err
			}
		}
	}
	return s.socket.Load().WriteTo(b, &s.target)
}

// restore makes of a packet in the clear the one that it repeats, if it is a retransmission. nil: it repeats nothing.
func (r *receiver) restore(a *agreement, p []byte, h *rtpstream.Header) []byte {
	pt := a.beside.recv[h.PT]
	if pt == 0 {
		return p
	}
	if !r.seq.Started {
		return nil
	}
	p, ok := rtpstream.Restore(p, h, pt, r.seq.SSRC)
	if !ok { // one that probes for bandwidth
		return nil
	}
	return p
}

// repeatable reports whether a line has formats of retransmissions.
func repeatable(m *sdp.Media) bool {
	for _, f := range m.Formats {
		if strings.EqualFold(f.Codec, "RTX") {
			return true
		}
	}
	return false
}
