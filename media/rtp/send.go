package rtp

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/udp"
)

// small is the payload of a packet that is written on the stack: 30 ms of PCMU fit. The others have a buffer that only
// legs need which send them, or are protected.
const small = 256 - rtpstream.HeaderSize

// sender is the way out: the endpoint's sink. What each frame touches stands first, the Inlet's part of it included.
type sender struct {
	mu     sync.Mutex                 // Push is single by the Inlet; this is for those who look or change the agreement meanwhile
	socket atomic.Pointer[udp.Socket] // the endpoint's, from the first agreement on; written under mu
	format *media.Format              // of the latest frame; the peer takes it
	agreed *agreement
	target udp.Addr // where RTP goes: the SDP's pair, then the one with the lock; invalid = nowhere

	rate   uint32 // the format's clock
	pt     uint8  // the format's
	ready  bool   // there is an agreement and a target, and it isn't closed
	sealed bool   // agreed has a crypt
	packet uint8  // ms that packets are to have, of formats that can be cut; 0 = as they come, or reframes

	rtpstream.Numbering
	media.Inlet

	e                       *Endpoint
	caps                    atomic.Pointer[media.Caps]
	closed                  bool
	dropped, unsent, reused uint64
	room                    []byte    // of packets that aren't small
	frames                  *reframer // nil while packets come as they are to go
}

func (s *sender) init(e *Endpoint) {
	s.e = e
	s.Init()
}

// Caps is what the peer takes, best first: nil before SDP, empty while it is held.
func (s *sender) Caps() *media.Caps { return s.caps.Load() }

// change sets another agreement in force. target is where RTP goes until the source lock finds better.
func (s *sender) change(a *agreement, target udp.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a == nil || !a.direction.Sends() {
		s.Pause() // the pause must not look like loss
	}
	s.agreed, s.target = a, target
	s.socket.Store(s.e.rtp)
	s.format, s.sealed = nil, a != nil && a.crypt != nil
	if s.e.pictures != nil {
		s.e.pictures.again.past.Clear()
	}
	s.settle()
	if a == nil {
		s.caps.Store(nil)
		return
	}
	s.caps.Store(a.Caps)
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

// Push sends one frame as one packet, or as those that the peer wants.
func (s *sender) Push(f *media.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ready || len(f.Payload) > maxPayload && f.Kind != media.Video || f.Format != s.format && !s.accept(f.Format) {
		s.dropped++
		return
	}
	if n := s.packet; n != 0 && len(f.Payload) != sampleBytes*int(n) {
		if n == pictured {
			s.show(f)
		} else {
			s.reframe(f)
		}
		return
	}
	s.write(f)
}

// write sends one frame as one packet. The caller holds mu.
func (s *sender) write(f *media.Frame) {
	var at int64
	var err error
	if s.packet == pictured {
		at, err = s.pushPicture(f)
	} else if len(f.Payload) <= small && !s.sealed {
		var room [rtpstream.HeaderSize + small]byte
		var b []byte
		b, at = s.Packet(room[:], f, s.pt, s.rate, s.e.cfg.now)
		err = s.socket.Load().WriteTo(b, &s.target)
	} else {
		at, err = s.pushLarge(f)
	}
	if err == errReused {
		s.reused++
		return
	}
	if err != nil {
		s.unsent++
		return
	}
	s.Sent(f, s.format, at)
}

// accept makes f the format that is sent, if the peer takes it.
func (s *sender) accept(f *media.Format) bool {
	if !s.agreed.Takes(f) {
		return false
	}
	s.format, s.pt, s.rate = f, byte(f.Tag), uint32(f.Clock)
	s.shape(f)
	return true
}

// shape says how long packets of the format are to be. The caller holds mu.
func (s *sender) shape(f *media.Format) {
	if f.Kind == media.Video {
		s.packet = pictured
		return
	}
	s.packet = 0
	ms := s.agreed.ptime
	switch {
	case f.Kind == media.Event:
		if s.frames != nil {
			s.packet = reframes
		}
	case s.frames != nil && splits(f) && cap(s.frames.buf) == sampleBytes*ms:
		s.packet = reframes
	default:
		if s.frames != nil { // its numbers aren't the source's
			s.frames = nil
			s.Pause()
		}
		if splits(f) {
			s.packet = uint8(ms)
		}
	}
}

// larger is the room of packets that don't go on the stack. The caller holds mu.
func (s *sender) larger() []byte {
	if s.room == nil {
		s.room = make([]byte, rtpstream.HeaderSize+maxPayload+udp.Room)
	}
	return s.room
}

// pushLarge sends a packet that isn't small, or is to be protected.
func (s *sender) pushLarge(f *media.Frame) (at int64, err error) {
	b, at := s.Packet(s.larger(), f, s.pt, s.rate, s.e.cfg.now)
	if s.sealed {
		if b, err = s.agreed.crypt.seal(b); err != nil {
			return at, err
		}
	}
	return at, s.socket.Load().WriteTo(b, &s.target)
}
