package sip_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// bulky is an SDP that makes a message too large for UDP.
var bulky = siptest.SDP + strings.Repeat("a=x-filler:"+strings.Repeat("y", 80)+"\r\n", 15)

// both is a peer that listens over UDP and TCP.
type both struct {
	*siptest.Peer
	ln net.Listener
}

func newBoth(t *testing.T, b *bench) *both {
	t.Helper()
	for range 20 {
		p := siptest.NewPeer(t, b.addr)
		if ln, err := net.Listen("tcp", p.Addr().String()); err == nil {
			t.Cleanup(func() { ln.Close() })
			return &both{p, ln}
		}
		p.Close()
	}
	t.Fatal("no port that is free over UDP and TCP")
	return nil
}

func (p *both) accept(t *testing.T) *siptest.Peer {
	t.Helper()
	p.ln.(*net.TCPListener).SetDeadline(time.Now().Add(siptest.Patience))
	c, err := p.ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return siptest.Accepted(t, c)
}

// A large INVITE leaves over TCP, with its credentials and its CANCEL; what follows in the dialog goes where Contact points.
func TestLargeRequestGoesOverTCP(t *testing.T) {
	b := newBench(t, nil)
	p := newBoth(t, b)
	d := b.dial(p.Peer, func(i *sip.Invite) {
		i.Body, i.Credentials = []byte(bulky), sip.Credentials{Username: "trunk", Password: "secret"}
	})
	tcp := p.accept(t)
	inv := tcp.Request("INVITE")
	if via := inv.Headers.Get("Via"); !strings.HasPrefix(via, "SIP/2.0/TCP ") || !strings.Contains(via, ";rport") {
		t.Errorf("Via %q", via)
	}
	if c := inv.Headers.Get("Contact"); strings.Contains(c, "transport") || !strings.Contains(c, b.addr.String()) {
		t.Errorf("Contact %q: expected that of UDP, %s", c, b.addr)
	}
	if s := d.State(); s.Network != "tcp" || s.Peer != p.Addr().String() {
		t.Errorf("state %s %s: expected what CANCEL has to take", s.Network, s.Peer)
	}
	tcp.Reply(inv, 407, "peer", "", `Proxy-Authenticate: Digest realm="r", nonce="n", qop="auth"`)
	tcp.Request("ACK")
	inv = tcp.Request("INVITE")
	if inv.CSeq() != 2 || !inv.Headers.Has("Proxy-Authorization") {
		t.Errorf("the second INVITE: %v", inv.Headers)
	}
	tcp.Reply(inv, 200, "peer", siptest.SDP, p.Contact())
	expect(t, d, sip.KindAnswered)
	if via := p.Request("ACK").Headers.Get("Via"); !strings.HasPrefix(via, "SIP/2.0/UDP ") {
		t.Errorf("ACK over %q", via)
	}
	done := make(chan error, 1)
	go func() { _, err := d.Reinvite(soon(t), []byte(bulky)); done <- err }()
	re := tcp.Request("INVITE")
	tcp.Reply(re, 200, "", siptest.SDP, p.Contact())
	p.Request("ACK")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	go func() { done <- d.Hangup(soon(t), sip.Reason{}, 0) }()
	p.Reply(p.Request("BYE"), 200, "", "")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ended(t, d, sip.ByLocal, 0)

	d = b.dial(p.Peer, func(i *sip.Invite) { i.Body = []byte(bulky) })
	inv = tcp.Request("INVITE")
	tcp.Reply(inv, 180, "peer", "")
	expect(t, d, sip.KindProgress)
	go func() { done <- d.Hangup(soon(t), sip.Reason{}, 0) }()
	cancel := tcp.Request("CANCEL")
	if cancel.Branch() != inv.Branch() {
		t.Error("CANCEL has another branch than its INVITE")
	}
	tcp.Reply(cancel, 200, "peer", "")
	tcp.Reply(inv, 487, "peer", "")
	tcp.Request("ACK")
	<-done
}

