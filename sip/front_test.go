package sip_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

func roundTrip(t *testing.T, s sip.State) sip.State {
	t.Helper()
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var out sip.State
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func strangersAreDropped(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeerAt(t, "127.0.0.2", b.addr)
	p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
	p.Write(siptest.Ask{Method: "REGISTER"})
	p.Write(siptest.Ask{Method: "OPTIONS"})
	p.Write(siptest.Ask{Method: "BYE", To: "<sip:a@b>;tag=x"})
	p.Write(siptest.Ask{Method: "ACK"})
	p.Send("INVITE sip:x SIP/2.0\nVia: broken\n\n")
	p.Send("SIP/2.0 200 OK\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKnone\nFrom: <sip:a@b>;tag=1\nTo: <sip:a@b>;tag=2\nCall-ID: x\nCSeq: 1 INVITE\nContent-Length: 0\n\n")
	p.Send("tiny")
	p.Silence(100 * time.Millisecond)
	got := b.front.Stats()
	for reason, n := range map[string]uint64{sip.DropStranger: 4, sip.DropAck: 1, sip.DropMalformed: 1, sip.DropResponse: 1, "short": 1} {
		if got.Dropped[reason] != n {
			t.Errorf("%s: %d, expected %d (%v)", reason, got.Dropped[reason], n, got.Dropped)
		}
	}
	if got.ServerTransactions != 0 || b.ua.Stats().Dialogs != 0 {
		t.Errorf("a stranger left state: %+v", got)
	}
	// On TCP a stranger's connection is closed.
	q := siptest.NewTCPPeer(t, "127.0.0.2", b.tcp)
	q.Write(siptest.Ask{Method: "OPTIONS"})
	q.Silence(siptest.Patience) // returns at once: closed
	eventually(t, "connection gone", func() bool { return b.front.Stats().Connections == 0 })
}

func strangerCannotUseADialog(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d, ask, res := b.inboundCall(p)
	s := siptest.NewPeerAt(t, "127.0.0.2", b.addr)
	s.Write(siptest.Ask{Method: "BYE", From: "<sip:peer@127.0.0.1>;tag=guess", To: res.Headers.Get("To"), CallID: ask.CallID, CSeq: 9})
	s.Response(481)
	s.Write(siptest.Ask{Method: "CANCEL", CallID: ask.CallID, Branch: ask.Branch})
	s.Silence(50 * time.Millisecond)
	if b.ua.Stats().Dialogs != 1 {
		t.Error("the dialog is gone")
	}
	_ = d
}

func TestRequestsAnsweredByTheStack(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	for _, c := range []struct {
		name   string
		ask    siptest.Ask
		status int
		header string
		want   string
	}{
		{"options", siptest.Ask{Method: "OPTIONS"}, 200, "Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, REFER, NOTIFY, UPDATE, PRACK"},
		{"options accept", siptest.Ask{Method: "OPTIONS"}, 200, "Accept", "application/sdp"},
		{"unknown method", siptest.Ask{Method: "JUGGLE"}, 405, "Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, REFER, NOTIFY, UPDATE, PRACK"},
		{"register elsewhere", siptest.Ask{Method: "REGISTER"}, 405, "", ""},
		{"prack", siptest.Ask{Method: "PRACK", To: "<sip:a@b>;tag=1"}, 481, "", ""},
		{"bye without dialog", siptest.Ask{Method: "BYE", To: "<sip:a@b>;tag=nope"}, 481, "", ""},
		{"info outside", siptest.Ask{Method: "INFO"}, 481, "", ""},
		{"notify outside", siptest.Ask{Method: "NOTIFY"}, 489, "Allow-Events", "refer"},
		{"refer outside", siptest.Ask{Method: "REFER"}, 403, "", ""},
		{"reinvite without dialog", siptest.Ask{Method: "INVITE", To: "<sip:a@b>;tag=nope", Body: "v=0"}, 481, "", ""},
		{"require", siptest.Ask{Method: "INVITE", Body: "v=0", Headers: []string{"Require: 100rel, foo"}}, 420, "Unsupported", "foo"},
		{"accept", siptest.Ask{Method: "INVITE", Body: "v=0", Headers: []string{"Accept: text/plain"}}, 406, "", ""},
		{"content", siptest.Ask{Method: "INVITE", Body: "<x/>", Headers: []string{"Content-Type: text/xml", p.Contact()}}, 415, "Accept", "application/sdp, multipart/mixed"},
		{"scheme", siptest.Ask{Method: "OPTIONS", URI: "mailto:a@b"}, 416, "", ""},
	} {
		ask := p.Write(c.ask)
		res := p.Response(c.status)
		if c.header != "" && res.Headers.Get(c.header) != c.want {
			t.Errorf("%s: %s is %q, expected %q", c.name, c.header, res.Headers.Get(c.header), c.want)
		}
		if res.Tag("To") == "" {
			t.Errorf("%s: no To-tag", c.name)
		}
		if ask.Method == "INVITE" {
			p.Ack(ask, res, "")
		}
	}
	select {
	case d := <-b.in:
		t.Errorf("a dialog came through: %v", d.Request())
	default:
	}
}

func raw(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

func TestMalformedAnswered(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	n := 0
	base := func(change map[string]string) string {
		n++
		h := [][2]string{
			{"Via", fmt.Sprintf("SIP/2.0/UDP %s;branch=z9hG4bKm%d;rport", p.Addr(), n)}, {"Max-Forwards", "70"}, {"From", "<sip:a@b>;tag=1"},
			{"To", "<sip:c@d>"}, {"Call-ID", fmt.Sprintf("m%d", n)}, {"CSeq", "1 OPTIONS"}, {"Content-Length", "0"},
		}
		start := "OPTIONS sip:c@d SIP/2.0"
		if s, ok := change["start"]; ok {
			start = s
		}
		lines := []string{start}
		for _, f := range h {
			v := f[1]
			if c, ok := change[f[0]]; ok {
				v = c
			}
			lines = append(lines, f[0]+": "+v)
		}
		if c, ok := change["extra"]; ok {
			lines = append(lines, c)
		}
		return raw(lines...)
	}
	for _, c := range []struct {
		change map[string]string
		status int
		phrase string
	}{
		{map[string]string{"CSeq": "1 INVITE"}, 400, "Bad CSeq Header"},
		{map[string]string{"Via": fmt.Sprintf("SIP/2.0/UDP %s;branch=z9hG4bKe;;rport", p.Addr())}, 400, "Bad Via Header"},
		{map[string]string{"CSeq": "x OPTIONS"}, 400, "Bad CSeq Header"},
		{map[string]string{"From": "<sip:a@b>"}, 400, "Bad From Header"},
		{map[string]string{"To": "<sip:a@b"}, 400, "Bad To Header"},
		{map[string]string{"Max-Forwards": "1000"}, 400, "Bad Max-Forwards Header"},
		{map[string]string{"Max-Forwards": "0", "CSeq": "1 INVITE", "start": "INVITE sip:c@d SIP/2.0", "extra": "Contact: <sip:a@b>"}, 483, "Too Many Hops"},
		{map[string]string{"Content-Length": "10"}, 400, "Bad Content-Length Header"},
		{map[string]string{"extra": "Content-Length: 5"}, 400, "Bad Content-Length Header"},
		{map[string]string{"extra": "CSeq: 1 OPTIONS"}, 400, "Bad CSeq Header"},
		{map[string]string{"extra": "X-Evil: a\nVia: x"}, 400, "Bad X-Evil Header"},
		{map[string]string{"From": "\"A\x1b[2J\" <sip:a@b>;tag=1"}, 400, "Bad From Header"},
		{map[string]string{"To": "<sip:c@d>\nX: y"}, 400, "Bad To Header"},
		{map[string]string{"start": "OPTIONS sip:c\x1b@d SIP/2.0"}, 400, "Bad Request-URI Header"},
		{map[string]string{"extra": "no colon here"}, 400, "Bad Unnamed Header"},
		{map[string]string{"extra": "Contact: <sip:x"}, 400, "Bad Contact Header"},
		{map[string]string{"extra": "Date: yesterday"}, 400, "Bad Date Header"},
		{map[string]string{"extra": strings.Repeat("X-A: b\r\n", 200) + "X: y"}, 513, "Message Too Large"},
		{map[string]string{"start": "OPTIONS sip:c@d SIP/3.0"}, 505, "Version Not Supported"},
		{map[string]string{"start": "OPTIONS sip:c@d?Route=x SIP/2.0"}, 400, "Bad Request-URI Header"},
	} {
		p.Send(base(c.change))
		res := p.Response(c.status)
		if !strings.HasSuffix(res.Start, " "+c.phrase) {
			t.Errorf("%v: %q, expected %q", c.change, res.Start, c.phrase)
		}
		if c.status == 400 && !strings.Contains(res.Headers.Get("Warning"), "sip: ") {
			t.Errorf("%v: Warning %q", c.change, res.Headers.Get("Warning"))
		}
		if res.Headers.Get("CSeq") == "1 INVITE" && c.status != 400 { // it would be repeated
			n--
			p.Send(base(map[string]string{"CSeq": "1 ACK", "start": "ACK sip:c@d SIP/2.0"}))
		}
	}
	// Without what an answer needs there is none.
	p.Send(base(map[string]string{"Via": "nonsense"}))
	p.Silence(50 * time.Millisecond)
	// And the next good one is served.
	p.Write(siptest.Ask{Method: "OPTIONS"})
	p.Response(200)
}

// A message with a broken header field that matters to nobody: the call goes on.
func TestBrokenHeaderOfAResponse(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	d := b.dial(p, nil)
	inv := p.Request("INVITE")
	p.Reply(inv, 200, "peer", siptest.SDP, p.Contact(), "Subject: \x1b[2J", "Server: a\nb")
	e := expect(t, d, sip.KindAnswered)
	if e.Headers.Has("Subject") || e.Headers.Has("Server") || string(e.Body) != siptest.SDP {
		t.Errorf("answered %+v", e)
	}
	p.Request("ACK")
}

// A branch of the old kind, or none, names no transaction: what its requests have in common does (RFC 3261 17.2.3).
func TestOldBranches(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for i, branch := range []string{"", ";branch=390skdjuw"} {
		p := siptest.NewPeer(t, b.addr)
		send := func(method, to string) {
			p.Send(raw(method+" sip:c@d SIP/2.0", fmt.Sprintf("Via: SIP/2.0/UDP %s%s", p.Addr(), branch), "From: <sip:a@b>;tag=1", "To: <sip:c@d>"+to,
				fmt.Sprintf("Call-ID: old%d", i), "CSeq: 7 "+method, p.Contact(), "Content-Length: 0"))
		}
		send("INVITE", "")
		d := b.inbound()
		send("INVITE", "")
		send("CANCEL", "")
		ended(t, d, sip.ByPeer, 487)
		p.Response(200)
		res := p.Response(487)
		send("ACK", ";tag="+res.Tag("To"))
		p.Silence(4 * fast.T2)
		if len(b.in) != 0 {
			t.Errorf("%q: a repeated INVITE made another dialog", branch)
		}
	}
}

func TestMethodsAreCaseSensitive(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	for _, method := range []string{"invite", "Bye", "cancel", "ack", "options", "FOO"} {
		p.Write(siptest.Ask{Method: method, Body: siptest.SDP, Headers: []string{p.Contact()}})
		if res := p.Response(405); res.Headers.Get("Allow") == "" {
			t.Errorf("%s: no Allow", method)
		}
	}
	p.Silence(4 * fast.T2) // none of them was taken for an INVITE, whose refusal is repeated until the ACK
}

func largeMessages(t *testing.T) {
	b := newBench(t, func(f *sip.FrontConfig, _ *sip.Config) { f.Limits.MessageBytes = 20000 })
	p := siptest.NewPeer(t, b.addr)
	big := strings.Repeat("a=x\r\n", 2000)
	ask := p.Write(siptest.Ask{Method: "INVITE", Body: big})
	d := b.inbound()
	if string(d.Request().Body) != big {
		t.Errorf("%d bytes of body", len(d.Request().Body))
	}
	if err := d.Answer([]byte(big)); err != nil { // far beyond 1300 bytes
		t.Fatal(err)
	}
	res := p.Response(200)
	if res.Body != big {
		t.Errorf("%d bytes of answer", len(res.Body))
	}
	p.Ack(ask, res, "")
	expect(t, d, sip.KindAcked)
	p.Write(siptest.Ask{Method: "OPTIONS", Body: big + big + big, Headers: []string{"Content-Type: text/plain"}})
	p.Response(513)
	q := siptest.NewTCPPeer(t, "127.0.0.1", b.tcp)
	q.Write(siptest.Ask{Method: "OPTIONS", Body: big + big + big, Headers: []string{"Content-Type: text/plain"}})
	q.Response(513)
}

func TestMergedRequest(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	ask := p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
	d := b.inbound()
	fork := p.Write(siptest.Ask{Method: "INVITE", CallID: ask.CallID, From: ask.From, Body: siptest.SDP})
	res := p.Response(482)
	p.Ack(fork, res, "")
	p.Write(ask) // a plain retransmission is absorbed
	d.Reject(486, "")
	p.Ack(ask, p.Response(486), "")
	if len(b.in) != 0 {
		t.Error("the merged INVITE made a dialog")
	}
}

func TestTCP(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewTCPPeer(t, "127.0.0.1", b.tcp)
	p.Send("\r\n\r\n") // a ping is answered with a pong, which Receive skips
	ask := p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP, Headers: []string{
		"Contact: <sip:peer@127.0.0.1:9;transport=tcp>", "Record-Route: <sip:127.0.0.1:9;transport=tcp;lr>",
	}})
	d := b.inbound()
	if err := d.Answer([]byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	res := p.Response(200)
	if !strings.Contains(res.Headers.Get("Contact"), ";transport=tcp") {
		t.Errorf("Contact %q", res.Headers.Get("Contact"))
	}
	p.Ack(ask, res, "")
	expect(t, d, sip.KindAcked)
	// Two requests in one segment, the second in two.
	one := func(cseq int) string {
		return raw("INFO sip:x@127.0.0.1 SIP/2.0", fmt.Sprintf("Via: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKseg%d", cseq), "From: "+ask.From,
			"To: "+res.Headers.Get("To"), "Call-ID: "+ask.CallID, fmt.Sprintf("CSeq: %d INFO", cseq), "Content-Length: 0")
	}
	two := one(3)
	p.Send(one(2) + two[:40])
	p.Response(200)
	p.Send(two[40:])
	p.Response(200)
	expect(t, d, sip.KindInfo)
	expect(t, d, sip.KindInfo)
	// Record-Route and Contact lead nowhere: the accepted connection is the way back.
	done := make(chan error, 1)
	go func() { done <- d.Hangup(soon(t), sip.Reason{}, 0) }()
	p.Reply(p.Request("BYE"), 200, "", "")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A request for the carrier must never leave on a connection that a stranger, or anybody else, opened.
func foreignConnections(t *testing.T) {
	b := newBench(t, nil)
	guest := siptest.NewTCPPeer(t, "127.0.0.1", b.tcp)
	guest.Write(siptest.Ask{Method: "OPTIONS"})
	guest.Response(200) // it is welcome, and open

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	carrier := mustURI("sip:" + ln.Addr().String() + ";transport=tcp")
	done := make(chan int, 1)
	go func() {
		status, err := b.ua.Ping(soon(t), carrier, sip.Destination{})
		if err != nil {
			t.Error(err)
		}
		done <- status
	}()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := siptest.Accepted(t, conn)
	c.Reply(c.Request("OPTIONS"), 200, "c", "")
	if status := <-done; status != 200 {
		t.Errorf("status %d", status)
	}
	guest.Silence(50 * time.Millisecond)
	// Even a destination that is the guest's own address makes a connection of its own, which fails.
	if _, err := b.ua.Ping(soon(t), mustURI("sip:"+guest.Addr().String()+";transport=tcp"), sip.Destination{}); err == nil {
		t.Error("a ping to the guest's port left on its connection")
	}
	guest.Silence(50 * time.Millisecond)
	// The connection we opened is used again, also for what the carrier sends.
	go b.ua.Ping(soon(t), carrier, sip.Destination{})
	c.Reply(c.Request("OPTIONS"), 200, "c", "")
	c.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP, Headers: []string{"Contact: <sip:c@127.0.0.1>"}})
	b.inbound().Reject(486, "")
	c.Response(486)
}

