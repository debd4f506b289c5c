package rtp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/udp"
)

func (d *desk) offers(w media.Want) media.Offer {
	d.tb.Helper()
	o, err := d.Offer(context.Background(), w)
	if err != nil {
		d.tb.Fatal(err)
	}
	return o
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// Two early dialogs share the port: only the activated one is heard and sent to, though both are at one address.
func TestForkedAnswers(t *testing.T) {
	a, b := newDesk(t, func(c *Config) { c.Signalling = localhost }), newDesk(t, nil)
	bridge(a, b)
	x, y, caller := newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.1")
	b.call(caller)
	x.to, y.to, y.ssrc = a.LocalAddr(), a.LocalAddr(), 0xdcba
	o := a.offers(media.Want{})
	must(t, o.Accept("x", x.sdp()))
	must(t, o.Accept("y", y.sdp()))
	x.say(1)
	caller.deaf() // nothing is activated
	must(t, o.Activate("x"))
	for range 10 {
		y.say(99)
	}
	x.say(2)
	if k := caller.hear(); k.payload[0] != 2 {
		t.Fatalf("%d is heard, want 2", k.payload[0])
	}
	caller.say(3)
	x.hear()
	y.deaf()
	must(t, o.Activate("y"))
	time.Sleep(120 * time.Millisecond) // another SSRC is believed at once
	for range 10 {
		x.say(99)
	}
	y.say(4)
	if k := caller.hear(); k.payload[0] != 4 {
		t.Fatalf("%d is heard, want 4", k.payload[0])
	}
	must(t, o.Commit("y"))
	y.say(5)
	if k := caller.hear(); k.payload[0] != 5 {
		t.Fatalf("%d is heard, want 5", k.payload[0])
	}
	caller.say(6)
	y.hear()
	x.deaf()
	if err := o.Accept("z", x.sdp()); !errors.Is(err, ErrSettled) {
		t.Errorf("an answer after commit: %v", err)
	}
}

func TestFailedEarlyMedia(t *testing.T) {
	a, x := newDesk(t, nil), newPhone(t, "127.0.0.1")
	x.to = a.LocalAddr()
	o := a.offers(media.Want{})
	must(t, o.Accept("x", x.sdp()))
	must(t, o.Activate("x"))
	x.say(1)
	await(t, "early media", func() bool { in, _ := a.counts(); return in.Packets == 1 })
	if a.Sink(media.Pad{}).Caps() == nil {
		t.Error("nothing is taken")
	}
	o.Rollback()
	if a.Sink(media.Pad{}).Caps() != nil || a.Negotiated().Codec != "" {
		t.Error("early media goes on")
	}
	x.say(2)
	await(t, "rejection", func() bool { in, _ := a.counts(); return in.Rejected == 1 })
	o = a.offers(media.Want{}) // the next hop
	must(t, o.Accept("y", x.sdp()))
	must(t, o.Commit("y"))
	x.say(3)
	await(t, "media", func() bool { in, _ := a.counts(); return in.Packets == 2 })
}

func TestOneOfferAtATime(t *testing.T) {
	a, x := newDesk(t, nil), newPhone(t, "127.0.0.1")
	o := a.offers(media.Want{})
	if _, err := a.Offer(context.Background(), media.Want{}); !errors.Is(err, ErrPending) {
		t.Errorf("a second offer: %v", err)
	}
	if _, err := a.Answer(context.Background(), x.sdp(), media.Want{}); !errors.Is(err, ErrPending) {
		t.Errorf("an answer meanwhile: %v", err)
	}
	for i := range maxTags {
		must(t, o.Accept(strings.Repeat("x", i), x.sdp()))
	}
	if err := o.Accept("one more", x.sdp()); err == nil {
		t.Error("early dialogs without end")
	}
	o.Rollback()
	first, err := a.Answer(context.Background(), x.sdp(), media.Want{})
	must(t, err)
	second, err := a.Answer(context.Background(), x.sdp("a=ptime:40"), media.Want{})
	must(t, err)
	if err := first.Commit(); !errors.Is(err, ErrSettled) {
		t.Errorf("commit of an answer that was replaced: %v", err)
	}
	must(t, second.Commit())
	if n := a.Negotiated(); n.Ptime != 40 || n.Codec != "PCMU/8000" || n.Direction != sdp.SendRecv || !n.Events || n.Local != a.LocalAddr() || n.Remote != x.addr() {
		t.Errorf("negotiated %+v", n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := a.Offer(ctx, media.Want{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
}

// What a held peer sends is counted and not passed on, nothing is sent to it, and after resuming the far peer sees no loss.
func TestHold(t *testing.T) {
	a, b := newDesk(t, func(c *Config) { c.Timeout = 50 * time.Millisecond }), newDesk(t, nil)
	bridge(a, b)
	one, two := newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.1")
	a.call(one)
	b.call(two)
	one.say(1)
	first := two.hear()
	o := a.offers(media.Want{Direction: sdp.SendOnly})
	must(t, o.Accept("t", one.sdp("a=recvonly")))
	must(t, o.Commit("t"))
	if n := a.Negotiated(); n.Direction != sdp.SendOnly {
		t.Errorf("direction is %s", n.Direction)
	}
	for range 3 {
		one.say(2)
	}
	two.deaf()
	two.say(3)
	before := one.hear()
	a.takes(one.sdp("a=inactive"), media.Want{})
	if c := a.Sink(media.Pad{}).Caps(); c == nil || len(c.Formats) != 0 {
		t.Errorf("a held peer takes %v", c)
	}
	for range 150 {
		two.say(4)
	}
	one.deaf()
	time.Sleep(100 * time.Millisecond)
	if s := notices[media.Silent](a); len(s) != 0 {
		t.Errorf("silence while held: %v", s)
	}
	a.takes(one.sdp(), media.Want{})
	two.say(5)
	if k := one.hear(); k.Seq != before.Seq+1 || k.payload[0] != 5 || !k.Marker || int32(k.TS-before.TS) < 100*8 {
		t.Errorf("%+v after %+v", k.Header, before.Header)
	}
	one.say(6)
	if k := two.hear(); k.payload[0] != 6 || k.Seq != first.Seq+4 {
		t.Errorf("%+v after %+v", k.Header, first.Header)
	}
}

func TestSilence(t *testing.T) {
	d, p := newDesk(t, func(c *Config) { c.Timeout = 60 * time.Millisecond }), newPhone(t, "127.0.0.1")
	d.call(p)
	await(t, "silence from the beginning", func() bool { return len(notices[media.Silent](d)) == 1 })
	p.say(1)
	await(t, "flowing", func() bool { return len(notices[media.Flowing](d)) == 1 })
	await(t, "silence again", func() bool { return len(notices[media.Silent](d)) == 2 })
	time.Sleep(150 * time.Millisecond)
	s := notices[media.Silent](d)
	if len(s) != 2 || s[1].For < int64(60*time.Millisecond) || s[1].For > int64(2*time.Second) {
		t.Errorf("silence was told as %v", s)
	}
	p.say(2)
	await(t, "flowing again", func() bool { return len(notices[media.Flowing](d)) == 2 })
}

func TestBadAddresses(t *testing.T) {
	d := newDesk(t, nil)
	for addr, word := range map[string]string{"media.example": "media.example", "224.0.0.1": "unicast", "255.255.255.255": "unicast"} {
		body := strings.ReplaceAll(string(description(netip.MustParseAddrPort("127.0.0.1:4000"))), "c=IN IP4 127.0.0.1", "c=IN IP4 "+addr)
		_, err := d.Answer(context.Background(), []byte(body), media.Want{})
		if _, text, ok := sdp.Warning(err); !ok || !errors.Is(err, sdp.ErrAddress) || !strings.Contains(text, word) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestConfig(t *testing.T) {
	n, p := network(t)
	full, err := udp.NewPorts(udp.PortsConfig{Min: 2, Max: 3})
	must(t, err)
	ok := Config{Net: n, Ports: p, Bind: localhost}
	for name, spoil := range map[string]func(*Config){
		"no net":                 func(c *Config) { c.Net = nil },
		"no ports":               func(c *Config) { c.Ports = nil },
		"no address":             func(c *Config) { c.Bind = netip.Addr{} },
		"unspecified":            func(c *Config) { c.Bind = netip.IPv4Unspecified() },
		"an address not of ours": func(c *Config) { c.Bind = netip.MustParseAddr("192.0.2.1") },
	} {
		c := ok
		spoil(&c)
		if e, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
			must(t, e.Close())
		}
	}
	one, err := New(Config{Net: n, Ports: full, Bind: localhost})
	if err == nil { // port 2 may be refused to us
		if _, err := New(Config{Net: n, Ports: full, Bind: localhost}); !errors.Is(err, udp.ErrExhausted) {
			t.Errorf("exhausted: %v", err)
		}
		must(t, one.Close())
	}
	c := ok
	c.Bind, c.Advertise = netip.IPv4Unspecified(), netip.MustParseAddr("203.0.113.9")
	e, err := New(c)
	must(t, err)
	defer func() { must(t, e.Close()) }()
	o, err := e.Offer(context.Background(), media.Want{})
	must(t, err)
	if !strings.Contains(string(o.SDP()), "c=IN IP4 203.0.113.9\r\n") {
		t.Errorf("advertised in %s", o.SDP())
	}
}

// The ports are free after Close.
func TestCloseReturnsPorts(t *testing.T) {
	n, err := udp.New(udp.Config{Loops: 1})
	must(t, err)
	defer func() { must(t, n.Close()) }()
	ports, err := udp.NewPorts(udp.PortsConfig{Min: 20000, Max: 20999})
	must(t, err)
	free := ports.Stats().Free
	e, err := New(Config{Net: n, Ports: ports, Bind: localhost})
	must(t, err)
	at := e.LocalAddr()
	must(t, e.Close())
	must(t, e.Close())
	if s := ports.Stats(); s.Free != free || s.Used != 0 {
		t.Errorf("%+v, want %d free", s, free)
	}
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	must(t, err)
	must(t, c.Close())
	if _, err := e.Offer(context.Background(), media.Want{}); !errors.Is(err, ErrClosed) {
		t.Errorf("offer: %v", err)
	}
	if _, err := e.Answer(context.Background(), description(at), media.Want{}); !errors.Is(err, ErrClosed) {
		t.Errorf("answer: %v", err)
	}
}
