package webrtc

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5/deadline"

	"github.com/patchbay/patchbay/media/udp"
)

// agentMux gives pion's ICE agent its place on the shared port: a connection for each of the port's sockets.
type agentMux struct{ agent *agent }

// GetListenAddresses are those of host candidates.
func (m *agentMux) GetListenAddresses() []net.Addr {
	list, err := m.agent.cfg.filter(m.agent.port.addresses)
	if err != nil {
		return nil // Config was refused with the same error before
	}
	var out []net.Addr
	for _, a := range list {
		out = append(out, net.UDPAddrFromAddrPort(a))
	}
	return out
}

func (m *agentMux) GetConn(_ string, addr net.Addr) (net.PacketConn, error) {
	s, err := m.socket(addr)
	if err != nil {
		return nil, err
	}
	return m.agent.conns[s], nil
}

func (m *agentMux) socket(addr net.Addr) (*socket, error) {
	if u, ok := addr.(*net.UDPAddr); ok {
		for _, s := range m.agent.port.sockets {
			if s.takes(u.AddrPort().Addr()) {
				return s, nil
			}
		}
	}
	return nil, net.InvalidAddrError(addr.String())
}

func (m *agentMux) RemoveConnByUfrag(string) {}
func (m *agentMux) Close() error             { return nil }

// mappedMux asks STUN servers from the shared port, so that what they see is where peers find us.
type mappedMux struct{ *agentMux }

// GetListenAddresses has one address of each family: a socket has one mapping.
func (m *mappedMux) GetListenAddresses() []net.Addr {
	var out []net.Addr
	seen := map[*socket]bool{}
	for _, a := range m.agentMux.GetListenAddresses() {
		if s, err := m.socket(a); err == nil && !seen[s] {
			seen[s] = true
			out = append(out, a)
		}
	}
	return out
}

// GetConnForURL is for the candidate that a server saw. What comes to it comes to the host's connection.
func (m *mappedMux) GetConnForURL(_, _ string, addr net.Addr) (net.PacketConn, error) {
	s, err := m.socket(addr)
	if err != nil {
		return nil, err
	}
	return newAgentConn(m.agent, s), nil
}

func (m *mappedMux) GetRelayedAddr(net.Addr, time.Duration) (*net.Addr, error) {
	return nil, errors.ErrUnsupported
}

func (m *mappedMux) GetXORMappedAddr(server net.Addr, within time.Duration) (*stun.XORMappedAddress, error) {
	return m.GetXORMappedAddrContext(context.Background(), server, within)
}

// GetXORMappedAddrContext asks a server where it sees the port (RFC 8489 2).
func (m *mappedMux) GetXORMappedAddrContext(ctx context.Context, server net.Addr, within time.Duration) (*stun.XORMappedAddress, error) {
	s, err := m.socket(server)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return s.mapped(ctx, server.(*net.UDPAddr).AddrPort())
}

// mapping is a question to a STUN server that waits for its answer.
type mapping struct {
	server udp.Addr
	answer chan *stun.XORMappedAddress
}

func (q *mapping) answered(_ *socket, m *stun.Message, from *udp.Addr, _ int64) {
	var a stun.XORMappedAddress
	if *from != q.server || m.Type != stun.BindingSuccess || a.GetFrom(m) != nil {
		return
	}
	select {
	case q.answer <- &a:
	default:
	}
}

// mapped asks a STUN server, again after a while (RFC 8489 6.2.1).
func (s *socket) mapped(ctx context.Context, server netip.AddrPort) (*stun.XORMappedAddress, error) {
	m, err := stun.Build(stun.BindingRequest, stun.TransactionID, stun.Fingerprint)
	if err != nil {
		return nil, err
	}
	q := &mapping{server: udp.From(server), answer: make(chan *stun.XORMappedAddress, 1)}
	s.port.mu.Lock()
	s.port.asked[m.TransactionID] = q
	s.port.mu.Unlock()
	defer func() {
		s.port.mu.Lock()
		delete(s.port.asked, m.TransactionID)
		s.port.mu.Unlock()
	}()
	for wait := 200 * time.Millisecond; ; wait *= 2 {
		if err := s.udp.WriteTo(m.Raw, &q.server); err != nil {
			return nil, err
		}
		t := time.NewTimer(wait)
		select {
		case a := <-q.answer:
			t.Stop()
			return a, nil
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		case <-t.C:
		}
	}
}

// agentConn is an agent's view of one socket.
type agentConn struct {
	agent  *agent
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

func newAgentConn(a *agent, s *socket) *agentConn {
	return &agentConn{agent: a, socket: s, in: make(chan arrived, agentQueue), read: deadline.New(), done: make(chan struct{})}
}

// put never waits: what there is no room for is lost, as on a network.
func (c *agentConn) put(p []byte, from *udp.Addr) {
	select {
	case c.in <- arrived{append([]byte(nil), p...), *from}:
	default:
		c.agent.port.drops.queued.Add(1)
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
	if len(b) > 0 && b[0] < 4 && !c.agent.learn(c.agent, c.socket, &to, udp.Now()) {
		return len(b), nil // as lost: too many candidates, or another leg is there
	}
	if err := c.socket.udp.WriteMarked(b, &to, c.agent.dscp); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (c *agentConn) Close() error                       { c.once.Do(func() { close(c.done) }); return nil }
func (c *agentConn) LocalAddr() net.Addr                { return net.UDPAddrFromAddrPort(c.socket.udp.LocalAddr()) }
func (c *agentConn) SetDeadline(t time.Time) error      { c.read.Set(t); return nil }
func (c *agentConn) SetReadDeadline(t time.Time) error  { c.read.Set(t); return nil }
func (c *agentConn) SetWriteDeadline(t time.Time) error { return nil }
