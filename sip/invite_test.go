package sip_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

func TestDialAnsweredAndHungUp(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d := b.dial(p, func(inv *sip.Invite) {
		inv.Headers = []sip.Header{{Name: "P-Asserted-Identity", Value: "<sip:+4930@x.example>"}}
	})
	inv := p.Request("INVITE")
	if got := inv.Headers.Get("From"); !strings.HasPrefix(got, `"Two Hundred" <sip:200@127.0.0.1>;tag=`) {
		t.Errorf("From is %q", got)
	}
	if inv.Headers.Get("P-Asserted-Identity") == "" || inv.Body != siptest.SDP || inv.Headers.Get("Max-Forwards") != "70" {
		t.Errorf("INVITE lacks something: %v", inv.Headers)
	}
	if !strings.Contains(inv.Headers.Get("Supported"), "100rel") {
		t.Error("100rel isn't offered")
	}
	if inv.Source != b.addr {
		t.Errorf("left from %v, expected the listening socket %v", inv.Source, b.addr)
	}
	p.Reply(inv, 100, "", "")
	expect(t, d, sip.KindTrying)
	for range 12 { // more than ten provisional responses are common
		p.Reply(inv, 180, "peer", "")
		if e := expect(t, d, sip.KindProgress); e.Status != 180 || e.Tag != "peer" {
			t.Fatalf("progress %+v", e)
		}
	}
	p.Reply(inv, 200, "peer", siptest.SDP, p.Contact())
	if e := expect(t, d, sip.KindAnswered); string(e.Body) != siptest.SDP || e.Tag != "peer" || d.RemoteTag() != "peer" {
		t.Fatalf("answered %+v", e)
	}
	ack := p.Request("ACK")
	if ack.Tag("To") != "peer" || ack.CSeq() != inv.CSeq() || ack.Branch() == inv.Branch() {
		t.Errorf("ACK %v", ack)
	}
	p.Reply(inv, 200, "peer", siptest.SDP, p.Contact()) // our ACK got lost
	if again := p.Request("ACK"); again.Branch() != ack.Branch() {
		t.Error("the repeated ACK differs")
	}
	done := make(chan error, 1)
	go func() { done <- d.Hangup(soon(t), sip.Reason{Protocol: "Q.850", Cause: 16, Text: `say "bye"`}, 0) }()
	bye := p.Request("BYE")
	if got := bye.Headers.Get("Reason"); got != `Q.850;cause=16;text="say \"bye\""` {
		t.Errorf("Reason is %q", got)
	}
	if bye.CSeq() <= inv.CSeq() {
		t.Errorf("CSeq %d after %d", bye.CSeq(), inv.CSeq())
	}
	p.Reply(bye, 200, "", "")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ended(t, d, sip.ByLocal, 0)
	if s := b.ua.Stats(); s.RequestsOut["INVITE"] != 1 || s.RequestsOut["ACK"] != 2 || s.ResponsesIn["1xx"] != 13 || s.Dialogs != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestDialForked(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d := b.dial(p, nil)
	inv := p.Request("INVITE")
	p.Reply(inv, 180, "one", "", p.Contact())
	p.Reply(inv, 183, "two", siptest.SDP, p.Contact())
	if e := expect(t, d, sip.KindProgress); e.Tag != "one" || e.Body != nil {
		t.Errorf("first fork %+v", e)
	}
	if e := expect(t, d, sip.KindProgress); e.Tag != "two" || string(e.Body) != siptest.SDP || e.Status != 183 {
		t.Errorf("second fork %+v", e)
	}
	p.Reply(inv, 200, "two", siptest.SDP, p.Contact())
	if e := expect(t, d, sip.KindAnswered); e.Tag != "two" {
		t.Errorf("answered by %q", e.Tag)
	}
	if ack := p.Request("ACK"); ack.Tag("To") != "two" {
		t.Errorf("ACK to %q", ack.Tag("To"))
	}
	p.Reply(inv, 200, "one", siptest.SDP, p.Contact())
	if ack := p.Request("ACK"); ack.Tag("To") != "one" {
		t.Errorf("second ACK to %q", ack.Tag("To"))
	}
	bye := p.Request("BYE")
	if bye.Tag("To") != "one" {
		t.Errorf("BYE to %q: expected the loser", bye.Tag("To"))
	}
	p.Reply(bye, 200, "", "")
	if e := expect(t, d, sip.KindForked); e.Tag != "one" {
		t.Errorf("forked %+v", e)
	}
	// The loser's 2xx again: ACKed again, not BYEd again.
	p.Reply(inv, 200, "one", siptest.SDP, p.Contact())
	p.Request("ACK")
	p.Silence(50 * time.Millisecond)
	if d.RemoteTag() != "two" {
		t.Errorf("the winner is %q", d.RemoteTag())
	}
}

func TestDialRefused(t *testing.T) {
	b := newBench(t, nil)
	for _, status := range []int{302, 404, 486, 503, 603} {
		p := siptest.NewPeer(t, b.addr)
		d := b.dial(p, nil)
		inv := p.Request("INVITE")
		p.Reply(inv, status, "peer", "", `Reason: SIP;cause=600, Q.850;cause=21;text="no, never"`, "Retry-After: 7")
		ack := p.Request("ACK")
		if ack.Branch() != inv.Branch() {
			t.Error("the ACK of a failure belongs to the INVITE's transaction")
		}
		e := ended(t, d, sip.ByPeer, status)
		if e.Reason.Cause != 21 || e.Reason.Text != "no, never" || len(e.Reasons) != 2 || e.Headers.Get("Retry-After") != "7" {
			t.Errorf("%d: %+v", status, e)
		}
		p.Reply(inv, status, "peer", "") // our ACK got lost
		p.Request("ACK")
	}
}

func TestCancelWaitsForProvisional(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d := b.dial(p, nil)
	inv := p.Request("INVITE")
	done := make(chan error, 1)
	go func() { done <- d.Hangup(soon(t), sip.Reason{Protocol: "Q.850", Cause: 16}, 0) }()
	for end := time.Now().Add(60 * time.Millisecond); time.Now().Before(end); {
		if m, ok := p.Receive(time.Until(end)); ok && m.Method() != "INVITE" {
			t.Fatalf("got %q before any response, expected at most the INVITE again", m.Start)
		}
	}
	p.Reply(inv, 100, "", "")
	cancel := p.Request("CANCEL")
	if cancel.Branch() != inv.Branch() || cancel.CSeq() != inv.CSeq() || cancel.Headers.Get("Reason") != "Q.850;cause=16" || cancel.Tag("To") != "" {
		t.Errorf("CANCEL %v", cancel)
	}
	p.Reply(cancel, 200, "peer", "")
	p.Reply(inv, 487, "peer", "")
	p.Request("ACK")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	expect(t, d, sip.KindTrying)
	e := ended(t, d, sip.ByLocal, 487)
	if e.Reason.Cause != 16 {
		t.Errorf("reason %+v", e.Reason)
	}
}

func TestCancelCrossesAnswer(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d := b.dial(p, nil)
	inv := p.Request("INVITE")
	p.Reply(inv, 180, "peer", "", p.Contact())
	expect(t, d, sip.KindProgress)
	done := make(chan error, 1)
	go func() { done <- d.Hangup(soon(t), sip.Reason{}, 0) }()
	cancel := p.Request("CANCEL")
	p.Reply(inv, 200, "peer", siptest.SDP, p.Contact())
	p.Reply(cancel, 200, "peer", "")
	p.Request("ACK")
	bye := p.Request("BYE")
	p.Reply(bye, 200, "", "")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ended(t, d, sip.ByLocal, 200)
}

func TestCancelNeverAnswered(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	ctx, stop := context.WithCancel(context.Background())
	from := mustURI("sip:200@127.0.0.1")
	d, err := b.ua.Dial(ctx, sip.Invite{
		Target: mustURI("sip:100@" + p.Addr().String()), From: sip.NameAddr{URI: from}, Body: []byte(siptest.SDP),
	})
	if err != nil {
		t.Fatal(err)
	}
	inv := p.Request("INVITE")
	p.Reply(inv, 180, "peer", "", p.Contact())
	expect(t, d, sip.KindProgress)
	stop() // the caller's context ends: cancelled
	p.Request("CANCEL")
	ended(t, d, sip.ByLocal, 487) // after 64*T1
}

func TestTrialTimeout(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	began := time.Now()
	d := b.dial(p, func(inv *sip.Invite) { inv.TrialTimeout = 500 * time.Millisecond })
	inv := p.Request("INVITE")
	ended(t, d, sip.ByTimeout, 408)
	if took := time.Since(began); took > siptest.Patience {
		t.Errorf("took %v", took)
	}
	// The peer wakes up and answers: it is told that nobody is there any more.
	p.Reply(inv, 200, "peer", siptest.SDP, p.Contact())
	p.Request("ACK")
	p.Reply(p.Request("BYE"), 200, "", "")
}

func TestTrialTimeoutThenRinging(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d := b.dial(p, func(inv *sip.Invite) { inv.TrialTimeout = 500 * time.Millisecond })
	inv := p.Request("INVITE")
	ended(t, d, sip.ByTimeout, 408)
	p.Reply(inv, 180, "peer", "", p.Contact())
	p.Reply(p.Request("CANCEL"), 200, "peer", "")
	p.Reply(inv, 487, "peer", "")
	p.Request("ACK")
}

func TestRingTimeout(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d := b.dial(p, func(inv *sip.Invite) { inv.Timeout = 700 * time.Millisecond })
	inv := p.Request("INVITE")
	p.Reply(inv, 180, "peer", "", p.Contact())
	expect(t, d, sip.KindProgress)
	cancel := p.Request("CANCEL")
	p.Reply(cancel, 200, "peer", "")
	p.Reply(inv, 487, "peer", "")
	p.Request("ACK")
	ended(t, d, sip.ByTimeout, 408)
}

func TestDialNoWay(t *testing.T) {
	b := newBench(t, nil)
	d, err := b.ua.Dial(soon(t), sip.Invite{
		Target: mustURI("sip:100@no-such-host.invalid"), From: sip.NameAddr{URI: mustURI("sip:a@b")}, Body: []byte(siptest.SDP),
		TrialTimeout: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	ended(t, d, sip.ByTransport, 503)
	// A TCP port where nobody listens.
	d, err = b.ua.Dial(soon(t), sip.Invite{
		Target: mustURI("sip:100@127.0.0.1:1;transport=tcp"), From: sip.NameAddr{URI: mustURI("sip:a@b")}, Body: []byte(siptest.SDP),
	})
	if err != nil {
		t.Fatal(err)
	}
	ended(t, d, sip.ByTransport, 503)
}

func TestRouteSet(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	via := p.Addr().String()
	d := b.dial(p, func(inv *sip.Invite) {
		inv.Target = mustURI("tel:+49301234")
		inv.Route = []sip.URI{mustURI("sip:" + via + ";lr")}
	})
	inv := p.Request("INVITE")
	if !strings.HasPrefix(inv.Start, "INVITE tel:+49301234 ") || inv.Headers.Get("Route") != "<sip:"+via+";lr>" || inv.Headers.Get("To") != "<tel:+49301234>" {
		t.Errorf("%s, Route %s, To %s", inv.Start, inv.Headers.Get("Route"), inv.Headers.Get("To"))
	}
	p.Reply(inv, 200, "peer", siptest.SDP, "Record-Route: <sip:"+via+";lr;n=2>, <sip:x.invalid;lr;n=1>", "Contact: <sip:callee@x.invalid>")
	expect(t, d, sip.KindAnswered)
	ack := p.Request("ACK")
	if !strings.HasPrefix(ack.Start, "ACK sip:callee@x.invalid ") {
		t.Errorf("%s", ack.Start)
	}
	// The route set of a caller is Record-Route upside down: its next hop is unknown, so the INVITE's way is used.
	if got := ack.Headers.Lines("Route"); len(got) != 2 || !strings.Contains(got[0], "n=1") || !strings.Contains(got[1], "n=2") {
		t.Errorf("Route %q", got)
	}
	go d.Hangup(soon(t), sip.Reason{}, 0)
	p.Reply(p.Request("BYE"), 200, "", "")
	ended(t, d, sip.ByLocal, 0)
}

func unsafeValuesAreRefused(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	good := func() sip.Invite {
		return sip.Invite{Target: mustURI("sip:1@" + p.Addr().String()), From: sip.NameAddr{URI: mustURI("sip:2@127.0.0.1")}, Body: []byte("x")}
	}
	evil := "x\r\nEvil: yes"
	for name, change := range map[string]func(*sip.Invite){
		"header value":  func(i *sip.Invite) { i.Headers = []sip.Header{{Name: "X-A", Value: evil}} },
		"header name":   func(i *sip.Invite) { i.Headers = []sip.Header{{Name: evil, Value: "1"}} },
		"header ours":   func(i *sip.Invite) { i.Headers = []sip.Header{{Name: "v", Value: "1"}} },
		"user":          func(i *sip.Invite) { i.Target.User = evil },
		"host":          func(i *sip.Invite) { i.Target.Host = evil },
		"parameter":     func(i *sip.Invite) { i.Target = i.Target.With("a", evil) },
		"delimiter":     func(i *sip.Invite) { i.Target.User = "a@b" },
		"display":       func(i *sip.Invite) { i.From.Display = evil },
		"display quote": func(i *sip.Invite) { i.From.Display = "\x00" },
		"from param":    func(i *sip.Invite) { i.From.Params = []sip.Parameter{{Name: "x", Value: "y>,<sip:z>"}} },
		"contact":       func(i *sip.Invite) { i.Contact = evil },
		"call-id":       func(i *sip.Invite) { i.CallID = evil },
		"content type":  func(i *sip.Invite) { i.ContentType = evil },
		"route":         func(i *sip.Invite) { i.Route = []sip.URI{{Scheme: "sip", Host: "h", User: evil}} },
		"no body":       func(i *sip.Invite) { i.Body = nil },
		"no target":     func(i *sip.Invite) { i.Target = sip.URI{} },
	} {
		inv := good()
		change(&inv)
		if d, err := b.ua.Dial(soon(t), inv); err == nil {
			t.Errorf("%s: accepted", name)
			d.Hangup(soon(t), sip.Reason{}, 0)
		}
	}
	p.Silence(20 * time.Millisecond)
	if _, err := sip.NewURI("a\nb", "host", 0); err == nil {
		t.Error("NewURI took a line feed")
	}
	if u, err := sip.NewURI("a b@c", "Host", 5); err != nil || u.String() != "sip:a%20b%40c@host:5" {
		t.Errorf("NewURI: %v %v", u, err)
	}
	d, _ := b.answeredCall(p, nil)
	if err := d.Hangup(soon(t), sip.Reason{Protocol: "Q.850", Text: evil}, 0); err == nil {
		t.Error("Hangup took an unsafe reason")
	}
	if err := d.Info(soon(t), evil, nil); err == nil {
		t.Error("Info took an unsafe content type")
	}
}
