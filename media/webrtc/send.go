package webrtc

import (
	"errors"
	"sync"
	"sync/atomic"
	"unsafe"

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
	peer atomic.Pointer[peer] // line, if it is one

	mu     sync.Mutex // Push is single by the Inlet; this is for those who look or change the agreement meanwhile
	closed bool
	format *media.Format // of the latest frame, which is agreed; nil after a change
	line   line          // as in agreed
	agreed *agreement

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
	s.agreed, s.format, s.line = a, nil, nil
	if a == nil {
		s.caps.Store(nil)
		s.peer.Store(nil)
		return
	}
	s.line = a.line
	p, _ := a.line.(*peer)
	s.peer.Store(p)
	s.caps.Store(a.Caps)
}

func (s *sender) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.caps.Store(&media.Caps{})
}

// Warm fetches what Push touches.
func (s *sender) Warm() {
	udp.Prefetch(unsafe.Pointer(s), linesOut)
	udp.Prefetch(unsafe.Pointer(&s.buf), linesPacket)
	if p := s.peer.Load(); p != nil {
		p.Warm()
	}
}

// Push sends one frame as one packet.
func (s *sender) Push(f *media.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == nil || s.closed || len(f.Payload) > maxPayload || f.Format != s.format && !s.agreed.Takes(f.Format) {
		s.dropped++
		return
	}
	s.format = f.Format
	b, at := s.Packet(s.buf[:], f, byte(f.Format.Tag), uint32(f.Format.Clock), udp.Now)
	switch err := s.line.Send(b); {
	case err == nil:
		s.Sent(f, f.Format, at)
	case errors.Is(err, ErrReused):
		s.reused++
	default:
		s.unsent++
	}
}
