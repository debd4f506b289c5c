package auth

import (
	"errors"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/sip/wire"
)

// What others answer to challenges of these kinds: curl 7.88 those of the -sess variants and of auth-int without a body, SIPp 3.6 that of
// auth-int with one. With the same count and client nonce our answer is theirs.
func TestVariantsAsOthersAnswerThem(t *testing.T) {
	for _, c := range []struct{ challenge, method, uri, body, cnonce, want string }{
		{`qop="auth", algorithm=MD5-sess`, "GET", "/x", "", "MjA0ZjA0NmI0ODg4MjVjNWE0M2NjZDkwMGRhOTg3ZDc=", "0e325aaf7bbf95eb15b2568516cdf045"},
		{`qop="auth", algorithm=SHA-256-sess`, "GET", "/x", "", "OTEzNmI2NmI0MTkzYzEzYTQ1NDRjOTg3YzExNmFkYWQ=", "23ca276a4fddda98b1c888876206f3f66134392287512e4d3d1d9654bc4e5af6"},
		{`qop="auth-int", algorithm=MD5`, "GET", "/x", "", "YmQ4OTcyMjJlNzcxYmZkY2YyZWRhNjIxYTQ2ZDJiOGI=", "b31957da9bd9343037ddae030d7c0393"},
		{`qop="auth-int", algorithm=MD5`, "MESSAGE", "sip:127.0.0.1:15999", "hello there", "6b8b4567", "7f02c7bedb9c74de5b36f4f914818e00"},
	} {
		creds := Credentials{Username: "alice", Password: "secret"}
		ch, err := parseChallenge(`Digest realm="home", nonce="n1", ` + c.challenge)
		if err != nil {
			t.Fatal(err)
		}
		s := ch.session
		s.client = func() string { return c.cnonce }
		f, err := parse(s.header(creds, c.method, c.uri, []byte(c.body)).Value)
		if err != nil {
			t.Fatal(err)
		}
		if f["response"] != c.want || f["cnonce"] != c.cnonce || f["nc"] != "00000001" || !strings.Contains(c.challenge, "algorithm="+f["algorithm"]) || !strings.Contains(c.challenge, `"`+f["qop"]+`"`) {
			t.Errorf("%s: %v, expected the response %s", c.challenge, f, c.want)
		}
	}
}

// The key of a -sess variant is made once: later requests have the same client nonce, and another count. A new challenge begins another.
func TestSessionKeyIsMadeOnce(t *testing.T) {
	challenge := func(nonce string) wire.Headers {
		return wire.Headers{{Name: "WWW-Authenticate", Value: `Digest realm="home", nonce="` + nonce + `", qop="auth-int,auth", algorithm=SHA-512-256-sess`}}
	}
	cl := NewClient(Credentials{Username: "alice", HA1: map[Algorithm]string{SHA512256: HA1(SHA512256, "alice", "home", "secret")}})
	ask := func(method string) (fields, []wire.Header) {
		sent := cl.Headers(method, "sip:home", []byte("body"))
		f, err := parse(sent[0].Value)
		if err != nil {
			t.Fatal(err)
		}
		return f, sent
	}
	right := func(f fields, nonce, method string) {
		t.Helper()
		key := SHA512256.hex(HA1(SHA512256, "alice", "home", "secret"), nonce, f["cnonce"])
		if want := Response(SHA512256, key, f["nonce"], f["nc"], f["cnonce"], "auth", method, "sip:home"); f["response"] != want || f["qop"] != "auth" {
			t.Errorf("%v, expected the response %s", f, want)
		}
	}
	if err := cl.Challenge(&Attempt{}, challenge("one")); err != nil {
		t.Fatal(err)
	}
	first, _ := ask("REGISTER")
	second, sent := ask("INVITE")
	right(first, "one", "REGISTER")
	right(second, "one", "INVITE")
	if first["cnonce"] != second["cnonce"] || second["nc"] != "00000002" {
		t.Errorf("first %v, then %v", first, second)
	}
	// A nonce that follows doesn't change the key, and the peer's answer is by it.
	key := SHA512256.hex(HA1(SHA512256, "alice", "home", "secret"), "one", first["cnonce"])
	info := wire.Headers{{Name: "Authentication-Info", Value: `nextnonce="two", rspauth="` +
		Response(SHA512256, key, "one", second["nc"], second["cnonce"], "auth", "", "sip:home") + `"`}}
	if err := cl.Learn(sent, info, nil); err != nil {
		t.Error(err)
	}
	third, _ := ask("BYE")
	if third["nonce"] != "two" || third["cnonce"] != first["cnonce"] {
		t.Errorf("after nextnonce: %v", third)
	}
	right(third, "one", "BYE")
	if err := cl.Challenge(&Attempt{}, challenge("three")); err != nil {
		t.Fatal(err)
	}
	fourth, _ := ask("INVITE")
	right(fourth, "three", "INVITE")
	if fourth["cnonce"] == first["cnonce"] {
		t.Error("a new session has the client nonce of the old one")
	}
}

// With auth-int the answer's body counts for rspauth; a qop of neither kind can't be answered.
func TestIntegrityOfAnswers(t *testing.T) {
	ch := wire.Headers{{Name: "Proxy-Authenticate", Value: `Digest realm="home", nonce="n", qop="auth-int"`}}
	cl := NewClient(Credentials{Username: "alice", Password: "secret"})
	if err := cl.Challenge(&Attempt{}, ch); err != nil {
		t.Fatal(err)
	}
	sent := cl.Headers("INVITE", "sip:bob@home", []byte("offer"))
	f, err := parse(sent[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	info := wire.Headers{{Name: "Proxy-Authentication-Info", Value: `qop=auth-int, rspauth="` +
		MD5.hex(HA1(MD5, "alice", "home", "secret"), "n", f["nc"], f["cnonce"], "auth-int", MD5.hex("", "sip:bob@home", MD5.hex("answer"))) + `"`}}
	if err := cl.Learn(sent, info, []byte("answer")); err != nil {
		t.Error(err)
	}
	if err := cl.Learn(sent, info, []byte("another")); !errors.Is(err, ErrImpostor) {
		t.Errorf("another body: %v", err)
	}
	ch[0].Value = `Digest realm="home", nonce="n", qop="auth-conf"`
	if err := cl.Challenge(&Attempt{}, ch); !errors.Is(err, ErrNoChallenge) || !strings.Contains(err.Error(), "expected auth or auth-int") {
		t.Errorf("an unknown qop: %v", err)
	}
}
