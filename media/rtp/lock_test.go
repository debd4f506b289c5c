package rtp

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/udp"
)

func pair(s string) udp.Addr { return udp.From(netip.MustParseAddrPort(s)) }

// step of a lock's story: a packet of one of the pairs, and what is to become of it.
type step struct {
	from udp.Addr
	seq  uint16
	ssrc uint32
	at   time.Duration
	ok   bool
}

func TestLock(t *testing.T) {
	named, moved, proxy, stranger, fork := pair("198.51.100.1:4000"), pair("198.51.100.1:9000"), pair("203.0.113.1:7000"), pair("192.0.2.66:4000"), pair("198.51.100.1:4444")
	sec := time.Second
	for _, c := range []struct {
		name  string
		steps []step
		held  udp.Addr
	}{
		{"the named pair flows at once and locks after four", []step{{named, 1, 1, 0, true}, {named, 2, 1, 0, true}, {named, 3, 1, 0, true}, {named, 4, 1, 0, true}}, named},
		{"three aren't enough", []step{{named, 1, 1, 0, true}, {named, 2, 1, 0, true}, {named, 3, 1, 0, true}}, udp.Addr{}},
		{"another port of the address needs four", []step{{moved, 1, 1, 0, false}, {moved, 2, 1, 0, false}, {moved, 3, 1, 0, false}, {moved, 4, 1, 0, true}, {moved, 5, 1, 0, true}}, moved},
		{"the signalling's address too", []step{{proxy, 1, 1, 0, false}, {proxy, 2, 1, 0, false}, {proxy, 3, 1, 0, false}, {proxy, 4, 1, 0, true}}, proxy},
		{"a stranger never", []step{{stranger, 1, 1, 0, false}, {stranger, 2, 1, 0, false}, {stranger, 3, 1, 0, false}, {stranger, 4, 1, 0, false}, {stranger, 5, 1, 0, false}}, udp.Addr{}},
		{"another early dialog's pair never", []step{{fork, 1, 1, 0, false}, {fork, 2, 1, 0, false}, {fork, 3, 1, 0, false}, {fork, 4, 1, 0, false}, {fork, 5, 1, 0, false}}, udp.Addr{}},
		{"out of sequence begins anew", []step{{moved, 1, 1, 0, false}, {moved, 2, 1, 0, false}, {moved, 3, 1, 0, false}, {moved, 5, 1, 0, false}, {moved, 6, 1, 0, false}, {moved, 7, 1, 0, false}, {moved, 8, 1, 0, true}}, moved},
		{"another SSRC begins anew", []step{{moved, 1, 1, 0, false}, {moved, 2, 1, 0, false}, {moved, 3, 1, 0, false}, {moved, 4, 2, 0, false}}, udp.Addr{}},
		{"four within the window", []step{{moved, 1, 1, 0, false}, {moved, 2, 1, sec, false}, {moved, 3, 1, 2 * sec, false}, {moved, 4, 1, 4 * sec, false}, {moved, 5, 1, 4 * sec, false}}, udp.Addr{}},
		{"no other while the named pair sends", []step{{named, 1, 1, 0, true}, {moved, 1, 2, sec, false}, {moved, 2, 2, sec, false}, {moved, 3, 2, sec, false}, {moved, 4, 2, sec, false}, {moved, 5, 2, sec, false}}, udp.Addr{}},
		{"another once the named pair is still", []step{{named, 1, 1, 0, true}, {moved, 1, 2, 4 * sec, false}, {moved, 2, 2, 4 * sec, false}, {moved, 3, 2, 4 * sec, false}, {moved, 4, 2, 4 * sec, true}, {named, 2, 1, 4 * sec, false}}, moved},
		{"who holds it keeps it", []step{{named, 1, 1, 0, true}, {named, 2, 1, 0, true}, {named, 3, 1, 0, true}, {named, 4, 1, 0, true},
			{moved, 1, 2, 60 * sec, false}, {moved, 2, 2, 60 * sec, false}, {moved, 3, 2, 60 * sec, false}, {moved, 4, 2, 60 * sec, false}, {named, 900, 3, 60 * sec, true}}, named},
		{"wrap-around is in sequence", []step{{moved, 65534, 1, 0, false}, {moved, 65535, 1, 0, false}, {moved, 0, 1, 0, false}, {moved, 1, 1, 0, true}}, moved},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := lock{signalling: pair("203.0.113.1:0")}
			l.reopen(named, []udp.Addr{fork}, false, false)
			for i, s := range c.steps {
				ok, _ := l.admit(&s.from, &rtpstream.Header{Seq: s.seq, SSRC: s.ssrc}, int64(sec+s.at))
				if ok != s.ok {
					t.Fatalf("packet %d from %s: admitted %v, want %v", i, s.from, ok, s.ok)
				}
			}
			if l.held != c.held.IsValid() || l.held && l.pair != c.held {
				t.Errorf("held %v by %s, want %s", l.held, l.pair, c.held)
			}
		})
	}
}

