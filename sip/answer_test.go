package sip_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

func TestInboundAnswered(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	ask := p.Write(siptest.Ask{
		Method: "INVITE", URI: "sip:+4930555@127.0.0.1", Body: siptest.SDP,
		Headers: []string{
			"Record-Route: <sip:127.0.0.1:1;lr>", "P-Asserted-Identity: \"A\" <sip:a@x.example>, <tel:+49301>",
			"Diversion: <sip:d1@x.example>;reason=user-busy", "k: timer, norefersub", "X-Thing: 7",
		},
	})
	p.Response(100)
	d := b.inbound()
	r := d.Request()
	if r.URI.User != "+4930555" || r.From.Tag() != "peer" || string(r.Body) != siptest.SDP || r.Source != p.Addr() || r.Network != "udp" {
		t.Errorf("request %+v", r)
	}
	if a := r.Asserted(); len(a) != 2 || a[0].Display != "A" || a[1].URI.Opaque != "+49301" {
		t.Errorf("asserted %+v", a)
	}
	if dv := r.Diversions(); len(dv) != 1 || dv[0].URI.User != "d1" {
		t.Errorf("diversion %+v", dv)
	}
	if got := r.Headers.Values("Supported"); len(got) != 2 || r.Headers.Get("x-thing") != "7" {
		t.Errorf("supported %q", got)
	}
	for range 3 {
		if err := d.Progress(180, "", nil); err != nil {
			t.Fatal(err)
		}
		if res := p.Response(180); res.Tag("To") != d.LocalTag() || res.Headers.Get("Record-Route") == "" || res.Headers.Get("Contact") == "" {
			t.Errorf("180 %v", res.Headers)
		}
	}
	if err := d.Progress(183, "Early", []byte(siptest.SDP), sip.Header{Name: "P-Early-Media", Value: "sendrecv"}); err != nil {
		t.Fatal(err)
	}
	if res := p.Response(183); res.Body != siptest.SDP || res.Headers.Get("P-Early-Media") == "" || res.Start != "SIP/2.0 183 Early" {
		t.Errorf("183 %v", res)
	}
	if err := d.Answer([]byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	res := p.Response(200)
	if again := p.Response(200); again.Tag("To") != res.Tag("To") {
		t.Error("the repeated 200 differs")
	}
	p.Ack(ask, res, "")
	expect(t, d, sip.KindAcked)
	p.Ack(ask, res, "")
	p.Silence(3 * fast.T2)
	if err := d.Progress(180, "", nil); !errors.Is(err, sip.ErrState) {
		t.Errorf("Progress after Answer: %v", err)
	}
	p.Write(siptest.Ask{Method: "BYE", From: ask.From, To: res.Headers.Get("To"), CallID: ask.CallID, CSeq: 2, Headers: []string{"Reason: Q.850;cause=31"}})
	p.Response(200)
	if e := ended(t, d, sip.ByPeer, 0); e.Reason.Cause != 31 || e.Method != "BYE" {
		t.Errorf("ended %+v", e)
	}
	if err := d.Hangup(soon(t), sip.Reason{}, 0); err != nil {
		t.Errorf("Hangup of an ended dialog: %v", err)
	}
}

func TestLostAckEndsInBye(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
	d := b.inbound()
	began := time.Now()
	if err := d.Answer([]byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	copies := 0
	for {
		m, ok := p.Receive(siptest.Patience)
		if !ok {
			t.Fatal("no BYE")
		}
		if m.Status() == 200 {
			copies++
		}
		if m.Method() == "BYE" {
			p.Reply(m, 200, "", "")
			break
		}
	}
	if took := time.Since(began); took < 60*fast.T1 || took > 100*fast.T1 {
		t.Errorf("BYE after %v, expected about %v", took, 64*fast.T1)
	}
	// T1 doubling up to T2: 20, 60, 140, 220, … 1280 ms.
	if copies < 10 || copies > 18 {
		t.Errorf("%d copies of the 200", copies)
	}
	ended(t, d, sip.ByTimeout, 0)
}

func TestInboundRejected(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	ask := p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
	d := b.inbound()
	if err := d.Reject(488, "No Codec", sip.Header{Name: "Warning", Value: `304 here "no common codec"`}); err != nil {
		t.Fatal(err)
	}
	res := p.Response(488)
	if res.Start != "SIP/2.0 488 No Codec" || res.Headers.Get("Warning") == "" || res.Headers.Get("Server") != "Patchbay" {
		t.Errorf("488 %v", res)
	}
	p.Ack(ask, res, "")
	ended(t, d, sip.ByLocal, 488)
	if err := d.Reject(500, ""); !errors.Is(err, sip.ErrEnded) {
		t.Errorf("second Reject: %v", err)
	}
	p.Silence(50 * time.Millisecond)
}

func TestInboundHangupRinging(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	ask := p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
	d := b.inbound()
	if err := d.Hangup(soon(t), sip.Reason{Protocol: "Q.850", Cause: 34}, 503); err != nil {
		t.Fatal(err)
	}
	res := p.Response(503)
	if res.Headers.Get("Reason") != "Q.850;cause=34" {
		t.Errorf("503 %v", res.Headers)
	}
	p.Ack(ask, res, "")
	ended(t, d, sip.ByLocal, 503)
}

func TestInboundCancelled(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	ask := p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
	d := b.inbound()
	d.Progress(180, "", nil)
	tag := p.Response(180).Tag("To")
	p.Write(siptest.Ask{Method: "CANCEL", CallID: ask.CallID, Branch: ask.Branch, Headers: []string{"Reason: SIP;cause=200;text=\"Call completed elsewhere\""}})
	seen := map[string]int{}
	for range 2 {
		m, ok := p.Receive(siptest.Patience)
		if !ok {
			t.Fatal("no response")
		}
		_, method, _ := strings.Cut(m.Headers.Get("CSeq"), " ")
		seen[method] = m.Status()
		if m.Tag("To") != tag {
			t.Errorf("%s answered with tag %q, expected %q", method, m.Tag("To"), tag)
		}
		if m.Status() == 487 {
			p.Ack(ask, m, "")
		}
	}
	if seen["CANCEL"] != 200 || seen["INVITE"] != 487 {
		t.Errorf("responses %v", seen)
	}
	if e := ended(t, d, sip.ByPeer, 487); e.Reason.Cause != 200 || e.Method != "CANCEL" {
		t.Errorf("ended %+v", e)
	}
	// CANCEL of what isn't there.
	p.Write(siptest.Ask{Method: "CANCEL"})
	p.Response(481)
}

func TestCancelAfterAnswer(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d, ask, _ := b.inboundCall(p)
	p.Write(siptest.Ask{Method: "CANCEL", CallID: ask.CallID, Branch: ask.Branch})
	p.Response(200)
	select {
	case e := <-d.Events():
		t.Fatalf("event %v: a late CANCEL changes nothing", e.Kind)
	case <-time.After(50 * time.Millisecond):
	}
}

func TestByeWaitsForAck(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	ask := p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
	d := b.inbound()
	if err := d.Answer([]byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	res := p.Response(200)
	done := make(chan error, 1)
	go func() { done <- d.Hangup(soon(t), sip.Reason{}, 0) }()
	time.Sleep(10 * time.Millisecond)
	p.Ack(ask, res, "")
	for {
		m, ok := p.Receive(siptest.Patience)
		if !ok {
			t.Fatal("no BYE")
		}
		if m.Method() == "BYE" {
			p.Reply(m, 200, "", "")
			break
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	expect(t, d, sip.KindAcked)
	ended(t, d, sip.ByLocal, 0)
}

func TestByePeerNeverAnswers(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d, _, _ := b.inboundCall(p)
	if err := d.Hangup(soon(t), sip.Reason{}, 0); !errors.Is(err, sip.ErrTimeout) {
		t.Errorf("Hangup: %v", err)
	}
	ended(t, d, sip.ByLocal, 0)
}

func TestEarlyBye(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	ask := p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
	d := b.inbound()
	d.Progress(180, "", nil)
	res := p.Response(180)
	p.Write(siptest.Ask{Method: "BYE", To: res.Headers.Get("To"), CallID: ask.CallID, CSeq: 2})
	got := map[int]bool{}
	for range 2 {
		m, _ := p.Receive(siptest.Patience)
		got[m.Status()] = true
		if m.Status() == 487 {
			p.Ack(ask, m, "")
		}
	}
	if !got[200] || !got[487] {
		t.Errorf("responses %v", got)
	}
	ended(t, d, sip.ByPeer, 0)
}

func TestMultipartBody(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	body := "--x\r\nContent-Type: application/ISUP\r\n\r\nabc\r\n--x\r\nContent-Type: application/sdp\r\n\r\n" + siptest.SDP + "\r\n--x--\r\n"
	p.Write(siptest.Ask{Method: "INVITE", Body: body, Headers: []string{"Content-Type: multipart/mixed; boundary=x", p.Contact()}})
	d := b.inbound()
	if r := d.Request(); r.ContentType != "application/sdp" || string(r.Body) != siptest.SDP {
		t.Errorf("body %q of type %q", r.Body, r.ContentType)
	}
	d.Reject(486, "")
}

func TestEventsBounded(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d, ask, res := b.inboundCall(p)
	for i := range 80 {
		p.Write(siptest.Ask{Method: "INFO", To: res.Headers.Get("To"), CallID: ask.CallID, CSeq: 2 + i, Body: "5", Headers: []string{"Content-Type: application/dtmf"}})
		p.Response(200)
	}
	p.Write(siptest.Ask{Method: "BYE", To: res.Headers.Get("To"), CallID: ask.CallID, CSeq: 90})
	p.Response(200)
	n := 0
	for e := range d.Events() {
		if n++; e.Kind == sip.KindEnded && e.By != sip.ByPeer {
			t.Errorf("ended by %v", e.By)
		}
	}
	if n < 20 || n > 32 {
		t.Errorf("%d events kept", n)
	}
	if b.ua.Stats().EventsLost == 0 {
		t.Error("lost events aren't counted")
	}
}

func TestDialogLimit(t *testing.T) {
	b := newBench(t, func(_ *sip.FrontConfig, c *sip.Config) { c.MaxDialogs = 1 })
	p := siptest.NewPeer(t, b.addr)
	p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
	d := b.inbound()
	ask := p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
	res := p.Response(503)
	if res.Headers.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	p.Ack(ask, res, "")
	d.Reject(486, "")
	q := siptest.NewPeer(t, b.addr)
	q.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
	b.inbound().Reject(486, "")
	q.Response(486)
}

func TestAdvertise(t *testing.T) {
	b := newBench(t, func(_ *sip.FrontConfig, c *sip.Config) { c.Advertise = sip.HostPort{Host: "gw.example", Port: 5070} })
	p := siptest.NewPeer(t, b.addr)
	b.dial(p, nil)
	inv := p.Request("INVITE")
	if !strings.Contains(inv.Headers.Get("Via"), " gw.example:5070;") || inv.Headers.Get("Contact") != "<sip:200@gw.example:5070>" {
		t.Errorf("Via %q, Contact %q", inv.Headers.Get("Via"), inv.Headers.Get("Contact"))
	}
	p.Reply(inv, 486, "x", "")
	p.Request("ACK")
}

func TestIPv6(t *testing.T) {
	loop := netip.MustParseAddrPort("[::1]:0")
	b := newBench(t, func(f *sip.FrontConfig, c *sip.Config) {
		f.Listen = []sip.Listen{{Network: "udp", Addr: loop}}
		c.Match = func(in sip.Inbound) bool { return in.Source.Addr() == loop.Addr() }
	})
	p := siptest.NewPeerAt(t, "::1", b.addr)
	d := b.dial(p, nil)
	inv := p.Request("INVITE")
	if !strings.Contains(inv.Headers.Get("Via"), "[::1]:") || !strings.Contains(inv.Headers.Get("Contact"), "@[::1]:") {
		t.Errorf("Via %q, Contact %q", inv.Headers.Get("Via"), inv.Headers.Get("Contact"))
	}
	p.Reply(inv, 200, "peer", siptest.SDP, p.Contact())
	expect(t, d, sip.KindAnswered)
	p.Request("ACK")
	q := siptest.NewPeerAt(t, "::1", b.addr)
	q.Write(siptest.Ask{Method: "INVITE", URI: "sip:x@[::1]", From: "<sip:y@[::1]>;tag=q", Body: siptest.SDP})
	b.inbound().Reject(486, "")
	q.Response(486)
}
