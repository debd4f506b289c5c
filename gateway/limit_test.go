package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name   string
		change func(*settings)
		in     bool // the second call comes from the trunk
		status int
		why    string
	}{
		{"calls", func(s *settings) { s.Limits.Calls = 1 }, false, 503, "gateway's limit of 1 calls"},
		{"user as caller", func(s *settings) { s.Users[0].MaxCalls = 1 }, false, 503, "limit of 1 calls of user:alice"},
		{"trunk as callee", func(s *settings) { s.Trunks[0].MaxCalls = 1 }, false, 503, "limit of 1 calls of trunk carrier"},
		{"trunk as caller", func(s *settings) { s.Trunks[0].MaxCalls = 1 }, true, 503, "limit of 1 calls of trunk:carrier"},
		{"user as callee", func(s *settings) { s.Users[0].MaxCalls = 1; s.Routes[2].Hops[0].User = "alice" }, true, 486, "limit of 1 calls of user alice"},
	} {
		t.Run(x.name, func(t *testing.T) {
			b := newBench(t, x.change)
			alice := b.phone("alice")
			for range 2 { // the place is free again afterwards
				a := b.from(alice, "9123", nil)
				c := b.up(a, b.carrier, nil)
				second := alice
				number := "9124"
				if x.in {
					second, number = b.carrier, "4930100"
				}
				e := refused(t, b.from(second, number, nil), x.status)
				if x.status == 503 && e.Headers.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
				var rec *call.Call
				eventually(t, "the refused call's record", func() bool {
					list := b.ledger.records(t)
					rec = list[len(list)-1]
					return rec.State == call.Closed
				})
				if !b.noted(rec.ID, x.why) || rec.EndedBy != call.System || rec.Cause.SIP != x.status {
					t.Errorf("record %+v doesn't say %q", rec, x.why)
				}
				a.Bye()
				c.Wait(sip.KindEnded)
				b.idle()
			}
		})
	}
}

// Calls of all kinds leave nothing behind.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	alice, bob := b.phone("alice"), b.phone("bob")
	const rounds, kinds = 40, 5
	var wg sync.WaitGroup
	wg.Go(func() {
		for range rounds { // answered
			a := b.from(alice, "9123", nil)
			c := b.up(a, b.carrier, nil)
			a.Bye()
			c.Wait(sip.KindEnded)
		}
		for range rounds { // busy
			a := b.from(alice, "9123", nil)
			if err := b.carrier.Incoming().Reject(486, ""); err != nil {
				t.Error(err)
			}
			refused(t, a, 486)
		}
		for range rounds { // cancelled
			a := b.from(alice, "9123", nil)
			c := b.carrier.Incoming()
			if err := a.Hangup(context.Background(), sip.Reason{}, 0); err != nil {
				t.Error(err)
			}
			c.Wait(sip.KindEnded)
		}
	})
	wg.Go(func() {
		for range rounds { // hung up by the callee
			a := b.from(b.second, "4930101", nil)
			c := b.up(a, bob, nil)
			c.Bye()
			a.Wait(sip.KindEnded)
		}
		for range rounds {
			refused(t, b.from(b.second, "555", nil), 404)
		}
	})
	wg.Wait()
	b.idle()
	s := b.Status()
	var sum uint64
	for _, n := range s.Results {
		sum += n
	}
	if s.Begun != rounds*kinds || sum != rounds*kinds || s.Answered != 2*rounds || s.Failed != 3*rounds || s.Results["486"] != rounds || s.Results["487"] != rounds {
		t.Errorf("status %+v", s)
	}
	for _, rec := range b.ledger.records(t) {
		if rec.State != call.Closed {
			t.Errorf("record %s is %s", rec.ID, rec.State)
		}
	}
}

func TestMaximumDuration(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Limits.Duration = 200 * time.Millisecond })
	a := b.from(b.phone("alice"), "9123", nil)
	c := b.up(a, b.carrier, nil)
	a.Wait(sip.KindEnded)
	c.Wait(sip.KindEnded)
	if rec := b.ends(call.System, 16, 200); rec.Cause.Text != call.TooLong.Text || rec.Bill < 190 || rec.Bill > 1000 {
		t.Errorf("record %+v", rec)
	}
	b.idle()
}

