package gateway

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

func TestUserCallsTrunk(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	alice := b.phone("alice")
	ha, hc := newHandset(t, 440), newHandset(t, 880)
	offer := ha.offer(media.Want{})
	a := b.from(alice, "9123", offer.SDP())
	c := b.carrier.Incoming()
	r := c.Request()
	if r.URI.User != "49123" || r.URI.Host != "carrier.test" || r.From.URI.User != "100" || r.From.Display != "ALICE" {
		t.Errorf("INVITE %s from %s", r.URI, r.From)
	}
	if err := c.Progress(180, "", nil); err != nil {
		t.Fatal(err)
	}
	if e := a.Wait(sip.KindProgress); e.Status != 180 || len(e.Body) != 0 {
		t.Errorf("progress %d with %q", e.Status, e.Body)
	}
	if err := c.Answer(hc.answers(r.Body, media.Want{})); err != nil {
		t.Fatal(err)
	}
	c.Wait(sip.KindAcked)
	e := a.Wait(sip.KindAnswered)
	ha.takes(offer, e.Body)
	ha.hear(880)
	hc.hear(440)
	if live := b.Live(); len(live) != 1 || live[0].From != "user:alice" {
		t.Errorf("live %+v", live)
	}
	a.Bye()
	if e := c.Wait(sip.KindEnded); e.By != sip.ByPeer || e.Reason.Cause != 16 {
		t.Errorf("ended %+v", e)
	}
	rec := b.ends(call.Caller, 16, 200)
	if rec.AnsweredAt == nil || rec.Transcoded || rec.Direction != call.Out || rec.User != "alice" || rec.Trunk != "carrier" ||
		rec.Route != "out" || rec.To != "9123" || rec.ToN != "49123" || rec.Bill < 300 || len(rec.Legs) != 2 || rec.PDD == nil {
		t.Errorf("record %+v", rec)
	}
	for _, l := range rec.Legs {
		if l.Quality == nil || l.Quality.Received < 15 || l.Quality.Sent < 15 || l.Media.Codec != "PCMU/8000" || l.SIPCallID == "" {
			t.Errorf("leg %d: %+v, quality %+v", l.No, l, l.Quality)
		}
	}
	if !rec.Legs[0].HungUp || rec.Legs[1].HungUp {
		t.Error("the wrong leg hung up")
	}
	b.idle()
	if s := b.Status(); s.Begun != 1 || s.Answered != 1 || s.Failed != 0 || s.Results["200"] != 1 || len(s.Results) != 1 {
		t.Errorf("status %+v", s)
	}
}

func TestTrunkCallsUser(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	bob := b.phone("bob")
	a := b.from(b.carrier, "4930101", nil, sip.Header{Name: "P-Asserted-Identity", Value: "<sip:+4930555@carrier.test>"},
		sip.Header{Name: "P-Charging-Vector", Value: `icid-value="abc123";orig-ioi=x`})
	c := b.up(a, bob, nil)
	if r := c.Request(); r.URI.User != "bob" || r.From.URI.User != "+4930555" {
		t.Errorf("INVITE %s from %s", r.URI, r.From)
	}
	if err := c.Hangup(t.Context(), sip.Reason{Protocol: "Q.850", Cause: 31, Text: "gone fishing"}, 0); err != nil {
		t.Fatal(err)
	}
	if e := a.Wait(sip.KindEnded); e.Reason.Cause != 31 || e.Reason.Text != "gone fishing" || e.By != sip.ByPeer {
		t.Errorf("ended %+v", e)
	}
	rec := b.ends(call.Callee, 31, 200)
	if rec.Direction != call.In || rec.Trunk != "carrier" || rec.ICID != "abc123" || rec.From != "+4930555" || rec.Legs[1].User != "bob" {
		t.Errorf("record %+v", rec)
	}
	b.idle()
}

