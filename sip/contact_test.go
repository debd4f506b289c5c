package sip_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// callContact calls the one contact of alice.
func callContact(t *testing.T, b *bench, reg *sip.Registrar) *sip.Dialog {
	t.Helper()
	contacts := reg.Contacts("alice")
	if len(contacts) != 1 {
		t.Fatalf("contacts %+v", contacts)
	}
	d, err := b.ua.Dial(soon(t), sip.Invite{
		Target: contacts[0].URI, Destination: contacts[0].Destination(), From: sip.NameAddr{URI: mustURI("sip:123@127.0.0.1")}, Body: []byte(siptest.SDP),
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// hangUp sends BYE and waits for the peer to answer it.
func hangUp(t *testing.T, d *sip.Dialog, p *siptest.Peer) {
	t.Helper()
	done := make(chan error, 1)
	ctx := soon(t)
	go func() { done <- d.Hangup(ctx, sip.Reason{}, 0) }()
	p.Reply(p.Request("BYE"), 200, "", "")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A Contact may name anybody: requests go to where the phone is.
func contactOfSomebodyElse(t *testing.T) {
	b, reg, changes := home(t, nil)
	victim := siptest.NewPeer(t, b.addr)
	p := siptest.NewPeer(t, b.addr)
	seq := 0
	elsewhere := "Contact: <sip:alice@" + victim.Addr().String() + ">"
	register(t, p, "alice", "a-pass", &seq, elsewhere)
	change(t, changes, "alice on")
	d := callContact(t, b, reg)
	inv := p.Request("INVITE")
	if !strings.Contains(inv.Start, victim.Addr().String()) {
		t.Errorf("%s: expected the contact as request-URI", inv.Start)
	}
	p.Reply(inv, 200, "peer", siptest.SDP, elsewhere, "Record-Route: <sip:"+victim.Addr().String()+";lr>")
	p.Request("ACK")
	expect(t, d, sip.KindAnswered)
	hangUp(t, d, p)
	victim.Silence(50 * time.Millisecond)
}

// The same on a connection that breaks: the BYE finds the phone's next one, or the phone's own address.
func TestContactOfSomebodyElseAfterItsConnection(t *testing.T) {
	for _, again := range []bool{true, false} {
		b, reg, changes := home(t, nil)
		trap, err := net.Listen("tcp", "127.0.0.9:0")
		if err != nil {
			t.Fatal(err)
		}
		defer trap.Close()
		elsewhere := "Contact: <sip:alice@" + trap.Addr().String() + ";transport=tcp>"
		p := siptest.NewTCPPeer(t, "127.0.0.1", b.tcp)
		seq := 0
		register(t, p, "alice", "a-pass", &seq, elsewhere)
		change(t, changes, "alice on")
		d := callContact(t, b, reg)
		p.Reply(p.Request("INVITE"), 200, "peer", siptest.SDP, elsewhere)
		p.Request("ACK")
		expect(t, d, sip.KindAnswered)
		p.Close()
		change(t, changes, "alice off")
		if again {
			p = siptest.NewTCPPeer(t, "127.0.0.1", b.tcp)
			seq = 0
			register(t, p, "alice", "a-pass", &seq, elsewhere)
			change(t, changes, "alice on")
			hangUp(t, d, p)
		} else if err := d.Hangup(soon(t), sip.Reason{}, 0); err == nil {
			t.Error("the BYE was answered, though nobody is there")
		}
		trap.(*net.TCPListener).SetDeadline(time.Now().Add(50 * time.Millisecond))
		if c, err := trap.Accept(); err == nil {
			c.Close()
			t.Error("a connection to the host that Contact names")
		}
	}
}
