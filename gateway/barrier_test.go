package gateway

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// follows expects that the log has these lines in this order, others between them.
func (b *bench) follows(lines ...string) {
	b.Helper()
	log := b.ledger.order()
	at := 0
	for _, want := range lines {
		i := slices.Index(log[at:], want)
		if i < 0 {
			b.Fatalf("%q doesn't follow line %d of\n%s", want, at, strings.Join(log, "\n"))
		}
		at += i + 1
	}
}

func TestOrderOfBarriers(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	alice := b.phone("alice")
	b.ledger.do(func([]call.Event) error { time.Sleep(30 * time.Millisecond); return nil }) // whoever doesn't wait comes first
	a := b.from(alice, "9123", nil)
	c := b.up(a, b.carrier, nil)
	a.Bye()
	c.Wait(sip.KindEnded)
	b.ends(call.Caller, 16, 200)
	b.idle()
	b.follows("durable call.start 0", "durable leg.new 1", "durable leg.new 2", "sent INVITE trunk:carrier",
		"durable answer 2", "durable answer 1", "sent 200 INVITE users", "durable leg.end 1", "sent 200 BYE users", "durable call.end 0")

	b = newBench(t, nil)
	alice = b.phone("alice")
	b.ledger.do(func([]call.Event) error { time.Sleep(30 * time.Millisecond); return nil })
	a = b.from(alice, "9123", nil)
	c = b.carrier.Incoming()
	if err := c.Progress(180, "", nil); err != nil {
		t.Fatal(err)
	}
	a.Wait(sip.KindProgress)
	if err := a.Hangup(t.Context(), sip.Reason{}, 0); err != nil {
		t.Fatal(err)
	}
	c.Wait(sip.KindEnded)
	b.ends(call.Caller, 16, 487)
	b.idle()
	b.follows("sent INVITE trunk:carrier", "durable leg.end 1", "sent 487 INVITE users")
	b.follows("durable leg.end 1", "sent CANCEL trunk:carrier", "durable call.end 0")
}

// failing makes every commit fail that would make an event of that kind durable, of that leg.
func failing(kind call.Kind, leg int) func([]call.Event) error {
	return func(es []call.Event) error {
		for _, e := range es {
			if e.Data.Kind() == kind && e.Leg == leg {
				return errors.New("disk is full")
			}
		}
		return nil
	}
}

func TestCommitFails(t *testing.T) {
	t.Parallel()
	t.Run("before the INVITE", func(t *testing.T) {
		b := newBench(t, nil)
		alice := b.phone("alice")
		b.ledger.do(failing(call.KindLegNew, 2))
		e := refused(t, b.from(alice, "8123", nil), 503)
		if e.Headers.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		if rec := b.ends(call.System, 41, 503); rec.Attempts != 1 {
			t.Errorf("%d attempts, expected 1: another would wait for the same disk", rec.Attempts)
		}
		b.idle()
		if slices.ContainsFunc(b.ledger.order(), func(l string) bool { return strings.HasPrefix(l, "sent INVITE") }) {
			t.Error("an INVITE left")
		}
	})
	t.Run("at the answer", func(t *testing.T) {
		b := newBench(t, nil)
		alice := b.phone("alice")
		b.ledger.do(failing(call.KindAnswer, 1))
		a := b.from(alice, "9123", nil)
		c := b.carrier.Incoming()
		if err := c.Answer([]byte(siptest.SDP)); err != nil {
			t.Fatal(err)
		}
		refused(t, a, 503)
		c.Wait(sip.KindEnded)
		if rec := b.ends(call.System, 41, 503); rec.AnsweredAt != nil || rec.Bill != 0 {
			t.Errorf("answered: %+v", rec)
		}
		b.idle()
		if s := b.Status(); s.Answered != 0 || s.Failed != 1 || s.Results["503"] != 1 {
			t.Errorf("status %+v", s)
		}
	})
	t.Run("at the end", func(t *testing.T) {
		b := newBench(t, nil)
		alice := b.phone("alice")
		b.ledger.do(failing(call.KindLegEnd, 1))
		a := b.from(alice, "9123", nil)
		c := b.up(a, b.carrier, nil)
		a.Bye() // is confirmed all the same
		c.Wait(sip.KindEnded)
		b.ends(call.Caller, 16, 200)
		b.idle()
	})
	t.Run("at every barrier", func(t *testing.T) {
		b := newBench(t, nil)
		alice := b.phone("alice")
		a := b.from(alice, "9123", nil)
		c := b.up(a, b.carrier, nil)
		b.ledger.do(func([]call.Event) error { return errors.New("disk is gone") })
		b.ledger.stall("disk is gone")
		refused(t, b.from(alice, "9123", nil), 503) // new calls, without a record
		if err := a.Info(t.Context(), "application/dtmf", []byte("5")); err != nil {
			t.Error(err) // running calls go on
		}
		a.Bye()
		c.Wait(sip.KindEnded)
		b.idle()
		if n := len(b.ledger.records(t)); n != 1 {
			t.Errorf("%d records, expected 1", n)
		}
		if s := b.Status(); s.Refused != 1 || s.Begun != 1 || s.Results["200"] != 1 {
			t.Errorf("status %+v", s)
		}
	})
}