func TestOperator(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Users[0].DTMF = "info" })
	h := b.Handler()
	ask := func(method, path, body string, status int) string {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		if w.Code != status {
			t.Fatalf("%s %s: %d %s, expected %d", method, path, w.Code, w.Body, status)
		}
		return w.Body.String()
	}
	if got := ask("GET", "/calls", "", http.StatusOK); strings.TrimSpace(got) != "[]" {
		t.Errorf("calls %s", got)
	}
	a := b.from(b.phone("alice"), "9123", nil)
	c := b.up(a, b.carrier, nil)
	id := b.Live()[0].ID.String()
	for path, want := range map[string]string{"/calls": id, "/trunks": `"static"`, "/users": "alice"} {
		if got := ask("GET", path, "", http.StatusOK); !strings.Contains(got, want) {
			t.Errorf("%s: %s", path, got)
		}
	}
	ask("POST", "/calls/"+id+"/digits", `{"leg": 1, "digits": "5"}`, http.StatusNoContent)
	if e := a.Wait(sip.KindInfo); !strings.Contains(string(e.Body), "Signal=5") {
		t.Errorf("INFO %q", e.Body)
	}
	for _, x := range []struct {
		id, body string
		status   int
	}{{id, `{"leg": 1, "digits": "5y"}`, 400}, {id, `{"leg": 0, "digits": "5"}`, 400}, {id, `{"digit": 5}`, 400}, {id, `{"leg": 9, "digits": "5"}`, 409},
		{call.NewID().String(), `{"leg": 1, "digits": "5"}`, 404}, {"nonsense", `{"leg": 1, "digits": "5"}`, 400}} {
		ask("POST", "/calls/"+x.id+"/digits", x.body, x.status)
	}
	ask("DELETE", "/calls/nonsense", "", http.StatusBadRequest)
	ask("DELETE", "/calls/"+id, "", http.StatusNoContent)
	a.Wait(sip.KindEnded)
	c.Wait(sip.KindEnded)
	b.ends(call.Admin, 16, 200)
	b.idle()
	ask("DELETE", "/calls/"+id, "", http.StatusNotFound)

	a = b.from(b.carrier, "4930101", nil) // and a call that still rings
	refused(t, a, 480)
	bob := b.phone("bob")
	a = b.from(b.carrier, "4930101", nil)
	c = bob.Incoming()
	if err := c.Progress(180, "", nil); err != nil {
		t.Fatal(err)
	}
	a.Wait(sip.KindProgress)
	ask("DELETE", "/calls/"+b.Live()[0].ID.String(), "", http.StatusNoContent)
	refused(t, a, 480)
	c.Wait(sip.KindEnded)
	b.ends(call.Admin, 16, 0)
	b.idle()
}

func TestDrain(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	alice := b.phone("alice")
	a := b.from(alice, "9123", nil)
	c := b.up(a, b.carrier, nil)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, 400*time.Millisecond) }()
	stop()
	eventually(t, "it drains", func() bool { return b.Status().Draining })
	refused(t, b.from(alice, "9124", nil), 503)
	if err := a.Info(t.Context(), "application/dtmf", []byte("1")); err != nil {
		t.Error(err) // goes on
	}
	if e := a.Wait(sip.KindEnded); e.Reason.Cause != call.ShuttingDown.Q850 {
		t.Errorf("ended %+v", e)
	}
	c.Wait(sip.KindEnded)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.idle()
	refused(t, b.from(alice, "9124", nil), 503) // after the last call has left, too
	b.ends(call.System, 31, 503)
	b.idle()
	if first := b.ledger.records(t)[0]; first.EndedBy != call.System || first.Cause.Q850 != 31 || first.AnsweredAt == nil {
		t.Errorf("record %+v", first)
	}
}

// Close with calls up closes their records and hangs up, though a peer doesn't answer.
func TestCloseWithCalls(t *testing.T) {
	t.Parallel()
	peer := siptest.NewPeer(t, netip.AddrPort{})
	b := newBench(t, func(s *settings) { s.Trunks[0].Proxy.Port = peer.Addr().Port() })
	alice := b.phone("alice")
	a := b.from(alice, "9123", nil)
	inv := peer.Request("INVITE")
	peer.Reply(inv, 200, "peer", siptest.SDP, peer.Contact())
	peer.Request("ACK")
	a.Wait(sip.KindAnswered)
	ringing := b.from(alice, "101", nil) // nobody is there
	refused(t, ringing, 480)
	began := time.Now()
	if err := b.Gateway.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > closeTime+time.Second {
		t.Errorf("closing took %v", took)
	}
	peer.Request("BYE")
	if rec := b.ledger.records(t)[0]; rec.State != call.Closed || rec.EndedBy != call.System {
		t.Errorf("record %+v", rec)
	}
}

