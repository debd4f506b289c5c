package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// batch is how many ready sockets one wake-up takes from the kernel. The
	// kernel puts a socket that is still ready at the end of its list, so a
	// flooded one waits for all the others.
	batch = 256
	// burst is how many datagrams are read of a socket that was ready in the
	// wake-up before too, which is one that fills faster than it is read. Of
	// others one is read: a media socket holds one packet, and asking for a
	// second would cost a system call per packet to be told that there is none.
	burst = 8
	// phases spreads the Ticks of a loop's sockets over the time between two.
	phases = 16

	chunkSize = 256
	maxChunks = 256 // 65,536 sockets, all ports of an address
	timerSlot = -1
)

// loops is the engine of Linux.
type loops struct {
	all []*loop
	mu  sync.Mutex // of all changes of slots, by Open and Close
}

// loop is one goroutine and the sockets that it reads.
type loop struct {
	net      *Net
	ep       int
	file     *os.File // ep in Go's netpoller
	raw      syscall.RawConn
	stopping atomic.Bool
	done     chan struct{}

	// What follows is the loop's alone.
	from   Addr
	round  uint32
	phase  int
	events [batch]unix.EpollEvent
	ready  [batch]*Socket
	buf    [MaxDatagram + Room]byte

	// The slots are read by the loop without a lock and changed under loops.mu.
	chunks [maxChunks]atomic.Pointer[chunk]
	high   atomic.Int32 // slots below high have been used

	// Under loops.mu.
	vacant []int32
	gen    int32
	count  int
	timer  int // timerfd, armed while there are sockets
}

type chunk [chunkSize]atomic.Pointer[Socket]

// place is where a socket stands: its descriptor, and its slot in a loop. The
// kernel hands slot and generation back with each event. An event that was
// fetched before its socket was closed finds an empty slot or another
// generation, never the socket that moved in.
type place struct {
	fd    int32
	gen   int32
	round uint32 // last wake-up that the socket was ready in
	dual  bool   // of both families, on the IPv6 wildcard address
	many  bool   // of OpenShared: read and sent in vectors
}

// home is the part of a place that packets don't need.
type home struct {
	loops *loops
	loop  *loop // nil before start and after Close; under loops.mu
	slot  int32
}

func newEngine(n *Net) (engine, error) {
	e := &loops{}
	for range n.cfg.Loops {
		l, err := newLoop(n)
		if err != nil {
			return nil, errors.Join(err, e.stop())
		}
		e.all = append(e.all, l)
		go l.run()
	}
	return e, nil
}

func newLoop(n *Net) (*loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("timerfd_create: %w", err), unix.Close(ep))
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: timerSlot}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, timer, &ev); err != nil {
		return nil, errors.Join(fmt.Errorf("epoll_ctl: %w", err), unix.Close(timer), unix.Close(ep))
	}
	// Non-blocking is what makes os.NewFile give the descriptor to the netpoller.
	if err := unix.SetNonblock(ep, true); err != nil {
		return nil, errors.Join(fmt.Errorf("set epoll non-blocking: %w", err), unix.Close(timer), unix.Close(ep))
	}
	file := os.NewFile(uintptr(ep), "media epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, unix.Close(timer), file.Close())
	}
	return &loop{net: n, ep: ep, file: file, raw: raw, timer: timer, done: make(chan struct{})}, nil
}

func (e *loops) stop() error {
	var errs []error
	for _, l := range e.all {
		if l.stopping.CompareAndSwap(false, true) {
			// It waits until the loop has let go of the descriptor.
			errs = append(errs, l.file.Close(), unix.Close(l.timer))
		}
		<-l.done
	}
	return errors.Join(errs...)
}

// run reads until the loop's descriptor is closed.
func (l *loop) run() {
	defer close(l.done)
	id := l.net.members.join()
	defer l.net.members.leave(id)
	wake := l.wake // one closure for all
	for {
		if err := l.raw.Read(wake); err != nil {
			if !l.stopping.Load() {
				l.net.cfg.Log.Error("udp loop ended", "err", err)
			}
			return
		}
	}
}

// wake handles what is ready; false parks the loop until something is.
func (l *loop) wake(uintptr) bool {
	n := epollWait(l.ep, l.events[:])
	if n <= 0 {
		return false
	}
	l.round++
	now := Now()
	l.net.awake.Add(1) // what is queued from here on leaves before the loop parks
	// All are looked up before the first is read: none of them is in the cache,
	// and fetches that don't depend on each other run side by side.
	ready, timer := l.ready[:0], false
	for i := range l.events[:n] {
		ev := &l.events[i]
		if ev.Fd == timerSlot {
			timer = true
		} else if s := l.at(ev.Fd); s != nil && s.gen == ev.Pad {
			ready = append(ready, s)
		}
	}
	for i, s := range ready {
		if i%ahead == 0 {
			warm(ready[i:min(i+ahead, len(ready))])
		}
		if s.enter() { // not closed by a handler before it
			if s.many {
				l.drainMany(s, now)
			} else {
				l.drain(s, now)
			}
			s.leave()
		}
		ready[i] = nil
	}
	if timer {
		l.tick(now)
	}
	l.net.awake.Add(-1)
	l.net.flush()
	return true
}

