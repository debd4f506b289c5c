package sip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/patchbay/patchbay/sip/flow"
	"github.com/patchbay/patchbay/sip/wire"
)

const (
	sdpType   = "application/sdp"
	branchTag = "z9hG4bK"
)

// methods are what we serve; REGISTER joins them at a registrar.
func (c *Config) methods() []string {
	m := []string{"ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "REFER", "NOTIFY", "UPDATE"}
	if c.Reliable != ReliableNever {
		m = append(m, "PRACK")
	}
	if c.Invite != nil {
		m = append([]string{"INVITE"}, m...)
	}
	if c.Registrar != nil {
		m = append(m, "REGISTER")
	}
	return m
}

// extensions are the option tags that we know.
func (c *Config) extensions() []string {
	var out []string
	if c.Reliable != ReliableNever {
		out = append(out, "100rel")
	}
	if !c.Session.off() {
		out = append(out, "timer")
	}
	if c.Replaces {
		out = append(out, "replaces")
	}
	if c.Preconditions != PreconditionsNever && c.Reliable != ReliableNever {
		out = append(out, "precondition")
	}
	return out
}

// says is what a UA tells of itself in nearly each message: made once.
type says struct {
	allow, supported Header
	inviting         Header // Supported of an INVITE that begins a dialog
	extensions       bool   // there are some
	policy           wire.Policy
}

func (c *Config) says() says {
	methods, extensions := c.methods(), c.extensions()
	asked := extensions
	if c.Preconditions != PreconditionsOffered {
		asked = slices.DeleteFunc(slices.Clone(extensions), func(s string) bool { return s == "precondition" })
	}
	return says{
		inviting: Header{Name: "Supported", Value: strings.Join(asked, ", ")},
		allow:    Header{Name: "Allow", Value: strings.Join(methods, ", ")}, supported: Header{Name: "Supported", Value: strings.Join(extensions, ", ")},
		extensions: len(extensions) > 0,
		policy:     wire.Policy{Methods: methods, Bodies: []string{sdpType, "multipart/mixed"}, Extensions: append(extensions[:len(extensions):len(extensions)], "norefersub", "nosub")},
	}
}

func (u *UA) allow() Header { return u.says.allow }

// supported is Supported; empty, it says that there is no extension (RFC 3261 20.37).
func (u *UA) supported() Header { return u.says.supported }

// extends tells whether there are extensions that we know.
func (u *UA) extends() bool { return u.says.extensions }

func (u *UA) policy() wire.Policy { return u.says.policy }

// stamp adds Server to a response's header fields.
func (u *UA) stamp(extra []Header) []Header {
	return append(append(make([]Header, 0, len(extra)+1), extra...), Header{Name: "Server", Value: u.cfg.UserAgent})
}

// outgoing is a request to send.
type outgoing struct {
	method   string
	uri      URI
	from, to string // whole values, with tags
	callID   string
	cseq     uint32
	routes   []string // values of Route
	contact  string   // value of Contact, or ""
	headers  []Header
	ctype    string
	body     []byte
	branch   string // "" = new
	hops     int    // Max-Forwards; 0 = 70
}

// reserved are header fields that the stack writes itself.
func reserved(name string) bool {
	switch wire.Canonical(name) {
	case "via", "from", "to", "call-id", "cseq", "contact", "max-forwards", "content-length", "content-type", "route",
		"record-route", "authorization", "proxy-authorization", "user-agent", "server", "www-authenticate", "proxy-authenticate":
		return true
	}
	return false
}

func checkHeaders(headers []Header) error {
	if len(headers) > 64 {
		return fmt.Errorf("sip: %d header fields: expected at most 64", len(headers))
	}
	for _, h := range headers {
		if err := wire.CheckHeader(h); err != nil {
			return err
		}
		if reserved(h.Name) {
			return fmt.Errorf("sip: header %s: the stack writes it itself", h.Name)
		}
	}
	return nil
}

func checkPhrase(p string) error {
	if len(p) > 256 {
		return fmt.Errorf("sip: reason phrase of %d bytes: expected at most 256", len(p))
	}
	return wire.Safe("reason phrase", p)
}

// build makes the message. The caller has checked every value that came from outside.
func (u *UA) build(o *outgoing, f *flow.Flow, credentials []Header) (*request, error) {
	uri, routes := o.uri, o.routes
	// A first route without lr is a strict router (RFC 3261 12.2.1.1): it is the request-URI, the target goes last.
	if len(routes) > 0 {
		first, err := wire.ParseNameAddr(routes[0])
		if err != nil {
			return nil, err
		}
		if _, loose := first.URI.Param("lr"); !loose {
			routes = append(append([]string(nil), routes[1:]...), "<"+uri.String()+">")
			uri = first.URI
			uri.Headers = ""
			uri = uri.Without("method")
		}
	}
	if o.branch == "" {
		o.branch = branchTag + randomHex(12)
	}
	req := &request{method: o.method, uri: uri.String(), branch: o.branch, routes: routes, from: o.from, to: o.to, callID: o.callID, cseq: o.cseq,
		via: "SIP/2.0/" + strings.ToUpper(f.Network()) + " " + u.sentBy(f).String() + ";branch=" + o.branch + ";rport"}
	if u.cfg.Overload.Heed {
		req.via += ocOffer
	}
	w := wire.NewWriter(o.method, req.uri)
	w = w.Add("Via", req.via)
	for _, r := range routes {
		w = w.Add("Route", r)
	}
	w = w.Add("Max-Forwards", strconv.Itoa(cmp.Or(o.hops, 70)))
	w = w.Add("From", o.from)
	w = w.Add("To", o.to)
	w = w.Add("Call-ID", o.callID)
	w = w.Add("CSeq", strconv.FormatUint(uint64(o.cseq), 10)+" "+o.method)
	if o.contact != "" {
		w = w.Add("Contact", o.contact)
	}
	for _, list := range [...][]Header{credentials, o.headers} {
		for _, h := range list {
			w = w.Add(h.Name, h.Value)
		}
	}
	if o.method != "ACK" && o.method != "CANCEL" {
		w = w.Add("User-Agent", u.cfg.UserAgent)
	}
	if len(o.body) > 0 {
		w = w.Add("Content-Type", o.ctype)
	}
	req.text = w.Body(o.body)
	return req, nil
}

// uriOf is the URI that a digest of the request covers: the request-URI as it is sent.
func (o *outgoing) sentURI() string {
	if len(o.routes) > 0 {
		if first, err := wire.ParseNameAddr(o.routes[0]); err == nil {
			if _, loose := first.URI.Param("lr"); !loose {
				u := first.URI
				u.Headers = ""
				return u.Without("method").String()
			}
		}
	}
	return o.uri.String()
}

func statusError(m *wire.Message) error {
	if m.Status < 300 {
		return nil
	}
	return &StatusError{Status: m.Status, Phrase: m.Phrase, Headers: m.Headers}
}

// isStatus tells whether err is one of these final responses.
func isStatus(err error, statuses ...int) bool {
	var s *StatusError
	if !errors.As(err, &s) {
		return false
	}
	for _, want := range statuses {
		if s.Status == want {
			return true
		}
	}
	return false
}

// Ping sends OPTIONS outside of dialogs and returns the final status; any answer at all shows that the peer is up.
// to zero: found from target.
func (u *UA) Ping(ctx context.Context, target URI, to Destination) (status int, err error) {
	if err := target.Check(); err != nil {
		return 0, err
	}
	var list []place
	if to.IsZero() {
		list, err = u.placesFor(ctx, target, "")
	} else {
		list, err = u.places(ctx, to)
	}
	if err != nil {
		return 0, err
	}
	cseq := uint32(1)
	m, _, err := u.exchangeAmong(ctx, list, func(f *flow.Flow) *outgoing {
		by := u.sentBy(f)
		self := URI{Scheme: "sip", Host: by.Host, Port: by.Port}
		return &outgoing{
			method: "OPTIONS", uri: target, from: "<" + self.String() + ">;tag=" + newTag(), to: "<" + target.String() + ">",
			callID: u.newCallID(), cseq: cseq, headers: []Header{{Name: "Accept", Value: sdpType}}, contact: "<" + self.String() + ">",
		}
	}, u.auth, func() uint32 { cseq++; return cseq })
	if err != nil {
		return 0, err
	}
	return m.Status, nil
}

func (u *UA) newCallID() string { return randomHex(16) }

// contactURI is our Contact for a flow. In a dialog that began with a sips URI it is one too (RFC 5630 5.1.1).
func (u *UA) contactURI(user string, f *flow.Flow, scheme string) URI {
	by := u.sentBy(f)
	c := URI{Scheme: "sip", User: wire.EscapeUser(user), Host: by.Host, Port: by.Port}
	switch {
	case scheme == "sips":
		c.Scheme = scheme
	case f.Web():
		c = c.With("transport", "ws") // over TLS too (RFC 7118 5.2.4)
	case f.Network() == "tcp" || f.Network() == "tls":
		c = c.With("transport", f.Network())
	}
	return c
}