// Many pairs on probation take no more room than four.
func TestLockIsBounded(t *testing.T) {
	var l lock
	l.reopen(pair("198.51.100.1:4000"), nil, false, false)
	for i := range 10000 {
		from := udp.From(netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), uint16(5000+i)))
		if ok, _ := l.admit(&from, &rtpstream.Header{Seq: 1}, int64(i+1)); ok {
			t.Fatal("one packet got in")
		}
	}
}

// A stranger sprays before, during and after; none of it gets in, none is answered.
func strangerSprays(t *testing.T) {
	a, b := newDesk(t, nil), newDesk(t, nil)
	bridge(a, b)
	one, two, stranger := newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.66")
	stranger.to = a.LocalAddr()
	spray := func(n uint64) {
		t.Helper()
		before, _ := a.counts()
		for range n {
			stranger.say(66)
			_, _ = stranger.rtcp.WriteToUDPAddrPort([]byte{0x80, 201, 0, 1, 0, 0, 0, 1}, netip.AddrPortFrom(stranger.to.Addr(), stranger.to.Port()+1))
		}
		await(t, "all rejected", func() bool { in, _ := a.counts(); return in.Rejected >= before.Rejected+2*n })
		after, _ := a.counts()
		if after.Packets != before.Packets {
			t.Errorf("%d packets of a stranger count as the peer's", after.Packets-before.Packets)
		}
	}
	spray(10)
	a.call(one)
	b.call(two)
	spray(10)
	two.deaf()
	stranger.ssrc, stranger.seq, stranger.ts = one.ssrc, one.seq, one.ts // it knows all but the address
	for i := range byte(10) {
		one.say(i)
		if k := two.hear(); k.payload[0] != i {
			t.Fatalf("%d came, want %d", k.payload[0], i)
		}
		spray(1)
	}
	two.deaf()
	two.say(7)
	if k := one.hear(); k.payload[0] != 7 {
		t.Errorf("%d came, want 7", k.payload[0])
	}
	stranger.deaf()
	if _, _, ok := read(t, stranger.rtcp, 20*time.Millisecond); ok {
		t.Error("a stranger got RTCP")
	}
	must(t, a.Close())
	for range 10 { // to a port that is held, or nobody's
		stranger.say(66)
	}
	stranger.deaf()
	two.deaf()
}

