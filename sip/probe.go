package sip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/dns"
	"github.com/patchbay/patchbay/sip/flow"
	"github.com/patchbay/patchbay/sip/wire"
)

type (
	// Step is one question to DNS and its answer.
	Step = dns.Step
	// Server is one that a name stands for.
	Server = dns.Target
	// Asked is a challenge, for people to read.
	Asked = auth.Asked
	// Inspection is what a server over TLS has shown.
	Inspection = flow.Inspection
)

// Explain asks DNS anew where requests to a destination go, and tells each step: what it has found so far with an error too.
func (u *UA) Explain(ctx context.Context, d Destination) ([]Step, []Server, error) {
	q := dns.Query{Host: d.Host, Port: d.Port, Network: d.Network}
	if d.Addr.IsValid() {
		q.Host, q.Port = d.Addr.Addr().WithZone("").String(), d.Addr.Port()
	}
	return u.front.names.Explain(ctx, q)
}

// Inspect looks at what a server over TLS shows, on a connection of its own that leaves from where requests do.
func (u *UA) Inspect(ctx context.Context, s Server) (Inspection, error) {
	local := u.dialer.From(s.Addr.Addr())
	if u.cfg.TLS == nil {
		return flow.Inspect(ctx, local, s.Addr, s.Name, nil)
	}
	return flow.Inspect(ctx, local, s.Addr, s.Name, u.cfg.TLS())
}

// Reach opens a connection over TCP or TLS to a server, or finds the one that is open. Over UDP there is nothing to open.
func (u *UA) Reach(ctx context.Context, s Server) error {
	_, err := u.open(ctx, place{Target: s})
	return err
}

// Question is a request outside of dialogs that asks a peer about itself.
type Question struct {
	Method   string // OPTIONS or REGISTER; without a Contact REGISTER only asks (RFC 3261 10.2.3)
	Target   URI
	From, To NameAddr // zero: we ourselves, and Target
	Server   Server
	Headers  []Header
	// Credentials answer a challenge; zero: the UA's own. With Bare a challenge is told, not answered.
	Credentials Credentials
	Bare        bool
}

// Reply is the final answer to a Question.
type Reply struct {
	Status     int
	Phrase     string
	Headers    Headers
	Body       []byte
	Took       time.Duration  // from the last request, with credentials if there was a challenge
	Local      netip.AddrPort // our socket
	Said       HostPort       // what our Via and Contact say
	Seen       netip.AddrPort // where the peer has the request from (RFC 3581); zero: it doesn't tell
	Challenges []Asked        // what it asked for first
	Refused    error          // why its challenge couldn't be answered, or the answer wasn't taken
}

// maxAsked bounds how often a question is asked again with other credentials.
const maxAsked = 4

// Ask sends a request to one server and returns the final answer. Nothing is tried elsewhere.
func (u *UA) Ask(ctx context.Context, q Question) (Reply, error) {
	for what, err := range map[string]error{"Target": q.Target.Check(), "Headers": checkHeaders(q.Headers), "Method": wire.Safe("method", q.Method)} {
		if err != nil {
			return Reply{}, fmt.Errorf("sip: Question.%s: %w", what, err)
		}
	}
	if q.Credentials.IsZero() {
		q.Credentials = u.cfg.Credentials
	}
	f, err := u.open(ctx, place{Target: q.Server})
	if err != nil {
		return Reply{}, err
	}
	o := u.question(q, f)
	r := Reply{Local: f.Local(), Said: u.sentBy(f)}
	client := auth.NewClient(q.Credentials)
	var attempt auth.Attempt
	for range maxAsked {
		begun := time.Now()
		m, err := u.sendOnce(ctx, o, f, client.Headers(o.method, o.sentURI(), o.body), 0)
		if err != nil {
			return r, err
		}
		r.Took = time.Since(begun)
		r.Status, r.Phrase, r.Headers, r.Body = m.Status, m.Phrase, m.Headers, m.Body
		r.seen(m, f)
		if m.Status != 401 && m.Status != 407 {
			r.Refused = nil
			return r, nil
		}
		if r.Challenges == nil {
			r.Challenges = auth.Challenges(m.Headers)
		}
		if q.Bare {
			return r, nil
		}
		if r.Refused = client.Challenge(&attempt, m.Headers); r.Refused != nil {
			return r, nil
		}
		o.cseq, o.branch = o.cseq+1, ""
	}
	r.Refused = errors.New("sip: it asks for credentials again and again")
	return r, nil
}

func (u *UA) question(q Question, f *flow.Flow) *outgoing {
	by := u.sentBy(f)
	self := URI{Scheme: "sip", Host: by.Host, Port: by.Port}
	o := &outgoing{method: q.Method, uri: q.Target, callID: u.newCallID(), cseq: 1,
		headers: append([]Header{u.allow(), u.supported()}, q.Headers...)}
	o.from, o.to = "<"+self.String()+">;tag="+newTag(), "<"+q.Target.String()+">"
	if !q.From.URI.IsZero() {
		o.from = q.From.WithTag(newTag()).String()
	}
	if !q.To.URI.IsZero() {
		o.to = q.To.WithTag("").String()
	}
	if q.Method == "OPTIONS" {
		o.contact = "<" + self.String() + ">"
		o.headers = append(o.headers, Header{Name: "Accept", Value: sdpType})
	}
	return o
}

// seen reads from our Via how the peer sees us.
func (r *Reply) seen(m *wire.Message, f *flow.Flow) {
	addr, err := netip.ParseAddr(strings.Trim(m.Via.Received, "[]"))
	port, perr := strconv.ParseUint(m.Via.RPort, 10, 16)
	switch {
	case err != nil && perr != nil:
		return
	case err != nil:
		addr = f.Local().Addr()
	case perr != nil:
		port = uint64(f.Local().Port())
	}
	r.Seen = netip.AddrPortFrom(addr.Unmap(), uint16(port))
}
