package sip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/patchbay/patchbay/sip/dns"
	"github.com/patchbay/patchbay/sip/flow"
)

// place is one server, or peer, that a request can be sent to.
type place struct {
	dns.Target
	flow *flow.Flow // a registered contact's own connection; then the rest is empty
	peer bool       // found by name: what becomes of it is remembered
	udp  bool       // over UDP whatever the size: TCP didn't work
}

// places are where a request to a destination may go, in the order of trying. There is at least one.
func (u *UA) places(ctx context.Context, d Destination) ([]place, error) {
	if d.peer != nil && d.peer.Alive() {
		return []place{{flow: d.peer}}, nil
	}
	if isWeb(d.Network) {
		return nil, fmt.Errorf("sip: the WebSocket connection from %s is gone: %w", d.Addr, ErrTransport)
	}
	if d.Network != "" && d.Network != "udp" && d.Network != "tcp" && d.Network != "tls" {
		return nil, fmt.Errorf("sip: Destination.Network %q: expected udp, tcp or tls", d.Network)
	}
	q := dns.Query{Host: d.Host, Port: d.Port, Network: d.Network}
	if d.Addr.IsValid() {
		q.Host, q.Port = d.Addr.Addr().WithZone("").String(), d.Addr.Port()
	}
	found, err := u.front.names.Targets(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("sip: %w", err)
	}
	var out []place
	for _, t := range found {
		if d.Addr.IsValid() { // with its zone
			t.Addr = netip.AddrPortFrom(d.Addr.Addr(), t.Addr.Port())
		}
		if d.Name != "" {
			t.Name = d.Name
		}
		if t.Network == "udp" && u.socketFor("udp", t.Addr.Addr()) == nil {
			if d.Network != "" || u.socketFor("tcp", t.Addr.Addr()) == nil {
				err = fmt.Errorf("sip: no UDP socket of %s reaches %s", u.cfg.Name, t.Addr)
				continue
			}
			t.Network = "tcp"
		}
		if t.Network == "udp" && !d.Addr.IsValid() && d.Port == 0 {
			u.widths.found(t.Addr, d.Host)
		}
		out = append(out, place{Target: t, peer: len(found) > 1})
	}
	if len(out) == 0 {
		return nil, err
	}
	return out, nil
}

// placesFor are where a request to a URI may go. network is what to use if the URI doesn't say.
func (u *UA) placesFor(ctx context.Context, uri URI, network string) ([]place, error) {
	if web(uri) {
		f, err := u.webFlow(uri)
		return []place{{flow: f}}, err
	}
	if uri.Scheme != "sip" && uri.Scheme != "sips" {
		return nil, fmt.Errorf("sip: %s: expected a sip URI, or a Route or Destination", uri)
	}
	if t, ok := uri.Param("transport"); ok {
		network = strings.ToLower(t)
	}
	if uri.Scheme == "sips" { // whatever it says of the transport, TLS is on top (RFC 5630 4)
		network = "tls"
	}
	host := uri.Host
	if m, ok := uri.Param("maddr"); ok {
		host = strings.Trim(m, "[]")
	}
	return u.places(ctx, Destination{Network: network, Host: host, Port: uri.Port})
}

// open is the way to a place: a UDP socket of our own or the Front's, or a connection that this UA opens or has opened.
// Never a connection that a peer opened, unless the place is that peer's registered contact.
func (u *UA) open(ctx context.Context, p place) (*flow.Flow, error) {
	switch {
	case p.flow != nil:
		return p.flow, nil
	case p.Network == "tcp" || p.Network == "tls":
		f, err := u.connect(ctx, p)
		if err != nil && !errors.Is(ctx.Err(), context.Canceled) { // else nobody wants it any more, which says nothing of the server
			u.blame(p)
		}
		return f, err
	}
	s := u.socketFor("udp", p.Addr.Addr())
	if s == nil {
		return nil, fmt.Errorf("sip: no UDP socket of %s reaches %s", u.cfg.Name, p.Addr)
	}
	return s.udp.Flow(p.Addr), nil
}

func (u *UA) connect(ctx context.Context, p place) (*flow.Flow, error) {
	if p.Network == "tls" {
		return u.dialer.DialTLS(ctx, p.Addr, p.Name)
	}
	return u.dialer.Dial(ctx, p.Addr)
}

// openFirst opens the first place that can be reached, and tells which others are left. One that takes no connection, nor refuses
// it, or doesn't finish its TLS handshake has as long as one that doesn't respond, so that the others still have their turn.
func (u *UA) openFirst(ctx context.Context, list []place) (f *flow.Flow, at place, left []place, err error) {
	for i, p := range list {
		if left = list[i+1:]; len(left) > 0 {
			once, cancel := context.WithTimeout(ctx, u.timers.trial())
			f, err = u.open(once, p)
			cancel()
		} else {
			f, err = u.open(ctx, p)
		}
		if err == nil {
			return f, p, left, nil
		}
	}
	return nil, place{}, nil, err
}

// blame remembers that a server of several failed: for a while the others come first.
func (u *UA) blame(p place) {
	if p.peer {
		u.log.Warn("server failed, others come first for a while", "server", p.Addr, "network", p.Network, "name", p.Name)
		u.front.names.Failed(p.Target)
	}
}

// praise takes that back.
func (u *UA) praise(p place) {
	if p.peer {
		u.front.names.Works(p.Target)
	}
}

// Servers are the addresses that a destination stands for now, in the order in which requests try them.
func (u *UA) Servers(ctx context.Context, d Destination) ([]netip.AddrPort, error) {
	list, err := u.places(ctx, d)
	out := make([]netip.AddrPort, len(list))
	for i, p := range list {
		out[i] = p.Addr
	}
	return out, err
}

// flowTo finds the way to a destination.
func (u *UA) flowTo(ctx context.Context, d Destination) (*flow.Flow, error) {
	list, err := u.places(ctx, d)
	if err != nil {
		return nil, err
	}
	f, _, _, err := u.openFirst(ctx, list)
	return f, err
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

// leaving is the address that connections to a peer leave from: the one that we listen at, so that Contact is true of both.
// On a host with several the system might take another.
func (u *UA) leaving(to netip.Addr) netip.Addr {
	for _, network := range []string{"tls", "tcp", "udp"} {
		if s := u.socketFor(network, to); s != nil {
			return s.listen.Addr.Addr()
		}
	}
	return netip.Addr{}
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
		if f.Network() != "udp" {
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
