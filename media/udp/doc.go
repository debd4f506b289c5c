// Package udp opens UDP sockets with a handler and keeps to itself how their
// datagrams are read.
//
// On Linux a Net has one loop per core. A loop is one goroutine that owns its
// sockets through an epoll set of its own; the epoll descriptor is handed to
// Go's netpoller, so an idle loop is a parked goroutine and not a blocked
// thread, and a busy one reads and sends with non-blocking system calls that
// the scheduler never hears of. Elsewhere each socket has a goroutine, behind
// the same API and the same conformance tests.
//
// The handler runs on the loop: from the datagram's arrival to the write at
// the far socket there is no queue, no other goroutine and no allocation.
package udp
