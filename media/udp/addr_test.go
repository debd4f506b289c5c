package udp

import (
	"net/netip"
	"testing"
)

func TestAddr(t *testing.T) {
	for _, s := range []string{"127.0.0.1:1", "255.1.2.3:65535", "[::1]:5004", "[2001:db8::7]:0", "[fe80::1%7]:9"} {
		ap := netip.MustParseAddrPort(s)
		a := From(ap)
		if got := a.AddrPort(); got != ap || a.String() != s || a.Port() != ap.Port() || a.IP() != ap.Addr() || a.Is4() != ap.Addr().Is4() || !a.IsValid() {
			t.Errorf("%s came back as %s", s, got)
		}
	}
	four, mapped := From(netip.MustParseAddrPort("192.0.2.1:7")), From(netip.MustParseAddrPort("[::ffff:192.0.2.1]:7"))
	if four != mapped || !four.Equal(&mapped) {
		t.Errorf("%s != %s", four, mapped)
	}
	port, ip := From(netip.MustParseAddrPort("192.0.2.1:8")), From(netip.MustParseAddrPort("192.0.2.2:7"))
	if four == port || !four.SameIP(&port) || four.SameIP(&ip) || four == ip {
		t.Error("addresses and ports are mixed up")
	}
	six, six2, link := From(netip.MustParseAddrPort("[fe80::1]:7")), From(netip.MustParseAddrPort("[fe80::1]:8")), From(netip.MustParseAddrPort("[fe80::1%2]:7"))
	if !six.SameIP(&six2) || six.SameIP(&link) || six.SameIP(&four) {
		t.Error("IPv6 addresses are mixed up")
	}
	var zero, zero2 Addr
	if zero.IsValid() || zero.SameIP(&zero2) || zero.AddrPort().IsValid() || zero.String() != "none" || From(netip.AddrPort{}) != zero {
		t.Error("the zero Addr is an address")
	}
	if a := From(netip.MustParseAddrPort("[fe80::1%no-such-interface]:7")); a != six {
		t.Errorf("unknown zone gives %s, expected scope 0", a)
	}
}

// Whatever a datagram comes from, it can be answered: an address survives the
// way through a netip.AddrPort and through its IPv4-mapped form.
func FuzzAddr(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1}, uint16(5004), uint32(0))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1}, uint16(1), uint32(3))
	f.Add([]byte{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, uint16(65535), uint32(1<<32-1))
	f.Fuzz(func(t *testing.T, raw []byte, port uint16, zone uint32) {
		ip, ok := netip.AddrFromSlice(raw)
		if !ok {
			return
		}
		a := From(netip.AddrPortFrom(ip, port))
		if back := From(a.AddrPort()); back != a || a.Port() != port || a.IP() != ip.Unmap() {
			t.Errorf("%s:%d became %s, then %s", ip, port, a, back)
		}
		if a.Is4() {
			m := a.mapped()
			if m == a {
				t.Errorf("%s isn't mapped", a)
			}
			if m.unmap(); m != a {
				t.Errorf("%s was mapped and unmapped to %s", a, m)
			}
			return
		}
		u := a
		if u.unmap(); u != a {
			t.Errorf("%s is no IPv4 address but became %s", a, u)
		}
	})
}
