package main

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/patchbay/patchbay/rpc"
)

// guard decides who may come in. Open routes tell no secrets and answer anybody who reaches the port. Proving routes ask
// for a proof of their own, SIP's digest, a password or a token: pages of other origins are refused there, and whoever
// isn't on this host must come over TLS, unless plain HTTP was bound for others to reach; bound to loopback it must be asked
// by a name of ours, so that no page comes there by a name that its own DNS points at us. All else is for programs with a
// token, under the same rules, and for this host's own programs, which need none: without one it refuses peers that aren't
// on loopback, hosts that aren't (a name that an attacker's DNS points at us), whatever a proxy forwards, and pages of
// other origins.
type guard struct {
	route   func(*http.Request) string // the pattern that a request is served by: what we decide is about what is done
	open    []string                   // patterns
	proving []string                   // patterns
	plain   netip.Addr
	names   []string // of ours, as in Host
	origins origins
	access  *access // nil: there are no tokens
	next    http.Handler
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	why, route := "", g.route(r)
	switch {
	case slices.Contains(g.open, route):
	case slices.Contains(g.proving, route):
		if why = g.unproved(r); why == "" {
			why = g.misnamed(r)
		}
	default:
		if r, why = g.program(w, r); r == nil {
			return
		}
	}
	switch {
	case why == "":
	case adminOnly(r.URL.Path), r.URL.Path == rpcPath:
		problem(w, http.StatusForbidden, why)
		return
	default:
		http.Error(w, why, http.StatusForbidden)
		return
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	g.next.ServeHTTP(w, r)
}

// program finds out which program makes a request, by its token or by where it runs. It returns the request with the
// principal, and why it is refused all the same; nil if it is answered already.
func (g *guard) program(w http.ResponseWriter, r *http.Request) (*http.Request, string) {
	if g.access == nil || len(g.access.tokens) == 0 {
		return withPrincipal(r, ownHost()), g.stranger(r)
	}
	token, err := presented(r)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return nil, ""
	}
	if token == "" {
		return withPrincipal(r, ownHost()), g.stranger(r)
	}
	if why := g.unproved(r); why != "" {
		return r, why
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		problem(w, http.StatusBadRequest, "the peer has no address")
		return nil, ""
	}
	who, wait, err := g.access.check(from.Addr(), token)
	if err != nil {
		refused(w, wait, err)
		return nil, ""
	}
	if forReports(r.URL.Path) && who.Roles.Grant(rpc.Billing) {
		return withPrincipal(r, who), "" // of its own tenant
	}
	if adminOnly(r.URL.Path) && !who.Roles.Grant(rpc.Admin) {
		return r, "this shows and changes calls of all tenants: it needs a token with the role admin, this one has: " + who.Roles.String()
	}
	return withPrincipal(r, who), ""
}

// unproved says why a request may not even try to prove who it is; "" lets it try.
func (g *guard) unproved(r *http.Request) string {
	if r.TLS == nil && g.plain.IsLoopback() && !onLoopback(r) {
		return "this needs https or wss from another host"
	}
	return g.origins.refuse(r)
}

// misnamed says why the host that a request asks for isn't us; "" lets it pass. Over TLS our certificate tells the name.
func (g *guard) misnamed(r *http.Request) string {
	name, _ := splitPort(r.Host, "")
	ours := func(n string) bool { return strings.EqualFold(n, strings.TrimSuffix(name, ".")) }
	listed := func(o string) bool { u, err := url.Parse(o); return err == nil && ours(u.Hostname()) }
	if r.TLS != nil || !g.plain.IsLoopback() || loopbackHost(r.Host) || slices.ContainsFunc(g.names, ours) || slices.ContainsFunc(g.origins.listed, listed) {
		return ""
	}
	return "Host " + clean(r.Host) + " is not this server: a proxy's name needs to be that of a page in http.origins"
}

// stranger says why a request is refused; "" lets it in.
func (g *guard) stranger(r *http.Request) string {
	if !onLoopback(r) {
		return "without a token of the settings (tokens) this interface answers only programs on its own host"
	}
	for h := range r.Header {
		if forwards(h) {
			return "a forwarded request (" + clean(h) + ") needs a token"
		}
	}
	if !loopbackHost(r.Host) {
		return "Host " + clean(r.Host) + " is not this host: expected localhost or a loopback address"
	}
	return g.origins.refuse(r)
}

// forwards tells whether a header is one that proxies set: the standard's (RFC 7239, RFC 9110 7.6.3), and those that are in use. An
// empty one counts: a proxy was there all the same.
func forwards(header string) bool {
	h := strings.ToLower(header)
	return strings.HasPrefix(h, "x-forwarded") || strings.HasPrefix(h, "x-original-forwarded") ||
		slices.Contains([]string{"forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip",
			"cf-connecting-ipv6", "fastly-client-ip"}, h)
}

func onLoopback(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

// origins are the web pages that may use us: our own and those listed.
type origins struct {
	ports  []uint16 // that we serve pages on
	listed []string // as origin writes them
}

// refuse says why the page that makes a request may not; "" lets it. Programs send no Origin, or one of a scheme of
// their own, or a bare host: those pass. "null" has no scheme, and any page can send it from a frame: it doesn't pass.
func (o origins) refuse(r *http.Request) string {
	for _, raw := range r.Header.Values("Origin") {
		if !strings.Contains(raw, "://") && !strings.EqualFold(strings.TrimSpace(raw), "null") {
			continue // no browser writes one so (RFC 6454 6.2)
		}
		u, err := url.Parse(raw)
		if err == nil && u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" {
			continue
		}
		if err != nil || u.Scheme == "" || !slices.Contains(o.listed, origin(u)) && !o.own(u, r.Host) {
			return "Origin " + clean(raw) + " is not this server's own; http.origins may list it"
		}
	}
	return ""
}

// own tells whether a page comes from where the request goes: the same host, on one of our ports.
func (o origins) own(page *url.URL, host string) bool {
	name, port := splitPort(host, "")
	from, fromPort := splitPort(page.Host, page.Scheme)
	if !strings.EqualFold(name, from) || from == "" {
		return false
	}
	// The port of Host is where a proxy in front of us is asked.
	return fromPort == port || port == 0 && (fromPort == 80 || fromPort == 443) || slices.Contains(o.ports, fromPort)
}

// origin is an origin in the one form that compares (RFC 6454 6.2): lower case, the default port left out.
func origin(u *url.URL) string {
	name, port := splitPort(u.Host, u.Scheme)
	name = strings.ToLower(name)
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	if port == 0 || port == defaultPort(u.Scheme) {
		return strings.ToLower(u.Scheme) + "://" + name
	}
	return strings.ToLower(u.Scheme) + "://" + name + ":" + strconv.Itoa(int(port))
}

// splitPort takes host and port apart; without a port it is the scheme's, 0 without a scheme.
func splitPort(host, scheme string) (string, uint16) {
	name, text, err := net.SplitHostPort(host)
	if err != nil {
		return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), defaultPort(scheme)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0
	}
	return name, uint16(n)
}

func defaultPort(scheme string) uint16 {
	switch scheme {
	case "http":
		return 80
	case "https":
		return 443
	}
	return 0
}

func loopbackHost(host string) bool {
	name, _ := splitPort(host, "")
	if strings.EqualFold(name, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(name)
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
