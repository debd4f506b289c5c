package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// streams is the portable engine: a goroutine per socket. Linux runs it in
// tests only.
type streams struct {
	mu      sync.Mutex
	stopped bool
	readers sync.WaitGroup
}

// stream reads one socket.
type stream struct {
	conn *net.UDPConn
	// serial is shared by the sockets of a pair, whose handlers' calls come
	// one after another.
	serial *sync.Mutex
}

func newStreams(n *Net) (engine, error) {
	if n.cfg.DSCP != 0 {
		n.cfg.Log.Warn("DSCP is not set on this system", "dscp", n.cfg.DSCP)
	}
	return &streams{}, nil
}

func (e *streams) bind(s *Socket, local netip.AddrPort) error {
	network := "udp4"
	if local.Addr().Is6() {
		network = "udp6"
	}
	if local.Addr() == netip.IPv6Unspecified() && !s.net.cfg.V6Only {
		network = "udp" // both families
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(local))
	if err != nil {
		return err
	}
	if err := conn.SetReadBuffer(s.net.cfg.ReadBuffer); err != nil {
		return errors.Join(err, conn.Close())
	}
	bound := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	s.local = netip.AddrPortFrom(local.Addr(), bound.Port())
	s.stream = &stream{conn: conn}
	return nil
}

func (e *streams) start(ss ...*Socket) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return net.ErrClosed
	}
	serial := new(sync.Mutex)
	for _, s := range ss {
		s.stream.serial = serial
	}
	for _, s := range ss {
		e.readers.Go(func() { s.stream.run(s) })
	}
	return nil
}

func (e *streams) stop() error {
	e.mu.Lock()
	e.stopped = true
	e.mu.Unlock()
	e.readers.Wait()
	return nil
}

// run reads until the socket is closed.
func (r *stream) run(s *Socket) {
	id := s.net.members.join()
	defer s.net.members.leave(id)
	// One byte more than a handler takes tells a longer datagram from a full one.
	buf := make([]byte, MaxDatagram+Room)
	due := r.schedule(s)
	failed := 0
	for !s.guard.closed() {
		n, from, err := r.conn.ReadFromUDPAddrPort(buf[:MaxDatagram+1])
		now := Now()
		switch {
		case err == nil:
			failed = 0
			r.deliver(s, buf, n, from, now)
		case errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, net.ErrClosed):
			return
		default: // a peer's ICMP error or the like
			s.errorsIn.Add(1)
			if failed++; failed > 16 {
				time.Sleep(10 * time.Millisecond) // whatever it is, don't burn a core on it
			}
		}
		if now >= due {
			r.tick(s, now)
			due = r.schedule(s)
		}
	}
}

// schedule has the next read end when the next Tick is due. On a closed socket
// it does nothing, and the read says so.
func (r *stream) schedule(s *Socket) int64 {
	_ = r.conn.SetReadDeadline(time.Now().Add(s.net.cfg.Tick))
	return Now() + int64(s.net.cfg.Tick)
}

func (r *stream) deliver(s *Socket, buf []byte, n int, from netip.AddrPort, now int64) {
	if n > MaxDatagram {
		s.oversize.Add(1)
		return
	}
	r.serial.Lock()
	defer r.serial.Unlock()
	if !s.enter() {
		return
	}
	defer s.leave()
	s.in.packets.Add(1)
	s.in.bytes.Add(uint64(n))
	s.last.Store(now)
	s.handler.Datagram(buf[:n], From(from), now)
}

func (r *stream) tick(s *Socket, now int64) {
	r.serial.Lock()
	defer r.serial.Unlock()
	if s.enter() {
		defer s.leave()
		s.handler.Tick(now)
	}
}

// sendTime bounds a send where the system would have it wait for room.
const sendTime = 5 * time.Millisecond

func (r *stream) send(p []byte, to *Addr) error {
	if err := r.conn.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return err
	}
	_, err := r.conn.WriteToUDPAddrPort(p, to.AddrPort())
	if err != nil && (errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ENOBUFS)) {
		return ErrFull
	}
	return err
}

// close ends the reading; a handler that runs goes on to its end.
func (r *stream) close(s *Socket) {
	if err := r.conn.Close(); err != nil {
		s.net.cfg.Log.Error("close socket", "addr", s.local, "err", err)
	}
}