// warm has the processor fetch what the next datagrams touch.
func warm(ready []*Socket) {
	for _, s := range ready {
		prefetch(unsafe.Pointer(&s.in), 1)
		if s.warm != nil {
			s.warm.Warm()
		}
	}
}

// at is the socket in a slot, or nil.
func (l *loop) at(slot int32) *Socket {
	c := l.chunks[slot/chunkSize].Load()
	if c == nil {
		return nil
	}
	return c[slot%chunkSize].Load()
}

// drain reads one datagram, or a burst of a socket that has more.
func (l *loop) drain(s *Socket, now int64) {
	limit := 1
	if s.round == l.round-1 {
		limit = burst
	}
	s.round = l.round
	for range limit {
		n, err := recvfrom(int(s.fd), l.buf[:MaxDatagram], &l.from)
		if err != 0 {
			if err != unix.EAGAIN && err != unix.EINTR {
				// A peer's ICMP error or the like: told once, then gone.
				s.errorsIn.Add(1)
				continue
			}
			return
		}
		if n > MaxDatagram {
			s.oversize.Add(1)
			continue
		}
		if s.dual {
			l.from.unmap()
		}
		s.in.packets.Add(1)
		s.in.bytes.Add(uint64(n))
		s.last.Store(now)
		s.handler.Datagram(l.buf[:n], l.from, now)
		if s.guard.closed() {
			return
		}
	}
}

// tick calls the Ticks that are due: one phase's sockets, or more if the loop
// was late.
func (l *loop) tick(now int64) {
	for range min(expirations(l.timer), phases) {
		high := l.high.Load()
		for slot := int32(l.phase); slot < high; slot += phases {
			if s := l.at(slot); s != nil && s.enter() {
				s.handler.Tick(now)
				s.leave()
			}
		}
		l.phase = (l.phase + 1) % phases
	}
}

func (e *loops) bind(s *Socket, local netip.AddrPort) error {
	fd, bound, err := open(&s.net.cfg, local)
	if err != nil {
		return err
	}
	s.fd, s.local, s.loops, s.looped = int32(fd), bound, e, true
	s.dual = bound.Addr() == netip.IPv6Unspecified() && !s.net.cfg.V6Only
	return nil
}

// start puts the sockets together on the loop that has the fewest.
func (e *loops) start(ss ...*Socket) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	least := e.all[0]
	for _, l := range e.all[1:] {
		if l.count < least.count {
			least = l
		}
	}
	for _, s := range ss {
		if s.guard.closed() { // by Net.Close, meanwhile
			return os.ErrClosed
		}
		if err := least.add(s); err != nil {
			return err
		}
	}
	return nil
}

// add gives s a slot and has the kernel report it. Close marks a socket closed
// before it waits for loops.mu, so the descriptor is still open here.
func (l *loop) add(s *Socket) error {
	slot, err := l.vacancy()
	if err != nil {
		return err
	}
	l.gen++
	s.loop, s.slot, s.gen = l, slot, l.gen
	l.chunks[slot/chunkSize].Load()[slot%chunkSize].Store(s)
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: slot, Pad: s.gen}
	if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, int(s.fd), &ev); err != nil {
		l.vacate(s)
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	if l.count++; l.count == 1 {
		l.arm(l.net.cfg.Tick / phases)
	}
	return nil
}

// vacancy finds a slot.
func (l *loop) vacancy() (int32, error) {
	if n := len(l.vacant); n > 0 {
		slot := l.vacant[n-1]
		l.vacant = l.vacant[:n-1]
		return slot, nil
	}
	slot := l.high.Load()
	if slot == chunkSize*maxChunks {
		return 0, fmt.Errorf("the loop has %d sockets, expected fewer than %d", l.count, chunkSize*maxChunks)
	}
	if slot%chunkSize == 0 {
		l.chunks[slot/chunkSize].Store(new(chunk))
	}
	l.high.Store(slot + 1)
	return slot, nil
}

func (l *loop) vacate(s *Socket) {
	l.chunks[s.slot/chunkSize].Load()[s.slot%chunkSize].Store(nil)
	l.vacant = append(l.vacant, s.slot)
	s.loop = nil
}

// unplace takes s from its loop, and the caller closes the descriptor, by which the kernel forgets it too: epoll_ctl would be a
// second system call for the same. What is reported until then finds no socket in the slot.
func (s *Socket) unplace() {
	s.loops.mu.Lock()
	defer s.loops.mu.Unlock()
	l := s.loop
	if l == nil {
		return
	}
	l.vacate(s)
	if l.count--; l.count == 0 {
		l.arm(0)
	}
}

// arm has the timer fire every d; 0 stops it.
func (l *loop) arm(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	if err := unix.TimerfdSettime(l.timer, 0, &unix.ItimerSpec{Interval: ts, Value: ts}, nil); err != nil {
		l.net.cfg.Log.Error("udp loop's timer", "err", err)
	}
}
