package webrtc

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
)

// sender is the way out: the endpoint's sink.
type sender struct {
	media.Inlet
	e    *Endpoint
	caps atomic.Pointer[media.Caps]

	mu     sync.Mutex // Push is single by the Inlet; this is for those who look or change the agreement meanwhile
	agreed *agreement
	closed bool

	ssrc   uint32
	fresh  bool   // the next frame begins anew
	placed bool   // audio's numbering is known since
	epoch  uint32 // of the frames that flow
	shift  uint16 // from a frame's sequence number to ours
	move   uint32 // from a frame's timestamp to ours
	skew   int64  // from a frame's arrival to our clock
	top    uint16 // our highest number
	prior  uint16 // the latest audio frame's own number
	ts     uint32 // our latest timestamp
	at     int64  // when it was new, by our clock
	clock  int    // its rate
	span   uint32 // between two audio frames, in timestamp units

	packets, bytes, dropped, unsent, reused uint64
	first, last                             int64
	format                                  *media.Format

	buf [headerSize + maxPayload + udp.Room]byte
}

func (s *sender) init(e *Endpoint) {
	var b [10]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	s.e = e
	s.ssrc = binary.BigEndian.Uint32(b[0:])
	s.ts = binary.BigEndian.Uint32(b[4:])
	s.top = binary.BigEndian.Uint16(b[8:]) >> 1 // below 2^15: lost first packets don't lose the rollover counter (RFC 3711 3.3.1)
	s.fresh = true
}

// Caps is what the peer takes, best first: nil before SDP, empty while it is held.
func (s *sender) Caps() *media.Caps { return s.caps.Load() }

// change sets another agreement in force.
func (s *sender) change(a *agreement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a == nil || !a.direction.Sends() {
		s.fresh = true // the pause must not look like loss
	}
	s.agreed = a
	if a == nil {
		s.caps.Store(nil)
		return
	}
	s.caps.Store(a.caps)
}

func (s *sender) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.caps.Store(&media.Caps{})
}

// Push sends one frame as one packet.
func (s *sender) Push(f *media.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.agreed
	if a == nil || s.closed || len(f.Payload) > maxPayload || !a.takes(f.Format) {
		s.dropped++
		return
	}
	now := f.Arrival + s.skew
	if s.fresh || f.Epoch != s.epoch || f.Arrival == 0 {
		now = udp.Now()
	}
	marker := f.Marker
	if s.fresh || f.Epoch != s.epoch || s.jumps(f) {
		marker = s.rebase(f, now) || marker
	}
	b := s.packet(f, marker, now)
	switch err := a.line.Send(b); {
	case err == nil:
		s.count(f, now)
	case errors.Is(err, ErrReused):
		s.reused++
	default:
		s.unsent++
	}
}

// jumps reports whether the numbers of a source went on elsewhere without its saying so, as after a pause of the link.
func (s *sender) jumps(f *media.Frame) bool {
	if f.Kind == media.Event || !s.placed {
		return false
	}
	d := int16(f.Sequence - s.prior)
	return d > maxMisorder || d < -maxMisorder
}

// rebase continues our numbers and timestamps whatever the frame's are: the next number, and the time that passed since
// the latest timestamp. true asks for the marker (RFC 3551 4.1).
func (s *sender) rebase(f *media.Frame, now int64) (marker bool) {
	s.fresh, s.placed, s.epoch = false, false, f.Epoch
	s.skew = now - f.Arrival
	ts := s.ts
	if s.at != 0 {
		ts += max(uint32(max(now-s.at, 0)*int64(f.Format.Clock)/1e9), s.span)
	}
	s.move = ts - f.Timestamp
	s.span = uint32(f.Format.Clock / 50)
	s.ts, s.at, s.clock = ts, now, f.Format.Clock
	return f.Kind != media.Event
}

// packet writes the RTP packet of f into buf.
func (s *sender) packet(f *media.Frame, marker bool, now int64) []byte {
	seq := s.top + 1
	if f.Kind == media.Event { // events have no place in the source's numbering: they move it on
		s.shift++
		s.top = seq
	} else {
		if !s.placed {
			s.placed, s.shift = true, seq-f.Sequence
		}
		if f.Sequence-s.prior == 1 && f.Timestamp+s.move-s.ts-1 < uint32(s.clock) {
			s.span = f.Timestamp + s.move - s.ts
		}
		seq = f.Sequence + s.shift
		if int16(seq-s.top) > 0 {
			s.top = seq
		}
		s.prior = f.Sequence
	}
	ts := f.Timestamp + s.move
	if int32(ts-s.ts) > 0 {
		s.ts, s.at, s.clock = ts, now, f.Format.Clock
	}
	b := s.buf[:headerSize+len(f.Payload)]
	b[0], b[1] = 0x80, byte(f.Format.Tag)
	if marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], ts)
	binary.BigEndian.PutUint32(b[8:], s.ssrc)
	copy(b[headerSize:], f.Payload)
	return b
}

func (s *sender) count(f *media.Frame, now int64) {
	if s.first == 0 {
		s.first = now
	}
	s.last = now
	s.packets++
	s.bytes += uint64(len(f.Payload))
	if f.Kind != media.Event {
		s.format = f.Format
	}
}

// sendWindow lets each sequence number through once: a higher one, or one of the 63 below the highest.
type sendWindow struct {
	top     uint16
	seen    uint64 // bit n: top-n is out
	started bool
}

func (w *sendWindow) take(seq uint16) bool {
	d := int16(seq - w.top)
	switch {
	case !w.started:
		*w = sendWindow{top: seq, seen: ^uint64(0), started: true} // what is below the first has no certain rollover counter
	case d > 0:
		w.top, w.seen = seq, w.seen<<min(uint(d), 64)|1
	case d <= -64 || w.seen>>uint(-d)&1 == 1:
		return false
	default:
		w.seen |= 1 << uint(-d)
	}
	return true
}
