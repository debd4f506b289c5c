package gateway

import "github.com/patchbay/patchbay/sip"

// called is the URI that says whom a call is for: the request-URI, or, of carriers that write our account or contact there, what they
// were called as themselves: P-Called-Party-ID (RFC 7315 4.2) if they are trusted, else To.
func (s source) called(r *sip.Request) sip.URI {
	if s.trunk == nil || s.user != nil || !s.trunk.CalledInTo {
		return r.URI
	}
	if v := r.Headers.Values("P-Called-Party-ID"); s.trunk.Trusted && len(v) > 0 {
		if n, err := sip.ParseNameAddr(v[0]); err == nil && named(n.URI) {
			return n.URI
		}
	}
	if named(r.To.URI) {
		return r.To.URI
	}
	return r.URI
}

// named tells whether a URI is somebody's, not a host's.
func named(u sip.URI) bool { return u.User != "" || u.Scheme == "tel" && u.Opaque != "" }
