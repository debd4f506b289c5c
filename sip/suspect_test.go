package sip_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/siptest"
)

// guess sends a REGISTER with a wrong password, asking for a challenge before, and returns the answer to it; ok is false
// without one.
func guess(t *testing.T, p *siptest.Peer, user string, wait time.Duration) (m siptest.Message, ok bool) {
	t.Helper()
	client := auth.NewClient(auth.Credentials{Username: user, Password: "guess"})
	ask := siptest.Ask{Method: "REGISTER", URI: "sip:127.0.0.1", To: "<sip:" + user + "@127.0.0.1>"}
	p.Write(ask)
	if m, ok = p.Receive(wait); !ok || m.Status() != 401 {
		return m, ok
	}
	var attempt auth.Attempt
	if err := client.Challenge(&attempt, m.Headers); err != nil {
		t.Fatal(err)
	}
	h := client.Headers("REGISTER", "sip:127.0.0.1", nil)[0]
	ask.CSeq, ask.Headers = 2, []string{h.Name + ": " + h.Value}
	p.Write(ask)
	return p.Receive(wait)
}

// guesses goes on until it isn't answered, or not with another challenge.
func guesses(t *testing.T, p *siptest.Peer, user func(int) string, most int) siptest.Message {
	t.Helper()
	for i := range most {
		m, ok := guess(t, p, user(i), time.Second)
		if !ok || m.Status() != 401 {
			return m
		}
	}
	t.Fatalf("%d guesses were answered", most)
	return siptest.Message{}
}

func bob(int) string { return "bob" }

// Who guesses a name is silenced over UDP; whoever else sits behind the address goes on, and so does who has shown before
// that the name is its own.
func guessesAboutOneName(t *testing.T) {
	b, _, _ := home(t, nil)
	phones := map[string]*siptest.Peer{"alice": siptest.NewPeer(t, b.addr), "bob": siptest.NewPeer(t, b.addr)}
	desk := siptest.NewTCPPeer(t, "127.0.0.1", b.tcp)
	seq := 0
	works := func(p *siptest.Peer, user, password string) {
		t.Helper()
		if m := register(t, p, user, password, &seq, "Contact: <sip:"+user+"@10.0.0.1>"); m.Status() != 200 {
			t.Errorf("%s: %s", user, m.Start)
		}
	}
	works(phones["bob"], "bob", "b-pass")
	works(desk, "bob", "b-pass")
	if m := guesses(t, siptest.NewPeer(t, b.addr), bob, 40); m.Start != "" {
		t.Errorf("a guesser over UDP is told %s", m.Start)
	}
	if b.front.Stats().Dropped[sip.DropSuspect] == 0 {
		t.Error("the ban isn't counted")
	}
	works(phones["bob"], "bob", "b-pass")
	works(desk, "bob", "b-pass")
	works(phones["alice"], "alice", "a-pass") // who comes only now
	// Over a connection a stranger who claims the name is told, and when it may come again.
	m, ok := guess(t, siptest.NewTCPPeer(t, "127.0.0.1", b.tcp), "bob", siptest.Patience)
	if n, err := strconv.Atoi(m.Headers.Get("Retry-After")); !ok || m.Status() != 503 || err != nil || n < 1 || n > 61 {
		t.Errorf("a guesser over TCP is told %s, Retry-After %q", m.Start, m.Headers.Get("Retry-After"))
	}
	// What one knows it doesn't guess: the peer that gave a right password is a stranger again once it gives a wrong one.
	guess(t, desk, "bob", siptest.Patience)
	if m, _ := guess(t, desk, "bob", siptest.Patience); m.Status() != 503 {
		t.Errorf("a known peer that guesses is told %s", m.Start)
	}
}

// Who guesses one name from many addresses, a few times from each, is silenced at all of them, and at new ones; the name's owner is heard where it has
// been before, also from another port, and so are others.
func guessesFromEverywhere(t *testing.T) {
	b, _ := edge(t, nil)
	seq, old := 0, siptest.NewPeerAt(t, "127.0.3.1", b.addr)
	works := func(p *siptest.Peer, user, password string) {
		t.Helper()
		if m := register(t, p, user, password, &seq, "Contact: <sip:"+user+"@10.0.0.1>"); m.Status() != 200 {
			t.Errorf("%s: %s", user, m.Start)
		}
	}
	works(old, "bob", "b-pass")
	for i := range 300 {
		p := siptest.NewPeerAt(t, fmt.Sprintf("127.0.2.%d", i/20+1), b.addr)
		if m, ok := guess(t, p, "bob", siptest.Patience); !ok || m.Status() != 401 {
			t.Fatalf("guess %d is told %s", i, m.Start)
		}
		p.Close()
	}
	if m, ok := guess(t, siptest.NewPeerAt(t, "127.0.2.200", b.addr), "bob", 300*time.Millisecond); ok {
		t.Errorf("a new address is told %s", m.Start)
	}
	works(old, "bob", "b-pass")
	works(siptest.NewPeerAt(t, "127.0.3.1", b.addr), "bob", "b-pass")
	works(siptest.NewPeerAt(t, "127.0.2.201", b.addr), "alice", "a-pass")
}

// Names in turn don't help: the address is silenced, for all but those who have shown who they are.
func guessesAboutManyNames(t *testing.T) {
	b, _, _ := home(t, nil)
	phone, web, guesser := siptest.NewPeer(t, b.addr), siptest.NewTCPPeer(t, "127.0.0.1", b.tcp), siptest.NewTCPPeer(t, "127.0.0.1", b.tcp)
	seq := 0
	works := func(p *siptest.Peer) {
		t.Helper()
		if m := register(t, p, "alice", "a-pass", &seq, "Contact: <sip:alice@10.0.0.1>"); m.Status() != 200 {
			t.Errorf("alice: %s", m.Start)
		}
	}
	works(phone)
	works(web)
	if m := guesses(t, guesser, func(i int) string { return "user" + strconv.Itoa(i) }, 310); m.Status() != 503 {
		t.Errorf("the guesser is told %s", m.Start)
	}
	if m, ok := guess(t, siptest.NewPeer(t, b.addr), "carol", 300*time.Millisecond); ok {
		t.Errorf("a stranger over UDP is told %s", m.Start)
	}
	works(phone)
	works(web)
	web.Write(siptest.Ask{Method: "INVITE", URI: "sip:1@127.0.0.1"})
	web.Response(407) // an INVITE is challenged as ever
}
