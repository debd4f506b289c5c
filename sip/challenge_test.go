package sip_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/siptest"
)

// strict is a server that asks by several algorithms.
func strict(t *testing.T, simple ...string) *auth.Server {
	t.Helper()
	s, err := auth.NewServer(auth.ServerConfig{Realm: "127.0.0.1", Algorithms: []auth.Algorithm{auth.SHA256, auth.MD5}, Simple: simple,
		Lookup: func(user, _ string) (auth.Credentials, bool) {
			return auth.Credentials{Username: user, Password: "secret"}, user == "trunk"
		}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A phone is asked by SHA-256 and MD5, in this order, with either its answer is taken; one that is known to make nothing of two
// challenges is asked by MD5.
func TestSeveralChallenges(t *testing.T) {
	reg, err := sip.NewRegistrar(sip.RegistrarConfig{Auth: strict(t, "old v1.")})
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(_ *sip.FrontConfig, c *sip.Config) { c.Registrar = reg })
	ask := func(p *siptest.Peer, seq int, headers ...string) siptest.Message {
		t.Helper()
		p.Write(siptest.Ask{Method: "REGISTER", URI: "sip:127.0.0.1", From: "<sip:trunk@127.0.0.1>;tag=r", To: "<sip:trunk@127.0.0.1>",
			CallID: "several" + p.Addr().String(), CSeq: seq, Headers: headers})
		m, ok := p.Receive(siptest.Patience)
		if !ok {
			t.Fatal("no answer to REGISTER")
		}
		return m
	}
	algorithms := func(m siptest.Message) string {
		var out []string
		for _, v := range m.Headers.Lines("WWW-Authenticate") {
			_, after, _ := strings.Cut(v, "algorithm=")
			name, _, _ := strings.Cut(after, ",")
			out = append(out, name)
		}
		return strings.Join(out, " ")
	}
	for _, alg := range []auth.Algorithm{auth.SHA256, auth.MD5} {
		p := siptest.NewPeer(t, b.addr)
		m := ask(p, 1, "User-Agent: new v1")
		if m.Status() != 401 || algorithms(m) != "SHA-256 MD5" {
			t.Fatalf("%s, asked by %s", m.Start, algorithms(m))
		}
		client := auth.NewClient(auth.Credentials{Username: "trunk", HA1: map[auth.Algorithm]string{alg: auth.HA1(alg, "trunk", "127.0.0.1", "secret")}})
		if err := client.Challenge(&auth.Attempt{}, m.Headers); err != nil {
			t.Fatal(err)
		}
		h := client.Headers("REGISTER", "sip:127.0.0.1", nil)
		if m := ask(p, 2, "User-Agent: new v1", h[0].Name+": "+h[0].Value); m.Status() != 200 {
			t.Errorf("%s: %s", alg, m.Start)
		}
	}
	if m := ask(siptest.NewPeer(t, b.addr), 1, "User-Agent: old v1.3"); algorithms(m) != "MD5" {
		t.Errorf("an old phone is asked by %s", algorithms(m))
	}
}

// A carrier that challenges everything within a dialog, by an algorithm that we don't know, by MD5 and by SHA-256, is answered
// by the latter.
func TestCredentialsInEarlyDialogs(t *testing.T) {
	b := newBench(t, func(_ *sip.FrontConfig, c *sip.Config) {
		c.Credentials = sip.Credentials{Username: "trunk", Password: "secret"}
	})
	g := &guard{siptest.NewPeer(t, b.addr), strict(t), false}
	d := b.dial(g.Peer, nil)
	inv := g.Request("INVITE")
	lines := []string{`WWW-Authenticate: Digest realm="127.0.0.1", nonce="x", algorithm=SHA-3`}
	sha := g.server.Challenge(g.Addr().Addr(), false, false)
	for _, h := range []sip.Header{sha[1], sha[0]} { // the strongest stands last
		lines = append(lines, h.Name+": "+h.Value)
	}
	g.Reply(inv, 401, "peer", "", lines...)
	g.Request("ACK")
	inv = g.authorized(t, "INVITE", 0)
	if v := inv.Headers.Get("Authorization"); !strings.Contains(v, "algorithm=SHA-256") {
		t.Errorf("answered by %s", v)
	}
	// Another nonce for each of these: they are challenged, and sent again.
	fresh := func() { g.server = strict(t) }
	fresh()
	g.Reply(inv, 183, "peer", siptest.SDP, reliableHeaders(g.Peer, 1)...)
	g.Reply(g.authorized(t, "PRACK", 1), 200, "", "")
	g.Reply(inv, 200, "peer", siptest.SDP, g.Contact())
	expect(t, d, sip.KindProgress)
	expect(t, d, sip.KindAnswered)
	g.Request("ACK")
	done := make(chan error, 1)
	fresh()
	go func() { _, err := d.Reinvite(soon(t), []byte(siptest.SDP)); done <- err }()
	g.Reply(g.authorized(t, "INVITE", 1), 200, "", siptest.SDP, g.Contact())
	g.Request("ACK")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	fresh()
	go func() { done <- d.Hangup(soon(t), sip.Reason{}, 0) }()
	g.Reply(g.authorized(t, "BYE", 1), 200, "", "")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ended(t, d, sip.ByLocal, 0)
	// OPTIONS outside of dialogs.
	fresh()
	pinged := make(chan int, 1)
	go func() {
		status, err := b.ua.Ping(soon(t), mustURI("sip:"+g.Addr().String()), sip.Destination{})
		if err != nil {
			t.Error(err)
		}
		pinged <- status
	}()
	g.Reply(g.authorized(t, "OPTIONS", 1), 200, "peer", "")
	if status := <-pinged; status != 200 {
		t.Errorf("OPTIONS: %d", status)
	}
}

// A registrar whose rspauth is wrong doesn't know our password: to be registered there means nothing. With the right one its
// nextnonce is used.
func TestRegistrarProvesItself(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	changed := make(chan sip.RegistrationStatus, 16)
	reg, err := b.ua.Register(sip.RegisterConfig{
		Registrar: mustURI("sip:127.0.0.1"), AOR: sip.NameAddr{URI: mustURI("sip:trunk@127.0.0.1")}, Destination: sip.Destination{Network: "udp", Addr: p.Addr()},
		Credentials: sip.Credentials{Username: "trunk", Password: "secret"}, Backoff: 10_000_000, Changed: func(s sip.RegistrationStatus) { changed <- s },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	field := func(m siptest.Message, name string) string {
		for part := range strings.SplitSeq(strings.TrimPrefix(m.Headers.Get("Authorization"), "Digest "), ", ") {
			if v, ok := strings.CutPrefix(part, name+"="); ok {
				return strings.Trim(v, `"`)
			}
		}
		return ""
	}
	m := p.Request("REGISTER")
	p.Reply(m, 401, "r", "", `WWW-Authenticate: Digest realm="r", nonce="one", qop="auth", algorithm=SHA-256`)
	m = p.Request("REGISTER")
	p.Reply(m, 200, "r", "", `Authentication-Info: rspauth="`+strings.Repeat("0", 64)+`", nextnonce="evil"`, "Contact: "+m.Headers.Get("Contact"))
	if s := <-changed; s.State != sip.Failing || !errors.Is(s.Err, auth.ErrImpostor) {
		t.Fatalf("status %+v", s)
	}
	m = p.Request("REGISTER")
	if m.Headers.Has("Authorization") {
		t.Errorf("after a wrong rspauth: %v", m.Headers.Lines("Authorization"))
	}
	p.Reply(m, 401, "r", "", `WWW-Authenticate: Digest realm="r", nonce="two", qop="auth"`)
	m = p.Request("REGISTER")
	rspauth := auth.Response(auth.MD5, auth.HA1(auth.MD5, "trunk", "r", "secret"), "two", field(m, "nc"), field(m, "cnonce"), "auth", "", field(m, "uri"))
	p.Reply(m, 200, "r", "", fmt.Sprintf(`Authentication-Info: rspauth="%s", nextnonce="three"`, rspauth), "Contact: "+m.Headers.Get("Contact"))
	if s := <-changed; s.State != sip.Registered || s.Err != nil {
		t.Fatalf("status %+v", s)
	}
	go reg.Unregister(soon(t))
	m = p.Request("REGISTER")
	if field(m, "nonce") != "three" || field(m, "nc") != "00000001" {
		t.Errorf("nextnonce isn't used: %v", m.Headers.Lines("Authorization"))
	}
	p.Reply(m, 200, "r", "")
}
