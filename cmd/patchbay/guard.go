package main

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// guard lets only this host's own programs in: there is no token to prove who else somebody is. It refuses peers that
// aren't on loopback, hosts that aren't (a name that an attacker's DNS points at us), whatever a proxy forwards, and
// pages of other origins. /livez, /readyz and /metrics tell no secrets and answer anybody who reaches the port.
func guard(bound netip.Addr, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/livez", "/readyz", "/metrics":
		default:
			if why := stranger(r); why != "" {
				http.Error(w, why, http.StatusForbidden)
				return
			}
		}
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// stranger says why a request is refused; "" lets it in.
func stranger(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return "this interface answers only programs on its own host: no token is set"
	}
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return "a forwarded request (" + h + ") needs a token, and none is set"
		}
	}
	if !loopbackHost(r.Host) {
		return "Host " + clean(r.Host) + " is not this host: expected localhost or a loopback address"
	}
	if o := r.Header.Get("Origin"); o != "" {
		u, err := url.Parse(o)
		if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != r.Host || err != nil {
			return "Origin " + clean(o) + " is not this server's own"
		}
	}
	return ""
}

func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// clean shows what a stranger sent without letting it write on our terms.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 80)]
}
