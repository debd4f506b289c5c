package webrtc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5/deadline"

	"github.com/patchbay/patchbay/media/udp"
)

const (
	streamsMax    = 4096            // connections of a port
	streamsShy    = 256             // of these such that haven't shown a password yet
	streamsAgent  = 8               // of one agent
	streamQueue   = 64              // frames that wait to be written; 640 ms of audio both ways
	streamGreet   = 5 * time.Second // until the first check has come
	streamPatient = 5 * time.Second // of a peer that doesn't read
)

// streams are a port's TCP side (RFC 6544): peers connect, and what would be a datagram has its length before it (RFC 4571).
type streams struct {
	listeners []net.Listener
	work      sync.WaitGroup

	mu     sync.Mutex
	conns  map[*pipe]struct{}
	shy    int
	closed bool
}

// listen opens the sockets of TCP.
func (p *Port) listen() error {
	p.streams.conns = map[*pipe]struct{}{}
	for _, at := range p.cfg.Streams {
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
		if err != nil {
			return fmt.Errorf("webrtc: %w", err)
		}
		p.streams.listeners = append(p.streams.listeners, l)
		p.streams.work.Go(func() { p.greet(l) })
	}
	return nil
}

// takesStream is the port of TCP for an address of ours; 0 = there is none.
func (p *Port) streamPort(a netip.Addr) uint16 {
	for _, l := range p.streams.listeners {
		at := l.Addr().(*net.TCPAddr).AddrPort()
		if at.Addr().Unmap().Is4() == a.Is4() {
			return at.Port()
		}
	}
	return 0
}

// hush ends the TCP side and awaits it.
func (p *Port) hush() error {
	s := &p.streams
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		_ = c.conn.Close()
	}
	s.mu.Unlock()
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.Close())
	}
	s.work.Wait()
	return errors.Join(errs...)
}

// greet takes connections.
func (p *Port) greet(l *net.TCPListener) {
	s := &p.streams
	for {
		conn, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptors: they come back
			time.Sleep(10 * time.Millisecond)
			continue
		}
		c := &pipe{port: p, conn: conn, out: make(chan []byte, streamQueue), done: make(chan struct{})}
		c.from = conn.RemoteAddr().(*net.TCPAddr).AddrPort()
		c.from = netip.AddrPortFrom(c.from.Addr().Unmap(), c.from.Port())
		s.mu.Lock()
		full := s.closed || len(s.conns) >= streamsMax || s.shy >= streamsShy
		if !full {
			s.conns[c] = struct{}{}
			s.shy++
			s.work.Go(c.serve)
		}
		s.mu.Unlock()
		if full {
			p.drops.limited.Add(1)
			_ = conn.Close()
		}
	}
}

// pipe is one connection of a peer.
type pipe struct {
	port *Port
	conn *net.TCPConn
	from netip.AddrPort
	out  chan []byte
	done chan struct{}
	once sync.Once
}

