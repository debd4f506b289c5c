package main

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// splitHost takes host or host:port apart; the port is 0 if there is none. The host is an IP address or a domain name.
func splitHost(s string) (string, uint16, error) {
	h, port := s, uint16(0)
	if bare := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"); net.ParseIP(bare) != nil {
		h = bare
	} else if i := strings.LastIndexByte(s, ':'); i >= 0 {
		n, err := strconv.ParseUint(s[i+1:], 10, 16)
		if err != nil || n == 0 {
			return "", 0, fmt.Errorf("port %q isn't 1 to 65535", s[i+1:])
		}
		h, port = strings.TrimSuffix(strings.TrimPrefix(s[:i], "["), "]"), uint16(n)
	}
	if _, err := netip.ParseAddr(h); err != nil && !isDomain(h) {
		return "", 0, fmt.Errorf("%q is neither an IP address nor a domain name", h)
	}
	return h, port, nil
}

// host is the host part of what splitHost accepts, without brackets.
func host(s string) string {
	h, _, err := splitHost(s)
	if err != nil {
		return ""
	}
	return h
}

// isDomain follows RFC 1123 2.1; a name of digits and dots alone is a mistyped address.
func isDomain(s string) bool {
	if s == "" || len(s) > 253 || strings.Trim(s, "0123456789.") == "" {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if !alnum(r) && r != '-' && r != '_' {
				return false
			}
		}
	}
	return true
}

func alnum(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// private reports whether a peer on the public internet can't send to the address (RFC 1918, 4193, 6598, loopback, link-local).
func private(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() ||
		netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, 0}), 10).Contains(a)
}
