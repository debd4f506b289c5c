package sip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/patchbay/patchbay/sip/flow"
)

// flowTo finds the way to a destination: a UDP socket of our own or the Front's, or a connection that this UA opens
// or has opened. Never a connection that a peer opened, unless the destination is that peer's registered contact.
func (u *UA) flowTo(ctx context.Context, d Destination) (*flow.Flow, error) {
	if d.peer != nil && d.peer.Alive() {
		return d.peer, nil
	}
	if isWeb(d.Network) {
		return nil, fmt.Errorf("sip: the WebSocket connection from %s is gone: %w", d.Addr, ErrTransport)
	}
	to := d.Addr
	if !to.IsValid() {
		addrs, err := u.front.names.resolve(ctx, d.Host)
		if err != nil {
			return nil, err
		}
		port := d.Port
		if port == 0 {
			port = 5060
		}
		to = netip.AddrPortFrom(addrs[0], port)
		for _, a := range addrs {
			if u.socketFor("udp", a) != nil || d.Network == "tcp" {
				to = netip.AddrPortFrom(a, port)
				break
			}
		}
	}
	if to.Port() == 0 {
		to = netip.AddrPortFrom(to.Addr(), 5060)
	}
	switch d.Network {
	case "tcp":
		return u.dialer.Dial(ctx, to)
	case "udp", "":
		s := u.socketFor("udp", to.Addr())
		if s == nil {
			if d.Network == "" && u.socketFor("tcp", to.Addr()) != nil {
				return u.dialer.Dial(ctx, to)
			}
			return nil, fmt.Errorf("sip: no UDP socket of %s reaches %s", u.cfg.Name, to)
		}
		return s.udp.Flow(to), nil
	}
	return nil, fmt.Errorf("sip: Destination.Network %q: expected udp or tcp", d.Network)
}

// flowFor finds the way to a URI. network is what to use if the URI doesn't say.
func (u *UA) flowFor(ctx context.Context, uri URI, network string) (*flow.Flow, error) {
	if web(uri) {
		return u.webFlow(uri)
	}
	if uri.Scheme == "sips" {
		return nil, fmt.Errorf("sip: %s: TLS is not available", uri)
	}
	if uri.Scheme != "sip" {
		return nil, fmt.Errorf("sip: %s: expected a sip URI, or a Route or Destination", uri)
	}
	if t, ok := uri.Param("transport"); ok {
		network = strings.ToLower(t)
	}
	host := uri.Host
	if m, ok := uri.Param("maddr"); ok {
		host = strings.Trim(m, "[]")
	}
	return u.flowTo(ctx, Destination{Network: network, Host: host, Port: uri.Port})
}

// wayBack finds the way to a peer whose connection is gone, at a UA that is Symmetric. A phone may write any host into
// its Contact, so that only the port is taken from there: the host is where the phone was. f is the connection, or nil
// and source tells; next is the first Route or else the Contact.
func (u *UA) wayBack(ctx context.Context, f *flow.Flow, source netip.AddrPort, next, target URI) (*flow.Flow, error) {
	network := "tcp"
	if f != nil {
		source, network = f.Remote(), f.Network()
		if !f.Accepted() {
			return u.flowTo(ctx, Destination{Network: network, Addr: source})
		}
	}
	if r := u.cfg.Registrar; r != nil {
		if back := r.flowOf(target, source.Addr()); back != nil {
			return back, nil
		}
	}
	port := next.Port
	if port == 0 {
		port = 5060
	}
	return u.flowTo(ctx, Destination{Network: network, Addr: netip.AddrPortFrom(source.Addr(), port)})
}

// socketFor picks the socket that faces an address: same family, and among several the one bound to an address of
// the same kind.
func (u *UA) socketFor(network string, to netip.Addr) *socket {
	u.front.mu.RLock()
	defer u.front.mu.RUnlock()
	var best *socket
	rank := 0
	for _, s := range u.front.sockets {
		if s.listen.Network != network || (s.owner != nil && s.owner != u) {
			continue
		}
		if r := u.rank(s, to.Unmap()); r > rank {
			best, rank = s, r
		}
	}
	return best
}

func (u *UA) rank(s *socket, to netip.Addr) int {
	at := s.listen.Addr.Addr()
	r := 0
	switch {
	case at.IsUnspecified() && (at.Is4() == to.Is4() || at.Is6()):
		r = 1
	case at.IsUnspecified() || at.Is4() != to.Is4():
		return 0
	case at == to:
		r = 4
	case at.IsLoopback() == to.IsLoopback():
		r = 3
	default:
		r = 2
	}
	if s.owner == u {
		return r + 20
	}
	if b := u.cfg.Bind; b != nil && b.Addr == s.listen.Addr {
		return r + 10
	}
	return r
}

// sentBy is what Via and Contact say about us on a flow.
func (u *UA) sentBy(f *flow.Flow) HostPort {
	var out HostPort
	local := f.Local()
	port := local.Port()
	var advertise HostPort
	if s := u.socketFor(f.Network(), f.Remote().Addr()); s != nil {
		advertise = s.listen.Advertise
		if f.Network() == "tcp" {
			port = s.listen.Addr.Port()
		}
	}
	for _, a := range []HostPort{u.cfg.Advertise, advertise} {
		if out.Host == "" {
			out.Host = a.Host
		}
		if out.Port == 0 {
			out.Port = a.Port
		}
	}
	if l := u.learned.Load(); l != nil && out.IsZero() && f.Network() == "udp" {
		return HostPort{l.Addr().String(), l.Port()}
	}
	if out.Host == "" {
		if local.Addr().IsUnspecified() {
			out.Host = u.faces.facing(f.Remote()).String()
		} else {
			out.Host = local.Addr().WithZone("").String()
		}
	}
	if out.Port == 0 {
		out.Port = port
	}
	return out
}

// faces remembers which of our addresses faces a peer, for sockets bound to all of them.
type faces struct {
	mu sync.Mutex
	m  map[netip.Addr]netip.Addr
}

func (fc *faces) facing(remote netip.AddrPort) netip.Addr {
	fc.mu.Lock()
	defer fc.mu.Unlock()
	if a, ok := fc.m[remote.Addr()]; ok {
		return a
	}
	local := netip.IPv4Unspecified()
	// Connecting a UDP socket sends nothing: it asks the kernel for a route.
	if c, err := net.Dial("udp", remote.String()); err == nil {
		local = c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone("")
		c.Close()
	}
	if fc.m == nil || len(fc.m) > 1024 {
		fc.m = map[netip.Addr]netip.Addr{}
	}
	fc.m[remote.Addr()] = local
	return local
}
