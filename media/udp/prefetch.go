package udp

import "unsafe"

// Warmer is a Handler that can have the processor fetch what its next datagram
// will touch. A loop has it do so for some sockets that are ready, before it
// reads the first of them: with a thousand calls nothing of a call is in the
// cache when its packet comes, and fetches that run side by side, and while the
// kernel hands the packet over, cost little more than one. Warm is called before a Datagram, on the same goroutine, but
// not before each one, and not under the protection of Close: it may run when
// the handler isn't called any more, so it reads only what may be read at any
// time, and changes nothing.
type Warmer interface{ Warm() }

// Foreseer is a Handler of a shared socket that is told where the datagrams come from that it gets next, in their order, on the
// same goroutine: so it can have fetched what they touch, as a Warmer does, while it looks the others up. The addresses stay as they are
// until the last of them is handled; a datagram that is too large isn't.
type Foreseer interface{ Foresee(from []Addr) }

// Prefetch has the processor fetch lines of 64 bytes, 1 or more, from p on. It
// reads nothing as far as the program can tell, so it needs no lock. Where there
// is no such instruction it does nothing.
func Prefetch(p unsafe.Pointer, lines int) {
	if lines > 0 {
		prefetch(p, lines)
	}
}

// Warm fetches what sending touches.
func (s *Socket) Warm() { prefetch(unsafe.Pointer(s), 1) }

// ahead is how many sockets are warmed before the first of them is read. What
// they touch together, and what the kernel touches meanwhile, must fit a core's
// second cache.
const ahead = 16