func connectionsOfOneSource(t *testing.T) {
	b := newBench(t, func(f *sip.FrontConfig, _ *sip.Config) {
		f.Limits.ConnectionsPerSource = 2
		f.Limits.FirstMessage = 800 * time.Millisecond
	})
	for range 2 {
		siptest.NewTCPPeer(t, "127.0.0.1", b.tcp)
	}
	third := siptest.NewTCPPeer(t, "127.0.0.1", b.tcp)
	if _, ok := third.Receive(siptest.Patience); ok {
		t.Error("a message")
	}
	eventually(t, "third refused", func() bool { return b.front.Stats().Dropped["connections_per_source"] == 1 })
	// Those that say nothing are closed.
	eventually(t, "idle ones closed", func() bool { return b.front.Stats().Connections == 0 })
	if b.front.Stats().Dropped["connection_timeout"] != 2 {
		t.Errorf("drops %v", b.front.Stats().Dropped)
	}
}

func TestConnectionLossFailsTheINVITE(t *testing.T) {
	b := newBench(t, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	d, err := b.ua.Dial(soon(t), sip.Invite{
		Target: mustURI("sip:1@" + ln.Addr().String() + ";transport=tcp"), From: sip.NameAddr{URI: mustURI("sip:2@127.0.0.1")}, Body: []byte(siptest.SDP),
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := siptest.Accepted(t, conn)
	inv := c.Request("INVITE")
	c.Reply(inv, 100, "", "")
	expect(t, d, sip.KindTrying)
	c.Close()
	ended(t, d, sip.ByTransport, 503)
}

func TestUAsAreApart(t *testing.T) {
	b := newBench(t, nil)
	other := make(chan *sip.Dialog, 1)
	second, err := b.front.NewUA(sip.Config{
		Name: "second", Bind: &sip.Listen{Addr: netip.MustParseAddrPort("127.0.0.3:0")},
		Match:  func(in sip.Inbound) bool { return in.Source.Addr() == netip.MustParseAddr("127.0.0.4") },
		Invite: func(d *sip.Dialog) { other <- d },
	})
	if err != nil {
		t.Fatal(err)
	}
	var at netip.AddrPort
	for _, l := range second.Addrs() {
		if l.Network == "udp" {
			at = l.Addr
		}
	}
	if len(second.Addrs()) != 2 || len(b.front.Addrs()) != 2 {
		t.Errorf("addresses %v and %v", second.Addrs(), b.front.Addrs())
	}
	p := siptest.NewPeerAt(t, "127.0.0.4", at)
	p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
	select {
	case d := <-other:
		d.Reject(486, "")
	case <-time.After(siptest.Patience):
		t.Fatal("no dialog")
	}
	if m := p.Response(486); m.Source != at {
		t.Errorf("answered from %v", m.Source)
	}
	// The first UA's peer is a stranger at the second's socket, and the other way round.
	q := siptest.NewPeer(t, at)
	q.Write(siptest.Ask{Method: "OPTIONS"})
	q.Silence(50 * time.Millisecond)
	r := siptest.NewPeerAt(t, "127.0.0.4", b.addr)
	r.Write(siptest.Ask{Method: "OPTIONS"})
	r.Silence(50 * time.Millisecond)
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	s := siptest.NewPeer(t, b.addr)
	s.Write(siptest.Ask{Method: "OPTIONS"})
	s.Response(200)
}
