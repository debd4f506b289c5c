package sip_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// within sends a request of the peer's in an inbound call's dialog.
func within(p *siptest.Peer, method string, ask siptest.Ask, res siptest.Message, cseq int, body string, headers ...string) siptest.Ask {
	return p.Write(siptest.Ask{
		Method: method, From: ask.From, To: res.Headers.Get("To"), CallID: ask.CallID, CSeq: cseq, Body: body, Headers: headers,
	})
}

func TestReinviteFromPeer(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d, ask, res := b.inboundCall(p)

	again := within(p, "INVITE", ask, res, 2, siptest.SDP)
	e := expect(t, d, sip.KindOffer)
	if string(e.Offer.Body) != siptest.SDP || e.Offer.Method != "INVITE" {
		t.Fatalf("offer %+v", e.Offer)
	}
	// While it waits, another is refused, and so is ours.
	second := within(p, "INVITE", ask, res, 3, siptest.SDP)
	r := p.Response(500)
	if r.Headers.Get("Retry-After") == "" {
		t.Error("500 without Retry-After")
	}
	p.Ack(second, r, "")
	if err := e.Offer.Answer([]byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	p.Ack(again, p.Response(200), "")
	expect(t, d, sip.KindAcked)
	if err := e.Offer.Reject(488, ""); !errors.Is(err, sip.ErrOfferGone) {
		t.Errorf("Reject after Answer: %v", err)
	}

	// A late offer: ours in the 200, the peer's answer in its ACK.
	late := within(p, "INVITE", ask, res, 4, "")
	e = expect(t, d, sip.KindOffer)
	if e.Offer.Body != nil {
		t.Errorf("body %q", e.Offer.Body)
	}
	e.Offer.Answer([]byte(siptest.SDP))
	p.Ack(late, p.Response(200), "v=0 answer")
	if e := expect(t, d, sip.KindAcked); string(e.Body) != "v=0 answer" {
		t.Errorf("answer %q", e.Body)
	}

	// Refused: the dialog lives on.
	bad := within(p, "INVITE", ask, res, 5, siptest.SDP)
	expect(t, d, sip.KindOffer).Offer.Reject(488, "")
	p.Ack(bad, p.Response(488), "")

	// Withdrawn.
	gone := within(p, "INVITE", ask, res, 6, siptest.SDP)
	e = expect(t, d, sip.KindOffer)
	p.Response(100)
	p.Write(siptest.Ask{Method: "CANCEL", From: ask.From, To: res.Headers.Get("To"), CallID: ask.CallID, CSeq: 6, Branch: gone.Branch})
	codes := map[int]bool{}
	for len(codes) < 2 {
		m, ok := p.Receive(siptest.Patience)
		if !ok {
			t.Fatalf("responses %v", codes)
		}
		codes[m.Status()] = true
		if m.Status() == 487 {
			p.Ack(gone, m, "")
		}
	}
	<-e.Offer.Done()
	if err := e.Offer.Answer([]byte("x")); !errors.Is(err, sip.ErrOfferGone) {
		t.Errorf("Answer after CANCEL: %v", err)
	}

	// UPDATE: without SDP a refresh, with SDP an offer.
	within(p, "UPDATE", ask, res, 7, "")
	p.Response(200)
	within(p, "UPDATE", ask, res, 8, siptest.SDP)
	if e := expect(t, d, sip.KindOffer); e.Offer.Method != "UPDATE" || e.Offer.Answer([]byte(siptest.SDP)) != nil {
		t.Errorf("update %+v", e)
	}
	if r := p.Response(200); r.Body != siptest.SDP {
		t.Error("UPDATE without answer")
	}
	p.Silence(3 * fast.T2) // UPDATE has no ACK, its 200 isn't repeated
	// CSeq going back.
	within(p, "INFO", ask, res, 3, "")
	p.Response(500)
}

func TestReinviteFromUs(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d, first := b.answeredCall(p, nil)
	type result struct {
		answer []byte
		err    error
	}
	reinvite := func() chan result {
		c := make(chan result, 1)
		go func() {
			a, err := d.Reinvite(soon(t), []byte("v=0 offer"))
			c <- result{a, err}
		}()
		return c
	}
	c := reinvite()
	inv := p.Request("INVITE")
	if inv.Body != "v=0 offer" || inv.CSeq() <= first.CSeq() || inv.Tag("To") != "peer" {
		t.Errorf("re-INVITE %v", inv)
	}
	p.Reply(inv, 200, "", "v=0 answer", "Contact: <sip:moved@"+p.Addr().String()+">")
	if ack := p.Request("ACK"); !strings.Contains(ack.Start, "sip:moved@") || ack.CSeq() != inv.CSeq() {
		t.Errorf("ACK %v", ack)
	}
	if r := <-c; r.err != nil || string(r.answer) != "v=0 answer" {
		t.Fatalf("%q %v", r.answer, r.err)
	}
	p.Reply(inv, 200, "", "v=0 answer", p.Contact()) // our ACK got lost
	p.Request("ACK")

	// Refused: nothing changes.
	c = reinvite()
	inv = p.Request("INVITE")
	p.Reply(inv, 488, "", "")
	p.Request("ACK")
	var se *sip.StatusError
	if r := <-c; !errors.As(r.err, &se) || se.Status != 488 {
		t.Errorf("err %v", r.err)
	}

	// Glare: 491, then again. We made the Call-ID, so 2.1 to 4 s at the standard T1.
	c = reinvite()
	inv = p.Request("INVITE")
	p.Reply(inv, 491, "", "")
	p.Request("ACK")
	began := time.Now()
	inv = p.Request("INVITE")
	if waited := time.Since(began); waited < 210*fast.T1/50 || waited > 450*fast.T1/50+2*time.Second {
		t.Errorf("waited %v", waited)
	}
	// Meanwhile the peer's own re-INVITE meets ours.
	cross := p.Write(siptest.Ask{Method: "INVITE", From: inv.Headers.Get("To"), To: inv.Headers.Get("From"), CallID: inv.Headers.Get("Call-ID"), CSeq: 77, Body: siptest.SDP})
	p.Ack(cross, p.Response(491), "")
	p.Reply(inv, 200, "", "v=0 answer", p.Contact())
	p.Request("ACK")
	if r := <-c; r.err != nil {
		t.Fatal(r.err)
	}

	// The peer has forgotten the dialog: it ends.
	c = reinvite()
	inv = p.Request("INVITE")
	p.Reply(inv, 481, "", "")
	p.Request("ACK")
	p.Reply(p.Request("BYE"), 481, "", "")
	if r := <-c; !errors.As(r.err, &se) || se.Status != 481 {
		t.Errorf("err %v", r.err)
	}
	ended(t, d, sip.ByPeer, 481)
}

func TestInfo(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d, ask, res := b.inboundCall(p)
	within(p, "INFO", ask, res, 2, "Signal=5\r\nDuration=160\r\n", "Content-Type: application/dtmf-relay")
	p.Response(200)
	if e := expect(t, d, sip.KindInfo); e.Content != "application/dtmf-relay" || !strings.HasPrefix(string(e.Body), "Signal=5") {
		t.Errorf("info %+v", e)
	}
	done := make(chan error, 1)
	go func() { done <- d.Info(soon(t), "application/dtmf-relay", []byte("Signal=1")) }()
	info := p.Request("INFO")
	if info.Body != "Signal=1" || info.Headers.Get("Content-Type") != "application/dtmf-relay" {
		t.Errorf("INFO %v", info)
	}
	p.Reply(info, 200, "", "")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestInfoOfOtherTypes(t *testing.T) {
	for _, types := range [][]string{nil, {"text/plain"}, {"*/*"}} {
		b := newBench(t, func(_ *sip.FrontConfig, c *sip.Config) { c.InfoTypes = types })
		p := siptest.NewPeer(t, b.addr)
		d, ask, res := b.inboundCall(p)
		accept := "application/dtmf-relay, application/dtmf, application/media_control+xml"
		plain := 415
		if types != nil {
			accept, plain = types[0], 200
		}
		other, pkg := 415, 469
		if accept == "*/*" {
			other, pkg = 200, 200
		}
		for i, c := range []struct {
			status  int
			body    string
			headers []string
		}{
			{plain, "hello", []string{"Content-Type: text/plain;charset=utf-8"}},
			{other, "<x/>", []string{"Content-Type: text/xml"}},
			{200, "<x/>", []string{"Content-Type: text/xml", "Content-Disposition: info-package;handling=optional"}},
			{200, "", nil},
			{pkg, "<x/>", []string{"Content-Type: text/xml", "Info-Package: conference"}},
			{plain, "hello", []string{"Content-Type: TEXT/plain"}},
		} {
			within(p, "INFO", ask, res, 2+i, c.body, c.headers...)
			r := p.Response(c.status)
			switch c.status {
			case 200:
				expect(t, d, sip.KindInfo)
			case 415:
				if got := r.Headers.Get("Accept"); got != accept {
					t.Errorf("Accept %q, expected %q", got, accept)
				}
			case 469:
				if !r.Headers.Has("Recv-Info") {
					t.Error("469 without Recv-Info")
				}
			}
		}
		within(p, "BYE", ask, res, 20, "")
		p.Response(200)
		ended(t, d, sip.ByPeer, 0)
	}
	b := newBench(t, nil)
	for _, bad := range []string{"", "dtmf", "a/b\r\nX: y", "a/b;c=d"} {
		if _, err := b.front.NewUA(sip.Config{Name: "info", InfoTypes: []string{bad}}); err == nil {
			t.Errorf("%q: taken", bad)
		}
	}
}

func TestRefer(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d, ask, res := b.inboundCall(p)

	// The peer transfers.
	within(p, "REFER", ask, res, 2, "", "Refer-To: <sip:c@x.example?Replaces=id%40h%3Bto-tag%3Da%3Bfrom-tag%3Db>", "r: <sip:twice@x.example>")
	p.Response(400)
	within(p, "REFER", ask, res, 3, "", "r: <sip:c@x.example?Replaces=id%40h%3Bto-tag%3Da%3Bfrom-tag%3Db>", "b: <sip:me@x.example>")
	r := expect(t, d, sip.KindRefer).Refer
	if r.Target.String() != "sip:c@x.example" || r.Replaces != "id@h;to-tag=a;from-tag=b" || r.ReferredBy != "<sip:me@x.example>" {
		t.Fatalf("refer %+v", r)
	}
	if err := r.Accept(); err != nil {
		t.Fatal(err)
	}
	p.Response(202)
	if err := r.Reject(603, ""); err == nil {
		t.Error("Reject after Accept")
	}
	done := make(chan error, 1)
	go func() { done <- r.Notify(soon(t), 200, "", true) }()
	n := p.Request("NOTIFY")
	if n.Body != "SIP/2.0 200 OK\r\n" || n.Headers.Get("Event") != "refer;id=3" || !strings.HasPrefix(n.Headers.Get("Subscription-State"), "terminated") {
		t.Errorf("NOTIFY %v", n)
	}
	p.Reply(n, 200, "", "")
	if err := <-done; err != nil {
		t.Fatal(err)
	}

	// We transfer.
	within(p, "NOTIFY", ask, res, 4, "SIP/2.0 100 Trying", "Event: refer", "Content-Type: message/sipfrag")
	p.Response(481)
	go func() { done <- d.Refer(soon(t), mustURI("sip:d@x.example"), "id@h;to-tag=a;from-tag=b") }()
	ref := p.Request("REFER")
	if got := ref.Headers.Get("Refer-To"); got != "<sip:d@x.example?Replaces=id%40h%3Bto-tag%3Da%3Bfrom-tag%3Db>" {
		t.Errorf("Refer-To %q", got)
	}
	p.Reply(ref, 202, "", "")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	within(p, "NOTIFY", ask, res, 5, "SIP/2.0 486 Busy Here\r\n", "Event: refer", "Content-Type: message/sipfrag", "Subscription-State: terminated")
	p.Response(200)
	if e := expect(t, d, sip.KindNotify); e.Status != 486 || e.Phrase != "Busy Here" {
		t.Errorf("notify %+v", e)
	}
}

func TestOrderWithinCall(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d, ask, res := b.inboundCall(p)
	for i := range 20 {
		within(p, "INFO", ask, res, 2+i, fmt.Sprint(i), "Content-Type: application/dtmf")
	}
	for i := range 20 {
		if e := expect(t, d, sip.KindInfo); string(e.Body) != fmt.Sprint(i) {
			t.Fatalf("event %d is of %s", i, e.Body)
		}
	}
}

func TestRestoreConfirmed(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d, _ := b.answeredCall(p, nil)
	state := roundTrip(t, d.State())
	in, _, _ := b.inboundCall(p)
	other := roundTrip(t, in.State())
	b.front.Close() // as if killed: no BYE
	for range d.Events() {
	}

	b2 := newBench(t, nil)
	for i, s := range []sip.State{state, other} {
		r, err := b2.ua.Restore(s)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- r.Hangup(soon(t), sip.Reason{Protocol: "Q.850", Cause: 41}, 0) }()
		bye := p.Request("BYE")
		if bye.Headers.Get("Call-ID") != s.CallID || bye.Tag("From") != s.LocalTag || bye.Tag("To") != "peer" || bye.CSeq() <= int(s.LocalCSeq) {
			t.Errorf("%d: BYE %v", i, bye)
		}
		p.Reply(bye, 200, "", "")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		ended(t, r, sip.ByLocal, 0)
	}
	if _, err := b2.ua.Restore(sip.State{UA: "other"}); err == nil {
		t.Error("Restore took another UA's state")
	}
}

func TestRestoreRinging(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d := b.dial(p, nil)
	inv := p.Request("INVITE")
	p.Reply(inv, 180, "peer", "", p.Contact())
	expect(t, d, sip.KindProgress)
	out := roundTrip(t, d.State())
	q := siptest.NewPeer(t, b.addr)
	ask := q.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
	ring := b.inbound()
	ring.Progress(180, "", nil)
	tag := q.Response(180).Tag("To")
	in := roundTrip(t, ring.State())
	b.front.Close()
	for range d.Events() {
	}

	b2 := newBench(t, nil)
	r, err := b2.ua.Restore(out)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Hangup(soon(t), sip.Reason{}, 0) }()
	cancel := p.Request("CANCEL")
	if cancel.Branch() != inv.Branch() || cancel.CSeq() != inv.CSeq() || cancel.Headers.Get("From") != inv.Headers.Get("From") {
		t.Errorf("CANCEL %v", cancel)
	}
	p.Reply(cancel, 200, "peer", "")
	inv.Source = cancel.Source
	p.Reply(inv, 487, "peer", "")
	if ack := p.Request("ACK"); ack.Branch() != inv.Branch() {
		t.Errorf("ACK %v", ack)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ended(t, r, sip.ByLocal, 487)

	r, err = b2.ua.Restore(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Hangup(soon(t), sip.Reason{}, 500); err != nil {
		t.Fatal(err)
	}
	res := q.Response(500)
	if res.Tag("To") != tag || res.Headers.Get("Call-ID") != ask.CallID {
		t.Errorf("500 %v", res)
	}
	q.Ack(ask, res, "")
	ended(t, r, sip.ByLocal, 500)
}

// A process may die when the record says that the call was answered and the 200 hasn't left: the caller is told by a final response too,
// whether it answers a BYE of a dialog that it doesn't know or not.
func TestRestoreUnanswered(t *testing.T) {
	for _, answers := range []bool{true, false} {
		b := newBench(t, nil)
		q := siptest.NewPeer(t, b.addr)
		ask := q.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
		ring := b.inbound()
		ring.Progress(180, "", nil)
		tag := q.Response(180).Tag("To")
		s := ring.State()
		s.Phase = "confirmed"
		s = roundTrip(t, s)
		b.front.Close()
		for range ring.Events() {
		}

		b2 := newBench(t, nil)
		r, err := b2.ua.Restore(s)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- r.Hangup(soon(t), sip.Reason{Protocol: "Q.850", Cause: 41}, 503) }()
		bye := q.Request("BYE")
		if bye.Tag("From") != tag {
			t.Errorf("BYE %v", bye)
		}
		if answers {
			q.Reply(bye, 481, "", "")
		}
		res := q.Response(503)
		if res.Tag("To") != tag || res.Headers.Get("Call-ID") != ask.CallID || !strings.Contains(res.Headers.Get("Reason"), "cause=41") {
			t.Errorf("503 %v", res)
		}
		q.Ack(ask, res, "")
		if !answers {
			q.Reply(bye, 200, "", "")
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		ended(t, r, sip.ByLocal, 0)
	}
}

func TestRestoreAnsweredMeanwhile(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d := b.dial(p, nil)
	inv := p.Request("INVITE")
	p.Reply(inv, 180, "peer", "", p.Contact())
	expect(t, d, sip.KindProgress)
	state := roundTrip(t, d.State())
	b.front.Close()
	for range d.Events() {
	}
	b2 := newBench(t, nil)
	r, err := b2.ua.Restore(state)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Hangup(soon(t), sip.Reason{}, 0) }()
	cancel := p.Request("CANCEL")
	inv.Source = cancel.Source
	p.Reply(inv, 200, "peer", siptest.SDP, p.Contact()) // it was answered while we were away
	p.Reply(cancel, 481, "peer", "")
	p.Request("ACK")
	p.Reply(p.Request("BYE"), 200, "", "")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ended(t, r, sip.ByLocal, 200)
}
