package sip_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

func reliableHeaders(p *siptest.Peer, rseq int) []string {
	return []string{p.Contact(), "Require: 100rel", fmt.Sprintf("RSeq: %d", rseq)}
}

func TestPrackIsSent(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d := b.dial(p, nil)
	inv := p.Request("INVITE")
	p.Reply(inv, 183, "peer", siptest.SDP, reliableHeaders(p, 7)...)
	expect(t, d, sip.KindProgress)
	prack := p.Request("PRACK")
	if want := fmt.Sprintf("7 %d INVITE", inv.CSeq()); prack.Headers.Get("RAck") != want || prack.Tag("To") != "peer" || prack.CSeq() <= inv.CSeq() {
		t.Errorf("PRACK has RAck %q, To-tag %q and CSeq %d", prack.Headers.Get("RAck"), prack.Tag("To"), prack.CSeq())
	}
	p.Reply(prack, 200, "", "")
	p.Reply(inv, 183, "peer", siptest.SDP, reliableHeaders(p, 7)...) // again
	p.Reply(inv, 180, "peer", "", reliableHeaders(p, 9)...)          // 8 is missing
	p.Reply(inv, 180, "peer", "", reliableHeaders(p, 8)...)
	prack = p.Request("PRACK")
	if want := fmt.Sprintf("8 %d INVITE", inv.CSeq()); prack.Headers.Get("RAck") != want {
		t.Errorf("RAck %q, want %q", prack.Headers.Get("RAck"), want)
	}
	p.Reply(prack, 200, "", "")
	if e := expect(t, d, sip.KindProgress); e.Status != 180 {
		t.Errorf("progress %d, want 180: what was repeated or came too early is no news", e.Status)
	}
	// Each fork counts for itself.
	p.Reply(inv, 180, "other", "", reliableHeaders(p, 3)...)
	expect(t, d, sip.KindProgress)
	if prack = p.Request("PRACK"); prack.Tag("To") != "other" {
		t.Errorf("PRACK for a fork has To-tag %q", prack.Tag("To"))
	}
	p.Reply(prack, 200, "", "")
	p.Reply(inv, 200, "peer", siptest.SDP, p.Contact())
	expect(t, d, sip.KindAnswered)
	p.Request("ACK")
}

// provided is an inbound call whose 183 with SDP went reliably.
func provided(t *testing.T, b *bench, p *siptest.Peer, header string) (*sip.Dialog, siptest.Ask, siptest.Message) {
	t.Helper()
	a := p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP, Headers: []string{header}})
	d := b.inbound()
	p.Response(100)
	if err := d.Progress(183, "", []byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	res := p.Response(183)
	if res.Headers.Get("Require") != "100rel" || res.Headers.Get("RSeq") == "" {
		t.Fatalf("183 has Require %q and RSeq %q", res.Headers.Get("Require"), res.Headers.Get("RSeq"))
	}
	return d, a, res
}

// prack acknowledges a reliable response.
func prack(p *siptest.Peer, a siptest.Ask, res siptest.Message, cseq int, rack, body string) siptest.Ask {
	return p.Write(siptest.Ask{Method: "PRACK", CallID: a.CallID, From: a.From, To: res.Headers.Get("To"), CSeq: cseq, Body: body, Headers: []string{"RAck: " + rack}})
}

