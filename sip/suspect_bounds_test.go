package sip

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func from(addr string) origin { return origin{"udp", netip.MustParseAddrPort(addr)} }

// Of IPv6 a subscriber has a whole network, and is one source there.
func TestSuspectsOfIPv6(t *testing.T) {
	s := newSuspects()
	for i := range guessesOfName {
		s.failed(from(fmt.Sprintf("[2001:db8::%x]:5060", i+1)), "alice")
	}
	for addr, banned := range map[string]bool{"[2001:db8::ffff:1]:9": true, "[2001:db8:0:1::1]:9": false} {
		if w := s.wait(from(addr), "alice"); w > 0 != banned {
			t.Errorf("%s waits %v", addr, w)
		}
	}
	if w := s.wait(from("[2001:db8::1]:5060"), "bob"); w != 0 {
		t.Errorf("another name waits %v", w)
	}
}

func TestSuspectsAreForgiven(t *testing.T) {
	s, now := newSuspects(), time.Now()
	s.now = func() time.Time { return now }
	at := from("192.0.2.1:5060")
	for i := range guessesOfName {
		if began := s.failed(at, "alice"); began != (i == guessesOfName-1) {
			t.Fatalf("guess %d begins a ban: %v", i, began)
		}
		now = now.Add(time.Second)
	}
	if w := s.wait(at, "alice"); w < guessWindow-2*time.Second {
		t.Errorf("waits %v", w)
	}
	now = now.Add(guessWindow)
	if w := s.wait(at, "alice"); w != 0 {
		t.Errorf("waits %v after the window", w)
	}
	if s.failed(at, "alice") || s.wait(at, "alice") != 0 {
		t.Error("one more guess bans at once")
	}
}

// Guesses from everywhere close a name's door, but not where its owner has been.
func TestSuspectsFromManySources(t *testing.T) {
	s, now := newSuspects(), time.Now()
	s.now = func() time.Time { return now }
	s.right(from("192.0.2.1:5060"), "alice")
	for i := range guessesOfAll {
		if began := s.failed(from(fmt.Sprintf("10.0.%d.%d:5060", i>>8, i&255)), "alice"); began != (i == guessesOfAll-1) {
			t.Fatalf("guess %d begins a ban: %v", i, began)
		}
	}
	for addr, banned := range map[string]bool{"192.0.2.1:5060": false, "192.0.2.1:9": false, "198.51.100.1:5060": true, "10.0.0.1:5060": true} {
		if w := s.wait(from(addr), "alice"); w > 0 != banned {
			t.Errorf("%s waits %v", addr, w)
		}
		if w := s.wait(from(addr), "bob"); w != 0 {
			t.Errorf("%s waits %v for another name", addr, w)
		}
	}
	now = now.Add(guessWindow)
	if w := s.wait(from("198.51.100.1:5060"), "alice"); w != 0 {
		t.Errorf("waits %v after the window", w)
	}
}

// A full table forgets the oldest, not who is banned now.
func TestSuspectsAreBounded(t *testing.T) {
	s := newSuspects()
	for i := range maxGuessers {
		s.failed(from(fmt.Sprintf("10.%d.%d.1:5060", i>>8, i&255)), "nobody")
	}
	guesser := from("192.0.2.1:5060")
	for range guessesOfName {
		s.failed(guesser, "alice")
	}
	for i := range maxGuessers / 2 {
		s.failed(from(fmt.Sprintf("11.%d.%d.1:5060", i>>8, i&255)), "nobody")
	}
	if s.wait(guesser, "alice") == 0 {
		t.Error("the ban is forgotten")
	}
	for i := range maxProved + 10 {
		s.right(from(fmt.Sprintf("12.%d.%d.%d:5060", i>>16, i>>8&255, i&255)), "alice")
	}
	for i := range 2 * namesOfPeer {
		s.right(guesser, fmt.Sprint(i))
	}
	for i := range maxGuessers + 10 {
		s.failed(from("192.0.2.9:5060"), fmt.Sprint(i))
	}
	if all, homes := len(s.all.by), len(s.homes.by); all != maxGuessers || homes != maxProved {
		t.Errorf("%d names and %d homes are held", all, homes)
	}
	names, sources, proved := len(s.names.by), len(s.sources.by), len(s.proved.by)
	if names != maxGuessers || sources != maxGuessers || proved != maxProved || s.proved.order.Len() != proved {
		t.Errorf("%d names, %d sources, %d peers are held", names, sources, proved)
	}
	if n := len(s.proved.get(guesser).names); n != namesOfPeer {
		t.Errorf("%d names of one peer", n)
	}
	s.gone(guesser)
	if s.proved.get(guesser) != nil {
		t.Error("a peer that is gone is still known")
	}
}
