package udp

import (
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	vector       = 64      // datagrams that one system call takes or gives
	sharedBuffer = 4 << 20 // kernel buffers of a shared socket, in bytes
)

// queues is what a Net knows of its shared sockets.
type queues struct {
	awake  atomic.Int32 // loops that handle a wake-up now
	queued atomic.Int32 // shared sockets with something to send
	shared struct {
		sync.Mutex
		all []*Socket
	}
}

// vectors are the buffers of one shared socket.
type vectors struct {
	foreseer Foreseer // the handler, if it is one

	in struct { // the loop's alone
		msgs [vector]message
		iov  [vector]unix.Iovec
		from [vector]Addr
		buf  [vector][MaxDatagram + Room]byte
	}

	mu    sync.Mutex
	count int
	out   struct {
		msgs [vector]message
		iov  [vector]unix.Iovec
		to   [vector]Addr
		buf  [vector][MaxDatagram + Room]byte
	}
}

// message is Linux's struct mmsghdr.
type message struct {
	header unix.Msghdr
	size   uint32
	_      uint32
}

func newVectors() *vectors {
	v := new(vectors)
	for i := range vector {
		v.in.iov[i].Base = &v.in.buf[i][0]
		v.in.iov[i].SetLen(MaxDatagram)
		v.in.msgs[i].set(&v.in.iov[i], &v.in.from[i])
		v.out.iov[i].Base = &v.out.buf[i][0]
		v.out.msgs[i].set(&v.out.iov[i], &v.out.to[i])
	}
	return v
}

func (m *message) set(iov *unix.Iovec, name *Addr) {
	m.header.Iov = iov
	m.header.SetIovlen(1)
	m.header.Name = &name.sa[0]
	m.header.Namelen = sizeV6 // 0 would bring the peer's address back as zeros
}

// share gives a bound socket, which nobody reads yet, its vectors.
func (n *Net) share(s *Socket) {
	if s.stream != nil {
		return
	}
	s.vectors, s.many = newVectors(), true
	s.vectors.foreseer, _ = s.handler.(Foreseer)
	for _, o := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		// Without the privilege to go beyond the system's limit the limit is what there is.
		if unix.SetsockoptInt(int(s.fd), unix.SOL_SOCKET, o[0], sharedBuffer) != nil {
			_ = unix.SetsockoptInt(int(s.fd), unix.SOL_SOCKET, o[1], sharedBuffer)
		}
	}
	n.shared.Lock()
	n.shared.all = append(n.shared.all, s)
	n.shared.Unlock()
}

func (n *Net) unshare(s *Socket) {
	n.shared.Lock()
	defer n.shared.Unlock()
	for i, o := range n.shared.all {
		if o == s {
			n.shared.all = append(n.shared.all[:i:i], n.shared.all[i+1:]...)
			return
		}
	}
}

// drainMany reads one vector of datagrams. What is left wakes the loop again,
// after all the others.
func (l *loop) drainMany(s *Socket, now int64) {
	v := s.vectors
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&v.in.msgs[0])), vector, unix.MSG_DONTWAIT|unix.MSG_TRUNC, 0, 0)
	if errno != 0 {
		if errno != unix.EAGAIN && errno != unix.EINTR {
			s.errorsIn.Add(1)
		}
		return
	}
	s.last.Store(now)
	for i := range v.in.msgs[:n] {
		m := &v.in.msgs[i]
		from := &v.in.from[i]
		if from.size = m.header.Namelen; from.size == sizeV4 { // what an IPv6 peer may have left behind
			*(*[sizeV6 - sizeV4]byte)(from.sa[sizeV4:]) = [sizeV6 - sizeV4]byte{}
		}
		m.header.Namelen = sizeV6
		if s.dual {
			from.unmap()
		}
	}
	if v.foreseer != nil {
		v.foreseer.Foresee(v.in.from[:n])
	}
	for i := range v.in.msgs[:n] {
		m := &v.in.msgs[i]
		from := &v.in.from[i]
		if m.size > MaxDatagram {
			s.oversize.Add(1)
			continue
		}
		s.in.packets.Add(1)
		s.in.bytes.Add(uint64(m.size))
		s.handler.Datagram(v.in.buf[i][:m.size], *from, now)
		if s.guard.closed() {
			return
		}
	}
}

// send queues p if a loop is awake, which sends it before it parks. It counts
// itself out before it looks for what is queued, so nothing is left behind.
func (v *vectors) send(s *Socket, p []byte, to *Addr) error {
	if len(p) > MaxDatagram+Room || s.net.awake.Load() == 0 {
		return s.sendNow(p, to)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if s.net.awake.Load() == 0 {
		return s.sendNow(p, to)
	}
	i := v.count
	if v.count++; i == 0 {
		s.net.queued.Add(1)
	}
	v.out.iov[i].SetLen(copy(v.out.buf[i][:], p))
	v.out.to[i] = *to
	if s.dual && to.size == sizeV4 {
		v.out.to[i] = to.mapped()
	}
	v.out.msgs[i].header.Namelen = v.out.to[i].size
	if v.count == vector {
		v.flush(s)
	}
	return nil
}

// flush sends what is queued. What the kernel has no room for is dropped and
// counted, as with WriteTo; what it can't send doesn't hold up what follows.
// The caller holds mu.
func (v *vectors) flush(s *Socket) {
	for o, refused := 0, false; o < v.count; {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&v.out.msgs[o])), uintptr(v.count-o), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch {
		case errno == 0:
			o, refused = o+int(n), false
		case errno == unix.EAGAIN || errno == unix.ENOBUFS:
			s.dropped.Add(uint64(v.count - o))
			o = v.count
		case errno == unix.ECONNREFUSED && !refused:
			refused = true // an earlier datagram's ICMP error; this one hasn't been tried yet
		default:
			s.errorsOut.Add(1)
			o, refused = o+1, false
		}
	}
	if v.count > 0 {
		s.net.queued.Add(-1)
	}
	v.count = 0
}

// flush sends what all shared sockets have queued.
func (n *Net) flush() {
	if n.queued.Load() == 0 {
		return
	}
	var closed []*Socket
	n.shared.Lock()
	for _, s := range n.shared.all {
		if !s.guard.acquire() {
			continue
		}
		s.vectors.mu.Lock()
		s.vectors.flush(s)
		s.vectors.mu.Unlock()
		if s.guard.release() {
			closed = append(closed, s)
		}
	}
	n.shared.Unlock()
	for _, s := range closed {
		s.finish()
	}
}
