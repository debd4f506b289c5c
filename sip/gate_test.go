package sip

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// nobody's is a message of nobody known.
func nobodys() *seen { return &seen{front: &Front{}} }

// trunks is one that begins something, from an address that a trunk vouches for.
func trunks(text string) *seen {
	u := &UA{cfg: Config{Knows: func(netip.Addr) bool { return true }}}
	f := &Front{uas: []*UA{u}, dialogs: map[string]*Dialog{dialogKey("known", "ours"): {}}, servers: map[string]*answering{}, clients: map[string]*clientTx{}}
	f.cfg.Urgent = func(u URI) bool { return u.User == "112" }
	f.servers["z9hG4bKinvite|a|0|INVITE"] = &answering{callID: "ringing"}
	f.clients[clientKey("z9hG4bKours", "OPTIONS")] = &clientTx{callID: "asked"}
	return &seen{front: f, data: []byte(text)}
}

// gateAt is a gate whose clock a test moves.
func gateAt(one, all int) (g *gate, pass func(addr string, n int) (passed int), move func(time.Duration)) {
	g = newGate(one, all, 30)
	now := time.Unix(1e9, 0)
	g.now = func() time.Time { return now }
	pass = func(addr string, n int) (passed int) {
		for range n {
			if g.pass(netip.MustParseAddr(addr), nobodys()) == "" {
				passed++
			}
		}
		return passed
	}
	return g, pass, func(d time.Duration) { now = now.Add(d) }
}

func TestGateOfOneSource(t *testing.T) {
	_, pass, move := gateAt(10, 1000)
	if n := pass("192.0.2.1", 100); n != 40 {
		t.Errorf("%d pass at once, expected 40", n)
	}
	move(time.Second)
	if n := pass("192.0.2.1", 100); n != 10 {
		t.Errorf("%d pass a second later, expected 10", n)
	}
	if n := pass("192.0.2.2", 100); n != 40 {
		t.Errorf("%d of another source, expected 40", n)
	}
	if n := pass("::ffff:192.0.2.2", 1); n != 0 {
		t.Error("the same address as IPv6 has another bucket")
	}
	pass("2001:db8::1", 100)
	for addr, want := range map[string]int{"2001:db8::2": 0, "2001:db8:0:1::1": 40} { // a network of 64 bits is one source
		if n := pass(addr, 100); n != want {
			t.Errorf("%d of %s, expected %d", n, addr, want)
		}
	}
}

func TestGateOfAll(t *testing.T) {
	g, pass, move := gateAt(10, 100)
	passed := 0
	for i := range 10000 {
		passed += pass(fmt.Sprintf("10.1.%d.%d", i>>8, i&255), 1)
	}
	if passed != 200 {
		t.Errorf("%d of all together, expected 200", passed)
	}
	// Those who are known don't share in it.
	g.know(netip.MustParseAddr("192.0.2.1"), true)
	g.know(netip.MustParseAddr("192.0.2.2"), false)
	if n := pass("192.0.2.1", 5000); n != 120 {
		t.Errorf("%d of a trunk's, expected 120", n)
	}
	if n := pass("192.0.2.2", 5000); n != 10*phoneMessages*strangerSeconds {
		t.Errorf("%d of where a phone is, expected %d", n, 10*phoneMessages*strangerSeconds)
	}
	if reason := g.pass(netip.MustParseAddr("192.0.2.3"), trunks("")); reason != "" || pass("192.0.2.3", 500) != 119 {
		t.Error("who is vouched for isn't read")
	}
	move(familiarFor)
	if n := pass("192.0.2.1", 5000); n != 40 {
		t.Errorf("%d after it was forgotten, expected 40", n)
	}
}

// TestGateOfTrunks: what a trunk's address begins is bounded; what belongs to its calls, and to what we have asked it, isn't, nor is a call for
// help until there are too many of them.
func TestGateOfTrunks(t *testing.T) {
	g, _, move := gateAt(10, 100)
	at := netip.MustParseAddr("192.0.2.1")
	const rest = "v: SIP/2.0/UDP a;branch=z9hG4bK"
	begins := "INVITE sip:100@home SIP/2.0\r\n" + rest + "new\r\nt: <sip:b>\r\ni: new\r\nCSeq: 1 INVITE\r\n\r\n"
	for n := 0; ; n++ {
		if reason := g.pass(at, trunks(begins)); reason != "" {
			if n != 120 || reason != DropTrunkFlood {
				t.Errorf("%d begin, then %q", n, reason)
			}
			break
		}
	}
	for what, text := range map[string]string{
		"of a dialog":       "BYE sip:100@home SIP/2.0\r\n" + rest + "new\r\nt: <sip:b>;tag=ours\r\ni: known\r\nCSeq: 1 BYE\r\n\r\n",
		"of an INVITE":      "CANCEL sip:100@home SIP/2.0\r\n" + rest + "invite\r\nt: <sip:b>\r\ni: ringing\r\nCSeq: 1 CANCEL\r\n\r\n",
		"a repetition":      "INVITE sip:100@home SIP/2.0\r\n" + rest + "invite\r\nt: <sip:b>\r\ni: ringing\r\nCSeq: 1 INVITE\r\n\r\n",
		"a response":        "SIP/2.0 200 OK\r\n" + rest + "ours\r\nt: <sip:b>;tag=x\r\ni: asked\r\nCSeq: 1 OPTIONS\r\n\r\n",
		"a call for help":   "INVITE sip:112@home SIP/2.0\r\n" + rest + "new\r\nt: <sip:b>\r\ni: new\r\nCSeq: 1 INVITE\r\n\r\n",
		"!another's dialog": "BYE sip:100@home SIP/2.0\r\n" + rest + "new\r\nt: <sip:b>;tag=guess\r\ni: known\r\nCSeq: 1 BYE\r\n\r\n",
		"!another's branch": "SIP/2.0 200 OK\r\n" + rest + "guess\r\nt: <sip:b>;tag=x\r\ni: asked\r\nCSeq: 1 OPTIONS\r\n\r\n",
		"!another Call-ID":  "SIP/2.0 200 OK\r\n" + rest + "ours\r\nt: <sip:b>;tag=x\r\ni: guess\r\nCSeq: 1 OPTIONS\r\n\r\n",
		"!no message":       "\x00\x01",
	} {
		if reason := g.pass(at, trunks(text)); (reason == "") == (what[0] == '!') {
			t.Errorf("%s: %q", what, reason)
		}
	}
	help := trunks("INVITE sip:112@home SIP/2.0\r\n\r\n")
	n := 1 // the one above
	for ; g.pass(at, help) == ""; n++ {
	}
	if n != urgentMessages*strangerSeconds {
		t.Errorf("%d calls for help, expected %d", n, urgentMessages*strangerSeconds)
	}
	move(time.Second)
	if reason := g.pass(at, trunks(begins)); reason != "" {
		t.Errorf("a second later: %q", reason)
	}
}

func TestGateIsBounded(t *testing.T) {
	g, pass, _ := gateAt(10, 100)
	for i := range maxStrangers + 1000 {
		pass(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), 1)
	}
	for i := range maxFamiliar + 1000 {
		g.know(netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}), false)
	}
	if len(g.sources.by) != maxStrangers || len(g.familiar.by) != maxFamiliar {
		t.Errorf("%d sources, %d familiar", len(g.sources.by), len(g.familiar.by))
	}
}

func BenchmarkGateFlood(b *testing.B) {
	g, _, _ := gateAt(50, 2000)
	for i := range b.N {
		g.pass(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), nobodys())
	}
}
