package gateway

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

func TestAppTakesACall(t *testing.T) {
	t.Parallel()
	b := newBench(t, withApp)
	offers := b.listens("ivr")
	also := b.listens("ivr")
	ha, st := newHandset(t, 440), newStation(t, 880)
	offer := ha.offer(media.Want{})
	p := b.from(b.carrier, "7000", offer.SDP(), sip.Header{Name: "X-Account", Value: "12"})
	a, o := b.claims(offers)
	if o.From != "4930777" || o.To != "7000" || o.Trunk != "carrier" || o.App != "ivr" || o.Limit != 5*time.Second || len(o.Headers) != 1 || o.Headers[0].Value != "12" {
		t.Errorf("offer %+v", o)
	}
	if o := <-also; o.ID != a.ID() {
		t.Errorf("the other who listens is told of %s", o.ID)
	}
	if _, err := b.Claim("default", a.ID(), ""); !errors.Is(err, ErrNoCall) {
		t.Errorf("taken twice: %v", err)
	}
	if err := a.Progress(t.Context(), 180); err != nil {
		t.Fatal(err)
	}
	if e := p.Wait(sip.KindProgress); e.Status != 180 || len(e.Body) != 0 {
		t.Errorf("progress %d %q", e.Status, e.Body)
	}
	if a.Endpoint() != nil {
		t.Error("there is media before any was agreed")
	}
	if err := a.Progress(t.Context(), 183); err != nil {
		t.Fatal(err)
	}
	e := p.Wait(sip.KindProgress)
	for e.Status == 180 { // sent again: an INVITE that was sent again crossed it
		e = p.Wait(sip.KindProgress)
	}
	ha.takes(offer, e.Body)
	st.attach(expect(t, a, AppEarlyMedia).Endpoint)
	ha.hear(880)
	if err := a.Accept(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Wait(sip.KindAnswered)
	expect(t, a, AppAnswered)
	st.hear(440)
	ha.hear(880)
	if err := a.Accept(t.Context()); !errors.Is(err, ErrAnswered) {
		t.Errorf("accepted twice: %v", err)
	}
	if err := a.SendDTMF(t.Context(), "42"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "digits at the caller", func() bool { return ha.heard() == "42" })
	family := call.NewID()
	if err := a.Link(t.Context(), family, ""); err != nil {
		t.Fatal(err)
	}
	p.Bye()
	over(t, a, call.Caller, 16, 200)
	rec := b.ends(call.Caller, 16, 200)
	if rec.Origin != "sip" || rec.SessionID != "session-1" || rec.LinkedID != family || rec.AnsweredAt == nil || rec.Attempts != 1 || rec.Route != "to-ivr" || rec.Ring == nil ||
		len(rec.Legs) != 2 || rec.Legs[1].Kind != "app" || rec.Legs[1].ToURI != "app:ivr" || rec.Legs[1].AnsweredAt == nil {
		t.Errorf("record %+v", rec)
	}
	b.idle()
	b.follows("durable call.start 0", "durable leg.new 2", "durable answer 2", "durable answer 1", "sent 200 INVITE trunk:carrier", "durable call.end 0")
}

// Whoever doesn't take a call has nothing to do with it any more; the next hop has.
func TestAppLetsACallGo(t *testing.T) {
	t.Parallel()
	const hour = "5900" // who calls that waits for the application as long as it takes
	b := newBench(t, func(s *settings) {
		withApp(s)
		for number, ring := range map[string]time.Duration{"7*": 400 * time.Millisecond, "50*": 3 * time.Second, "51*": 15 * time.Second, "59*": time.Hour} {
			slow := s.Routes[5]
			slow.ID, slow.Number, slow.Hops = "ivr-"+number, []string{number}, slices.Clone(slow.Hops)
			slow.Hops[0].Ring = ring
			s.Routes = append(s.Routes, slow)
		}
		s.Routes = slices.Delete(s.Routes, 5, 6)
	})
	alice, bob := b.phone("alice"), b.phone("bob")
	toBob := func(p *siptest.Call, attempts int, why string) {
		t.Helper()
		c := b.up(p, bob, nil)
		p.Bye()
		c.Wait(sip.KindEnded)
		rec := b.ends(call.Caller, 16, 200)
		if rec.Attempts != attempts || !b.noted(rec.ID, why) {
			t.Errorf("record %+v doesn't say %q", rec, why)
		}
		b.idle()
	}
	toBob(b.from(alice, "7000", nil), 1, "nobody listens as application ivr")
	refused(t, b.from(alice, "6000", nil), 480)
	b.ends(call.System, 20, 480)

	offers := b.listens("ivr")
	toBob(b.from(alice, "7000", nil), 2, "no client of application ivr took the call")
	o := <-offers
	if _, err := b.Claim("default", o.ID, ""); !errors.Is(err, ErrNoCall) {
		t.Errorf("took a call that has gone: %v", err)
	}

	// It is silent after early media; where the machine was too slow for that, it has more time.
	var p *siptest.Call
	heard := false
	for _, number := range []string{"7000", "5000", "5100"} {
		p, heard = b.fallsSilent(alice, number, offers)
		toBob(p, 2, "next hop after")
		if heard {
			break
		}
	}
	if !heard {
		t.Error("never was there time for early media")
	}

	// It rejects: with a word that is final, and with one that isn't.
	p = b.from(alice, hour, nil)
	a, _ := b.claims(offers)
	if err := a.Reject(t.Context(), 486, "we are closed"); err != nil {
		t.Fatal(err)
	}
	refused(t, p, 486)
	over(t, a, call.Callee, 17, 486)
	if rec := b.ends(call.Callee, 17, 486); rec.Cause.Text != "we are closed" {
		t.Errorf("cause %v", rec.Cause)
	}
	p = b.from(alice, hour, nil)
	a, _ = b.claims(offers)
	if err := a.Hangup(t.Context(), call.SessionLost); err != nil {
		t.Fatal(err)
	}
	over(t, a, call.Callee, 31, 480)
	toBob(p, 2, "session lost")

	// The caller gives up.
	p = b.from(alice, hour, nil)
	a, _ = b.claims(offers)
	if err := p.Hangup(t.Context(), sip.Reason{}, 0); err != nil {
		t.Fatal(err)
	}
	over(t, a, call.Caller, 16, 487)
	b.ends(call.Caller, 16, 487)
	b.idle()
}

// fallsSilent has the application take an offered call, play early media and say nothing more, until the next hop has its turn; heard tells whether
// there was time for the caller to hear it.
func (b *bench) fallsSilent(from *siptest.Phone, number string, offers chan Offer) (p *siptest.Call, heard bool) {
	b.Helper()
	ha, st := newHandset(b.TB, 440), newStation(b.TB, 880)
	offer := ha.offer(media.Want{})
	p = b.from(from, number, offer.SDP())
	a, err := b.Claim("default", (<-offers).ID, "session-1")
	if err != nil || a.Progress(b.Context(), 183) != nil {
		return p, false
	}
	e := <-a.Events()
	if e.Kind != AppEarlyMedia {
		return p, false
	}
	st.attach(e.Endpoint)
	ep := e.Endpoint
	ha.takes(offer, p.Wait(sip.KindProgress).Body)
	for late := func() bool { return closed(a.Done()) }; !heard; {
		if _, heard = ha.window(880, late); !heard && late() {
			return p, false
		}
	}
	over(b.TB, a, call.System, 19, 480) // it is silent for too long
	if n := len(ep.Source(media.Pad{}).Sinks()); n != 0 {
		b.Errorf("the application still hears the caller, by %d links", n)
	}
	ha.deaf()
	if err := a.Hangup(b.Context(), call.Cause{}); !errors.Is(err, ErrNoCall) {
		b.Errorf("hangs up a call that isn't its own: %v", err)
	}
	return p, true
}

func TestAppsOfOtherTenants(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		withApp(s)
		s.Routes[5].Hops[0].App = "other"
	})
	for _, x := range [][2]string{{"default", "other"}, {"other", "ivr"}, {"default", "nobody"}} {
		var f *FieldError
		if _, err := b.Listen(x[0], x[1], func(Offer) {}); !errors.As(err, &f) || f.Field != "app" {
			t.Errorf("tenant %s listens as %s: %v", x[0], x[1], err)
		}
	}
	if apps := b.Apps("default"); len(apps) != 1 || apps[0].ID != "ivr" {
		t.Errorf("applications %+v", apps)
	}
	stop, err := b.Listen("other", "other", func(Offer) { t.Error("another tenant's call is offered") })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	alice := b.phone("alice")
	refused(t, b.from(alice, "7000", nil), 404)
	offers := b.listens("ivr")
	p := b.from(alice, "6000", nil)
	o := <-offers
	if _, err := b.Claim("other", o.ID, ""); !errors.Is(err, ErrNoCall) {
		t.Errorf("another tenant takes the call: %v", err)
	}
	a, err := b.Claim("default", o.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Reject(t.Context(), 603, ""); err != nil {
		t.Fatal(err)
	}
	refused(t, p, 603)
	b.idle()
}

