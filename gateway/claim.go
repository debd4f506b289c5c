package gateway

import (
	"crypto/x509"
	"net/netip"
	"slices"

	"github.com/patchbay/patchbay/sip"
)

// How sure it is that a request is a trunk's, by what it comes with. Two trunks may be accounts at one carrier, whose servers then are
// both's: the more exact claim has the request, and of equals the first in the settings.
const (
	claimNone    = iota
	claimHost    // from a host of the carrier's, though from no port that we know
	claimServer  // from one of the servers that its names stand for
	claimAddress // from an address of the settings
	claimProof   // with a certificate of the carrier's
	claimAccount // and, beside any of these, it is addressed to our account there
)

// knows tells whether the carrier may send from an address, whatever it sends.
func (t *trunk) knows(a netip.Addr) bool {
	t.mu.Lock()
	known := t.sources[a.Unmap()]
	t.mu.Unlock()
	return known || t.allows(a)
}

func (t *trunk) allows(a netip.Addr) bool {
	return slices.ContainsFunc(t.Addresses, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

// match tells whether a request is this trunk's, and no other one's with a more exact claim.
func (t *trunk) match(in sip.Inbound) bool {
	mine := t.claim(in)
	if mine == claimNone {
		return false
	}
	select {
	case <-t.g.ready:
	default:
		return true // the others aren't there yet
	}
	return !slices.ContainsFunc(t.g.order, func(o *trunk) bool { return o != t && o.claim(in) > mine && o.hears(in) })
}

// claim is how sure it is that a request is this trunk's.
func (t *trunk) claim(in sip.Inbound) int {
	src := in.Source.Addr().Unmap()
	t.mu.Lock()
	known, exact := t.sources[src], t.servers[netip.AddrPortFrom(src, in.Source.Port())]
	t.mu.Unlock()
	account := t.User != "" && in.URI.User == t.User
	sure := claimNone
	switch {
	case t.proved(in.Chains):
		sure = claimProof
	case t.allows(src):
		sure = claimAddress
	case exact:
		sure = claimServer
	// Somebody else may live at the carrier's address (loopback, NAT): a request from there that isn't from the
	// carrier's own port is the carrier's only if it names our account. Connections come from any port.
	case known && (account || in.Network == t.Network && t.Network != "udp" && !src.IsLoopback()):
		sure = claimHost
	}
	if account && sure != claimNone {
		sure += claimAccount
	}
	return sure
}

// hears tells whether a request has come in on a socket of the trunk's.
func (t *trunk) hears(in sip.Inbound) bool {
	return slices.ContainsFunc(t.ua.Addrs(), func(l sip.Listen) bool { return l.Network == in.Network && l.Addr.Port() == in.Local.Port() })
}

// proved tells whether a client's certificate is the carrier's.
func (t *trunk) proved(chains [][]*x509.Certificate) bool {
	for _, chain := range chains {
		if t.Trusts == nil || !t.Trusts(chain[len(chain)-1]) {
			continue
		}
		if slices.ContainsFunc(t.Clients, func(name string) bool { return sip.CertificateNames(chain[0], name) }) {
			return true
		}
	}
	return false
}
