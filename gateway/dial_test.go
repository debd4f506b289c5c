package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// withApp adds the application ivr, a route for applications to both trunks, and 7* to ivr, then to bob.
func withApp(s *settings) {
	s.Apps = []App{{ID: "ivr", Tenant: "default", CallerID: "4930500", CallerName: "IVR", MaxCalls: 2}, {ID: "other", Tenant: "other"}}
	s.Routes = append(s.Routes,
		Route{ID: "apps", Tenant: "default", Source: []string{"app"}, Number: []string{"9*"}, Hops: []Hop{{Trunk: "carrier", Ring: 5 * time.Second}}},
		Route{ID: "ivr-only", Tenant: "default", Source: []string{"app:ivr"}, Number: []string{"8*"}, Hops: []Hop{
			{Trunk: "carrier", Ring: 5 * time.Second, Failover: Failover{Retry: true}}, {Trunk: "second", Ring: 5 * time.Second}}},
		Route{ID: "to-ivr", Tenant: "default", Source: []string{"any"}, Number: []string{"7*"}, Hops: []Hop{
			{App: "ivr", Ring: 5 * time.Second, Failover: Failover{Retry: true, Status: []int{480}}}, {User: "bob", Ring: 5 * time.Second}}},
		Route{ID: "ivr-alone", Tenant: "default", Source: []string{"any"}, Number: []string{"6*"}, Hops: []Hop{{App: "ivr", Ring: 300 * time.Millisecond}}})
}

func TestAppDials(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { withApp(s); s.Digits = true })
	st, hc := newStation(t, 440), newHandset(t, 880)
	first := call.NewID()
	a := b.dial(DialRequest{App: "ivr", Session: "s-1", To: "9123", Headers: []sip.Header{{Name: "X-Order", Value: "4711"}}, Codecs: []string{"PCMA"}, Linked: first})
	c := b.carrier.Incoming()
	r := c.Request()
	if r.URI.User != "9123" || r.From.URI.User != "4930500" || r.From.Display != "IVR" || r.Headers.Get("X-Order") != "4711" {
		t.Errorf("INVITE %s from %s, X-Order %q", r.URI, r.From, r.Headers.Get("X-Order"))
	}
	if s := string(r.Body); !strings.Contains(s, "PCMA") || strings.Contains(s, "PCMU") {
		t.Errorf("offer\n%s\nexpected PCMA alone", s)
	}
	if err := c.Progress(180, "", nil); err != nil {
		t.Fatal(err)
	}
	if e := expect(t, a, AppRinging); e.Status != 180 {
		t.Errorf("ringing %+v", e)
	}
	for what, err := range map[string]error{"hold": a.Hold(t.Context()), "digits": a.SendDTMF(t.Context(), "1"), "transfer": a.Transfer(t.Context(), "100")} {
		if !errors.Is(err, ErrNotAnswered) {
			t.Errorf("%s before the answer: %v", what, err)
		}
	}
	if err := a.Accept(t.Context()); !errors.Is(err, ErrAnswered) {
		t.Errorf("accept of one's own call: %v", err)
	}
	answer := hc.answers(r.Body, media.Want{})
	if err := c.Progress(183, "", answer); err != nil {
		t.Fatal(err)
	}
	st.attach(expect(t, a, AppEarlyMedia).Endpoint)
	st.hear(880)
	hc.hear(440)
	if err := c.Answer(answer); err != nil {
		t.Fatal(err)
	}
	if e := expect(t, a, AppAnswered); e.Endpoint != a.Endpoint() || e.Endpoint == nil || e.Status != 200 {
		t.Errorf("answered %+v", e)
	}
	c.Wait(sip.KindAcked)
	st.hear(880)
	hc.hear(440)
	if live := b.Live(); len(live) != 1 || live[0].From != "app:ivr" || live[0].Tenant != "default" || live[0].Number != "9123" || live[0].App != "ivr" {
		t.Errorf("live %+v", live)
	}
	if err := a.Hangup(t.Context(), call.Cause{}); err != nil {
		t.Fatal(err)
	}
	if e := c.Wait(sip.KindEnded); e.By != sip.ByPeer || e.Reason.Cause != 16 {
		t.Errorf("ended %+v", e)
	}
	over(t, a, call.Caller, 16, 200)
	rec := b.ends(call.Caller, 16, 200)
	if rec.Origin != "jsonrpc" || rec.SessionID != "s-1" || rec.App != "ivr" || rec.LinkedID != first || rec.ID != a.ID() || rec.AnsweredAt == nil || rec.Bill < 200 ||
		rec.Direction != call.Out || rec.Trunk != "carrier" || rec.Route != "apps" || rec.From != "4930500" || rec.To != "9123" || rec.PDD == nil || rec.EarlyMediaAt == nil {
		t.Errorf("record %+v", rec)
	}
	if l := rec.Legs[0]; len(rec.Legs) != 2 || l.Kind != "app" || l.Role != call.CallerLeg || !l.HungUp || rec.Legs[1].Quality.Received < 15 || rec.Legs[1].Media.Codec != "PCMA/8000" {
		t.Errorf("legs %+v, %+v", rec.Legs[0], rec.Legs[1])
	}
	b.idle()
	b.follows("durable call.start 0", "durable leg.new 1", "durable leg.new 2", "sent INVITE trunk:carrier", "durable answer 2", "durable answer 1", "sent BYE trunk:carrier", "durable call.end 0")
	for what, err := range map[string]error{"hangup": a.Hangup(t.Context(), call.Cause{}), "hold": a.Hold(t.Context())} {
		if !errors.Is(err, ErrNoCall) {
			t.Errorf("%s after the end: %v", what, err)
		}
	}
}