// purse is a charger that grants what a test says.
type purse struct {
	mu      sync.Mutex
	grants  []Grant
	refuse  *Refusal
	settled []Used
	of      []string // ids of the grants that were settled
}

func (p *purse) Authorize(context.Context, *call.Call) (Grant, error) {
	p.mu.Lock()
	refuse := p.refuse
	p.mu.Unlock()
	if refuse != nil {
		return Grant{}, refuse
	}
	return p.Extend(context.Background(), Grant{})
}

func (p *purse) Extend(context.Context, Grant) (Grant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.grants) == 0 {
		return Grant{}, errors.New("nothing is left")
	}
	g := p.grants[0]
	p.grants = p.grants[1:]
	return g, nil
}

func (p *purse) Settle(g Grant, u Used) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settled, p.of = append(p.settled, u), append(p.of, g.ID)
}

func TestCharger(t *testing.T) {
	t.Parallel()
	p := &purse{grants: []Grant{{For: 60 * time.Millisecond}, {For: 60 * time.Millisecond, Final: true}, {}, {}}}
	b := newBench(t, func(s *settings) { s.Charger = p })
	alice := b.phone("alice")
	a := b.from(alice, "9123", nil)
	c := b.up(a, b.carrier, nil)
	a.Wait(sip.KindEnded)
	c.Wait(sip.KindEnded)
	if rec := b.ends(call.System, 16, 200); rec.Cause.Text != "credit is used up" || rec.Bill < 100 {
		t.Errorf("record %+v", rec)
	}
	a = b.from(alice, "9123", nil)
	if err := b.carrier.Incoming().Reject(486, ""); err != nil {
		t.Fatal(err)
	}
	refused(t, a, 486)
	b.idle()
	p.mu.Lock()
	settled := len(p.settled)
	if settled != 2 || p.settled[0].Talk < 100*time.Millisecond || p.settled[1].Talk != 0 || p.settled[1].Cause.SIP != 486 {
		t.Errorf("settled %+v", p.settled)
	}
	p.refuse = &Refusal{call.Cause{Q850: 21, SIP: 403, Text: "no credit"}}
	p.mu.Unlock()
	refused(t, b.from(alice, "9123", nil), 403)
	b.ends(call.System, 21, 403)
	b.idle()
	if len(p.settled) != settled {
		t.Error("what wasn't granted was settled")
	}
}

func TestTrunkRegistersAndIsFoundByName(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		s.Trunks[0].Proxy.Host = "sip.carrier.test"
		s.Trunks[1].Register, s.Trunks[1].User, s.Trunks[1].Registrar = true, "account", s.Trunks[1].Proxy
		s.front.Resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
			if host != "sip.carrier.test" {
				return nil, fmt.Errorf("no host %s", host)
			}
			return []netip.Addr{loopback}, nil
		}
	})
	alice, bob := b.phone("alice"), b.phone("bob")
	refusedTrunk := b.trunks["second"]
	if refusedTrunk.up() {
		t.Error("a trunk that never registered is up")
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, time.Second) }()
	eventually(t, "the name is resolved", func() bool {
		k := b.trunks["carrier"]
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.sources[loopback]
	})
	a := b.from(b.carrier, "4930101", nil)
	c := b.up(a, bob, nil)
	a.Bye()
	c.Wait(sip.KindEnded)
	b.ends(call.Caller, 16, 200)
	// The second trunk's registrar refuses (405): it isn't dialled.
	eventually(t, "the registration fails", func() bool { return b.Status().Trunks[1].Error != "" })
	a = b.from(alice, "8123", nil)
	if err := b.carrier.Incoming().Reject(503, ""); err != nil {
		t.Fatal(err)
	}
	refused(t, a, 503)
	if rec := b.ends(call.System, 38, 503); !b.noted(rec.ID, "trunk second is not registered") {
		t.Errorf("record %+v", rec)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestRegistrationsSurvive(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/registrations.json"
	b := newBench(t, func(s *settings) { s.Bindings = file })
	bob := b.phone("bob")
	if err := errors.Join(b.Gateway.Close(), b.front.Close()); err != nil {
		t.Fatal(err)
	}
	b.open(t, func(s *settings) {
		s.Bindings = file
		for i := range s.front.Listen {
			s.front.Listen[i].Addr = netip.AddrPortFrom(loopback, b.addr.Port())
		}
		s.front.Listen = s.front.Listen[:1]
	})
	a := b.from(b.carrier, "4930101", nil)
	c := b.up(a, bob, nil)
	a.Bye()
	c.Wait(sip.KindEnded)
	b.ends(call.Caller, 16, 200)
}