// A commit that takes long: the caller gives up meanwhile.
func TestCallerGivesUpDuringCommit(t *testing.T) {
	t.Parallel()
	t.Run("of the INVITE", func(t *testing.T) {
		b := newBench(t, nil)
		alice := b.phone("alice")
		began, proceed := make(chan struct{}), make(chan struct{})
		b.ledger.do(func(es []call.Event) error {
			if slices.ContainsFunc(es, func(e call.Event) bool { return e.Data.Kind() == call.KindLegNew && e.Leg == 2 }) {
				close(began)
				<-proceed
			}
			return nil
		})
		a := b.from(alice, "9123", nil)
		<-began
		ended := make(chan error, 1)
		go func() { ended <- a.Hangup(context.Background(), sip.Reason{}, 0) }()
		eventually(t, "the CANCEL is there", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			for d := range b.legs {
				if d.Inbound() && closed(d.Ended()) {
					return true
				}
			}
			return false
		})
		close(proceed)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		b.ends(call.Caller, 16, 487)
		b.idle()
		if slices.Contains(b.ledger.order(), "sent INVITE trunk:carrier") {
			t.Error("the callee was disturbed")
		}
	})
	t.Run("of the answer", func(t *testing.T) {
		b := newBench(t, nil)
		alice := b.phone("alice")
		began, proceed := make(chan struct{}), make(chan struct{})
		b.ledger.do(func(es []call.Event) error {
			if slices.ContainsFunc(es, func(e call.Event) bool { return e.Data.Kind() == call.KindAnswer && e.Leg == 1 }) {
				close(began)
				<-proceed
			}
			return nil
		})
		a := b.from(alice, "9123", nil)
		c := b.carrier.Incoming()
		if err := c.Progress(180, "", nil); err != nil {
			t.Fatal(err)
		}
		a.Wait(sip.KindProgress)
		if err := c.Answer([]byte(siptest.SDP)); err != nil {
			t.Fatal(err)
		}
		<-began
		ended := make(chan error, 1)
		go func() { ended <- a.Hangup(context.Background(), sip.Reason{}, 0) }()
		time.Sleep(50 * time.Millisecond)
		close(proceed)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if e := c.Wait(sip.KindEnded); e.Method != "BYE" {
			t.Errorf("the callee: %+v", e)
		}
		rec := b.ends(call.Caller, 16, 487)
		if rec.AnsweredAt != nil || rec.Bill != 0 || rec.Legs[0].AnsweredAt != nil || rec.Legs[1].AnsweredAt == nil {
			t.Errorf("the caller pays for what it never got: %+v", rec)
		}
		b.idle()
		if s := b.Status(); s.Results["487"] != 1 || s.Answered != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestCancelRaces(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	alice := b.phone("alice")
	for i := range 30 {
		a := b.from(alice, "9123", nil)
		c := b.carrier.Incoming()
		if err := c.Progress(180, "", nil); err != nil {
			t.Fatal(err)
		}
		a.Wait(sip.KindProgress)
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			time.Sleep(time.Duration(i%6) * 500 * time.Microsecond)
			_ = c.Answer([]byte(siptest.SDP)) // or it is cancelled already
		}()
		if err := a.Hangup(t.Context(), sip.Reason{}, 0); err != nil {
			t.Fatal(err)
		}
		<-answered
		select {
		case <-c.Ended():
		case <-time.After(siptest.Patience):
			t.Fatal("the callee was left hanging")
		}
		rec := b.record()
		if rec.EndedBy != call.Caller || rec.Cause.Q850 != 16 || (rec.AnsweredAt == nil) != (rec.Cause.SIP == 487) {
			t.Errorf("ended by %s with %s, answered %v", rec.EndedBy, rec.Cause, rec.AnsweredAt)
		}
	}
	b.idle()
	s := b.Status()
	if s.Begun != 30 || s.Results["200"]+s.Results["487"] != 30 || s.Answered != s.Results["200"] || s.Failed != s.Results["487"] {
		t.Errorf("status %+v", s)
	}
}

func TestAckNeverComes(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Trunks[1].Addresses = []netip.Prefix{prefix(t, "127.0.0.4/32")} })
	bob := b.phone("bob")
	peer := siptest.NewPeerAt(t, "127.0.0.4", b.addr)
	peer.Write(siptest.Ask{Method: "INVITE", URI: "sip:4930101@home.test", Body: siptest.SDP})
	c := bob.Incoming()
	if err := c.Answer([]byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	for {
		m, ok := peer.Receive(siptest.Patience)
		if !ok {
			t.Fatal("no BYE")
		}
		if m.Method() == "BYE" {
			peer.Reply(m, 200, "", "")
			break
		}
	}
	if e := c.Wait(sip.KindEnded); e.Reason.Cause != call.NoAck.Q850 {
		t.Errorf("the callee: %+v", e.Reason)
	}
	b.ends(call.System, call.NoAck.Q850, 200)
	b.idle()
}

func TestStrangers(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.phone("bob")
	stranger := siptest.NewPeerAt(t, "127.0.0.3", b.addr)
	stranger.Write(siptest.Ask{Method: "INVITE", URI: "sip:bob@home.test", Body: siptest.SDP})
	stranger.Write(siptest.Ask{Method: "OPTIONS", URI: "sip:home.test"})
	stranger.Silence(100 * time.Millisecond)
	if n := b.front.Stats().Dropped[sip.DropStranger]; n != 2 {
		t.Errorf("%d strangers counted, expected 2", n)
	}
	near := siptest.NewPeer(t, b.addr) // where a phone is registered: it must prove who it is
	ask := near.Write(siptest.Ask{Method: "INVITE", URI: "sip:bob@home.test", Body: siptest.SDP})
	near.Ack(ask, near.Response(407), "")
	if n := len(b.ledger.records(t)); n != 0 {
		t.Errorf("%d records of strangers", n)
	}
}