// appTalk is an answered call between an application and the carrier, with media.
type appTalk struct {
	*bench
	a  *AppCall
	c  *siptest.Call
	st *station
	hc *handset
}

func newAppTalk(t *testing.T, change func(*settings)) *appTalk {
	b := newBench(t, func(s *settings) {
		withApp(s)
		if change != nil {
			change(s)
		}
	})
	k := &appTalk{bench: b, st: newStation(t, 440), hc: newHandset(t, 880)}
	k.a = b.dial(DialRequest{App: "ivr", To: "9123"})
	k.c = b.carrier.Incoming()
	if err := k.c.Answer(k.hc.answers(k.c.Request().Body, media.Want{})); err != nil {
		t.Fatal(err)
	}
	k.c.Wait(sip.KindAcked)
	k.st.attach(expect(t, k.a, AppAnswered).Endpoint)
	return k
}

// end hangs up and checks that nothing is left.
func (k *appTalk) end() *call.Call {
	k.Helper()
	k.c.Bye()
	over(k, k.a, call.Callee, 16, 200)
	rec := k.ends(call.Callee, 16, 200)
	k.idle()
	return rec
}

func TestAppHoldsAndIsHeld(t *testing.T) {
	t.Parallel()
	k := newAppTalk(t, func(s *settings) { s.Media.Timeout = 900 * time.Millisecond })
	for range 2 {
		done := make(chan error, 1)
		go func() { done <- k.a.Hold(context.Background()) }()
		if got := k.hc.reoffered(k.c, sdp.SendRecv); got != sdp.SendOnly {
			t.Errorf("asked for %v, expected sendonly", got)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		k.c.Expect(sip.KindAcked)
		k.hc.hear(440)
		time.Sleep(1100 * time.Millisecond) // for longer than silence is allowed otherwise
		if err := k.a.Hold(t.Context()); err != nil {
			t.Errorf("hold of a held call: %v", err)
		}
		go func() { done <- k.a.Resume(context.Background()) }()
		if got := k.hc.reoffered(k.c, sdp.SendRecv); got != sdp.SendRecv {
			t.Errorf("asked for %v, expected sendrecv", got)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		k.c.Expect(sip.KindAcked)
		k.st.hear(880)
	}
	// A refused hold changes nothing.
	done := make(chan error, 1)
	go func() { done <- k.a.Hold(context.Background()) }()
	if err := k.c.Wait(sip.KindOffer).Offer.Reject(488, ""); err != nil {
		t.Fatal(err)
	}
	var refused *sip.StatusError
	if err := <-done; !errors.As(err, &refused) || refused.Status != 488 {
		t.Errorf("refused hold: %v", err)
	}
	if err := k.hc.reoffer(k.c, sdp.SendOnly); err != nil {
		t.Fatal(err)
	}
	expect(t, k.a, AppHeld)
	if err := k.hc.reoffer(k.c, sdp.SendRecv); err != nil {
		t.Fatal(err)
	}
	expect(t, k.a, AppResumed)
	k.st.hear(880)
	k.hc.hear(440)
	rec := k.end()
	holds := map[int]int{}
	for _, e := range k.ledger.of(rec.ID) {
		if e.Data.Kind() == call.KindHold || e.Data.Kind() == call.KindResume {
			holds[e.Leg]++
		}
	}
	if holds[1] != 4 || holds[2] != 2 {
		t.Errorf("holds and resumes by leg: %v, expected 4 by the application, 2 by the callee", holds)
	}
}

func TestAppDigits(t *testing.T) {
	t.Parallel()
	k := newAppTalk(t, func(s *settings) { s.Digits = true })
	if err := k.hc.dial(t, "9#0"); err != nil {
		t.Fatal(err)
	}
	for _, d := range "9#0" {
		if e := expect(t, k.a, AppDigit); rune(e.Digit) != d || e.Held < 60 {
			t.Errorf("digit %c for %d ms, expected %c", e.Digit, e.Held, d)
		}
	}
	if err := k.c.Info(t.Context(), "application/dtmf-relay", []byte("Signal=5\r\nDuration=120\r\n")); err != nil {
		t.Fatal(err)
	}
	if e := expect(t, k.a, AppDigit); e.Digit != '5' || e.Held != 120 {
		t.Errorf("digit %c for %d ms by INFO", e.Digit, e.Held)
	}
	if err := k.a.SendDTMF(t.Context(), "12*A"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "digits at the carrier", func() bool { return k.hc.heard() == "12*A" })
	k.hc.hear(440) // the audio is back
	// Also where nothing feeds the leg.
	k.st.says.Source(media.Pad{}).Unlink(k.a.Endpoint().Sink(media.Pad{}))
	if err := k.a.SendDTMF(t.Context(), "7"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the digit at the carrier", func() bool { return k.hc.heard() == "12*A7" })
	k.hc.deaf()
	for _, d := range []string{"", "1x", "1\r\n", strings.Repeat("1", 65)} {
		var f *FieldError
		if err := k.a.SendDTMF(t.Context(), d); !errors.As(err, &f) || f.Field != "digits" {
			t.Errorf("digits %q: %v", d, err)
		}
	}
	k.end()
}

func TestAppTransfers(t *testing.T) {
	t.Parallel()
	k := newAppTalk(t, nil)
	transfer := func(to string) (*sip.ReferRequest, chan error) {
		done := make(chan error, 1)
		go func() { done <- k.a.Transfer(context.Background(), to) }()
		return k.c.Wait(sip.KindRefer).Refer, done
	}
	r, done := transfer("4930222")
	if r.Target.String() != "sip:4930222@carrier.test" || r.Replaces != "" {
		t.Errorf("Refer-To %s, Replaces %q", r.Target, r.Replaces)
	}
	if err := r.Reject(603, ""); err != nil {
		t.Fatal(err)
	}
	var refused *Refusal
	if err := <-done; !errors.As(err, &refused) || refused.Cause.SIP != 603 {
		t.Errorf("refused transfer: %v", err)
	}
	// It fails, and the call goes on.
	r, done = transfer("sip:carol@elsewhere.test;transport=tcp")
	if r.Target.Host != "elsewhere.test" || r.Target.User != "carol" {
		t.Errorf("Refer-To %s", r.Target)
	}
	if err := r.Accept(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := k.a.Transfer(t.Context(), "1"); !errors.Is(err, ErrBusy) {
		t.Errorf("a second transfer: %v", err)
	}
	if err := errors.Join(r.Notify(t.Context(), 100, "", false), r.Notify(t.Context(), 486, "", true)); err != nil {
		t.Fatal(err)
	}
	if e := expect(t, k.a, AppTransferred); e.Status != 486 {
		t.Errorf("transferred %+v", e)
	}
	k.st.hear(880)
	// It works, and the call ends.
	r, done = transfer("4930222")
	if err := r.Accept(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := r.Notify(t.Context(), 200, "OK", true); err != nil {
		t.Fatal(err)
	}
	if e := expect(t, k.a, AppTransferred); e.Status != 200 {
		t.Errorf("transferred %+v", e)
	}
	k.c.Wait(sip.KindEnded)
	over(t, k.a, call.Caller, 16, 200)
	rec := k.ends(call.Caller, 16, 200)
	if rec.Cause.Text != "transferred" || !k.noted(rec.ID, "transfer to 4930222 refused") || !k.noted(rec.ID, "failed: 486") {
		t.Errorf("record %+v", rec)
	}
	k.idle()
}

// The peer of one call takes the place of the application in another.
func TestAppTransfersToAnotherCall(t *testing.T) {
	t.Parallel()
	k := newAppTalk(t, nil)
	if err := k.a.TransferTo(t.Context(), k.a); err == nil {
		t.Error("a call is transferred to itself")
	}
	bob := k.phone("bob")
	other := k.dial(DialRequest{To: "101"})
	if err := k.a.TransferTo(t.Context(), other); !errors.Is(err, ErrNotAnswered) {
		t.Errorf("transfer to a call that rings: %v", err)
	}
	c := bob.Incoming()
	c.Accept()
	expect(t, other, AppRinging)
	expect(t, other, AppAnswered)
	done := make(chan error, 1)
	go func() { done <- k.a.TransferTo(context.Background(), other) }()
	r := k.c.Wait(sip.KindRefer).Refer
	if want := c.CallID() + ";to-tag=" + c.LocalTag() + ";from-tag=" + c.RemoteTag(); r.Replaces != want {
		t.Errorf("Replaces %q, expected %q", r.Replaces, want)
	}
	if addr := bob.Addr("udp"); r.Target.User != "bob" || r.Target.Port != addr.Port() {
		t.Errorf("Refer-To %s, expected bob at %s", r.Target, addr)
	}
	if err := r.Accept(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := r.Notify(t.Context(), 200, "", true); err != nil {
		t.Fatal(err)
	}
	k.c.Wait(sip.KindEnded)
	c.Bye() // as who was replaced does
	over(t, other, call.Callee, 16, 200)
	k.idle()
	var moved *call.Transfer
	for _, e := range k.ledger.of(k.a.ID()) {
		if d, ok := e.Data.(call.Transfer); ok {
			moved = &d
		}
	}
	if moved == nil || !moved.Attended || moved.Linked != other.ID() {
		t.Errorf("transfer %+v", moved)
	}
}

func TestAppDialsInVain(t *testing.T) {
	t.Parallel()
	b := newBench(t, withApp)
	for _, x := range []struct {
		status, q850 int
		by           call.Party
	}{{486, 17, call.Callee}, {404, 1, call.Callee}, {503, 41, call.Callee}} {
		a := b.dial(DialRequest{To: "9123"})
		if err := b.carrier.Incoming().Reject(x.status, ""); err != nil {
			t.Fatal(err)
		}
		over(t, a, x.by, x.q850, x.status)
		b.ends(x.by, x.q850, x.status)
	}
	// The next hop.
	a := b.dial(DialRequest{App: "ivr", To: "8123"})
	if err := b.carrier.Incoming().Reject(503, ""); err != nil {
		t.Fatal(err)
	}
	b.second.Incoming().Accept()
	expect(t, a, AppRinging)
	expect(t, a, AppAnswered)
	if err := a.Hangup(t.Context(), call.Cause{Q850: 31, Text: "enough"}); err != nil {
		t.Fatal(err)
	}
	over(t, a, call.Caller, 31, 200)
	if rec := b.ends(call.Caller, 31, 200); rec.Attempts != 2 || rec.Cause.Text != "enough" {
		t.Errorf("record %+v", rec)
	}
	// Nobody, no route, not that application's.
	over(t, b.dial(DialRequest{To: "101"}), call.System, 20, 480)
	over(t, b.dial(DialRequest{To: "5"}), call.System, 3, 404)
	over(t, b.dial(DialRequest{To: "8123"}), call.System, 3, 404)
	over(t, b.dial(DialRequest{To: "7000"}), call.System, 29, 501)
	// It takes too long.
	a = b.dial(DialRequest{To: "9123", Ring: time.Second})
	c := b.carrier.Incoming()
	if err := c.Progress(180, "", nil); err != nil {
		t.Fatal(err)
	}
	c.Wait(sip.KindEnded)
	expect(t, a, AppRinging)
	over(t, a, call.System, 19, 480)
	// It gives up.
	a = b.dial(DialRequest{To: "9123"})
	c = b.carrier.Incoming()
	if err := c.Progress(180, "", nil); err != nil {
		t.Fatal(err)
	}
	expect(t, a, AppRinging)
	if err := a.Hangup(t.Context(), call.Cause{}); err != nil {
		t.Fatal(err)
	}
	if e := c.Wait(sip.KindEnded); e.Method != "CANCEL" {
		t.Errorf("ended %+v", e)
	}
	over(t, a, call.Caller, 16, 487)
	b.idle()
}

func TestAppSpeaksForUser(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { withApp(s); s.Users[0].MaxCalls = 1 })
	a := b.dial(DialRequest{To: "9123", User: "alice"}) // by the user's own route
	c := b.carrier.Incoming()
	if r := c.Request(); r.URI.User != "49123" || r.From.URI.User != "100" || r.From.Display != "ALICE" {
		t.Errorf("INVITE %s from %s", r.URI, r.From)
	}
	over(t, b.dial(DialRequest{To: "9123", User: "alice"}), call.System, 34, 503)
	c.Accept()
	expect(t, a, AppRinging)
	expect(t, a, AppAnswered)
	c.Bye()
	over(t, a, call.Callee, 16, 200)
	if rec := b.ledger.records(t)[0]; rec.User != "alice" || rec.Route != "out" {
		t.Errorf("record %+v", rec)
	}
	b.idle()
	// Through a trunk that it names, to a URI; and with a caller of its own.
	a = b.dial(DialRequest{To: "sip:sales@shop.test", Trunk: "second", CallerID: "4930999", CallerName: "Shop"})
	c = b.second.Incoming()
	if r := c.Request(); r.URI.String() != "sip:sales@shop.test" || r.From.URI.User != "4930999" || r.From.Display != "Shop" {
		t.Errorf("INVITE %s from %s", r.URI, r.From)
	}
	if err := c.Reject(486, ""); err != nil {
		t.Fatal(err)
	}
	over(t, a, call.Callee, 17, 486)
	over(t, b.dial(DialRequest{To: "9123", Codecs: []string{"opus"}}), call.System, 88, 488)
	b.idle()
}

func TestAttack(t *testing.T) {
	for name, run := range map[string]func(*testing.T){
		"crlf_in_fields":  appFieldsAreChecked,
		"caller_id_spoof": foreignCallers,
	} {
		t.Run("attack_"+name, run)
	}
}

// What must not reach a SIP message is refused, by the name of its field, and nothing is sent or recorded.
func appFieldsAreChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t, withApp)
	evil := "1\r\nX-Evil: yes"
	for _, x := range []struct {
		field string
		r     DialRequest
	}{
		{"to", DialRequest{To: evil}}, {"to", DialRequest{}}, {"to", DialRequest{To: "sip:a\nb@home.test"}}, {"to", DialRequest{To: "1 2"}},
		{"to", DialRequest{To: "sip:x@elsewhere.test"}}, {"to", DialRequest{To: "sip:x@home.test?X-Evil=1"}}, {"to", DialRequest{To: "a\x00b"}},
		{"to", DialRequest{To: strings.Repeat("1", 129)}}, {"to", DialRequest{To: "sips:x@home.test"}}, {"to", DialRequest{To: "tel:"}},
		{"callerId", DialRequest{To: "9", CallerID: evil}}, {"callerName", DialRequest{To: "9", CallerName: evil}},
		{"callerName", DialRequest{To: "9", CallerName: "a\u0085b"}}, {"callerName", DialRequest{To: "9", CallerName: "\xff"}},
		{"session", DialRequest{To: "9", Session: evil}}, {"codecs", DialRequest{To: "9", Codecs: []string{evil}}},
		{"ringTimeout", DialRequest{To: "9", Ring: time.Hour}},
		{"headers X-A", DialRequest{To: "9", Headers: []sip.Header{{Name: "X-A", Value: evil}}}},
		{"to", DialRequest{To: "sip:9%0d%0aX-Evil@test.local"}},
		{"headers", DialRequest{To: "9", Headers: []sip.Header{{Name: "X-A: b\r\nX-B", Value: "1"}}}},
		{"headers", DialRequest{To: "9", Headers: []sip.Header{{Name: "Via", Value: "1"}}}},
		{"headers", DialRequest{To: "9", Headers: make([]sip.Header, 33)}},
		{"app", DialRequest{To: "9", App: "other"}}, {"app", DialRequest{To: "9", App: evil}},
		{"user", DialRequest{To: "9", User: evil}}, {"trunk", DialRequest{To: "9", Trunk: evil}},
	} {
		x.r.Tenant = "default"
		_, err := b.Dial(x.r)
		var f *FieldError
		if !errors.As(err, &f) || f.Field != x.field || strings.ContainsAny(err.Error(), "\r\n\x00") {
			t.Errorf("%+v: %v, expected an error of %s", x.r, err, x.field)
		}
	}
	if n := len(b.ledger.records(t)); n != 0 || b.Active() != 0 {
		t.Errorf("%d records", n)
	}
	a := b.dial(DialRequest{To: "9123"})
	b.carrier.Incoming().Accept()
	expect(t, a, AppRinging)
	expect(t, a, AppAnswered)
	for _, err := range []error{a.Transfer(t.Context(), evil), a.Transfer(t.Context(), ""), a.Transfer(t.Context(), "sip:a@b\r\n"), a.Transfer(t.Context(), "sip:a%0Ab@b"),
		a.Hangup(t.Context(), call.Cause{Q850: 16, Text: evil}), a.Hangup(t.Context(), call.Cause{Q850: 200}), a.Hangup(t.Context(), call.Cause{Q850: 16, SIP: 200}),
		a.Reject(t.Context(), 486, evil), a.Reject(t.Context(), 200, ""), a.Reject(t.Context(), 401, ""), a.Progress(t.Context(), 200), a.Link(t.Context(), call.ID{}, evil)} {
		var f *FieldError
		if !errors.As(err, &f) {
			t.Errorf("%v, expected an error of a field", err)
		}
	}
	if slices.ContainsFunc(b.ledger.order(), func(l string) bool { return strings.HasPrefix(l, "sent REFER") || strings.HasPrefix(l, "sent BYE") }) {
		t.Error("something was sent")
	}
}

func TestAppAndTheJournal(t *testing.T) {
	t.Parallel()
	b := newBench(t, withApp)
	b.ledger.stall("disk is full")
	var r *Refusal
	if _, err := b.Dial(DialRequest{Tenant: "default", To: "9123"}); !errors.As(err, &r) || r.Cause.SIP != 503 {
		t.Errorf("dialled without records: %v", err)
	}
	b.ledger.stall("")
	b.ledger.do(failing(call.KindLegNew, 2))
	over(t, b.dial(DialRequest{To: "9123"}), call.System, 41, 503)
	if slices.ContainsFunc(b.ledger.order(), func(l string) bool { return strings.HasPrefix(l, "sent INVITE") }) {
		t.Error("an INVITE left")
	}
	b.ledger.do(failing(call.KindAnswer, 1))
	a := b.dial(DialRequest{To: "9123"})
	c := b.carrier.Incoming()
	if err := c.Answer([]byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	c.Wait(sip.KindEnded)
	over(t, a, call.System, 41, 503)
	if rec := b.ends(call.System, 41, 503); rec.AnsweredAt != nil || rec.Bill != 0 {
		t.Errorf("answered: %+v", rec)
	}
	b.idle()
}

func TestAppsLimits(t *testing.T) {
	t.Parallel()
	b := newBench(t, withApp)
	var up []*AppCall
	for range 2 {
		a := b.dial(DialRequest{App: "ivr", To: "9123"})
		b.carrier.Incoming().Accept()
		expect(t, a, AppRinging)
		expect(t, a, AppAnswered)
		up = append(up, a)
	}
	over(t, b.dial(DialRequest{App: "ivr", To: "9123"}), call.System, 34, 503)
	b.listens("ivr")
	refused(t, b.from(b.phone("alice"), "6000", nil), 486) // calls to it count as well
	for _, a := range up {
		if err := a.Hangup(t.Context(), call.Cause{}); err != nil {
			t.Fatal(err)
		}
		over(t, a, call.Caller, 16, 200)
	}
	b.idle()
}

func TestAppsAreDrained(t *testing.T) {
	t.Parallel()
	b := newBench(t, withApp)
	offers := b.listens("ivr")
	a := b.dial(DialRequest{To: "9123"})
	c := b.carrier.Incoming()
	c.Accept()
	expect(t, a, AppRinging)
	expect(t, a, AppAnswered)
	in := b.from(b.phone("alice"), "7000", nil)
	waiting, _ := b.claims(offers)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, 300*time.Millisecond) }()
	stop()
	eventually(t, "it drains", func() bool { return b.Status().Draining })
	over(t, b.dial(DialRequest{To: "9123"}), call.System, 31, 503)
	c.Wait(sip.KindEnded)
	over(t, a, call.System, 31, 503)
	over(t, waiting, call.System, 31, 503)
	refused(t, in, 503)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.idle()
}

// Silence is told, and ends the call, as it does between phones.
func TestAppHearsOfSilence(t *testing.T) {
	t.Parallel()
	k := newAppTalk(t, func(s *settings) { s.Media.Timeout = 600 * time.Millisecond })
	for range 3 {
		k.st.hear(880) // media flows for longer than that
	}
	k.hc.says.Close()
	expect(t, k.a, AppMediaLost)
	k.c.Wait(sip.KindEnded)
	over(t, k.a, call.System, call.MediaLost.Q850, 200)
	if rec := k.ends(call.System, call.MediaLost.Q850, 200); !strings.Contains(rec.Cause.Text, "no media from the callee") {
		t.Errorf("cause %v", rec.Cause)
	}
	k.idle()
}
