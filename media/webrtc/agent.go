package webrtc

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5/deadline"

	"github.com/patchbay/patchbay/media/udp"
)

// agentMux gives pion's ICE agent its place on the shared port: a connection for each of the port's sockets. What isn't the
// agent's never gets there: a request must know its password, all else must come from where the agent has sent a check or had
// one from.
type agentMux struct{ line *pionLine }

func (m *agentMux) GetListenAddresses() []net.Addr {
	var out []net.Addr
	for _, a := range m.line.port.addresses {
		out = append(out, net.UDPAddrFromAddrPort(a))
	}
	return out
}

func (m *agentMux) GetConn(_ string, addr net.Addr) (net.PacketConn, error) {
	u, ok := addr.(*net.UDPAddr)
	if !ok {
		return nil, net.InvalidAddrError(addr.String())
	}
	for s, c := range m.line.conns {
		if s.takes(u.AddrPort().Addr()) {
			return c, nil
		}
	}
	return nil, net.InvalidAddrError(addr.String())
}

func (m *agentMux) RemoveConnByUfrag(string) {}
func (m *agentMux) Close() error             { return nil }

const (
	agentPathsMax = 64  // addresses of an agent's peer
	agentQueue    = 128 // datagrams that wait to be read
)

// agentPaths are the addresses of an agent's peer.
type agentPaths struct {
	seen  atomic.Int64  // when something last came
	asked atomic.Uint64 // checks of the peer's
	last  atomic.Pointer[netip.AddrPort]

	paths struct {
		sync.Mutex
		list []path
		done bool
	}
}

// learn notes an address, if there is room for it.
func (a *agentPaths) learn(o party, s *socket, addr *udp.Addr, now int64) bool {
	p := &a.paths
	p.Lock()
	defer p.Unlock()
	at := path{s, *addr}
	if slices.Contains(p.list, at) {
		return true
	}
	if p.done || len(p.list) == agentPathsMax || !s.learn(addr, o, now) {
		return false
	}
	p.list = append(p.list, at)
	return true
}

func (a *agentPaths) forget(o party) {
	p := &a.paths
	p.Lock()
	defer p.Unlock()
	for _, at := range p.list {
		at.socket.forget(&at.addr, o)
	}
	p.list, p.done = nil, true
}

// latest is where media came from last.
func (a *agentPaths) latest() netip.AddrPort {
	if at := a.last.Load(); at != nil {
		return *at
	}
	return netip.AddrPort{}
}

// check takes an authenticated request, which the agent answers.
func (l *pionLine) check(s *socket, _ *user, _ *stun.Message, raw []byte, from *udp.Addr, now int64) verdictOfCheck {
	if l.learn(l, s, from, now) {
		l.asked.Add(1)
		l.seen.Store(now)
		l.conns[s].put(raw, from)
	}
	return ignore
}

func (l *pionLine) datagram(s *socket, p []byte, from *udp.Addr, now int64) {
	l.seen.Store(now)
	if p[0] >= 128 {
		if at := l.last.Load(); at == nil || *at != from.AddrPort() {
			now := from.AddrPort()
			l.last.Store(&now)
		}
	}
	l.conns[s].put(p, from)
}

func (l *pionLine) live(_ *socket, _ *udp.Addr, now int64) bool {
	return now-l.seen.Load() < int64(l.port.cfg.consent)/2
}

// agentConn is a PeerConnection's view of one socket.
type agentConn struct {
	line   *pionLine
	socket *socket
	in     chan arrived
	read   *deadline.Deadline
	done   chan struct{}
	once   sync.Once
}

type arrived struct {
	p    []byte
	from udp.Addr
}

func newAgentConn(l *pionLine, s *socket) *agentConn {
	return &agentConn{line: l, socket: s, in: make(chan arrived, agentQueue), read: deadline.New(), done: make(chan struct{})}
}

// put never waits: what there is no room for is lost, as on a network.
func (c *agentConn) put(p []byte, from *udp.Addr) {
	select {
	case c.in <- arrived{append([]byte(nil), p...), *from}:
	default:
		c.line.mu.Lock()
		c.line.stats.Dropped++
		c.line.mu.Unlock()
	}
}

func (c *agentConn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case a := <-c.in:
		return copy(b, a.p), net.UDPAddrFromAddrPort(a.from.AddrPort()), nil
	case <-c.read.Done():
		return 0, nil, os.ErrDeadlineExceeded
	case <-c.done:
		return 0, nil, net.ErrClosed
	}
}

func (c *agentConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	select {
	case <-c.done:
		return 0, net.ErrClosed
	default:
	}
	u, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, net.InvalidAddrError(addr.String())
	}
	to := udp.From(u.AddrPort())
	if len(b) > 0 && b[0] < 4 && !c.line.learn(c.line, c.socket, &to, udp.Now()) {
		return len(b), nil // as lost: too many candidates, or another leg is there
	}
	if err := c.socket.udp.WriteTo(b, &to); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (c *agentConn) Close() error                       { c.once.Do(func() { close(c.done) }); return nil }
func (c *agentConn) LocalAddr() net.Addr                { return net.UDPAddrFromAddrPort(c.socket.udp.LocalAddr()) }
func (c *agentConn) SetDeadline(t time.Time) error      { c.read.Set(t); return nil }
func (c *agentConn) SetReadDeadline(t time.Time) error  { c.read.Set(t); return nil }
func (c *agentConn) SetWriteDeadline(t time.Time) error { return nil }