// A phone behind NAT names an address of its own network; its packets come from where its signalling comes from.
func TestNAT(t *testing.T) {
	a, b := newDesk(t, func(c *Config) { c.Signalling = netip.MustParseAddr("127.0.0.3") }), newDesk(t, nil)
	bridge(a, b)
	one, two := newPhone(t, "127.0.0.3"), newPhone(t, "127.0.0.1")
	inside := netip.MustParseAddrPort("127.0.0.200:4000")
	a.takes(description(inside), media.Want{})
	b.call(two)
	one.to = a.LocalAddr()
	two.say(1)
	one.deaf()
	if n := a.Negotiated(); n.Remote != inside {
		t.Errorf("remote is %s before the lock, want %s", n.Remote, inside)
	}
	for i := range byte(6) {
		one.say(i)
	}
	for i := byte(3); i < 6; i++ { // the first three found the lock
		if k := two.hear(); k.payload[0] != i {
			t.Fatalf("%d came, want %d", k.payload[0], i)
		}
	}
	two.say(2)
	if k := one.hear(); k.payload[0] != 2 {
		t.Errorf("%d came, want 2", k.payload[0])
	}
	if n := a.Negotiated(); n.Remote != one.addr() {
		t.Errorf("remote is %s, want %s", n.Remote, one.addr())
	}
	// A re-offer with the same inside address doesn't send media there again.
	a.takes(description(inside, "a=ptime:20"), media.Want{})
	two.say(3)
	if k := one.hear(); k.payload[0] != 3 {
		t.Errorf("%d came, want 3", k.payload[0])
	}
	one.say(9)
	if k := two.hear(); k.payload[0] != 9 {
		t.Errorf("%d came, want 9", k.payload[0])
	}
}

// A peer that moves says so in SDP; until its first packets come from there the old place is heard.
func TestMove(t *testing.T) {
	a, b := newDesk(t, nil), newDesk(t, nil)
	bridge(a, b)
	old, moved, two := newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.7"), newPhone(t, "127.0.0.1")
	a.call(old)
	b.call(two)
	for i := range byte(5) {
		old.say(i)
		two.hear()
	}
	moved.to = a.LocalAddr()
	moved.say(50)
	two.deaf()
	moved.seq, moved.ts = old.seq+1, old.ts+160
	a.call(moved)
	two.say(1)
	if k := moved.hear(); k.payload[0] != 1 {
		t.Errorf("%d came, want 1", k.payload[0])
	}
	old.say(5)
	if k := two.hear(); k.payload[0] != 5 {
		t.Errorf("%d came, want the old place's 5", k.payload[0])
	}
	time.Sleep(120 * time.Millisecond) // the old stream has ended
	for i := range byte(5) {
		moved.say(60 + i)
		if k := two.hear(); k.payload[0] != 60+i {
			t.Errorf("%d came, want %d", k.payload[0], 60+i)
		}
	}
	old.say(6)
	two.deaf()
	if s := notices[media.Switched](a); len(s) != 0 {
		t.Errorf("one SSRC all along, but %v", s)
	}
}

// A peer that says it speaks first is found by its packets, if that is allowed; from then on nobody else gets in.
func TestComedia(t *testing.T) {
	for _, c := range []struct {
		allowed bool
		line    string
		found   bool
	}{
		{true, "a=direction:active", true}, {true, "a=setup:active", true}, {true, "a=direction:both", false}, {false, "a=direction:active", false},
	} {
		d, other := newDesk(t, func(x *Config) { x.Comedia = c.allowed }), newDesk(t, nil)
		bridge(d, other)
		one, two, late := newPhone(t, "127.0.0.3"), newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.4")
		other.call(two)
		// As behind NAT: the address in the SDP is another than the one that packets come from.
		p, err := d.Answer(context.Background(), description(netip.MustParseAddrPort("127.0.0.2:9"), c.line), media.Want{})
		must(t, err)
		must(t, p.Commit())
		local, err := sdp.Parse(p.SDP())
		must(t, err)
		if v, ok := local.Audio().Attribute("direction"); ok != c.found || ok && v != "passive" {
			t.Errorf("%s, allowed %v: answered\n%s", c.line, c.allowed, p.SDP())
		}
		one.to, late.to = d.LocalAddr(), d.LocalAddr()
		for i := range byte(6) {
			one.say(i)
		}
		if !c.found {
			two.deaf()
			continue
		}
		if k := two.hear(); k.payload[0] != 3 { // the first three prove it
			t.Errorf("%d came first, want 3", k.payload[0])
		}
		await(t, "the address", func() bool { return d.Negotiated().Remote == one.addr() })
		two.say(9)
		if k := one.hear(); k.payload[0] != 9 {
			t.Errorf("%d came back, want 9", k.payload[0])
		}
		two.hear()
		two.hear()
		for range 6 {
			late.say(66)
		}
		two.deaf()
	}
}
