package rtp

import (
	"github.com/patchbay/patchbay/media"
)

const (
	sampleBytes = 8  // of G.711 in a millisecond
	minPacket   = 10 // ms, shortest packets that are made
	maxPacket   = 60 // ms, longest

	reframes = 255 // sender.packet: all that comes goes through the reframer

	// A source that is silent for longer, in timestamp units, has paused: what was left of its audio is too old by then.
	longestGap = 200 * sampleBytes

	longestLoss = 100 // packets that can be missing in a row without the numbers' beginning anew
)

// packetTime is how long packets are to be, within what is made of them.
func packetTime(ms int) int { return min(max(ms, minPacket), maxPacket) }

// splits reports whether a format's bytes are its samples, so that packets can be cut anywhere: G.711.
func splits(f *media.Format) bool { return f.Codec == "PCMU" || f.Codec == "PCMA" }

// reframer makes packets of one length of frames of others, without decoding them. Its timestamps are the source's; its numbers
// are its own, so that what the source lost is missing here too, as far as whole packets are.
type reframer struct {
	buf     []byte // of the next packet; behind its length stands the packet before, which fills what was lost
	at      uint32 // timestamp of the next packet
	format  *media.Format
	epoch   uint32
	arrival int64
	prior   uint16 // of the source's latest frame
	seq     uint16 // of the next packet
	marker  bool   // of the next packet

	// A frame that came too early: what is missing before it may be on its way.
	held    []byte
	heldAt  uint32
	heldSeq uint16
	holds   bool

	out media.Frame
}

func newReframer(ms int, f *media.Frame) *reframer {
	r := &reframer{buf: make([]byte, 0, ms*sampleBytes), held: make([]byte, 0, maxPayload), seq: f.Sequence}
	r.begin(f)
	r.pad(cap(r.buf)) // so that the packet before the first is silence
	r.buf = r.buf[:0]
	return r
}

// reframe sends the packets that a frame completes. The caller holds mu.
func (s *sender) reframe(f *media.Frame) {
	if s.frames == nil {
		if len(f.Payload) == 0 { // a peer that keeps its NAT open
			s.write(f)
			return
		}
		s.frames = newReframer(int(s.packet), f)
		s.packet = reframes
	}
	r := s.frames
	switch {
	case f.Kind == media.Event:
		if f.Marker { // the audio before it goes first
			r.finish(s)
		}
		s.write(f)
	case f.Epoch != r.epoch || f.Format != r.format:
		r.begin(f)
		r.add(s, f.Payload)
	default:
		r.arrival = f.Arrival
		r.follow(s, f)
	}
}

// begin starts anew at a frame; what is left of the audio before it is dropped.
func (r *reframer) begin(f *media.Frame) {
	r.buf, r.holds = r.buf[:0], false
	r.at, r.format, r.epoch, r.arrival = f.Timestamp, f.Format, f.Epoch, f.Arrival
	r.prior, r.marker = f.Sequence, f.Marker
}

func (r *reframer) end() uint32 { return r.at + uint32(len(r.buf)) }

// follow puts a frame where its timestamp says.
func (r *reframer) follow(s *sender, f *media.Frame) {
	gap := int32(f.Timestamp - r.end())
	early := f.Sequence-r.prior != 1
	switch {
	case gap < 0:
		r.late(s, f, int(-gap))
		return
	case gap == 0:
	case !early || f.Marker || gap > longestGap:
		r.pause(s, f, early)
	case !r.holds:
		r.hold(f)
		return
	case int32(f.Timestamp-r.heldAt) > 0: // two came after it: it is lost
		r.settle(s)
		r.follow(s, f)
		return
	default:
		r.bridge(s, int(gap))
	}
	r.prior = f.Sequence
	r.add(s, f.Payload)
	if r.holds && int32(r.heldAt-r.end()) <= 0 {
		r.settle(s)
	}
}

// pause begins anew at a frame that comes after a while without any.
func (r *reframer) pause(s *sender, f *media.Frame, lost bool) {
	r.settle(s)
	gap := int32(f.Timestamp - r.end())
	if gap <= longestGap {
		r.finish(s)
	}
	if lost && gap > 0 { // the peer is to see it too
		r.seq += uint16(min(int(gap)/cap(r.buf), longestLoss))
	}
	r.begin(f)
}

// late takes what isn't too late of a frame that overlaps with what went before.
func (r *reframer) late(s *sender, f *media.Frame, by int) {
	switch {
	case by > longestGap && f.Sequence-r.prior == 1: // another timeline, which its source hasn't told
		r.begin(f)
		r.add(s, f.Payload)
	case by >= len(f.Payload):
		s.dropped++
	default:
		r.prior = f.Sequence
		r.add(s, f.Payload[by:])
	}
}

func (r *reframer) hold(f *media.Frame) {
	r.held = append(r.held[:0], f.Payload...)
	r.heldAt, r.heldSeq, r.holds = f.Timestamp, f.Sequence, true
}

// settle waits no more for what is missing before the frame that is held.
func (r *reframer) settle(s *sender) {
	if !r.holds {
		return
	}
	r.holds = false
	gap := int(int32(r.heldAt - r.end()))
	if gap < 0 {
		if -gap >= len(r.held) {
			return
		}
		r.held = append(r.held[:0], r.held[-gap:]...)
		gap = 0
	}
	r.bridge(s, gap)
	r.prior = r.heldSeq
	r.add(s, r.held)
}

// bridge passes over bytes that are lost: whole packets of them are lost to the peer too, what is missing of others is what the
// packet before them had there.
func (r *reframer) bridge(s *sender, gap int) {
	if n := len(r.buf); n > 0 {
		k := min(gap, cap(r.buf)-n)
		r.buf = r.buf[:n+k]
		gap -= k
		r.whole(s)
	}
	if gap == 0 {
		return
	}
	lost := gap / cap(r.buf)
	r.seq += uint16(lost)
	r.at += uint32(lost * cap(r.buf))
	r.buf = r.buf[:gap%cap(r.buf)]
}

// add sends the packets that bytes complete, and keeps the rest.
func (r *reframer) add(s *sender, b []byte) {
	for len(b) > 0 {
		n := len(r.buf)
		r.buf = r.buf[:min(n+len(b), cap(r.buf))]
		b = b[copy(r.buf[n:], b):]
		r.whole(s)
	}
}

// finish sends what is left at the end of a talkspurt, filled up with silence.
func (r *reframer) finish(s *sender) {
	r.settle(s)
	if len(r.buf) == 0 {
		return
	}
	r.pad(cap(r.buf))
	r.whole(s)
}

func (r *reframer) pad(to int) {
	quiet := byte(0xff)
	if r.format.Codec == "PCMA" {
		quiet = 0xd5
	}
	for len(r.buf) < to {
		r.buf = append(r.buf, quiet)
	}
}

// whole sends the packet if nothing is missing of it.
func (r *reframer) whole(s *sender) {
	if len(r.buf) < cap(r.buf) {
		return
	}
	r.out = media.Frame{Format: r.format, Payload: r.buf, Arrival: r.arrival, Timestamp: r.at, Epoch: r.epoch, Sequence: r.seq, Marker: r.marker}
	s.write(&r.out)
	r.seq++
	r.at += uint32(cap(r.buf))
	r.buf, r.marker = r.buf[:0], false
}
