package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
)

// Families and sizes of Linux's sockaddr_in and sockaddr_in6. Other systems
// number them differently; there Addr is only our own form of an address.
const (
	familyV4 = 2
	familyV6 = 10
	sizeV4   = 16
	sizeV6   = 28
)

// Addr is an IP address and a port in the form the kernel takes, so that
// nothing has to be converted between receiving from a peer and sending to it.
// It is comparable: two Addrs are == exactly if they name the same address,
// port and scope. An IPv4 address is always kept as IPv4, also where an IPv6
// socket received from it. The zero Addr is no address.
type Addr struct {
	sa   [sizeV6]byte // sockaddr_in or sockaddr_in6; unused bytes are zero
	size uint32       // 0, sizeV4 or sizeV6
}

// From makes an Addr of ap. An IPv4-mapped IPv6 address becomes IPv4. A zone is
// taken as an interface's number or name; an unknown one gives scope 0. An
// invalid ap gives the zero Addr.
func From(ap netip.AddrPort) Addr {
	var a Addr
	ip := ap.Addr().Unmap()
	switch {
	case ip.Is4():
		a.size = sizeV4
		binary.NativeEndian.PutUint16(a.sa[0:], familyV4)
		binary.BigEndian.PutUint16(a.sa[2:], ap.Port())
		b := ip.As4()
		copy(a.sa[4:8], b[:])
	case ip.Is6():
		a.size = sizeV6
		binary.NativeEndian.PutUint16(a.sa[0:], familyV6)
		binary.BigEndian.PutUint16(a.sa[2:], ap.Port())
		b := ip.As16()
		copy(a.sa[8:24], b[:])
		binary.NativeEndian.PutUint32(a.sa[24:], scope(ip.Zone()))
	}
	return a
}

// IsValid reports whether a holds an address.
func (a *Addr) IsValid() bool { return a.size != 0 }

// Is4 reports whether a is an IPv4 address.
func (a *Addr) Is4() bool { return a.size == sizeV4 }

// Port is the UDP port, 0 for the zero Addr.
func (a *Addr) Port() uint16 { return binary.BigEndian.Uint16(a.sa[2:]) }

// IP is the address without the port; the zero netip.Addr for the zero Addr.
func (a *Addr) IP() netip.Addr {
	switch a.size {
	case sizeV4:
		return netip.AddrFrom4([4]byte(a.sa[4:8]))
	case sizeV6:
		ip := netip.AddrFrom16([16]byte(a.sa[8:24]))
		if id := binary.NativeEndian.Uint32(a.sa[24:]); id != 0 {
			ip = ip.WithZone(strconv.FormatUint(uint64(id), 10))
		}
		return ip
	}
	return netip.Addr{}
}

// AddrPort is the inverse of From; a zone comes back as the interface's number.
func (a *Addr) AddrPort() netip.AddrPort {
	if a.size == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.IP(), a.Port())
}

// Equal reports whether a and b are the same address and port. It is ==
// without the copy.
func (a *Addr) Equal(b *Addr) bool { return *a == *b }

// SameIP reports whether a and b have the same IP address, whatever the ports.
// Two zero Addrs have none and are not the same.
func (a *Addr) SameIP(b *Addr) bool {
	if a.size == 0 || a.size != b.size {
		return false
	}
	if a.size == sizeV4 {
		return [4]byte(a.sa[4:8]) == [4]byte(b.sa[4:8])
	}
	return [20]byte(a.sa[8:28]) == [20]byte(b.sa[8:28])
}

// String is for logs: "192.0.2.1:5004", "[2001:db8::1]:5004", or "none".
func (a Addr) String() string {
	if a.size == 0 {
		return "none"
	}
	return a.AddrPort().String()
}

// mapped gives the IPv4-mapped IPv6 form of an IPv4 address (RFC 4291 2.5.5.2),
// which is how a socket of both families names an IPv4 peer.
func (a *Addr) mapped() Addr {
	var m Addr
	m.size = sizeV6
	binary.NativeEndian.PutUint16(m.sa[0:], familyV6)
	m.sa[2], m.sa[3] = a.sa[2], a.sa[3]
	m.sa[18], m.sa[19] = 0xff, 0xff
	copy(m.sa[20:24], a.sa[4:8])
	return m
}

// unmap turns an IPv4-mapped IPv6 address into the IPv4 address, in place.
func (a *Addr) unmap() {
	if a.size != sizeV6 || [12]byte(a.sa[8:20]) != [12]byte{10: 0xff, 11: 0xff} {
		return
	}
	v := Addr{size: sizeV4}
	binary.NativeEndian.PutUint16(v.sa[0:], familyV4)
	v.sa[2], v.sa[3] = a.sa[2], a.sa[3]
	copy(v.sa[4:8], a.sa[20:24])
	*a = v
}

func scope(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if id, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(id)
	}
	if ifi, err := net.InterfaceByName(zone); err == nil && ifi.Index > 0 {
		return uint32(ifi.Index)
	}
	return 0
}