// A peer without TCP, or one that accepts it and says nothing, gets the INVITE over UDP; the next one without delay.
func TestLargeRequestFallsBackToUDP(t *testing.T) {
	for what, connect := range map[string]bool{"refused": false, "silent": true} {
		t.Run(what, func(t *testing.T) {
			b := newBench(t, nil)
			p := newBoth(t, b)
			if !connect {
				p.ln.Close()
			}
			begun := time.Now()
			d := b.dial(p.Peer, func(i *sip.Invite) { i.Body = []byte(bulky) })
			inv := p.Request("INVITE")
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("UDP after %v", took)
			}
			if via := inv.Headers.Get("Via"); !strings.HasPrefix(via, "SIP/2.0/UDP ") || inv.Body != bulky {
				t.Errorf("Via %q, %d bytes of SDP", via, len(inv.Body))
			}
			p.Reply(inv, 200, "peer", siptest.SDP, p.Contact())
			if connect {
				if e := expect(t, d, sip.KindMoved); !strings.HasSuffix(e.Phrase, " over UDP") {
					t.Errorf("moved to %q", e.Phrase)
				}
			}
			expect(t, d, sip.KindAnswered)
			p.Request("ACK")
			d = b.dial(p.Peer, func(i *sip.Invite) { i.Body = []byte(bulky) })
			p.Reply(p.Request("INVITE"), 486, "peer", "")
			ended(t, d, sip.ByPeer, 486)
		})
	}
}

// The server that refuses over TCP has refused: it isn't asked over UDP again.
func TestLargeRequestRefused(t *testing.T) {
	b := newBench(t, nil)
	p := newBoth(t, b)
	d := b.dial(p.Peer, func(i *sip.Invite) { i.Body = []byte(bulky) })
	tcp := p.accept(t)
	tcp.Reply(tcp.Request("INVITE"), 503, "peer", "")
	tcp.Request("ACK")
	ended(t, d, sip.ByPeer, 503)
	p.Silence(50 * time.Millisecond)
}

// DNS says where a carrier's TCP is.
func TestLargeRequestFindsTCPByName(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	ln, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	at := func(a net.Addr) netip.AddrPort { return netip.MustParseAddrPort(a.String()) }
	names := siptest.NewDNS(t,
		fmt.Sprintf("_sip._udp.carrier.test. 60 IN SRV 10 100 %d one.carrier.test.", at(udp.LocalAddr()).Port()),
		fmt.Sprintf("_sip._tcp.carrier.test. 60 IN SRV 10 100 %d two.carrier.test.", at(ln.Addr()).Port()),
		"one.carrier.test. 60 IN A 127.0.0.1", "two.carrier.test. 60 IN A 127.0.0.2")
	b := newBench(t, func(f *sip.FrontConfig, _ *sip.Config) { f.DNS = []netip.AddrPort{names.Addr} })
	target := mustURI("sip:100@carrier.test")
	d, err := b.ua.Dial(soon(t), sip.Invite{Target: target, From: sip.NameAddr{URI: mustURI("sip:a@b")}, Body: []byte(bulky),
		Destination: sip.Destination{Network: "udp", Host: "carrier.test"}})
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.TCPListener).SetDeadline(time.Now().Add(siptest.Patience))
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	tcp := siptest.Accepted(t, c)
	tcp.Reply(tcp.Request("INVITE"), 486, "peer", "")
	tcp.Request("ACK")
	ended(t, d, sip.ByPeer, 486)
}

// Responses go back over UDP whatever their size, and so do small requests.
func TestLargeResponseStaysOnUDP(t *testing.T) {
	b := newBench(t, nil)
	p := newBoth(t, b)
	a := p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
	d := b.inbound()
	p.Response(100)
	long := bulky + bulky + bulky
	if err := d.Answer([]byte(long)); err != nil {
		t.Fatal(err)
	}
	res := p.Response(200)
	if res.Body != long {
		t.Errorf("%d bytes of %d came", len(res.Body), len(long))
	}
	p.Ack(a, res, "")
	expect(t, d, sip.KindAcked)
}
