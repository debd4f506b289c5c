// Package foreign holds tests of our SIP against sipgo's: a parser, transactions and dialogs that others wrote.
package foreign

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo"
	psip "github.com/emiago/sipgo/sip"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
	"github.com/patchbay/patchbay/sip/wire"
)

// A sipgo user agent calls us and hangs up, is refused, takes a call back, calls and is hung up.
func TestSipgoCalls(t *testing.T) {
	calls := make(chan *sip.Dialog, 4)
	front, addr := ours(t, func(d *sip.Dialog) { calls <- d })
	_ = front
	server, client := theirs(t)
	at := psip.Uri{Scheme: "sip", User: "100", Host: addr.Addr().String(), Port: int(addr.Port())}
	cache := sipgo.NewDialogClientCache(client, psip.ContactHeader{Address: psip.Uri{Scheme: "sip", User: "200", Host: "127.0.0.1"}})
	server.OnBye(func(req *psip.Request, tx psip.ServerTransaction) {
		if err := cache.ReadBye(req, tx); err != nil {
			t.Errorf("sipgo: BYE: %v", err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), siptest.Patience)
	defer cancel()
	invite := func() *sipgo.DialogClientSession {
		s, err := cache.Invite(ctx, at, []byte(siptest.SDP), psip.NewHeader("Content-Type", "application/sdp"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	incoming := func() *sip.Dialog {
		select {
		case d := <-calls:
			return d
		case <-ctx.Done():
			t.Fatal("no call came")
			return nil
		}
	}
	until := func(d *sip.Dialog, kind sip.Kind) sip.Event {
		t.Helper()
		for {
			select {
			case e := <-d.Events():
				if e.Kind == kind {
					return *e
				}
			case <-ctx.Done():
				t.Fatalf("no event %v", kind)
			}
		}
	}

	s := invite()
	d := incoming()
	for _, status := range []int{180, 183} {
		if err := d.Progress(status, "", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Answer([]byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitAnswer(ctx, sipgo.AnswerOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Ack(ctx); err != nil {
		t.Fatal(err)
	}
	until(d, sip.KindAcked)
	if err := s.Bye(ctx); err != nil {
		t.Fatal(err)
	}
	if e := until(d, sip.KindEnded); e.By != sip.ByPeer || e.Method != "BYE" {
		t.Errorf("ended %+v, expected by BYE", e)
	}

	s = invite()
	if err := incoming().Reject(486, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitAnswer(ctx, sipgo.AnswerOptions{}); err == nil || s.InviteResponse.StatusCode != 486 {
		t.Errorf("sipgo was told %v, %v, expected 486", s.InviteResponse, err)
	}

	s = invite()
	d = incoming()
	if err := d.Progress(180, "", nil); err != nil {
		t.Fatal(err)
	}
	taken, take := context.WithCancel(ctx)
	time.AfterFunc(200*time.Millisecond, take)
	if err := s.WaitAnswer(taken, sipgo.AnswerOptions{}); err == nil {
		t.Error("sipgo was answered although it took the call back")
	}
	if e := until(d, sip.KindEnded); e.Method != "CANCEL" {
		t.Errorf("ended %+v, expected by CANCEL", e)
	}

	s = invite()
	d = incoming()
	if err := d.Answer([]byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitAnswer(ctx, sipgo.AnswerOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Ack(ctx); err != nil {
		t.Fatal(err)
	}
	until(d, sip.KindAcked)
	if err := d.Hangup(ctx, sip.Reason{}, 0); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Context().Done():
	case <-ctx.Done():
		t.Error("sipgo doesn't know that we hung up")
	}
}

// What both parsers take they read alike: all messages of RFC 4475 and RFC 5118 that are here.
func TestSipgoReadsAlike(t *testing.T) {
	files, err := filepath.Glob("../../testdata/rfc*/*")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d messages, %v, expected those of two RFCs", len(files), err)
	}
	parser, theirs := wire.NewParser(wire.Limits{Bytes: 64 << 10, Headers: 128}), psip.NewParser()
	both := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, refusal := parser.Parse(raw)
		if refusal != nil {
			continue
		}
		p, err := theirs.ParseSIP(raw)
		if err != nil {
			continue // it reads less than the RFC has
		}
		both++
		name := filepath.Base(file)
		if !bytes.Equal(p.Body(), m.Body) {
			t.Errorf("%s: bodies %q and %q", name, m.Body, p.Body())
		}
		if id := p.CallID(); id == nil || id.Value() != m.CallID {
			t.Errorf("%s: Call-IDs %q and %v", name, m.CallID, id)
		}
		if seq := p.CSeq(); seq == nil || seq.SeqNo != m.CSeq {
			t.Errorf("%s: CSeqs %d and %v", name, m.CSeq, seq)
		}
		if from := p.From(); from == nil {
			t.Errorf("%s: sipgo has no From", name)
		} else if tag, _ := from.Params.Get("tag"); tag != "" && tag != m.From.Tag() { // it finds none behind white space
			t.Errorf("%s: From tags %q and %q", name, m.From.Tag(), tag)
		}
		if via := p.Via(); via == nil || !strings.EqualFold(via.Host, m.Via.Host) {
			t.Errorf("%s: Via hosts %q and %v", name, m.Via.Host, via)
		}
		switch v := p.(type) {
		case *psip.Request:
			if !m.IsRequest || !strings.EqualFold(string(v.Method), m.Method) {
				t.Errorf("%s: methods %q and %q", name, m.Method, v.Method)
			}
		case *psip.Response:
			if m.IsRequest || v.StatusCode != m.Status {
				t.Errorf("%s: statuses %d and %d", name, m.Status, v.StatusCode)
			}
		}
	}
	if both < 20 {
		t.Errorf("both parsers took %d messages of %d, expected 20 at least", both, len(files))
	}
}

func ours(t *testing.T, invite func(*sip.Dialog)) (*sip.Front, netip.AddrPort) {
	t.Helper()
	loop := netip.MustParseAddrPort("127.0.0.1:0")
	front, err := sip.NewFront(sip.FrontConfig{Listen: []sip.Listen{{Network: "udp", Addr: loop}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { front.Close() })
	if _, err := front.NewUA(sip.Config{Name: "ours", Match: func(sip.Inbound) bool { return true }, Invite: invite}); err != nil {
		t.Fatal(err)
	}
	return front, front.Addrs()[0].Addr
}

// theirs is a sipgo user agent on a port of its own.
func theirs(t *testing.T) (*sipgo.Server, *sipgo.Client) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	ua, err := sipgo.NewUA()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ua.Close() })
	server, err := sipgo.NewServer(ua, sipgo.WithServerLogger(quiet))
	if err != nil {
		t.Fatal(err)
	}
	client, err := sipgo.NewClient(ua, sipgo.WithClientLogger(quiet), sipgo.WithClientHostname("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}