func TestUserCallsUserOnAllPhones(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	alice, desk, mobile := b.phone("alice"), b.phone("bob"), b.phone("bob")
	a := b.from(alice, "101", nil)
	d, m := desk.Incoming(), mobile.Incoming()
	for _, c := range []*siptest.Call{d, m} {
		if err := c.Progress(180, "", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Answer([]byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	e := d.Wait(sip.KindEnded)
	if e.Method != "CANCEL" || e.Reason != (sip.Reason{Protocol: "SIP", Cause: 200, Text: "Call completed elsewhere"}) {
		t.Errorf("the other phone: %+v", e)
	}
	a.Wait(sip.KindAnswered)
	m.Wait(sip.KindAcked)
	m.Bye()
	a.Wait(sip.KindEnded)
	rec := b.ends(call.Callee, 16, 200)
	if rec.Direction != call.Internal || rec.Attempts != 2 || len(rec.Legs) != 3 {
		t.Errorf("record %+v", rec)
	}
	b.idle()
	if n := strings.Count(strings.Join(b.ledger.order(), "\n"), "sent 180 INVITE users"); n != 1 {
		t.Errorf("%d times 180 for the caller, expected 1", n)
	}
}

func TestRefusalsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	alice := b.phone("alice")
	for _, x := range []struct {
		status, q850 int
		reason       string
	}{{486, 17, ""}, {404, 1, ""}, {603, 21, ""}, {480, 18, ""}, {503, 41, ""}, {500, 27, "Q.850;cause=27;text=\"out of order\""}, {410, 22, ""}} {
		a := b.from(alice, "9123", nil)
		c := b.carrier.Incoming()
		var h []sip.Header
		if x.reason != "" {
			h = []sip.Header{{Name: "Reason", Value: x.reason}}
		}
		if err := c.Reject(x.status, "", h...); err != nil {
			t.Fatal(err)
		}
		if e := refused(t, a, x.status); e.Reason.Cause != x.q850 {
			t.Errorf("%d: reason %v, expected %d", x.status, e.Reason, x.q850)
		}
		b.ends(call.Callee, x.q850, x.status)
	}
	b.idle()
	if s := b.Status(); s.Failed != 7 || s.Answered != 0 || s.Results["486"] != 1 || s.Results["503"] != 1 || s.Results["200"] != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestUnknownNumbersAndStates(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Trunks[0].MaxCalls = 0 })
	alice := b.phone("alice")
	for _, x := range []struct {
		number       string
		status, q850 int
		why          string
	}{{"7000", 404, 3, "no route"}, {"101", 480, 20, "not registered"}, {"9123", 503, 34, "limit of 0 calls of trunk carrier"}} {
		refused(t, b.from(alice, x.number, nil), x.status)
		rec := b.ends(call.System, x.q850, x.status)
		if !b.noted(rec.ID, x.why) {
			t.Errorf("%s: the record doesn't say %q", x.number, x.why)
		}
	}
	b.idle()
}

func TestHopFailsOver(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	alice := b.phone("alice")
	for _, status := range []int{503, 500, 408, 480} { // 480 by the route's own list
		a := b.from(alice, "8123", nil)
		if err := b.carrier.Incoming().Reject(status, ""); err != nil {
			t.Fatal(err)
		}
		c := b.up(a, b.second, nil)
		a.Bye()
		c.Wait(sip.KindEnded)
		rec := b.ends(call.Caller, 16, 200)
		if rec.Attempts != 2 || rec.Trunk != "second" || rec.Legs[1].Cause.SIP != status || !b.noted(rec.ID, "next hop") {
			t.Errorf("%d: record %+v", status, rec)
		}
	}
	for _, status := range []int{486, 404, 603} { // the callee has spoken
		a := b.from(alice, "8123", nil)
		if err := b.carrier.Incoming().Reject(status, ""); err != nil {
			t.Fatal(err)
		}
		refused(t, a, status)
		if rec := b.ends(call.Callee, call.FromStatus(status, "").Q850, status); rec.Attempts != 1 || !b.noted(rec.ID, "no further hop") {
			t.Errorf("%d: record %+v", status, rec)
		}
	}
	b.idle()
}

func TestFailoverAfterSilence(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		s.Trunks[0].Proxy.Port = 9 // nobody is there
		s.Limits.Response = time.Second
	})
	alice := b.phone("alice")
	a := b.from(alice, "8123", nil)
	c := b.up(a, b.second, nil)
	a.Bye()
	c.Wait(sip.KindEnded)
	rec := b.ends(call.Caller, 16, 200)
	if l := rec.Legs[1]; l.Cause.Q850 != call.NoResponse.Q850 || l.Cause.SIP != 408 {
		t.Errorf("first attempt: %+v", l.Cause)
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Routes[0].Hops[0].Ring = 150 * time.Millisecond })
	alice := b.phone("alice")
	a := b.from(alice, "9123", nil)
	c := b.carrier.Incoming()
	if err := c.Progress(180, "", nil); err != nil {
		t.Fatal(err)
	}
	if e := c.Wait(sip.KindEnded); e.Method != "CANCEL" || e.Reason.Cause != 19 {
		t.Errorf("callee: %+v", e)
	}
	refused(t, a, 480)
	b.ends(call.System, 19, 480)
	b.idle()
}

func TestNoCommonCodec(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	alice := b.phone("alice")
	g729 := strings.NewReplacer("8 0 101", "18").Replace(siptest.SDP)
	e := refused(t, b.from(alice, "9123", []byte(strings.Replace(g729, "a=rtpmap:101 telephone-event/8000\r\n", "", 1))), 488)
	if w := e.Headers.Get("Warning"); !strings.HasPrefix(w, "305 home.test \"no codec in common") {
		t.Errorf("Warning %q", w)
	}
	b.ends(call.System, 88, 488)
	e = refused(t, b.from(alice, "9123", []byte("v=0\r\nrubbish")), 488)
	if w := e.Headers.Get("Warning"); w == "" {
		t.Error("no Warning for a broken offer")
	}
	b.idle()
	if slices.ContainsFunc(b.ledger.order(), func(s string) bool { return strings.HasPrefix(s, "sent INVITE") }) {
		t.Error("somebody was disturbed")
	}
}

func TestCalleesAnswerIsUnusable(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	alice := b.phone("alice")
	a := b.from(alice, "9123", nil)
	c := b.carrier.Incoming()
	if err := c.Answer([]byte("v=0\r\nrubbish")); err != nil {
		t.Fatal(err)
	}
	c.Wait(sip.KindEnded)
	refused(t, a, 488)
	b.ends(call.System, 88, 488)
	b.idle()
}
