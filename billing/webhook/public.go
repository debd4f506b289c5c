package webhook

import (
	"net/netip"
	"slices"
)

// reserved are networks that aren't of the public Internet (RFC 6890 and IANA's registries of special addresses), beside those that
// netip knows: this network, carriers' NAT, protocol assignments, documentation, benchmarks, and reserved; of IPv6 those
// which stand for an IPv4 address (NAT64, 6to4, Teredo) or nobody's.
func reserved() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range [...]string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"240.0.0.0/4", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10"} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// Public reports whether an address is one of the public Internet: none that leads to this host, its network, or a cloud's metadata.
func Public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast() {
		return false
	}
	return !slices.ContainsFunc(reserved(), func(p netip.Prefix) bool { return p.Contains(a) })
}
