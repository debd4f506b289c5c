package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// moves re-offers with media at another port, and by another codec.
func (h *handset) moves(to *handset, c *siptest.Call, w media.Want) {
	h.tb.Helper()
	ctx, cancel := context.WithTimeout(h.tb.Context(), siptest.Patience)
	defer cancel()
	o := to.offer(w)
	answer, err := c.Reinvite(ctx, o.SDP())
	if err != nil {
		h.tb.Fatal(err)
	}
	h.says.Close()
	to.takes(o, answer)
}

// Either side goes on at another address, by another codec, while media flows; each hears the other afterwards.
func TestMediaMoves(t *testing.T) {
	k := newTalk(t, nil)
	k.ha.hear(880)
	for _, codec := range []*media.Format{media.PCMA(), media.PCMU()} {
		next := newHandset(t, 440)
		k.ha.moves(next, k.a, media.Want{Formats: []*media.Format{codec}})
		next.hear(880)
		k.hc.hear(440)
		far := newHandset(t, 880)
		k.hc.moves(far, k.c, media.Want{Formats: []*media.Format{codec}})
		next.hear(880)
		far.hear(440)
		k.ha, k.hc = next, far
	}
	rec := k.end()
	for _, l := range rec.Legs {
		if l.Media.Codec != "PCMU/8000" {
			t.Errorf("leg %d: %+v", l.No, l.Media)
		}
	}
}

// A caller without an offer gets ours in a reliable 183, and answers in PRACK: it hears the callee before the answer (RFC 3262 5).
func TestLateOfferInProgress(t *testing.T) {
	b := newBench(t, func(s *settings) { s.Trunks[1].Addresses = []netip.Prefix{prefix(t, "127.0.0.2/32")} })
	bob := b.phone("bob")
	h, hb := newHandset(t, 440), newHandset(t, 880)
	peer := siptest.NewPeerAt(t, "127.0.0.2", b.addr)
	ask := peer.Write(siptest.Ask{Method: "INVITE", URI: "sip:4930101@home.test", Headers: []string{"Supported: 100rel", peer.Contact()}})
	c := bob.Incoming()
	answer := hb.answers(c.Request().Body, media.Want{})
	if err := c.Progress(183, "", answer); err != nil {
		t.Fatal(err)
	}
	res := peer.Response(183)
	if res.Body == "" || res.Headers.Get("Require") != "100rel" {
		t.Fatalf("183 %v", res)
	}
	prack := siptest.Ask{Method: "PRACK", URI: ask.URI, From: ask.From, To: res.Headers.Get("To"), CallID: ask.CallID, CSeq: 2,
		Body: string(h.answers([]byte(res.Body), media.Want{})), Headers: []string{fmt.Sprintf("RAck: %s 1 INVITE", res.Headers.Get("RSeq"))}}
	peer.Write(prack)
	if m := peer.Response(200); m.Body != "" || !strings.HasSuffix(m.Headers.Get("CSeq"), "PRACK") {
		t.Errorf("200 %v", m)
	}
	h.hear(880)
	if err := c.Answer(answer); err != nil {
		t.Fatal(err)
	}
	res = peer.Response(200)
	if res.Body != "" {
		t.Errorf("a second offer in the 200:\n%s", res.Body)
	}
	peer.Ack(ask, res, "")
	h.hear(880)
	hb.hear(440)
	bye := siptest.Ask{Method: "BYE", URI: ask.URI, From: ask.From, To: res.Headers.Get("To"), CallID: ask.CallID, CSeq: 3}
	peer.Write(bye)
	peer.Response(200)
	c.Wait(sip.KindEnded)
	rec := b.ends(call.Caller, 16, 200)
	if l := rec.Legs[0]; l.Media.Codec != "PCMU/8000" || l.Quality == nil || l.Quality.Received < 10 {
		t.Errorf("the caller's leg %+v", l)
	}
	b.idle()
}

