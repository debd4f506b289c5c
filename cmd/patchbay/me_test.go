package main

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay/patchbay/billing"
)

// newTestMe has the users anna (a password), front.desk with the login desk (an HA1), and no records.
func newTestMe(t testing.TB) (*me, http.Handler) {
	t.Helper()
	cfg := defaults()
	cfg.Billing.Database, cfg.Billing.Dir = "none", t.TempDir()
	cfg.SIP.Domain = "example.com"
	cfg.STUN = []string{"stun:stun.example.com"}
	cfg.TURN = TURN{URLs: []string{"turn:turn.example.com:3478?transport=udp"}, Secret: "shared", TTL: time.Hour}
	cfg.Users = []User{{ID: "anna", Password: "anna-secret"},
		{ID: "front.desk", Login: "desk", HA1: HA1{MD5: Secret(fmt.Sprintf("%X", md5.Sum([]byte("desk:patchbay:desk-secret"))))}}}
	cfg.complete()
	p := newPast(cfg.billing(quiet))
	t.Cleanup(p.Close)
	m, err := newMe(cfg, p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	m.mount(mux)
	return m, mux
}

// ask sends one request from an address; header is "Name: value" or "".
func ask(h http.Handler, method, path, from, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/api/v1/me/"+path, strings.NewReader(body))
	r.RemoteAddr = from + ":4711"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, x := range header {
		name, value, _ := strings.Cut(x, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func credentials(user, password string) string {
	b, _ := json.Marshal(map[string]string{"user": user, "password": password}) // strings can always be written
	return string(b)
}

// said is the error that an answer tells; every refusal has one, in JSON.
func said(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	var out struct{ Error string }
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || out.Error == "" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %q isn't an error in JSON", w.Code, w.Body)
	}
	return out.Error
}

func TestLogin(t *testing.T) {
	_, h := newTestMe(t)
	for typed, uri := range map[string]string{
		"anna": "sip:anna@example.com", "sip:anna@example.com": "sip:anna@example.com", " anna@EXAMPLE.com ": "sip:anna@example.com",
	} {
		before := time.Now()
		w := ask(h, "POST", "login", "192.0.2.1", credentials(typed, "anna-secret"))
		var out loggedIn
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != 200 {
			t.Fatalf("%q: %d %s", typed, w.Code, w.Body)
		}
		if out.SIP != (sipAccount{uri, "patchbay", "example.com"}) {
			t.Errorf("%q: account %+v", typed, out.SIP)
		}
		if b, err := base64.RawURLEncoding.DecodeString(out.Token); err != nil || len(b) != 32 {
			t.Errorf("token %q (%v), expected 32 bytes", out.Token, err)
		}
		if life := out.Expires.Sub(before); life < tokenLife-2*time.Second || life > tokenLife+2*time.Second {
			t.Errorf("the token lives %s", life)
		}
		if len(out.ICE) != 2 || out.ICE[0].URLs[0] != "stun:stun.example.com" || out.ICE[0].Credential != "" {
			t.Fatalf("ICE %+v", out.ICE)
		}
		checkTURN(t, out.ICE[1], before)
	}
	if w := ask(h, "POST", "login", "192.0.2.1", credentials("desk", "desk-secret")); w.Code != 200 {
		t.Errorf("a user with an HA1: %d %s", w.Code, w.Body)
	}
}

// checkTURN does what coturn does with use-auth-secret.
func checkTURN(t *testing.T, s iceServer, from time.Time) {
	t.Helper()
	end, user, _ := strings.Cut(s.Username, ":")
	n, err := strconv.ParseInt(end, 10, 64)
	if d := time.Unix(n, 0).Sub(from.Add(time.Hour)); err != nil || user != "anna" || d < -2*time.Second || d > 2*time.Second {
		t.Errorf("TURN user name %q", s.Username)
	}
	mac := hmac.New(sha1.New, []byte("shared"))
	mac.Write([]byte(s.Username))
	if s.Credential != base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
		t.Errorf("TURN password %q", s.Credential)
	}
}

// A known value, computed by OpenSSL: printf 1700003600:anna | openssl dgst -sha1 -hmac shared -binary | base64.
func TestTURNCredentialIsThatOfOpenSSL(t *testing.T) {
	cfg := Config{TURN: TURN{URLs: []string{"turn:h"}, Secret: "shared", TTL: time.Hour}}
	s := cfg.iceServers("anna", time.Unix(1_700_000_000, 0))[0]
	if s.Username != "1700003600:anna" || s.Credential != "71XoULchPqnk8TrAnXOBWvXcjg4=" {
		t.Errorf("%+v", s)
	}
	if list := new(Config).iceServers("anna", time.Now()); list == nil || len(list) != 0 {
		t.Errorf("without servers: %v, expected an empty list", list)
	}
}

// Nothing tells an unknown user from a wrong password: neither words, nor headers, nor when one is refused unheard.
func TestUnknownUserLooksLikeWrongPassword(t *testing.T) {
	refusals := func(user string) string {
		_, h := newTestMe(t)
		var all strings.Builder
		for i := range maxFailures + 2 {
			w := ask(h, "POST", "login", fmt.Sprintf("192.0.2.%d", i), credentials(user, "wrong"))
			fmt.Fprintln(&all, w.Code, w.Body, w.Header())
		}
		return all.String()
	}
	known, unknown := refusals("anna"), refusals("nobody")
	if known != unknown {
		t.Errorf("a user is refused with\n%sand nobody with\n%s", known, unknown)
	}
	if strings.Count(known, "401 ") != maxFailures || strings.Count(known, "429 ") != 2 {
		t.Errorf("got\n%s", known)
	}
}

// The work is the same too: medians over interleaved tries differ by less than what a single hash takes many times over.
func TestUnknownUserTakesAsLong(t *testing.T) {
	m, h := newTestMe(t)
	times := map[string][]time.Duration{}
	for range 400 {
		for _, user := range []string{"anna", "nobo"} {
			m.guesses = newGuesses()
			start := time.Now()
			w := ask(h, "POST", "login", "192.0.2.1", credentials(user, strings.Repeat("x", 1000)))
			times[user] = append(times[user], time.Since(start))
			if w.Code != 401 {
				t.Fatal(w.Code, w.Body)
			}
		}
	}
	a, b := median(times["anna"]), median(times["nobo"])
	if d := (a - b).Abs(); d > max(a, b)/2 {
		t.Errorf("a wrong password takes %s, an unknown user %s", a, b)
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func TestLoginRefusesGarbage(t *testing.T) {
	m, h := newTestMe(t)
	for _, x := range []struct {
		name, body, header string
		want               int
	}{
		{"nothing", "", "Content-Type: application/json", 400},
		{"not JSON", "user=anna", "", 400},
		{"half", `{"user": "anna", "password": "anna-sec`, "", 400},
		{"list", `["anna", "anna-secret"]`, "", 400},
		{"no password", `{"user": "anna"}`, "", 400},
		{"null", `{"user": "anna", "password": null}`, "", 400},
		{"number", `{"user": "anna", "password": 1}`, "", 400},
		{"another key", `{"user": "anna", "password": "anna-secret", "admin": true}`, "", 400},
		{"more behind", credentials("anna", "anna-secret") + "{}", "", 400},
		{"deep", strings.Repeat("[", 4000), "", 400},
		{"long user", credentials(strings.Repeat("a", maxUser+1), "x"), "", 400},
		{"long password", credentials("anna", strings.Repeat("a", maxPassword+1)), "", 400},
		{"oversized", credentials("anna", strings.Repeat("a", maxLogin)), "", 413},
		{"oversized behind", credentials("anna", "anna-secret") + strings.Repeat(" ", maxLogin), "", 413},
		{"a form, which pages of others can send", credentials("anna", "anna-secret"), "Content-Type: text/plain", 415},
		{"empty password", credentials("anna", ""), "", 401},
		{"empty user", credentials("", ""), "", 401},
		{"HA1 for a password", credentials("desk", string(m.cfg.Users[1].HA1.MD5)), "", 401},
		{"id for a login", credentials("front.desk", "desk-secret"), "", 401},
		{"other domain", credentials("anna@evil.example", "anna-secret"), "", 401},
		{"parts that move", credentials("anna:patchbay", "anna-secret"), "", 401},
	} {
		t.Run(x.name, func(t *testing.T) {
			m.guesses = newGuesses()
			headers := []string{}
			if x.header != "" {
				headers = append(headers, x.header)
			}
			w := ask(h, "POST", "login", "192.0.2.1", x.body, headers...)
			if w.Code != x.want {
				t.Errorf("%d %s, expected %d", w.Code, w.Body, x.want)
			}
			if s := said(t, w); strings.Contains(s, "secret") {
				t.Errorf("it repeats the password: %s", s)
			}
			if w.Code == 401 && !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") {
				t.Error("a 401 without a scheme")
			}
		})
	}
	if n := m.tokens.live(); n != 0 {
		t.Errorf("%d tokens were given", n)
	}
}

func FuzzLogin(f *testing.F) {
	f.Add([]byte(credentials("anna", "wrong")))
	f.Add([]byte(`{"user": "sip:@", "password": "\u0000"}`))
	f.Add([]byte("[[[["))
	m, h := newTestMe(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		m.guesses = newGuesses()
		w := ask(h, "POST", "login", "192.0.2.1", string(body), "Content-Type: application/json")
		switch w.Code {
		case 400, 401, 413:
			said(t, w)
		case 200:
			if !strings.Contains(string(body), "secret") && !strings.Contains(string(body), `\`) {
				t.Errorf("%q logs in", body)
			}
		default:
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}

// Wrong passwords shut out a source, whomever it tries, and a user's name, wherever they come from; for a minute.
func TestGuessingIsSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := newTestMe(t)
		try := func(from, user, password string, want int) *httptest.ResponseRecorder {
			t.Helper()
			w := ask(h, "POST", "login", from, credentials(user, password))
			if w.Code != want {
				t.Errorf("%s from %s: %d %s, expected %d", user, from, w.Code, w.Body, want)
			}
			return w
		}
		for i := range maxFailures {
			try("192.0.2.1", fmt.Sprint("nobody", i), "x", 401)
			time.Sleep(time.Second)
		}
		w := try("192.0.2.1", "anna", "anna-secret", 429)
		if after := w.Header().Get("Retry-After"); after != "55" {
			t.Errorf("Retry-After %q, expected 55", after)
		}
		said(t, w)
		try("192.0.2.2", "anna", "anna-secret", 200)
		for i := range maxFailures {
			try(fmt.Sprintf("198.51.100.%d", i), "anna", "x", 401)
		}
		try("192.0.2.2", "anna", "anna-secret", 429)
		try("192.0.2.2", "sip:anna@example.com", "anna-secret", 429)
		try("192.0.2.2", "desk", "desk-secret", 200)
		time.Sleep(55 * time.Second)
		try("192.0.2.1", "desk", "desk-secret", 200)
		time.Sleep(5 * time.Second)
		try("192.0.2.2", "anna", "anna-secret", 200)
		// One subscriber has all addresses of an IPv6 network.
		for i := range maxFailures {
			try(fmt.Sprintf("[2001:db8::%d]", i), fmt.Sprint("somebody", i), "x", 401)
		}
		try("[2001:db8::ffff]", "anna", "anna-secret", 429)
		try("[2001:db8:0:1::1]", "anna", "anna-secret", 200)
	})
}

// Many at once get no more tries than one after the other, and the tables stay small.
func TestGuessesAreBounded(t *testing.T) {
	m, h := newTestMe(t)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { ask(h, "POST", "login", "192.0.2.1", credentials("anna", "x")) })
	}
	wg.Wait()
	if n := m.logins.wrong.Load(); n != maxFailures {
		t.Errorf("%d guesses were heard, expected %d", n, maxFailures)
	}
	s, now := newSuspects(), time.Now()
	for i := range maxSuspects + 500 {
		s.failed([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, now)
	}
	if len(s.by) > maxSuspects || s.order.Len() != len(s.by) {
		t.Errorf("%d suspects in %d places, expected %d at most", len(s.by), s.order.Len(), maxSuspects)
	}
	s.failed([32]byte{9}, now.Add(failureWindow))
	if len(s.by) != 1 {
		t.Errorf("%d suspects after a minute, expected 1", len(s.by))
	}
}

func loginToken(t *testing.T, h http.Handler, user, password string) string {
	t.Helper()
	w := ask(h, "POST", "login", "192.0.2.1", credentials(user, password))
	var out loggedIn
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != 200 {
		t.Fatalf("login of %s: %d %s", user, w.Code, w.Body)
	}
	return out.Token
}

func TestTokenIsAskedFor(t *testing.T) {
	_, h := newTestMe(t)
	good := loginToken(t, h, "anna", "anna-secret")
	for _, header := range []string{"X: y", "Authorization: ", "Authorization: Bearer", "Authorization: Bearer ", "Authorization: " + good,
		"Authorization: Basic " + good, "Authorization: Bearer " + good[:42], "Authorization: Bearer " + good + "A", "Authorization: Bearer " + strings.Repeat("A", 10_000),
		"Authorization: Bearer " + strings.ToUpper(good), "Authorization: Bearer \x00"} {
		for method, path := range map[string]string{"GET": "calls", "POST": "logout"} {
			w := ask(h, method, path, "192.0.2.1", "", header)
			if w.Code != 401 {
				t.Errorf("%q: %d %s", clean(header), w.Code, w.Body)
			}
			said(t, w)
		}
	}
	if w := ask(h, "GET", "calls?token="+good, "192.0.2.1", ""); w.Code != 401 {
		t.Errorf("a token in the address: %d", w.Code)
	}
	bearer := "Authorization: bearer " + good
	if w := ask(h, "GET", "calls", "192.0.2.1", "", bearer); w.Code != 200 || strings.TrimSpace(w.Body.String()) != "[]" {
		t.Errorf("%d %s, expected an empty list", w.Code, w.Body)
	}
	for _, limit := range []string{"0", "-1", "101", "x", "", "1e1"} {
		if w := ask(h, "GET", "calls?limit="+limit, "192.0.2.1", "", bearer); w.Code != 400 || !strings.Contains(said(t, w), "expected 1 to 100") {
			t.Errorf("limit %q: %d %s", limit, w.Code, w.Body)
		}
	}
	for path, method := range map[string]string{"login": "GET", "logout": "GET", "calls": "POST"} {
		if w := ask(h, method, path, "192.0.2.1", "", bearer); w.Code != 405 || w.Header().Get("Allow") == "" {
			t.Errorf("%s %s: %d", method, path, w.Code)
		}
	}
	if w := ask(h, "GET", "passwords", "192.0.2.1", "", bearer); w.Code != 404 {
		t.Errorf("a path that isn't there: %d", w.Code)
	}
	if w := ask(h, "POST", "logout", "192.0.2.1", "", bearer); w.Code != 204 {
		t.Errorf("logout: %d", w.Code)
	}
	if w := ask(h, "GET", "calls", "192.0.2.1", "", bearer); w.Code != 401 {
		t.Errorf("after the logout: %d", w.Code)
	}
}

func TestTokensEndAndAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTokens()
		s.most, s.mostOfUser = 4, 2
		a1, _ := s.issue("a")
		a2, _ := s.issue("a")
		a3, ends := s.issue("a")
		if s.owner(a1) != "" || s.owner(a2) != "a" || s.owner(a3) != "a" {
			t.Error("a user's oldest token must make room, and no other")
		}
		b, _ := s.issue("b")
		c, _ := s.issue("c")
		if d, _ := s.issue("d"); s.owner(d) != "d" || s.owner(a2) != "" || s.owner(b) != "b" || s.owner(c) != "c" {
			t.Error("the oldest token of all must make room, and no other")
		}
		if !ends.Equal(time.Now().Add(tokenLife)) {
			t.Errorf("it ends at %s", ends)
		}
		time.Sleep(tokenLife - time.Nanosecond)
		if s.owner(a3) != "a" {
			t.Error("a token ended early")
		}
		time.Sleep(time.Nanosecond)
		if s.owner(a3) != "" || s.live() != 0 || len(s.count) != 0 || s.order.Len() != 0 {
			t.Errorf("%d tokens are left", s.live())
		}
	})
}

func TestRecordsThatAreAway(t *testing.T) {
	m, h := newTestMe(t)
	bearer := "Authorization: Bearer " + loginToken(t, h, "anna", "anna-secret")
	m.past.cfg.Database = "postgres://u:planted-secret@127.0.0.1:1/d?connect_timeout=1"
	w := ask(h, "GET", "calls", "192.0.2.1", "", bearer)
	if s := said(t, w); w.Code != 503 || strings.Contains(s, "planted-secret") {
		t.Errorf("without the database: %d %s", w.Code, s)
	}
	m.past.cfg.Database = "none"
	m.past.shut()
	if w := ask(h, "GET", "calls", "192.0.2.1", "", bearer); w.Code != 200 {
		t.Errorf("when it is back: %d %s", w.Code, w.Body)
	}
	for range pastQueue {
		m.past.queue <- struct{}{}
	}
	if w := ask(h, "GET", "calls", "192.0.2.1", "", bearer); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("in a crowd: %d %s", w.Code, w.Body)
	}
	m.past.Close()
	m.past.Close()
	<-m.past.queue
	if _, err := m.past.calls(context.Background(), "anna", 1); !errors.Is(err, billing.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}
