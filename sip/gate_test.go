package sip

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func nobody(netip.Addr) (known, trunk bool) { return false, false }

// gateAt is a gate whose clock a test moves.
func gateAt(one, all int) (g *gate, pass func(addr string, n int) (passed int), move func(time.Duration)) {
	g = newGate(one, all)
	now := time.Unix(1e9, 0)
	g.now = func() time.Time { return now }
	pass = func(addr string, n int) (passed int) {
		for range n {
			if g.pass(netip.MustParseAddr(addr), nobody) {
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
	if n := pass("192.0.2.1", 5000); n != 5000 {
		t.Errorf("%d of a trunk's", n)
	}
	if n := pass("192.0.2.2", 5000); n != 10*phoneMessages*strangerSeconds {
		t.Errorf("%d of where a phone is, expected %d", n, 10*phoneMessages*strangerSeconds)
	}
	if !g.pass(netip.MustParseAddr("192.0.2.3"), func(netip.Addr) (bool, bool) { return true, true }) || pass("192.0.2.3", 500) != 500 {
		t.Error("who is vouched for isn't read")
	}
	move(familiarFor)
	if n := pass("192.0.2.1", 5000); n != 40 {
		t.Errorf("%d after it was forgotten, expected 40", n)
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
		g.pass(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), nobody)
	}
}
