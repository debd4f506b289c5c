package sip_test

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

func TestReplacesIsRefused(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d, ask, res := b.inboundCall(p)
	tag := res.Tag("To")
	early := b.dial(p, nil)
	inv := p.Request("INVITE")
	p.Reply(inv, 180, "peer", "", p.Contact())
	expect(t, early, sip.KindProgress)
	ring := p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
	ringing := b.inbound()
	if err := ringing.Progress(180, "", nil); err != nil {
		t.Fatal(err)
	}
	ringTag := p.Response(180).Tag("To")
	q := siptest.NewPeer(t, b.addr)
	for name, c := range map[string]struct {
		headers []string
		status  int
	}{
		"required":           {[]string{"Require: replaces", "Replaces: " + ask.CallID + ";to-tag=" + tag + ";from-tag=peer"}, 420},
		"required, no match": {[]string{"Require: replaces", "Replaces: x;to-tag=a;from-tag=b"}, 420},
		"no dialog":          {[]string{"Replaces: x;to-tag=a;from-tag=b"}, 481},
		"another's tag":      {[]string{"Replaces: " + ask.CallID + ";to-tag=" + tag + ";from-tag=guess"}, 481},
		"tags swapped":       {[]string{"Replaces: " + ask.CallID + ";to-tag=peer;from-tag=" + tag}, 481},
		"a dialog of ours":   {[]string{"Replaces: " + ask.CallID + ";from-tag=peer;to-tag=" + tag}, 420},
		"early only":         {[]string{"Replaces: " + ask.CallID + ";to-tag=" + tag + ";from-tag=peer;early-only"}, 486},
		"rings at the peer":  {[]string{"Replaces: " + inv.Headers.Get("Call-ID") + ";to-tag=" + inv.Tag("From") + ";from-tag=peer;early-only"}, 420},
		"rings at us":        {[]string{"Replaces: " + ring.CallID + ";to-tag=" + ringTag + ";from-tag=peer"}, 481},
		"twice":              {[]string{"Replaces: x;to-tag=a;from-tag=b", "Replaces: x;to-tag=a;from-tag=b"}, 400},
		"without tags":       {[]string{"Replaces: x"}, 400},
	} {
		ask := q.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP, Headers: append(c.headers, q.Contact())})
		got, ok := q.Receive(siptest.Patience)
		for ok && (got.Status() == 100 || got.Headers.Get("Call-ID") != ask.CallID) { // an earlier answer is repeated until its ACK is there
			got, ok = q.Receive(siptest.Patience)
		}
		if got.Status() != c.status {
			t.Errorf("%s: %q, expected %d", name, got.Start, c.status)
		}
		if c.status == 420 && got.Headers.Get("Unsupported") != "replaces" {
			t.Errorf("%s: Unsupported %q", name, got.Headers.Get("Unsupported"))
		}
		q.Ack(ask, got, "")
	}
	select {
	case d := <-b.in:
		t.Errorf("a dialog came through: %v", d.Request().Headers)
	default:
	}
	q.Write(siptest.Ask{Method: "OPTIONS"})
	if h := q.Response(200).Headers; !h.Has("Supported") || strings.Contains(h.Get("Supported"), "replaces") {
		t.Errorf("Supported %q", h.Lines("Supported"))
	}
	// The calls that were to be replaced go on.
	within(p, "BYE", ask, res, 2, "")
	for m, ok := p.Receive(siptest.Patience); m.Status() != 200; m, ok = p.Receive(siptest.Patience) {
		if !ok {
			t.Fatal("no answer to BYE")
		}
	}
	ended(t, d, sip.ByPeer, 0)
}

// An INVITE that takes the place of a dialog which rings finds it as soon as the response that has made that dialog has come, though
// nobody has looked at that response yet.
func TestReplacesRightAfterItsDialog(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	for range 40 {
		d := b.dial(p, nil)
		inv := p.Request("INVITE")
		p.Reply(inv, 180, "peer", "", p.Contact())
		ask := p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP,
			Headers: []string{"Replaces: " + inv.Headers.Get("Call-ID") + ";to-tag=" + inv.Tag("From") + ";from-tag=peer", p.Contact()}})
		got, ok := p.Receive(siptest.Patience)
		for ok && (got.Status() <= 100 || got.Headers.Get("Call-ID") != ask.CallID) {
			got, ok = p.Receive(siptest.Patience)
		}
		if got.Status() != 420 { // it is there, but may not be taken
			t.Fatalf("%q, expected 420", got.Start)
		}
		p.Ack(ask, got, "")
		p.Reply(inv, 486, "peer", "")
		p.Request("ACK")
		for e := range d.Events() {
			if e.Kind == sip.KindEnded {
				break
			}
		}
	}
}
