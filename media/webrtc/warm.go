package webrtc

import (
	"unsafe"

	"github.com/patchbay/patchbay/media/udp"
)

// Lines of the cache that a packet touches: of a peer, of one that it comes from and of one that it goes to, and of an SRTP context.
const (
	linesPeerIn  = 4
	linesPeerOut = 4
	linesContext = 4
)

// warm fetches the peer's own lines, then what they point to, then where the frame goes.
func (p *peer) warm(step int) {
	switch step {
	case 0:
		udp.Prefetch(unsafe.Pointer(&p.mu), linesPeerIn)
	case 1:
		udp.Prefetch(unsafe.Pointer(p.in.Load()), linesContext)
		p.r.Warm(0)
	case 2:
		p.r.Warm(1)
	}
}

// Warm fetches what Send touches.
func (p *peer) Warm() {
	udp.Prefetch(unsafe.Pointer(&p.out), linesPeerOut)
}
