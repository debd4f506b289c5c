package udp

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Socket is one bound UDP socket. Its methods may be called from any goroutine,
// inside a handler too.
type Socket struct {
	hot
	cold
}

// hot is what a datagram in or out touches. With a thousand sockets none of it
// is in the processor's cache when its packet comes, so what counts is how many
// lines it spans: one for a datagram out, two for one in. A test holds the
// sizes.
type hot struct {
	handler Handler
	running sync.Mutex // held while the handler runs; Close waits for it
	guard   guard
	looped  bool // on a loop, not a stream
	place        // where the loop keeps it
	out     struct{ packets, bytes atomic.Uint64 }

	in   struct{ packets, bytes atomic.Uint64 }
	last atomic.Int64 // Stats.LastIn
	warm Warmer       // handler, if it is one
}

type cold struct {
	net    *Net
	local  netip.AddrPort
	stream *stream // nil on a loop
	pair   *pair   // nil for a socket of Open
	home
	vectors                                *vectors // nil unless of OpenShared, on a loop
	oversize, errorsIn, dropped, errorsOut atomic.Uint64
	lost                                   atomic.Uint64 // Stats.Lost as it was at Close

	_ [24]byte // to 256 bytes, which the allocator aligns
}

// Stats counts since the socket was opened; it is valid after Close too.
type Stats struct {
	PacketsIn, BytesIn   uint64 // reached the handler
	PacketsOut, BytesOut uint64 // taken by the kernel
	Dropped              uint64 // not sent: the send buffer was full
	Oversize             uint64 // not received: longer than MaxDatagram
	Lost                 uint64 // not received: the receive buffer was full (Linux)
	ErrorsIn, ErrorsOut  uint64 // ICMP errors and the like, reported by the kernel
	LastIn               int64  // when the last datagram came (Now), 0 if none did
}

// LocalAddr is the address and port that the socket is bound to.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// WriteTo sends p to to without ever blocking. ErrFull is a datagram dropped
// because the send buffer was full; net.ErrClosed says that the socket is
// closed; other errors are the kernel's (a bare syscall.Errno on Linux, so that
// nothing is allocated). An IPv4 socket sends to IPv4 addresses only and an
// IPv6 one to IPv6, except on the IPv6 wildcard address.
func (s *Socket) WriteTo(p []byte, to *Addr) error { return s.WriteMarked(p, to, 0) }

// WriteMarked is WriteTo of a datagram with a DSCP of its own (RFC 2474), 1 to 63, or -1 for none; 0 is the socket's. It costs more, for such go one by one. Where the
// system isn't Linux they have the socket's.
func (s *Socket) WriteMarked(p []byte, to *Addr, dscp int) error {
	if !s.guard.acquire() {
		return net.ErrClosed
	}
	err := s.send(p, to, dscp)
	switch err {
	case nil:
		s.out.packets.Add(1)
		s.out.bytes.Add(uint64(len(p)))
	case ErrFull:
		s.dropped.Add(1)
	default:
		s.errorsOut.Add(1)
	}
	if s.guard.release() {
		s.finish()
	}
	return err
}

func (s *Socket) send(p []byte, to *Addr, dscp int) error {
	if s.looped && dscp != 0 {
		return s.sendMarked(p, to, dscp)
	}
	if s.looped {
		return s.sendto(p, to)
	}
	return s.stream.send(p, to)
}

// Stats reads the counters.
func (s *Socket) Stats() Stats {
	lost := s.lost.Load()
	if s.guard.acquire() {
		lost = s.kernelDrops()
		if s.guard.release() {
			s.finish()
		}
	}
	return Stats{
		PacketsIn: s.in.packets.Load(), BytesIn: s.in.bytes.Load(),
		PacketsOut: s.out.packets.Load(), BytesOut: s.out.bytes.Load(),
		Dropped: s.dropped.Load(), Oversize: s.oversize.Load(), Lost: lost,
		ErrorsIn: s.errorsIn.Load(), ErrorsOut: s.errorsOut.Load(),
		LastIn: s.last.Load(),
	}
}

// Close closes the socket; twice is as good as once. Once it has returned the
// handler isn't called any more and isn't running. Called from inside a
// handler it waits for none: of its own loop's sockets no call begins after
// it, but a handler on another loop may just be finishing the call it is in.
func (s *Socket) Close() error {
	first := s.guard.close()
	if first {
		s.lost.Store(s.kernelDrops())
		s.detach()
	}
	if s.running.TryLock() { // as nearly always: who runs needn't be found out
		s.running.Unlock()
	} else if !s.net.members.inside() {
		s.running.Lock()
		//lint:ignore SA2001 the handler is awaited, nothing is guarded
		s.running.Unlock()
	}
	if first && s.guard.release() {
		s.finish()
	}
	return nil
}

// discard closes a socket that nobody has seen yet.
func (s *Socket) discard() { _ = s.Close() }

// enter begins calls of the handler; false if the socket is closed or closing.
// Only the goroutine that reads calls it, so the lock is free unless Close has
// it, and then there is nothing left to do.
func (s *Socket) enter() bool {
	if !s.running.TryLock() {
		return false
	}
	if !s.guard.acquire() {
		s.running.Unlock()
		return false
	}
	return true
}

func (s *Socket) leave() {
	s.running.Unlock()
	if s.guard.release() {
		s.finish()
	}
}

// recentTime is how long before Close a packet counts as "still coming".
const recentTime = int64(time.Second)

// finish gives the descriptor and the ports back, once, when nobody uses them.
func (s *Socket) finish() {
	s.shut()
	s.net.forget(s)
	if s.pair != nil {
		last := s.last.Load()
		s.pair.done(last != 0 && Now()-last < recentTime)
	}
}

// detach ends the reading.
func (s *Socket) detach() {
	if s.stream != nil {
		s.stream.close(s)
		return
	}
	s.unplace()
}

// shut closes the descriptor.
func (s *Socket) shut() {
	if s.stream == nil {
		s.closeFD()
	}
}
