package sip_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// pair is a carrier of two servers: the first of them is preferred.
type pair struct {
	*bench
	first, second *siptest.Peer
	dns           *siptest.DNS
}

func newPair(t *testing.T) *pair { return newPairOf(t, fast) }

func newPairOf(t *testing.T, timers sip.Timers) *pair {
	t.Helper()
	p := &pair{}
	p.dns = siptest.NewDNS(t)
	p.bench = newBench(t, func(fc *sip.FrontConfig, _ *sip.Config) { fc.DNS, fc.Timers = []netip.AddrPort{p.dns.Addr}, timers })
	p.first, p.second = siptest.NewPeer(t, p.addr), siptest.NewPeer(t, p.addr)
	p.dns.Set(t,
		fmt.Sprintf("_sip._udp.carrier.test. 60 IN SRV 10 0 %d one.carrier.test.", p.first.Addr().Port()),
		fmt.Sprintf("_sip._udp.carrier.test. 60 IN SRV 20 0 %d two.carrier.test.", p.second.Addr().Port()),
		"one.carrier.test. 60 IN A 127.0.0.1", "two.carrier.test. 60 IN A 127.0.0.1")
	return p
}

// call dials the carrier by its name.
func (p *pair) call() *sip.Dialog {
	p.Helper()
	target := mustURI("sip:100@carrier.test")
	return p.dial(p.first, func(inv *sip.Invite) {
		inv.Target = target
		inv.Destination = sip.Destination{Network: "udp", Host: "carrier.test"}
	})
}

func (p *pair) answers(d *sip.Dialog, by *siptest.Peer, inv siptest.Message) {
	p.Helper()
	by.Reply(inv, 200, "two", siptest.SDP, by.Contact())
	expect(p.T, d, sip.KindAnswered)
	by.Request("ACK")
	if _, at := d.Peer(); at != by.Addr() {
		p.Errorf("the dialog is with %v, want %v", at, by.Addr())
	}
}

func TestNextServer(t *testing.T) {
	for _, c := range []struct {
		name string
		fail func(p *pair)
	}{
		{"silence", func(p *pair) { p.first.Request("INVITE") }},
		{"503", func(p *pair) {
			inv := p.first.Request("INVITE")
			p.first.Reply(inv, 503, "one", "")
			p.first.Request("ACK")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t)
			begun := time.Now()
			d := p.call()
			c.fail(p)
			inv := p.second.Request("INVITE")
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("the second server was asked after %v", took)
			}
			expect(t, d, sip.KindMoved)
			p.answers(d, p.second, inv)
			// The next call begins at the server that works.
			again := p.call()
			inv = p.second.Request("INVITE")
			p.second.Reply(inv, 486, "two", "")
			ended(t, again, sip.ByPeer, 486)
		})
	}
}

// TestNextServerNone: the last server's word is the call's.
func TestNextServerNone(t *testing.T) {
	p := newPair(t)
	d := p.call()
	for _, at := range []*siptest.Peer{p.first, p.second} {
		inv := at.Request("INVITE")
		at.Reply(inv, 503, "x", "")
	}
	expect(t, d, sip.KindMoved)
	ended(t, d, sip.ByPeer, 503)
}

// TestNoNextServer: a server that has rung somebody has not failed, and neither has one that refuses.
func TestNoNextServer(t *testing.T) {
	p := newPair(t)
	d := p.call()
	inv := p.first.Request("INVITE")
	p.first.Reply(inv, 180, "one", "")
	expect(t, d, sip.KindProgress)
	p.first.Reply(inv, 503, "one", "")
	p.first.Request("ACK")
	ended(t, d, sip.ByPeer, 503)
	d = p.call()
	inv = p.first.Request("INVITE")
	p.first.Reply(inv, 404, "one", "")
	ended(t, d, sip.ByPeer, 404)
	p.second.Silence(100 * time.Millisecond)
}

// TestLateServer: what the server that was given up still does is taken back: ringing by CANCEL, an answer by BYE.
func TestLateServer(t *testing.T) {
	p := newPair(t)
	d := p.call()
	old := p.first.Request("INVITE")
	inv := p.second.Request("INVITE")
	expect(t, d, sip.KindMoved)
	p.first.Reply(old, 180, "one", "")
	cancel := p.first.Request("CANCEL")
	if cancel.Branch() != old.Branch() || cancel.CSeq() != old.CSeq() {
		t.Errorf("CANCEL has branch %s and CSeq %d, the INVITE %s and %d", cancel.Branch(), cancel.CSeq(), old.Branch(), old.CSeq())
	}
	p.first.Reply(old, 200, "one", siptest.SDP, p.first.Contact()) // it was picked up at that moment
	p.first.Request("ACK")
	bye := p.first.Request("BYE")
	if bye.Tag("To") != "one" {
		t.Errorf("BYE goes to %q", bye.Headers.Get("To"))
	}
	p.first.Reply(bye, 200, "", "")
	expect(t, d, sip.KindForked)
	p.answers(d, p.second, inv)
}

// TestNextServerHungUp: who hangs up while the next server is tried is heard there.
func TestNextServerHungUp(t *testing.T) {
	p := newPair(t)
	d := p.call()
	p.first.Request("INVITE")
	inv := p.second.Request("INVITE")
	expect(t, d, sip.KindMoved)
	p.second.Reply(inv, 180, "two", "")
	expect(t, d, sip.KindProgress)
	go func() { _ = d.Hangup(soon(t), sip.Reason{}, 0) }()
	cancel := p.second.Request("CANCEL")
	p.second.Reply(cancel, 200, "", "")
	p.second.Reply(inv, 487, "two", "")
	ended(t, d, sip.ByLocal, 487)
}

// TestRegisterNextServer: a registrar that is silent is passed by, and so is one that breaks later.
func TestRegisterNextServer(t *testing.T) {
	p := newPair(t)
	reg, err := p.ua.Register(sip.RegisterConfig{Registrar: mustURI("sip:carrier.test"), AOR: sip.NameAddr{URI: mustURI("sip:u@carrier.test")},
		Expires: time.Minute, Destination: sip.Destination{Network: "udp", Host: "carrier.test"}})
	if err != nil {
		t.Fatal(err)
	}
	unanswered := p.first.Request("REGISTER")
	m := p.second.Request("REGISTER")
	p.second.Reply(m, 200, "x", "", "Expires: 60")
	eventually(t, "registered", func() bool { return reg.Status().State == sip.Registered })
	done := make(chan error, 1)
	go func() { done <- reg.Unregister(soon(t)) }()
	m = p.second.Request("REGISTER")
	p.second.Reply(m, 503, "x", "")
	for m = p.first.Request("REGISTER"); m.CSeq() == unanswered.CSeq(); { // that one is repeated for a while
		m = p.first.Request("REGISTER")
	}
	p.first.Reply(m, 200, "x", "")
	if err := <-done; err != nil {
		t.Error(err)
	}
}
