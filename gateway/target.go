package gateway

import (
	"fmt"
	"net/netip"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

// target is one INVITE that a hop sends: a trunk, or one of a user's contacts.
type target struct {
	at      *sip.Location // of who calls for help; nil: nobody tells
	ua      *sip.UA
	uri     sip.URI
	dest    sip.Destination
	from    sip.NameAddr
	to      sip.NameAddr
	party   party
	user    *User
	trunk   *trunk
	lease   *lease // the charger's grant for a call through the trunk; nil: none
	app     *App
	contact string // user of our Contact; "" = that of from
	header  []sip.Header
	route   []sip.URI
}

type causeError struct {
	cause call.Cause
	err   error
}

func (e causeError) Error() string { return e.err.Error() }

func (e causeError) Unwrap() error { return e.err }

// targets resolves a hop.
func (g *Gateway) targets(h Hop, number string, c *call.Call, src source) ([]target, call.Cause) {
	if h.User != "" {
		return g.contacts(h.User, c, src)
	}
	t := g.trunks[h.Trunk]
	if t == nil {
		return nil, call.Cause{Q850: 3, SIP: 404, Text: "trunk " + h.Trunk + " is not configured"}
	}
	out, cause := t.present(h, number, src.identity(g, c.From), src)
	if !cause.IsZero() {
		return nil, cause
	}
	return []target{{ua: t.ua, uri: out.uri, dest: t.at(t.next(t.Proxy)), route: t.routes(), from: out.from, to: out.to, contact: out.contact, header: out.header, trunk: t,
		party: party{passing: t.Passing, preconditions: t.conditions(), media: t.Media, ptime: t.Ptime, codecs: t.Codecs, dtmf: t.DTMF, srtp: t.SRTP, peer: t.peer()}}}, call.Cause{}
}

// downCause is why calls can't go out over a trunk that isn't up.
func (t *trunk) downCause() call.Cause {
	cause := call.Cause{Q850: 38, SIP: 503, Text: "trunk " + t.ID + " is not registered"}
	st := t.status()
	if st.State == "unreachable" {
		cause.Text = "trunk " + t.ID + " doesn't answer"
	}
	if st.Error != "" {
		cause.Text += ": " + st.Error
	}
	return cause
}

// peer is where the trunk's signalling comes from, if that is known before anything came.
func (t *trunk) peer() netip.AddrPort {
	hp := t.next(t.Proxy)
	if a, err := netip.ParseAddr(hp.Host); err == nil {
		return netip.AddrPortFrom(a, t.port(hp))
	}
	return netip.AddrPort{}
}

// overWeb tells whether a flow is a WebSocket (RFC 7118).
func overWeb(network string) bool { return network == "ws" || network == "wss" }

// contacts are the places where a user is registered now.
func (g *Gateway) contacts(id string, c *call.Call, src source) ([]target, call.Cause) {
	u := g.userByID[id]
	if u == nil || g.registrar == nil {
		return nil, call.Cause{Q850: 1, SIP: 404, Text: "user " + id + " is not configured"}
	}
	to, err := sip.NewURI(u.Login, g.cfg.Domain, 0)
	if err != nil {
		return nil, call.Failure
	}
	na, err := g.callerForUsers(c.From, src)
	if err != nil {
		return nil, call.Cause{Q850: 21, SIP: 403, Text: fmt.Sprintf("caller %q can't be shown: %v", clip(c.From), err)}
	}
	var out []target
	for _, ct := range g.registrar.Contacts(u.Login) {
		// Whoever registers over WebSocket is a browser, or as good as one: it takes nothing but WebRTC.
		out = append(out, target{ua: g.users, uri: ct.URI, dest: ct.Destination(), from: na, to: sip.NameAddr{URI: to}, user: u,
			party: party{preconditions: sdp.PreconditionsAnswered, media: u.Media, passing: u.Passing, codecs: u.Codecs, dtmf: u.DTMF, srtp: u.SRTP, peer: ct.Source, browser: overWeb(ct.Network) && g.cfg.Media.WebRTC != nil}})
	}
	if len(out) == 0 {
		cause := call.Offline
		cause.Text = "user " + u.ID + " is not registered"
		return nil, cause
	}
	return out, call.Cause{}
}

func (h Hop) String() string {
	switch {
	case h.Trunk != "":
		return "trunk " + h.Trunk
	case h.App != "":
		return "application " + h.App
	case h.Group != "":
		return "group " + h.Group
	}
	return "user " + h.User
}
