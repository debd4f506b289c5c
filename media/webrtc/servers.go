package webrtc

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/pion/stun/v4"
)

// ICE is where an endpoint looks for its peer. The zero value is the port's own addresses.
type ICE struct {
	// STUN is a server that tells where others see us, host:port; "" = none. TURN is one that relays. Either has the endpoint
	// served by a PeerConnection, if its first offer is yet to come.
	STUN string
	TURN TURN
	// Foreign are those hosts of STUN and TURN that may not lead to this machine, nor to an address that means something on its
	// link alone: addresses are looked at when they are set, names each time that they are resolved. The error is ErrForeign.
	Foreign []string
	// Interfaces are names of the network interfaces whose addresses are told; nil = all.
	Interfaces []string
	// NoTCP leaves out the port's TCP side.
	NoTCP bool
	// External addresses are told in place of all others of their family: those of a NAT that maps each port to itself.
	External4, External6 netip.Addr
}

// TURN is a server that relays (RFC 8656), with a long-term credential.
type TURN struct {
	Address   string // host:port; "" = none
	Transport string // udp, tcp or tls; "" = udp
	User      string
	Password  string
}

// full reports whether it takes more than answers to the peer's checks.
func (c *ICE) full() bool { return c.STUN != "" || c.TURN.Address != "" }

// servers are those for pion's agent, and what is wrong with them.
func (c *ICE) servers() ([]*stun.URI, error) {
	var out []*stun.URI
	add := func(name, address string, u stun.URI) error {
		host, port, err := net.SplitHostPort(address)
		if err == nil && host == "" {
			err = errors.New("no host")
		}
		if err == nil {
			u.Host = host
			u.Port, err = net.LookupPort("udp", port)
		}
		if err != nil || u.Port == 0 {
			return fmt.Errorf("webrtc: %s is %q, expected host:port", name, address)
		}
		out = append(out, &u)
		return nil
	}
	var errs []error
	if c.STUN != "" {
		errs = append(errs, add("STUN", c.STUN, stun.URI{Scheme: stun.SchemeTypeSTUN, Proto: stun.ProtoTypeUDP}))
	}
	if t := c.TURN; t.Address != "" {
		u := stun.URI{Scheme: stun.SchemeTypeTURN, Proto: stun.ProtoTypeUDP, Username: t.User, Password: t.Password}
		switch t.Transport {
		case "", "udp":
		case "tcp":
			u.Proto = stun.ProtoTypeTCP
		case "tls":
			u.Scheme, u.Proto = stun.SchemeTypeTURNS, stun.ProtoTypeTCP
		default:
			errs = append(errs, fmt.Errorf("webrtc: TURN's transport is %q, expected udp, tcp or tls", t.Transport))
		}
		if t.User == "" || t.Password == "" {
			errs = append(errs, errors.New("webrtc: TURN has no user or no password"))
		}
		errs = append(errs, add("TURN", t.Address, u))
	}
	return out, errors.Join(errs...)
}

// check tells what is wrong, for a port.
func (c *ICE) check(p *Port) error {
	_, err := c.servers()
	if c.External4.IsValid() && !c.External4.Is4() {
		err = errors.Join(err, fmt.Errorf("webrtc: external IPv4 address is %s", c.External4))
	}
	if c.External6.IsValid() && (!c.External6.Is6() || c.External6.Is4In6()) {
		err = errors.Join(err, fmt.Errorf("webrtc: external IPv6 address is %s", c.External6))
	}
	for _, host := range c.Foreign {
		if a, err3 := netip.ParseAddr(host); err3 == nil {
			err = errors.Join(err, p.foreign(a))
		} else if name := strings.TrimSuffix(strings.ToLower(host), "."); name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761 6.3
			err = errors.Join(err, fmt.Errorf("%w: %.200q", ErrForeign, host))
		}
	}
	_, err2 := c.filter(p.addresses)
	return errors.Join(err, err2)
}

// allows reports whether a network interface is one of those.
func (c *ICE) allows(name string) bool {
	return c.Interfaces == nil || slices.Contains(c.Interfaces, name)
}

// filter leaves the addresses that may be told, external ones in their place.
func (c *ICE) filter(list []netip.AddrPort) ([]netip.AddrPort, error) {
	if c.Interfaces == nil && !c.External4.IsValid() && !c.External6.IsValid() {
		return list, nil
	}
	var out []netip.AddrPort
	machine, err := interfaces()
	if err != nil {
		return nil, err
	}
	for _, a := range list {
		// What no interface has is a NAT's, for whichever is behind it.
		if name, ours := machine[a.Addr()]; ours && !c.allows(name) {
			continue
		}
		if e := c.External4; e.IsValid() && a.Addr().Is4() {
			a = netip.AddrPortFrom(e, a.Port())
		}
		if e := c.External6; e.IsValid() && a.Addr().Is6() {
			a = netip.AddrPortFrom(e, a.Port())
		}
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	if len(out) == 0 && len(list) > 0 {
		return nil, fmt.Errorf("webrtc: network interfaces are %s: none has an address of ours", strings.Join(c.Interfaces, ", "))
	}
	return out, nil
}

// interfaces has the name of each address's interface.
func interfaces() (map[netip.Addr]string, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("webrtc: list network interfaces: %w", err)
	}
	out := map[netip.Addr]string{}
	for _, i := range list {
		addrs, err := i.Addrs()
		if err != nil {
			continue // it has just gone
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				out[p.Addr().Unmap()] = i.Name
			}
		}
	}
	return out, nil
}