// serve reads a connection until it ends. Its first frame must be a check that knows a password.
func (c *pipe) serve() {
	s := &c.port.streams
	b := make([]byte, udp.MaxDatagram)
	_ = c.conn.SetDeadline(time.Now().Add(streamGreet))
	to := c.first(b)
	s.mu.Lock()
	s.shy--
	s.mu.Unlock()
	if to == nil {
		c.port.drops.stun.Add(1)
	} else {
		_ = c.conn.SetDeadline(time.Time{})
		var writer sync.WaitGroup
		writer.Go(c.write)
		for err := error(nil); err == nil; {
			var n int
			if n, err = c.frame(b); err == nil && n > 0 {
				to.take(b[:n], c.from)
			}
		}
		to.leave(c)
		c.close()
		writer.Wait()
	}
	c.close()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

func (c *pipe) close() {
	c.once.Do(func() {
		close(c.done)
		_ = c.conn.Close()
	})
}

// first reads the first frame and gives it to the agent that it is for; nil if there is none.
func (c *pipe) first(b []byte) *streamConn {
	n, err := c.frame(b)
	if err != nil || n < 20 {
		return nil
	}
	m := &stun.Message{Raw: append([]byte(nil), b[:n]...)}
	if m.Decode() != nil || m.Type != stun.BindingRequest || stun.Fingerprint.Check(m) != nil {
		return nil
	}
	name, err := m.Get(stun.AttrUsername)
	if err != nil {
		return nil
	}
	u, o := c.port.find(name)
	a, ok := o.(*agent)
	if !ok || u.key.Check(m) != nil {
		return nil
	}
	local := c.conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	to := a.stream(c, local)
	if to != nil {
		to.take(b[:n], c.from)
	}
	return to
}

// stream lets a connection in, on the candidate whose address it came to, or the first of its family.
func (a *agent) stream(c *pipe, local netip.Addr) *streamConn {
	a.mu.Lock()
	defer a.mu.Unlock()
	var best *streamConn
	for _, s := range a.tcp {
		if s.at.Addr() == local {
			best = s
			break
		}
		if best == nil && s.at.Addr().Is4() == local.Is4() {
			best = s
		}
	}
	if best == nil || !best.enter(c) {
		return nil
	}
	return best
}

// frame reads one. Its size is 0 if it was longer than a datagram may be: then it is skipped.
func (c *pipe) frame(b []byte) (int, error) {
	var head [2]byte
	if _, err := io.ReadFull(c.conn, head[:]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n > len(b) {
		_, err := io.CopyN(io.Discard, c.conn, int64(n))
		return 0, err
	}
	return io.ReadFull(c.conn, b[:n])
}

// write sends what waits, until the connection ends.
func (c *pipe) write() {
	for {
		select {
		case b := <-c.out:
			_ = c.conn.SetWriteDeadline(time.Now().Add(streamPatient))
			if _, err := c.conn.Write(b); err != nil {
				c.close()
				return
			}
		case <-c.done:
			return
		}
	}
}

// put never waits: what a slow peer has no room for is lost, the latest first.
func (c *pipe) put(p []byte) {
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(p)), uint16(len(p)))
	select {
	case c.out <- append(b, p...):
	default:
		c.port.drops.queued.Add(1)
	}
}

// streamConn is an agent's view of the connections that came to one address of ours.
type streamConn struct {
	agent *agent
	at    netip.AddrPort
	in    chan streamed
	read  *deadline.Deadline
	done  chan struct{}
	once  sync.Once

	mu    sync.Mutex
	conns map[netip.AddrPort]*pipe
	over  bool
}

type streamed struct {
	p    []byte
	from netip.AddrPort
}

func newStreamConn(a *agent, at netip.AddrPort) *streamConn {
	return &streamConn{
		agent: a, at: at, in: make(chan streamed, agentQueue), read: deadline.New(), done: make(chan struct{}), conns: map[netip.AddrPort]*pipe{},
	}
}

func (s *streamConn) enter(c *pipe) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || len(s.conns) == streamsAgent {
		return false
	}
	s.conns[c.from] = c
	return true
}

func (s *streamConn) leave(c *pipe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns[c.from] == c {
		delete(s.conns, c.from)
	}
}

// take sorts what came: checks and their answers are the agent's, all else the line's.
func (s *streamConn) take(p []byte, from netip.AddrPort) {
	s.agent.seen.Store(udp.Now())
	if p[0] >= 4 {
		s.agent.media(p, from)
		return
	}
	select {
	case s.in <- streamed{append([]byte(nil), p...), from}:
	default:
		s.agent.port.drops.queued.Add(1)
	}
}

// shut ends all connections.
func (s *streamConn) shut() {
	_ = s.Close()
	s.mu.Lock()
	s.over = true
	for _, c := range s.conns {
		c.close()
	}
	s.mu.Unlock()
}

func (s *streamConn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case a := <-s.in:
		return copy(b, a.p), net.TCPAddrFromAddrPort(a.from), nil
	case <-s.read.Done():
		return 0, nil, os.ErrDeadlineExceeded
	case <-s.done:
		return 0, nil, net.ErrClosed
	}
}

func (s *streamConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	t, ok := addr.(*net.TCPAddr)
	if !ok {
		return 0, net.InvalidAddrError(addr.String())
	}
	from := t.AddrPort()
	s.mu.Lock()
	c := s.conns[netip.AddrPortFrom(from.Addr().Unmap(), from.Port())]
	s.mu.Unlock()
	if c == nil {
		return 0, net.ErrClosed
	}
	c.put(b)
	return len(b), nil
}

func (s *streamConn) Close() error                       { s.once.Do(func() { close(s.done) }); return nil }
func (s *streamConn) LocalAddr() net.Addr                { return net.TCPAddrFromAddrPort(s.at) }
func (s *streamConn) SetDeadline(t time.Time) error      { s.read.Set(t); return nil }
func (s *streamConn) SetReadDeadline(t time.Time) error  { s.read.Set(t); return nil }
func (s *streamConn) SetWriteDeadline(t time.Time) error { return nil }
