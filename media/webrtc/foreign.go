package webrtc

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/pion/transport/v5/stdnet"
)

// ErrForeign is what is wrong with a host of ICE.Foreign.
var ErrForeign = errors.New("webrtc: server is on this machine, or no further than its link")

// foreign refuses an address that others can't reach, or that is ours.
func (p *Port) foreign(a netip.Addr) error {
	a = a.WithZone("").Unmap()
	refused := !a.IsValid() || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() || a == broadcast() ||
		a.Is4() && a.As4()[0] == 0 || // this network (RFC 1122 3.2.1.3): Linux has it lead to itself
		slices.ContainsFunc(p.addresses, func(own netip.AddrPort) bool { return own.Addr() == a })
	if !refused {
		machine, err := interfaces()
		if err != nil {
			return err
		}
		_, refused = machine[a]
	}
	if refused {
		return fmt.Errorf("%w: %s", ErrForeign, a)
	}
	return nil
}

func broadcast() netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

// foreignNet is the machine's network as pion's agent resolves names and dials in it, for hosts that may not lead to this machine.
type foreignNet struct {
	*stdnet.Net
	port  *Port
	hosts []string
}

func newForeignNet(p *Port, hosts []string) (*foreignNet, error) {
	n, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("webrtc: list network interfaces: %w", err)
	}
	return &foreignNet{n, p, hosts}, nil
}

// ResolveUDPAddr is net's, with an error for what may not be reached.
func (n *foreignNet) ResolveUDPAddr(network, address string) (*net.UDPAddr, error) {
	a, err := n.Net.ResolveUDPAddr(network, address)
	if err != nil {
		return nil, err
	}
	return a, n.check(address, a.AddrPort())
}

// ResolveTCPAddr is net's, with an error for what may not be reached.
func (n *foreignNet) ResolveTCPAddr(network, address string) (*net.TCPAddr, error) {
	a, err := n.Net.ResolveTCPAddr(network, address)
	if err != nil {
		return nil, err
	}
	return a, n.check(address, a.AddrPort())
}

func (n *foreignNet) check(name string, at netip.AddrPort) error {
	if host, _, err := net.SplitHostPort(name); err != nil || !slices.Contains(n.hosts, host) {
		return err
	}
	return n.port.foreign(at.Addr())
}