// A phone may ask us to offer within a call; so may the callee.
func TestLateOfferWithin(t *testing.T) {
	b := newBench(t, func(s *settings) { s.Trunks[1].Proxy = sip.HostPort{Host: "127.0.0.2", Port: 5999} })
	peer := siptest.NewPeerAt(t, "127.0.0.2", b.addr)
	b.trunks["second"].Proxy.Port = peer.Addr().Port()
	h, ha := newHandset(t, 880), newHandset(t, 440)
	offer := ha.offer(media.Want{})
	alice := b.phone("alice")
	a := b.from(alice, "85", offer.SDP())
	if err := b.carrier.Incoming().Reject(503, ""); err != nil {
		t.Fatal(err)
	}
	inv := peer.Request("INVITE")
	peer.Reply(inv, 200, "late", string(h.answers([]byte(inv.Body), media.Want{})), peer.Contact())
	peer.Request("ACK")
	ha.takes(offer, a.Wait(sip.KindAnswered).Body)
	inside := siptest.Ask{Method: "INVITE", URI: "sip:gw@" + b.addr.String(), From: inv.Headers.Get("To") + ";tag=late", To: inv.Headers.Get("From"), CallID: inv.Headers.Get("Call-ID")}
	ask := peer.Write(inside)
	res := peer.Response(200)
	d, err := h.Remote([]byte(res.Body))
	if err != nil || d.Direction() != sdp.SendRecv {
		t.Fatalf("our offer %v\n%s", err, res.Body)
	}
	peer.Ack(ask, res, string(h.answers([]byte(res.Body), media.Want{})))
	h.hear(440)
	ha.hear(880)
	go func() { _ = a.Hangup(context.Background(), sip.Reason{}, 0) }()
	peer.Reply(peer.Request("BYE"), 200, "", "")
	b.ends(call.Caller, 16, 200)
	b.idle()
}

// All digits arrive, both ways, between a phone that sends INFO, in either form, and a carrier that sends telephone-events.
func TestAllDigits(t *testing.T) {
	const all = "0123456789*#ABCD"
	k := newTalk(t, func(s *settings) { s.Users[0].DTMF, s.Digits = "info", true })
	for i, d := range all {
		ctype, body := "application/dtmf-relay", fmt.Sprintf("Signal=%c\r\nDuration=80\r\n", d)
		if i%2 == 1 {
			ctype, body = "application/dtmf", string(d)
		}
		if err := k.a.Info(t.Context(), ctype, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "digits at the carrier", func() bool { return k.hc.heard() == all })
	k.hc.hear(440)
	for _, part := range []string{all[:8], all[8:]} {
		if err := k.hc.dial(t, part); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range all {
		if e := k.a.Wait(sip.KindInfo); !strings.Contains(string(e.Body), "Signal="+string(d)+"\r\n") {
			t.Errorf("INFO %q, expected %c", e.Body, d)
		}
	}
	rec := k.end()
	var told string
	for _, e := range k.ledger.of(rec.ID) {
		if d, ok := e.Data.(call.DTMF); ok {
			told += d.Digit
		}
	}
	if told != all+all {
		t.Errorf("record %q", told)
	}
}

// Why a call ends goes on to the other side as it was said, whichever message says it, and stands in the record.
func TestReasonsGoOn(t *testing.T) {
	b := newBench(t, nil)
	alice, bob := b.phone("alice"), b.phone("bob")
	said := func(want sip.Reason) {
		t.Helper()
		if rec := b.record(); rec.Cause.Raw != want.String() || want.Protocol == "Q.850" && rec.Cause.Q850 != want.Cause {
			t.Errorf("record %+v, expected %s", rec.Cause, want)
		}
		b.idle()
	}
	for _, r := range []sip.Reason{{Protocol: "Q.850", Cause: 19, Text: "No answer from user"}, {Protocol: "SIP", Cause: 480, Text: "gone home"}} {
		// CANCEL
		a := b.from(b.carrier, "4930101", nil)
		c := bob.Incoming()
		if err := c.Progress(180, "", nil); err != nil {
			t.Fatal(err)
		}
		a.Wait(sip.KindProgress)
		if err := a.Hangup(t.Context(), r, 0); err != nil {
			t.Fatal(err)
		}
		if e := c.Wait(sip.KindEnded); e.Method != "CANCEL" || e.Reason != r {
			t.Errorf("ended by %s with %v, expected CANCEL with %v", e.Method, e.Reason, r)
		}
		said(r)
		// BYE, from either side
		for _, byCaller := range []bool{true, false} {
			a = b.from(b.carrier, "4930101", nil)
			c = b.up(a, bob, nil)
			from, to := a, c
			if !byCaller {
				from, to = c, a
			}
			if err := from.Hangup(t.Context(), r, 0); err != nil {
				t.Fatal(err)
			}
			if e := to.Wait(sip.KindEnded); e.Method != "BYE" || e.Reason != r {
				t.Errorf("ended by %s with %v, expected BYE with %v", e.Method, e.Reason, r)
			}
			said(r)
		}
		// A response (RFC 6432)
		a = b.from(alice, "9123", nil)
		if err := b.carrier.Incoming().Reject(480, "", sip.Header{Name: "Reason", Value: r.String()}); err != nil {
			t.Fatal(err)
		}
		if e := refused(t, a, 480); e.Reason != r {
			t.Errorf("refused with %v, expected %v", e.Reason, r)
		}
		said(r)
	}
}