func TestAppsJournalAtTheAnswer(t *testing.T) {
	t.Parallel()
	b := newBench(t, withApp)
	offers := b.listens("ivr")
	b.ledger.do(failing(call.KindAnswer, 1))
	p := b.from(b.phone("alice"), "6000", nil)
	a, _ := b.claims(offers)
	var r *Refusal
	if err := a.Accept(t.Context()); !errors.As(err, &r) || r.Cause.SIP != 503 {
		t.Errorf("accepted without a record: %v", err)
	}
	refused(t, p, 503)
	over(t, a, call.System, 41, 503)
	if rec := b.ends(call.System, 41, 503); rec.AnsweredAt != nil || rec.Bill != 0 {
		t.Errorf("answered: %+v", rec)
	}
	b.idle()
}

// After a crash the next process hangs up what applications left, and closes the records.
func TestRecoverAppsCalls(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() *billing.Store {
		s, err := billing.Open(t.Context(), billing.Config{Dir: dir, Database: billing.None, Node: "node"})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	dead := &mortal{Store: open(), died: make(chan struct{}), buried: make(chan struct{})}
	b := newBench(t, func(s *settings) { withApp(s); s.Journal = dead })
	offers := b.listens("ivr")
	out := b.dial(DialRequest{App: "ivr", Session: "s", To: "9123"})
	callee := b.carrier.Incoming()
	callee.Accept()
	expect(t, out, AppRinging)
	expect(t, out, AppAnswered)
	caller := b.from(b.phone("alice"), "7000", nil)
	in, _ := b.claims(offers)
	if err := in.Accept(t.Context()); err != nil {
		t.Fatal(err)
	}
	caller.Wait(sip.KindAnswered)
	time.Sleep(100 * time.Millisecond) // what was noted is on disk
	dead.die(b)
	store := open()
	lost := store.Unfinished()
	if len(lost) != 2 {
		t.Fatalf("%d calls are open, expected 2", len(lost))
	}
	for _, c := range lost {
		if c.AnsweredAt == nil || c.SessionID == "" {
			t.Errorf("record %+v", c)
		}
	}
	b.open(t, func(s *settings) {
		withApp(s)
		s.Journal = store
		s.front.Listen = []sip.Listen{{Network: "udp", Addr: b.addr}}
	})
	if err := b.Recover(t.Context(), lost, store.LastSign); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*siptest.Call{callee, caller} {
		if e := c.Wait(sip.KindEnded); e.Method != "BYE" {
			t.Errorf("ended %+v, expected by BYE", e)
		}
	}
	if err := errors.Join(b.Gateway.Close(), store.Close(context.Background())); err != nil {
		t.Fatal(err)
	}
	store = open()
	if n := len(store.Unfinished()); n != 0 {
		t.Errorf("%d calls are still open", n)
	}
	if err := store.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}
