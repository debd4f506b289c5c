package rtp

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
)

// small is the payload of a packet that is written on the stack: 30 ms of PCMU fit. The others have a buffer that only
// legs need which send them, or are protected.
const small = 256 - headerSize

// sender is the way out: the endpoint's sink. What each frame touches stands first, the Inlet's part of it included.
type sender struct {
	mu     sync.Mutex                 // Push is single by the Inlet; this is for those who look or change the agreement meanwhile
	socket atomic.Pointer[udp.Socket] // the endpoint's, from the first agreement on; written under mu
	format *media.Format              // of the latest frame; the peer takes it
	agreed *agreement
	target udp.Addr // where RTP goes: the SDP's pair, then the one with the lock; invalid = nowhere

	ssrc   uint32
	epoch  uint32 // of the frames that flow
	move   uint32 // from a frame's timestamp to ours
	ts     uint32 // our latest timestamp
	span   uint32 // between two audio frames, in timestamp units
	clock  uint32 // of ts
	rate   uint32 // the format's clock
	shift  uint16 // from a frame's sequence number to ours
	top    uint16 // our highest number
	prior  uint16 // the latest audio frame's own number
	pt     uint8  // the format's
	ready  bool   // there is an agreement and a target, and it isn't closed
	sealed bool   // agreed has a crypt
	fresh  bool   // the next frame begins anew
	placed bool   // audio's numbering is known since
	skew   int64  // from a frame's arrival to our clock
	at     int64  // when ts was new, by our clock
	last   int64

	packets, bytes uint64
	audio          *media.Format // of the latest audio
	media.Inlet

	e               *Endpoint
	caps            atomic.Pointer[media.Caps]
	closed          bool
	first           int64
	dropped, unsent uint64
	room            []byte // of packets that aren't small
}

func (s *sender) init(e *Endpoint) {
	var b [10]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	s.e = e
	s.ssrc = binary.BigEndian.Uint32(b[0:])
	s.ts = binary.BigEndian.Uint32(b[4:])
	s.top = binary.BigEndian.Uint16(b[8:])
	s.fresh = true
}

// Caps is what the peer takes, best first: nil before SDP, empty while it is held.
func (s *sender) Caps() *media.Caps { return s.caps.Load() }

// change sets another agreement in force. target is where RTP goes until the source lock finds better.
func (s *sender) change(a *agreement, target udp.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a == nil || !a.direction.Sends() {
		s.fresh = true // the pause must not look like loss
	}
	s.agreed, s.target = a, target
	s.socket.Store(s.e.rtp)
	s.format, s.sealed = nil, a != nil && a.crypt != nil
	s.settle()
	if a == nil {
		s.caps.Store(nil)
		return
	}
	s.caps.Store(a.caps)
}

// aim sends to the pair that got the lock.
func (s *sender) aim(a *agreement, to udp.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.agreed == a {
		s.target = to
		s.settle()
	}
}

// settle says whether frames can go. The caller holds mu.
func (s *sender) settle() { s.ready = s.agreed != nil && s.target.IsValid() && !s.closed }

func (s *sender) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.settle()
	s.caps.Store(&media.Caps{})
}

// Warm fetches what Push touches.
func (s *sender) Warm() {
	udp.Prefetch(unsafe.Pointer(s), linesOut)
	if socket := s.socket.Load(); socket != nil {
		socket.Warm()
	}
}

// Push sends one frame as one packet.
func (s *sender) Push(f *media.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ready || len(f.Payload) > maxPayload || f.Format != s.format && !s.accept(f.Format) {
		s.dropped++
		return
	}
	now := f.Arrival + s.skew
	if s.fresh || f.Epoch != s.epoch || f.Arrival == 0 {
		now = s.e.cfg.now()
	}
	marker := f.Marker
	if s.fresh || f.Epoch != s.epoch || s.jumps(f) {
		marker = s.rebase(f, now) || marker
	}
	var err error
	if len(f.Payload) <= small && !s.sealed {
		var room [headerSize + small]byte
		err = s.socket.Load().WriteTo(s.packet(room[:], f, marker, now), &s.target)
	} else {
		err = s.pushLarge(f, marker, now)
	}
	if err != nil {
		s.unsent++
		return
	}
	s.count(f, now)
}

// accept makes f the format that is sent, if the peer takes it.
func (s *sender) accept(f *media.Format) bool {
	if !s.agreed.takes(f) {
		return false
	}
	s.format, s.pt, s.rate = f, byte(f.Tag), uint32(f.Clock)
	return true
}

// pushLarge sends a packet that isn't small, or is to be protected.
func (s *sender) pushLarge(f *media.Frame, marker bool, now int64) (err error) {
	if s.room == nil {
		s.room = make([]byte, headerSize+maxPayload+udp.Room)
	}
	b := s.packet(s.room, f, marker, now)
	if s.sealed {
		if b, err = s.agreed.crypt.seal(b); err != nil {
			return err
		}
	}
	return s.socket.Load().WriteTo(b, &s.target)
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
	if s.packets > 0 {
		step := max(uint32(max(now-s.at, 0)*int64(s.rate)/1e9), s.span)
		ts += step
	}
	s.move = ts - f.Timestamp
	s.span = s.rate / 50
	s.ts, s.at, s.clock = ts, now, s.rate
	return f.Kind != media.Event
}

// packet writes the RTP packet of f into room.
func (s *sender) packet(room []byte, f *media.Frame, marker bool, now int64) []byte {
	seq := s.top + 1
	if f.Kind == media.Event { // events have no place in the source's numbering: they move it on
		s.shift++
		s.top = seq
	} else {
		if !s.placed {
			s.placed, s.shift = true, seq-f.Sequence
		}
		if f.Sequence-s.prior == 1 && f.Timestamp+s.move-s.ts-1 < s.clock {
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
		s.ts, s.at, s.clock = ts, now, s.rate
	}
	b := room[:headerSize+len(f.Payload)]
	b[0], b[1] = 0x80, s.pt
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
	if s.packets == 0 {
		s.first = now
	}
	s.last = now
	s.packets++
	s.bytes += uint64(len(f.Payload))
	if f.Kind != media.Event && s.audio != s.format {
		s.audio = s.format
	}
}
