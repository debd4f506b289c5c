package udp

import "sync/atomic"

// guard counts who uses a socket's descriptor, so that the descriptor is given
// back to the kernel by the last of them: a write that runs beside Close can
// then never leave through a reused descriptor, from another call's port.
type guard struct{ v atomic.Int32 }

const guardClosed = 1 << 30

// acquire takes part in the use; false once the socket is closed. Whoever got
// true calls release.
func (g *guard) acquire() bool {
	for {
		old := g.v.Load()
		if old&guardClosed != 0 {
			return false
		}
		if g.v.CompareAndSwap(old, old+1) {
			return true
		}
	}
}

// release ends a use. True tells the caller, one in the socket's life, that it
// was the last after close and has to give the descriptor back.
func (g *guard) release() bool { return g.v.Add(-1) == guardClosed }

// close refuses all later acquires. True for the first caller, which then holds
// a use of its own and has to release it.
func (g *guard) close() bool {
	for {
		old := g.v.Load()
		if old&guardClosed != 0 {
			return false
		}
		if g.v.CompareAndSwap(old, (old+1)|guardClosed) {
			return true
		}
	}
}

func (g *guard) closed() bool { return g.v.Load()&guardClosed != 0 }
