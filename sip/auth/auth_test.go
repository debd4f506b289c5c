package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip/wire"
)

// The examples of RFC 2617 3.5 and RFC 7616 3.9.1, 3.9.2 (whose user names are hashed there, but not their HA1).
func TestVectors(t *testing.T) {
	const (
		nonce7616  = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
		cnonce7616 = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
	)
	for _, v := range []struct {
		alg                                            Algorithm
		user, realm, pass, nonce, cnonce, uri, want, n string
	}{
		{MD5, "Mufasa", "testrealm@host.com", "Circle Of Life", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "0a4f113b", "/dir/index.html",
			"6629fae49393a05397450978507c4ef1", "00000001"},
		{MD5, "Mufasa", "http-auth@example.org", "Circle of Life", nonce7616, cnonce7616, "/dir/index.html",
			"8ca523f5e9506fed4657c9700eebdbec", "00000001"},
		{SHA256, "Mufasa", "http-auth@example.org", "Circle of Life", nonce7616, cnonce7616, "/dir/index.html",
			"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1", "00000001"},
	} {
		ha1 := Credentials{Username: v.user, Password: v.pass}.ha1(v.alg, v.realm)
		if got := Response(v.alg, ha1, v.nonce, v.n, v.cnonce, "auth", "GET", v.uri); got != v.want {
			t.Errorf("%s %s: %s, expected %s", v.alg, v.user, got, v.want)
		}
	}
	// RFC 2617's example without qop, as RFC 2069 has it (with its errata).
	ha1 := HA1(MD5, "Mufasa", "testrealm@host.com", "CircleOfLife")
	if got := Response(MD5, ha1, "dcd98b7102dd2f0e8b11d0f600bfb0c093", "", "", "", "GET", "/dir/index.html"); got != "1949323746fe6a43ef61f9606e7febea" {
		t.Errorf("without qop: %s", got)
	}
	// SHA-512-256: FIPS 180-4's vector for "abc" through the same function.
	if got := SHA512256.hex("abc"); got != "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23" {
		t.Errorf("SHA-512/256: %s", got)
	}
}

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func server(t *testing.T, c *clock, algs ...Algorithm) *Server {
	t.Helper()
	s, err := NewServer(ServerConfig{Realm: "home", Algorithms: algs, Now: c.Now, Lookup: func(u, realm string) (Credentials, bool) {
		switch u {
		case "alice":
			return Credentials{Password: "pw"}, true
		case "hashed":
			return Credentials{HA1: map[Algorithm]string{MD5: HA1(MD5, "hashed", realm, "pw")}}, true
		}
		return Credentials{}, false
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var from = netip.MustParseAddr("192.0.2.1")

func TestServerAndClient(t *testing.T) {
	for _, algs := range [][]Algorithm{nil, {SHA256}, {SHA512256, SHA256, MD5}} {
		c := &clock{time.Unix(1e9, 0)}
		s := server(t, c, algs...)
		for _, proxy := range []bool{false, true} {
			cl := NewClient(Credentials{Username: "alice", Password: "pw"})
			var at Attempt
			if err := cl.Challenge(&at, s.Challenge(from, proxy, false)); err != nil {
				t.Fatal(err)
			}
			var last wire.Headers
			for i := range 3 { // the nonce serves several requests
				last = cl.Headers("INVITE", "sip:bob@home", nil)
				if u, r := s.Verify(from, proxy, "INVITE", "sip:bob@home", last); u != "alice" || r != OK {
					t.Fatalf("%v proxy=%v request %d: %q %v", algs, proxy, i, u, r)
				}
			}
			want := MD5
			if len(algs) > 0 {
				want = algs[0]
			}
			if !strings.Contains(last[0].Value, "algorithm="+string(want)) {
				t.Errorf("not the strongest: %s", last[0].Value)
			}
			for what, check := range map[string]func() (string, Result){
				"replay": func() (string, Result) { return s.Verify(from, proxy, "INVITE", "sip:bob@home", last) },
				"other method": func() (string, Result) {
					return s.Verify(from, proxy, "BYE", "sip:bob@home", cl.Headers("INVITE", "sip:bob@home", nil))
				},
				"other URI": func() (string, Result) {
					return s.Verify(from, proxy, "INVITE", "sip:eve@home", cl.Headers("INVITE", "sip:bob@home", nil))
				},
				"other source": func() (string, Result) {
					return s.Verify(netip.MustParseAddr("192.0.2.2"), proxy, "INVITE", "sip:bob@home", cl.Headers("INVITE", "sip:bob@home", nil))
				},
				"other header field": func() (string, Result) {
					return s.Verify(from, !proxy, "INVITE", "sip:bob@home", cl.Headers("INVITE", "sip:bob@home", nil))
				},
			} {
				want := map[string]Result{"replay": Replay, "other method": Wrong, "other URI": Wrong, "other source": Stale, "other header field": Missing}[what]
				if u, r := check(); u != "" || r != want {
					t.Errorf("%s: %q %v, expected %v", what, u, r, want)
				}
			}
			c.now = c.now.Add(61 * time.Second)
			if _, r := s.Verify(from, proxy, "INVITE", "sip:bob@home", cl.Headers("INVITE", "sip:bob@home", nil)); r != Stale || !r.Stale() {
				t.Errorf("after its life: %v", r)
			}
		}
	}
}

func TestWrongAndUnknown(t *testing.T) {
	s := server(t, &clock{time.Unix(1e9, 0)})
	for _, c := range []Credentials{{Username: "alice", Password: "no"}, {Username: "nobody", Password: "pw"}} {
		cl := NewClient(c)
		var at Attempt
		if err := cl.Challenge(&at, s.Challenge(from, false, false)); err != nil {
			t.Fatal(err)
		}
		if u, r := s.Verify(from, false, "REGISTER", "sip:home", cl.Headers("REGISTER", "sip:home", nil)); u != "" || r != Wrong || !r.Suspicious() {
			t.Errorf("%s: %q %v", c.Username, u, r)
		}
		if err := cl.Challenge(&at, s.Challenge(from, false, false)); !errors.Is(err, ErrRefused) {
			t.Errorf("asked again: %v", err)
		}
	}
	cl := NewClient(Credentials{Username: "hashed", Password: "pw"})
	var at Attempt
	cl.Challenge(&at, s.Challenge(from, false, false))
	if u, r := s.Verify(from, false, "REGISTER", "sip:home", cl.Headers("REGISTER", "sip:home", nil)); u != "hashed" {
		t.Errorf("HA1: %v", r)
	}
	if _, r := s.Verify(from, false, "REGISTER", "sip:home", nil); r != Missing {
		t.Errorf("without credentials: %v", r)
	}
}

// Without a nonce of its own a source can't be made to look like a guesser, by whoever forges its address.
func TestForeignNonceIsNoGuess(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	s := server(t, c)
	elsewhere := netip.MustParseAddr("192.0.2.2")
	challenge := func(source netip.Addr) wire.Headers { return s.Challenge(source, false, false) }
	old := challenge(from)
	c.now = c.now.Add(61 * time.Second)
	for what, h := range map[string]wire.Headers{
		"made up":       {{Name: "WWW-Authenticate", Value: `Digest realm="` + s.Realm() + `", nonce="AAAA", qop="auth"`}},
		"another's":     challenge(elsewhere),
		"of old":        old,
		"another key's": server(t, c).Challenge(from, false, false),
	} {
		for _, password := range []string{"pw", "guess"} {
			cl := NewClient(Credentials{Username: "alice", Password: password})
			if err := cl.Challenge(&Attempt{}, h); err != nil {
				t.Fatal(err)
			}
			if u, r := s.Verify(from, false, "REGISTER", "sip:home", cl.Headers("REGISTER", "sip:home", nil)); u != "" || r != Stale || r.Suspicious() {
				t.Errorf("%s, password %s: %q %v, expected stale", what, password, u, r)
			}
		}
	}
}

func TestClientLoops(t *testing.T) {
	cl := NewClient(Credentials{Username: "a", Password: "b"})
	ch := func(extra string) wire.Headers {
		return wire.Headers{{Name: "WWW-Authenticate", Value: `Digest realm="r", nonce="n", qop="auth,auth-int"` + extra}}
	}
	var at Attempt
	if err := cl.Challenge(&at, ch("")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := cl.Challenge(&at, ch(", stale=TRUE")); err != nil {
			t.Fatal(err)
		}
	}
	if err := cl.Challenge(&at, ch(", stale=true")); !errors.Is(err, ErrRefused) {
		t.Errorf("stale forever: %v", err)
	}
	for _, h := range []wire.Headers{
		nil, {{Name: "WWW-Authenticate", Value: "Basic realm=x"}}, {{Name: "WWW-Authenticate", Value: `Digest realm="r", nonce="n", algorithm=AKAv1-MD5`}},
		{{Name: "WWW-Authenticate", Value: `Digest realm="r"`}}, {{Name: "WWW-Authenticate", Value: `Digest realm="r", nonce="n", qop="auth-conf"`}},
		{{Name: "WWW-Authenticate", Value: `Digest realm="r", realm="s", nonce="n"`}},
	} {
		if err := cl.Challenge(&Attempt{}, h); !errors.Is(err, ErrNoChallenge) {
			t.Errorf("%v: %v", h, err)
		}
	}
	// An unknown first challenge doesn't hide the second (RFC 8760 2.4).
	two := wire.Headers{{Name: "WWW-Authenticate", Value: `Digest realm="r", nonce="x", algorithm=SHA-3`}, ch("")[0]}
	if err := cl.Challenge(&Attempt{}, two); err != nil {
		t.Error(err)
	}
	var none *Client
	if err := none.Challenge(&Attempt{}, ch("")); !errors.Is(err, ErrNoCredentials) || none.Headers("A", "b", nil) != nil {
		t.Errorf("nil client: %v", err)
	}
	if err := NewClient(Credentials{Username: "a", Realm: "elsewhere"}).Challenge(&Attempt{}, ch("")); !errors.Is(err, ErrNoCredentials) {
		t.Errorf("other realm: %v", err)
	}
}

func TestNextNonce(t *testing.T) {
	cl := NewClient(Credentials{Username: "a", Password: "b"})
	cl.Challenge(&Attempt{}, wire.Headers{{Name: "WWW-Authenticate", Value: `Digest realm="r", nonce="one", qop="auth"`}})
	sent := cl.Headers("INVITE", "sip:x", nil)
	next := wire.Headers{{Name: "Authentication-Info", Value: `nextnonce="two", qop=auth`}}
	if err := cl.Learn(sent, next, nil); err != nil {
		t.Error(err)
	}
	h := cl.Headers("INVITE", "sip:x", nil)
	if !strings.Contains(h[0].Value, `nonce="two"`) || !strings.Contains(h[0].Value, "nc=00000001") {
		t.Errorf("%s", h[0].Value)
	}
	// What an older request's answer says doesn't undo it.
	if err := cl.Learn(sent, wire.Headers{{Name: "Authentication-Info", Value: `nextnonce="three"`}}, nil); err != nil {
		t.Error(err)
	}
	if h := cl.Headers("INVITE", "sip:x", nil)[0].Value; !strings.Contains(h, `nonce="two"`) || !strings.Contains(h, "nc=00000002") {
		t.Errorf("%s", h)
	}
}

// rspauth proves the peer (RFC 7616 3.5); with several realms it tells whose nextnonce it is.
func TestRspauth(t *testing.T) {
	for _, alg := range Algorithms() {
		challenge := func(realm string) wire.Header {
			return wire.Header{Name: "Proxy-Authenticate", Value: `Digest realm="` + realm + `", nonce="n-` + realm + `", qop="auth", algorithm=` + string(alg)}
		}
		cl := NewClient(Credentials{Username: "a", Password: "b"})
		if err := cl.Challenge(&Attempt{}, wire.Headers{challenge("one"), challenge("two")}); err != nil {
			t.Fatal(err)
		}
		sent := cl.Headers("INVITE", "sip:x", nil)
		if len(sent) != 2 {
			t.Fatalf("%d credentials for two realms", len(sent))
		}
		info := func(realm, password string) wire.Headers {
			for _, h := range sent {
				if f, err := parse(h.Value); err == nil && f["realm"] == realm {
					return wire.Headers{{Name: "Proxy-Authentication-Info", Value: fmt.Sprintf(`rspauth="%s", nextnonce="next-%s"`,
						Response(alg, HA1(alg, "a", realm, password), f["nonce"], f["nc"], f["cnonce"], "auth", "", "sip:x"), realm)}}
				}
			}
			t.Fatalf("no credentials for %s", realm)
			return nil
		}
		if err := cl.Learn(sent, info("two", "b"), nil); err != nil {
			t.Errorf("%s: a right rspauth: %v", alg, err)
		}
		all := fmt.Sprint(cl.Headers("BYE", "sip:x", nil))
		if !strings.Contains(all, `nonce="next-two"`) || !strings.Contains(all, `nonce="n-one"`) {
			t.Errorf("%s: nextnonce of one realm: %s", alg, all)
		}
		if err := cl.Learn(sent, info("one", "guessed"), nil); !errors.Is(err, ErrImpostor) {
			t.Errorf("%s: a wrong rspauth: %v", alg, err)
		}
		if h := cl.Headers("BYE", "sip:x", nil); len(h) != 0 {
			t.Errorf("%s: after a wrong rspauth: %v", alg, h)
		}
	}
}

// With an HA1 instead of the password only what it was made for can be answered.
func TestStrongestOfWhatIsKnown(t *testing.T) {
	s := server(t, &clock{time.Unix(1e9, 0)}, SHA512256, SHA256, MD5)
	for _, c := range []struct {
		have []Algorithm
		want Algorithm
	}{{[]Algorithm{MD5}, MD5}, {[]Algorithm{MD5, SHA256}, SHA256}, {Algorithms(), SHA512256}} {
		creds := Credentials{Username: "alice", HA1: map[Algorithm]string{}}
		for _, a := range c.have {
			creds.HA1[a] = strings.ToUpper(HA1(a, "alice", "home", "pw"))
		}
		cl := NewClient(creds)
		if err := cl.Challenge(&Attempt{}, s.Challenge(from, false, false)); err != nil {
			t.Fatal(err)
		}
		h := cl.Headers("REGISTER", "sip:home", nil)
		if len(h) != 1 || !strings.Contains(h[0].Value, "algorithm="+string(c.want)+",") {
			t.Errorf("%v: %v, expected %s", c.have, h, c.want)
		}
		if u, r := s.Verify(from, false, "REGISTER", "sip:home", h); u != "alice" {
			t.Errorf("%v: %v", c.have, r)
		}
	}
	cl := NewClient(Credentials{Username: "alice", HA1: map[Algorithm]string{SHA256: "x"}})
	if err := cl.Challenge(&Attempt{}, server(t, &clock{time.Unix(1e9, 0)}).Challenge(from, false, false)); !errors.Is(err, ErrNoChallenge) || !strings.Contains(err.Error(), "MD5") {
		t.Errorf("asked by MD5 with an HA1 of SHA-256: %v", err)
	}
	// As a server: who picks an algorithm that we hold nothing for is as wrong as an unknown user.
	cl = NewClient(Credentials{Username: "hashed", Password: "pw"})
	cl.Challenge(&Attempt{}, s.Challenge(from, false, false))
	if u, r := s.Verify(from, false, "REGISTER", "sip:home", cl.Headers("REGISTER", "sip:home", nil)); u != "" || r != Wrong {
		t.Errorf("an algorithm without HA1: %q %v", u, r)
	}
}

func TestSimpleChallenge(t *testing.T) {
	s, err := NewServer(ServerConfig{Realm: "home", Algorithms: []Algorithm{MD5, SHA256}, Simple: []string{"old v1", "none"}, Lookup: func(string, string) (Credentials, bool) { return Credentials{}, false }})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Simple("old v1.2") || s.Simple("old v2") || !s.Simple("") || !s.Several() {
		t.Error("whom to ask simply")
	}
	h := s.ChallengeSimply(from, true, true)
	if len(h) != 1 || h[0].Name != "Proxy-Authenticate" || !strings.Contains(h[0].Value, "algorithm=MD5") || !strings.Contains(h[0].Value, "stale=true") {
		t.Errorf("%v", h)
	}
	if all := s.Challenge(from, false, false); len(all) != 2 || !strings.Contains(all[0].Value, "algorithm=MD5") {
		t.Errorf("not in the order that was asked for: %v", all)
	}
}

func TestWindow(t *testing.T) {
	w := &window{}
	for _, c := range []struct {
		n    uint32
		want bool
	}{{1, true}, {1, false}, {3, true}, {2, true}, {2, false}, {100, true}, {36, false}, {37, true}, {99, true}, {99, false}, {1 << 31, true}, {100, false}} {
		if got := w.take(c.n); got != c.want {
			t.Errorf("nc %d: %v", c.n, got)
		}
	}
}

func TestServerConfig(t *testing.T) {
	ok := func(string, string) (Credentials, bool) { return Credentials{}, false }
	for _, c := range []ServerConfig{
		{Lookup: ok}, {Realm: "a\"b", Lookup: ok}, {Realm: "a\r\nb", Lookup: ok}, {Realm: "a"}, {Realm: "a", Lookup: ok, Algorithms: []Algorithm{"ROT13"}},
		{Realm: "a", Lookup: ok, NonceLife: time.Millisecond},
	} {
		if _, err := NewServer(c); err == nil {
			t.Errorf("%+v: accepted", c)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`Digest realm="r", nonce="n", qop="auth,auth-int", algorithm=MD5, opaque=""`)
	f.Add(`Digest username="a\"b", uri="sip:x", response="y", nc=00000001, cnonce="z"`)
	f.Add(`Digest ,,,=`)
	c := &clock{time.Unix(1e9, 0)}
	s, err := NewServer(ServerConfig{Realm: "r", Now: c.Now, Lookup: func(string, string) (Credentials, bool) { return Credentials{Password: "p"}, true }})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, v string) {
		if _, r := s.Verify(from, false, "INVITE", "sip:x", wire.Headers{{Name: "Authorization", Value: v}}); r == OK {
			t.Errorf("%q was accepted", v)
		}
		cl := NewClient(Credentials{Username: "u", Password: "p"})
		if cl.Challenge(&Attempt{}, wire.Headers{{Name: "WWW-Authenticate", Value: v}}) != nil {
			return
		}
		for _, h := range cl.Headers("INVITE", "sip:x", nil) {
			if err := wire.CheckHeader(h); err != nil {
				t.Errorf("%q made %v", v, err)
			}
			if _, err := parse(h.Value); err != nil {
				t.Errorf("%q made %q: %v", v, h.Value, err)
			}
		}
	})
}