func TestPrackIsAwaited(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d, a, res := provided(t, b, p, "Supported: 100rel")
	again := p.Response(183)
	if again.Headers.Get("RSeq") != res.Headers.Get("RSeq") {
		t.Error("the repeated response has another RSeq")
	}
	if err := d.Progress(180, "", nil); err != nil { // without SDP it needn't be reliable
		t.Fatal(err)
	}
	p.Response(180)
	if err := d.Answer([]byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	rack := fmt.Sprintf("%s %d INVITE", res.Headers.Get("RSeq"), a.CSeq)
	prack(p, a, res, a.CSeq+1, "1 1 INVITE", "")
	p.Response(481)
	prack(p, a, res, a.CSeq+2, rack, "")
	if r := p.Response(200); r.CSeq() != a.CSeq+2 {
		t.Errorf("the first 200 is for CSeq %d, want the PRACK's", r.CSeq())
	}
	r := p.Response(200)
	if r.CSeq() != a.CSeq || r.Body != siptest.SDP {
		t.Errorf("the second 200 is for CSeq %d, want the INVITE's", r.CSeq())
	}
	p.Ack(a, r, "")
	expect(t, d, sip.KindAcked)
	prack(p, a, res, a.CSeq+3, rack, "")
	p.Response(481)
}

func TestPrackNeverComes(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d, _, _ := provided(t, b, p, "Require: 100rel")
	if err := d.Answer([]byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	p.Response(504)
	if took := time.Since(begun); took < 40*fast.T1 {
		t.Errorf("given up after %v, want about %v", took, 64*fast.T1)
	}
	ended(t, d, sip.ByTimeout, 504)
}

func TestPrackOffers(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d, a, res := provided(t, b, p, "Require: 100rel")
	prack(p, a, res, a.CSeq+1, fmt.Sprintf("%s %d INVITE", res.Headers.Get("RSeq"), a.CSeq), siptest.SDP)
	e := expect(t, d, sip.KindOffer)
	if e.Offer.Method != "PRACK" || string(e.Offer.Body) != siptest.SDP {
		t.Errorf("offer %+v", e.Offer)
	}
	if err := e.Offer.Answer([]byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	if r := p.Response(200); r.CSeq() != a.CSeq+1 || r.Body != siptest.SDP {
		t.Errorf("%v", r)
	}
	// And once more by UPDATE, before the call is answered.
	p.Write(siptest.Ask{Method: "UPDATE", CallID: a.CallID, From: a.From, To: res.Headers.Get("To"), CSeq: a.CSeq + 2, Body: siptest.SDP})
	if e = expect(t, d, sip.KindOffer); e.Offer.Method != "UPDATE" {
		t.Errorf("offer %+v", e.Offer)
	}
	if err := e.Offer.Answer([]byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	p.Response(200)
	if err := d.Reject(486, ""); err != nil {
		t.Fatal(err)
	}
	p.Response(486)
}

// TestPrackOrder: one reliable response at a time, the others wait.
func TestPrackOrder(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d, a, res := provided(t, b, p, "Require: 100rel")
	for range 3 {
		if err := d.Progress(180, "", nil); err != nil {
			t.Fatal(err)
		}
	}
	cancelled := func(rseq string, cseq int) { prack(p, a, res, cseq, fmt.Sprintf("%s %d INVITE", rseq, a.CSeq), "") }
	cancelled(res.Headers.Get("RSeq"), a.CSeq+1)
	p.Response(200)
	next := p.Response(180)
	if next.Headers.Get("Require") != "100rel" {
		t.Error("the peer requires 100rel, 180 goes without")
	}
	cancelled(next.Headers.Get("RSeq"), a.CSeq+2)
	p.Response(200)
	p.Silence(4 * fast.T1)
	cancel := a
	cancel.Method, cancel.Body, cancel.Headers = "CANCEL", "", nil
	p.Write(cancel)
	p.Response(200)
	p.Response(487)
	ended(t, d, sip.ByPeer, 487)
}

func TestPrackNever(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(_ *sip.FrontConfig, c *sip.Config) { c.Reliable = sip.ReliableNever })
	p := siptest.NewPeer(t, b.addr)
	p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP, Headers: []string{"Require: 100rel"}})
	if r := p.Response(420); r.Headers.Get("Unsupported") != "100rel" {
		t.Errorf("Unsupported is %q", r.Headers.Get("Unsupported"))
	}
	d := b.dial(p, nil)
	if inv := p.Request("INVITE"); strings.Contains(inv.Headers.Get("Supported"), "100rel") {
		t.Errorf("Supported is %q", inv.Headers.Get("Supported"))
	}
	_ = d.Hangup(soon(t), sip.Reason{}, 0)
}

// A caller without an offer gets ours in a reliable provisional response, if it knows those; its PRACK must bring the answer.
func TestOfferInProvisional(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	ask := p.Write(siptest.Ask{Method: "INVITE", Headers: []string{"Supported: 100rel", p.Contact()}})
	d := b.inbound()
	if !d.MayOffer() {
		t.Fatal("it may not offer")
	}
	if err := d.Progress(183, "", []byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	res := p.Response(183)
	rack := res.Headers.Get("RSeq") + " 1 INVITE"
	prack(p, ask, res, 2, rack, "")
	p.Response(400)
	prack(p, ask, res, 3, rack, siptest.SDP)
	p.Response(200)
	if e := expect(t, d, sip.KindPracked); string(e.Body) != siptest.SDP {
		t.Errorf("answer %q", e.Body)
	}
	if err := d.Answer(nil); err != nil {
		t.Fatal(err)
	}
	ok := p.Response(200)
	if ok.Body != "" {
		t.Errorf("SDP in the 200: %q", ok.Body)
	}
	p.Ack(ask, ok, "")
	expect(t, d, sip.KindAcked)
	// Who doesn't know them isn't offered anything before the answer.
	p.Write(siptest.Ask{Method: "INVITE"})
	if d = b.inbound(); d.MayOffer() {
		t.Error("it may offer")
	}
	if err := d.Progress(183, "", []byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	if m, got := p.Receive(100 * time.Millisecond); got && m.Status() != 100 {
		t.Errorf("got %q", m.Start)
	}
	if err := d.Reject(486, ""); err != nil {
		t.Fatal(err)
	}
}
