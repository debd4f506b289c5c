package uri

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// inner are addresses that aren't the Internet's though they look like it (IANA's registries of special-purpose addresses), or that
// clouds answer their machines' questions at.
func inner() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range [...]string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "240.0.0.0/4", "168.63.129.16/32",
		"::/96", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// public reports whether an address is one that anybody on the Internet could reach.
func public(a netip.Addr, inner []netip.Prefix) bool {
	a = a.WithZone("").Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return false
	}
	if slices.ContainsFunc(inner, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return false
	}
	if v4, ok := carried(a); ok {
		return public(v4, inner)
	}
	return true
}

// carried is the IPv4 address that a translator or a tunnel takes an IPv6 address to (RFC 6052 2.1, RFC 3056 2).
func carried(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return netip.Addr{}, false
	}
	b := a.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case netip.MustParsePrefix("64:ff9b:1::/48").Contains(a): // for local use
		return netip.IPv4Unspecified(), true
	case netip.MustParsePrefix("2002::/16").Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

// Allows tells why an address may not be reached, nil if it may.
func (o *Opener) Allows(a netip.Addr) error {
	a = a.WithZone("").Unmap()
	if slices.ContainsFunc(o.cfg.Private, func(p netip.Prefix) bool { return p.Contains(a) }) || public(a, inner()) {
		return nil
	}
	return fmt.Errorf("%w: %s isn't public", ErrRefused, a)
}

// DialContext connects to a server if the address that it really connects to, after DNS, is allowed.
func (o *Opener) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: o.cfg.Stall, Resolver: o.cfg.Resolver, ControlContext: o.control}
	return d.DialContext(ctx, network, address)
}

// control is asked about each socket before it connects: nothing comes between this and the connection.
func (o *Opener) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s %s", ErrRefused, network, address)
	}
	return o.Allows(at.Addr())
}
