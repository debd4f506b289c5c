package webrtc

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/udp"
)

// maxPayload keeps a packet with its SRTP tag below what every path carries (RFC 8200 5: 1280 bytes with IPv6's headers).
const maxPayload = 1188

// sender is the way out: the endpoint's sink.
type sender struct {
	media.Inlet
	e    *Endpoint
	caps atomic.Pointer[media.Caps]

	mu     sync.Mutex // Push is single by the Inlet; this is for those who look or change the agreement meanwhile
	agreed *agreement
	closed bool

	rtpstream.Numbering
	dropped, unsent, reused uint64

	buf [rtpstream.HeaderSize + maxPayload + udp.Room]byte
}

func (s *sender) init(e *Endpoint) {
	s.e = e
	s.Init()
}

// Caps is what the peer takes, best first: nil before SDP, empty while it is held.
func (s *sender) Caps() *media.Caps { return s.caps.Load() }

// change sets another agreement in force.
func (s *sender) change(a *agreement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a == nil || !a.direction.Sends() {
		s.Pause() // the pause must not look like loss
	}
	s.agreed = a
	if a == nil {
		s.caps.Store(nil)
		return
	}
	s.caps.Store(a.Caps)
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
	if a == nil || s.closed || len(f.Payload) > maxPayload || !a.Takes(f.Format) {
		s.dropped++
		return
	}
	b, at := s.Packet(s.buf[:], f, byte(f.Format.Tag), uint32(f.Format.Clock), udp.Now)
	switch err := a.line.Send(b); {
	case err == nil:
		s.Sent(f, f.Format, at)
	case errors.Is(err, ErrReused):
		s.reused++
	default:
		s.unsent++
	}
}
