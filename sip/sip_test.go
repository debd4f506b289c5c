package sip_test

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/siptest"
)

// fast are timers that let a test see 64*T1 pass.
var fast = sip.Timers{T1: 25 * time.Millisecond, T2: 100 * time.Millisecond}

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue { // those that are parallel wait for peers who say nothing
		if err := f.Value.Set("4"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

// bench is one UA on loopback, and the dialogs that come in.
type bench struct {
	*testing.T
	front *sip.Front
	ua    *sip.UA
	in    chan *sip.Dialog
	addr  netip.AddrPort // UDP
	tcp   netip.AddrPort
}

func newBench(t *testing.T, change func(*sip.FrontConfig, *sip.Config)) *bench {
	t.Helper()
	b := &bench{T: t, in: make(chan *sip.Dialog, 16)}
	loop := netip.MustParseAddrPort("127.0.0.1:0")
	fc := sip.FrontConfig{Listen: []sip.Listen{{Network: "udp", Addr: loop}, {Network: "tcp", Addr: loop}}, Timers: fast}
	uc := sip.Config{
		Name:   "bench",
		Match:  func(in sip.Inbound) bool { return in.Source.Addr() == loop.Addr() },
		Invite: func(d *sip.Dialog) { b.in <- d },
	}
	if change != nil {
		change(&fc, &uc)
	}
	var err error
	if b.front, err = sip.NewFront(fc); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.front.Close() })
	if b.ua, err = b.front.NewUA(uc); err != nil {
		t.Fatal(err)
	}
	for _, l := range b.front.Addrs() {
		if l.Network == "udp" {
			b.addr = l.Addr
		} else {
			b.tcp = l.Addr
		}
	}
	return b
}

func (b *bench) inbound() *sip.Dialog {
	b.Helper()
	select {
	case d := <-b.in:
		return d
	case <-time.After(siptest.Patience):
		b.Fatal("no inbound dialog")
		return nil
	}
}

// dial sends an INVITE to a peer.
func (b *bench) dial(p *siptest.Peer, change func(*sip.Invite)) *sip.Dialog {
	b.Helper()
	target, err := sip.NewURI("100", p.Addr().Addr().String(), p.Addr().Port())
	if err != nil {
		b.Fatal(err)
	}
	from, _ := sip.NewURI("200", "127.0.0.1", 0)
	inv := sip.Invite{Target: target, From: sip.NameAddr{Display: "Two Hundred", URI: from}, Body: []byte(siptest.SDP)}
	if change != nil {
		change(&inv)
	}
	d, err := b.ua.Dial(context.Background(), inv)
	if err != nil {
		b.Fatal(err)
	}
	return d
}

func next(t *testing.T, d *sip.Dialog) sip.Event {
	t.Helper()
	select {
	case e, ok := <-d.Events():
		if !ok {
			t.Fatal("events are closed")
		}
		return *e
	case <-time.After(siptest.Patience):
		t.Fatal("no event")
	}
	return sip.Event{}
}

func expect(t *testing.T, d *sip.Dialog, kind sip.Kind) sip.Event {
	t.Helper()
	e := next(t, d)
	if e.Kind != kind {
		t.Fatalf("event %v (by %v, status %d %s, err %v), expected %v", e.Kind, e.By, e.Status, e.Phrase, e.Err, kind)
	}
	return e
}

func ended(t *testing.T, d *sip.Dialog, by sip.By, status int) sip.Event {
	t.Helper()
	e := expect(t, d, sip.KindEnded)
	if e.By != by || e.Status != status {
		t.Fatalf("ended by %v with %d (err %v), expected %v with %d", e.By, e.Status, e.Err, by, status)
	}
	if _, open := <-d.Events(); open {
		t.Fatal("an event after Ended")
	}
	return e
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), siptest.Patience)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(siptest.Patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// answeredCall is a dialed call that the peer has answered.
func (b *bench) answeredCall(p *siptest.Peer, change func(*sip.Invite)) (*sip.Dialog, siptest.Message) {
	b.Helper()
	d := b.dial(p, change)
	inv := p.Request("INVITE")
	p.Reply(inv, 200, "peer", siptest.SDP, p.Contact())
	expect(b.T, d, sip.KindAnswered)
	p.Request("ACK")
	return d, inv
}

// inboundCall is a call of the peer's that we answered.
func (b *bench) inboundCall(p *siptest.Peer) (*sip.Dialog, siptest.Ask, siptest.Message) {
	b.Helper()
	ask := p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
	d := b.inbound()
	if err := d.Answer([]byte(siptest.SDP)); err != nil {
		b.Fatal(err)
	}
	res := p.Response(200)
	p.Ack(ask, res, "")
	expect(b.T, d, sip.KindAcked)
	return d, ask, res
}

func users(t *testing.T, lookup map[string]string) *auth.Server {
	t.Helper()
	s, err := auth.NewServer(auth.ServerConfig{Realm: "127.0.0.1", Lookup: func(user, _ string) (auth.Credentials, bool) {
		pw, ok := lookup[user]
		return auth.Credentials{Username: user, Password: pw}, ok
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConfigRefused(t *testing.T) {
	for name, cfg := range map[string]sip.FrontConfig{
		"network": {Listen: []sip.Listen{{Network: "sctp", Addr: netip.MustParseAddrPort("127.0.0.1:0")}}},
		"timers":  {Timers: sip.Timers{T1: time.Microsecond}},
		"bytes":   {Limits: sip.Limits{MessageBytes: 1 << 20}},
	} {
		if f, err := sip.NewFront(cfg); err == nil {
			f.Close()
			t.Errorf("%s: accepted", name)
		}
	}
	b := newBench(t, nil)
	if _, err := b.front.NewUA(sip.Config{Name: "bench"}); err == nil || !strings.Contains(err.Error(), "bench") {
		t.Errorf("a second UA of the same name: %v", err)
	}
	if _, err := b.front.NewUA(sip.Config{}); err == nil {
		t.Error("a UA without name")
	}
	if err := b.front.Close(); err != nil {
		t.Error(err)
	}
	if err := b.front.Close(); err != nil {
		t.Error("second Close:", err)
	}
	if _, err := b.ua.Dial(soon(t), sip.Invite{Target: mustURI("sip:a@127.0.0.1"), From: sip.NameAddr{URI: mustURI("sip:b@127.0.0.1")}, Body: []byte("x")}); err == nil {
		t.Error("Dial after Close")
	}
}

func mustURI(s string) sip.URI {
	u, err := sip.ParseURI(s)
	if err != nil {
		panic(err)
	}
	return u
}
