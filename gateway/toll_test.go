package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/gateway/numbering"
	"github.com/patchbay/patchbay/sip"
)

func TestTollLists(t *testing.T) {
	for _, x := range []struct {
		allow, deny []string
		number      string
		may         bool
	}{
		{nil, nil, "+49900", true},
		{nil, []string{"+49900"}, "+49900123", false},
		{nil, []string{"+49900"}, "0049900123", false},
		{nil, []string{"+49900"}, "49900123", false},
		{nil, []string{"+49900"}, "+4990", true},
		{[]string{"+49"}, nil, "+4930", true},
		{[]string{"+49"}, nil, "+4330", false},
		{[]string{"+49"}, []string{"+49900"}, "+49900", false},
		{[]string{"+49", "+4990012"}, []string{"+49900"}, "+49900123", true},
		{[]string{"+4930"}, []string{"+49"}, "+49301", true},
		{[]string{"+49"}, []string{"+49"}, "+49301", false},
		{nil, []string{""}, "+49301", false},
	} {
		if got := newAccount("user:a", Toll{Allow: x.allow, Deny: x.deny}).may(x.number); got != x.may {
			t.Errorf("allow %v, deny %v: %s is allowed: %v", x.allow, x.deny, x.number, got)
		}
	}
}

// Numbers that are dear by their kind are refused though nobody lists them, unless allow names more of them than their country.
func TestTollPremium(t *testing.T) {
	for _, x := range []struct {
		allow  []string
		number string
		may    bool
	}{
		{nil, "+499001234567", false},
		{nil, "00499001234567", false},
		{[]string{"+49"}, "+499001234567", false},
		{[]string{"+499"}, "+499001234567", true},
		{[]string{"+49900"}, "+499001234567", true},
		{nil, "+19002345678", false},
		{nil, "+449098790000", false},
		{nil, "+881612345678", false},
		{nil, "+882161234567", false},
		{nil, "+979123456789", false},
		{nil, "+870773111632", false},
		{[]string{"+881"}, "+881612345678", true},
		{nil, "+4930123456", true},
		{nil, "+15551234567", true},
		{nil, "09001234567", true}, // whose country isn't known
		{nil, "402", true},
	} {
		a := newAccount("user:a", Toll{Allow: x.allow, NoPremium: true, LockAfter: 1})
		cause, locks := a.refuses(x.number, numbering.Told{}, time.Now())
		if got := cause.IsZero(); got != x.may || locks == x.may {
			t.Errorf("allow %v: %s is allowed: %v, locks: %v (%v)", x.allow, x.number, got, locks, cause)
		}
		if a = newAccount("user:a", Toll{}); !a.may(x.number) || a.dear(x.number) != "" {
			t.Errorf("%s is refused by an account without bounds", x.number)
		}
	}
}

func TestTollWindows(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	a := newAccount("user:a", Toll{Hour: 10 * time.Minute, Day: 30 * time.Minute, SpendDay: price(t, "2")})
	at := func(d time.Duration) time.Time { return now.Add(d) }
	if !a.uses(at(0), 9*time.Minute, 0) || a.uses(at(time.Minute), time.Minute, 0) {
		t.Error("ten minutes within an hour: expected nine to be allowed and ten to be all")
	}
	if cause, _ := a.refuses("1", numbering.Told{}, at(30*time.Minute)); cause.SIP != 403 || !strings.Contains(cause.Text, "may talk is used up") {
		t.Errorf("half an hour later: %v", cause)
	}
	if cause, _ := a.refuses("1", numbering.Told{}, at(62*time.Minute)); !cause.IsZero() {
		t.Errorf("an hour later: %v", cause)
	}
	a.uses(at(2*time.Hour), 9*time.Minute, 0)
	if left, bound := a.left(at(2*time.Hour), 0); !bound || left != time.Minute {
		t.Errorf("%v are left", left)
	}
	a.uses(at(4*time.Hour), 9*time.Minute, price(t, "1.5"))
	if left, bound := a.left(at(6*time.Hour), price(t, "1")); !bound || left != 30*time.Second {
		t.Errorf("%v are left at a price", left)
	}
	if cause, _ := a.refuses("1", numbering.Told{}, at(6*time.Hour)); !cause.IsZero() {
		t.Errorf("with 2 minutes of the day left: %v", cause)
	}
	a.uses(at(8*time.Hour), time.Minute, price(t, "0.5"))
	if cause, _ := a.refuses("1", numbering.Told{}, at(9*time.Hour)); !strings.Contains(cause.Text, "may spend is used up") {
		t.Errorf("all is spent: %v", cause)
	}
	if cause, _ := a.refuses("1", numbering.Told{}, at(40*time.Hour)); !cause.IsZero() {
		t.Errorf("the next day: %v", cause)
	}
}

// Who has stolen a password reaches no premium number: the account is locked at the third, which its record says, until somebody
// unlocks it; others call on.
func TestTollAttack(t *testing.T) { t.Run("attack_toll_fraud", tollFraud) }

func tollFraud(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "locks.json")
	b := newBench(t, func(s *settings) {
		s.Locks = file
		for i := range s.Users {
			s.Users[i].Toll = Toll{Deny: []string{"+49900"}, LockAfter: 3}
		}
	})
	thief, bob := b.phone("alice"), b.phone("bob")
	for i := range 50 {
		refused(t, b.from(thief, fmt.Sprintf("9900%02d", i), nil), 403)
	}
	if slicesContain(b.ledger.order(), "sent INVITE trunk:carrier") {
		t.Error("a call has reached the carrier")
	}
	alarms := 0
	for i, rec := range b.ledger.records(t) {
		for _, e := range b.ledger.of(rec.ID) {
			if d, ok := e.Data.(call.Alarm); ok {
				if alarms++; i != 2 || d.Account != "user:alice" {
					t.Errorf("call %d: alarm %+v, expected one, of the third", i, d)
				}
			}
		}
		if rec.Cause.SIP != 403 || i > 2 != b.noted(rec.ID, "are locked") {
			t.Errorf("call %d: %v", i, rec.Cause)
		}
	}
	locks := b.Locks()
	if _, barred, locked := b.Tolls(); alarms != 1 || locked != 1 || barred != 50 || len(locks) != 1 || locks[0].Account != "user:alice" {
		t.Errorf("%d alarms, %d times locked, locks %+v", alarms, locked, locks)
	}
	// No number at all goes out, but calls inside do; and others aren't concerned.
	refused(t, b.from(thief, "9123", nil), 403)
	a := b.from(thief, "101", nil)
	c := b.up(a, bob, nil)
	a.Bye()
	c.Wait(sip.KindEnded)
	a = b.from(bob, "9123", nil)
	c = b.up(a, b.carrier, nil)
	a.Bye()
	c.Wait(sip.KindEnded)
	b.idle()
	// It outlives a restart.
	again := &Gateway{cfg: b.cfg, accounts: map[string]*account{}}
	if err := again.openAccounts(); err != nil {
		t.Fatal(err)
	}
	if l := again.Locks(); len(l) != 1 || l[0].Why != locks[0].Why || !l[0].Since.Equal(locks[0].Since) {
		t.Errorf("after a restart %+v", l)
	}
	for _, x := range []struct {
		method, path string
		status       int
		says         string
	}{{"GET", "/locks", 200, "user:alice"}, {"DELETE", "/locks/user:bob", 404, "isn't locked"}, {"DELETE", "/locks/user:alice", 204, ""}, {"GET", "/locks", 200, "[]"}} {
		w := httptest.NewRecorder()
		b.Handler().ServeHTTP(w, httptest.NewRequest(x.method, x.path, http.NoBody))
		if w.Code != x.status || !strings.Contains(w.Body.String(), x.says) {
			t.Errorf("%s %s: %d %s", x.method, x.path, w.Code, w.Body)
		}
	}
	if err := b.Unlock("user:alice"); !errors.Is(err, ErrNotLocked) {
		t.Errorf("unlocked twice: %v", err)
	}
	a = b.from(thief, "9123", nil)
	c = b.up(a, b.carrier, nil)
	a.Bye()
	c.Wait(sip.KindEnded)
	b.idle()
}

func slicesContain(list []string, s string) bool {
	return strings.Contains(strings.Join(list, "\n"), s)
}

// What a tenant may call, and how often at a time, holds for its users together; what is refused goes to no other hop.
func TestTollOfTenant(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		s.Tenants = []Tenant{{ID: "default", Toll: Toll{Allow: []string{"+491", "8"}, Calls: 2}}}
	})
	alice, bob := b.phone("alice"), b.phone("bob")
	refused(t, b.from(alice, "9223", nil), 403)
	first := b.from(alice, "9123", nil)
	c := b.up(first, b.carrier, nil)
	second := b.from(bob, "8123", nil)
	d := b.up(second, b.carrier, nil)
	refused(t, b.from(bob, "8123", nil), 503)
	if rec := b.ends(call.System, 34, 503); rec.Attempts != 0 || !b.noted(rec.ID, "limit of 2 calls out of tenant:default") {
		t.Errorf("record %+v", rec)
	}
	first.Bye()
	c.Wait(sip.KindEnded)
	eventually(t, "there is room again", func() bool { a := b.accounts["tenant:default"]; a.mu.Lock(); defer a.mu.Unlock(); return a.calls == 1 })
	first = b.from(alice, "9123", nil)
	c = b.up(first, b.carrier, nil)
	for _, x := range []interface{ Bye() }{first, second} {
		x.Bye()
	}
	c.Wait(sip.KindEnded)
	d.Wait(sip.KindEnded)
	b.idle()
}

// The one who forwards has the rights, and pays; who called has nothing to do with it.
func TestTollOfForwarder(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		s.Users[0].Toll.Deny = []string{"+49"}
		s.Users[1].Forward.Always = "9123"
		withGroup(Parallel, time.Second)(s)
		s.Users[2].Toll, s.Users[2].Forward.Always = Toll{Deny: []string{"+49"}}, "9123"
	})
	alice := b.phone("alice")
	a := b.from(alice, "101", nil)
	c := b.up(a, b.carrier, nil)
	a.Bye()
	c.Wait(sip.KindEnded)
	b.idle()
	for name, want := range map[string]bool{"user:alice": false, "user:bob": true} {
		if got := b.accounts[name].hour.total(time.Now()) > 0; got != want {
			t.Errorf("%s pays: %v", name, got)
		}
	}
	refused(t, b.from(b.carrier, "103", nil), 403)
	if rec := b.ends(call.System, 21, 403); !b.noted(rec.ID, "none of the numbers that user:carol may call") {
		t.Errorf("record %+v", rec)
	}
	b.idle()
}

// A call ends when the account has no more.
func TestTollEndsACall(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*settings){
		"longest call": func(s *settings) { s.Users[0].Toll.Duration = 200 * time.Millisecond },
		"minutes":      func(s *settings) { s.Users[0].Toll.Hour = 1100 * time.Millisecond },
		"spend": func(s *settings) {
			s.Users[0].Toll.SpendHour = price(t, "1")
			s.Routes[0].Hops[0].Cost, s.Routes[0].Hops[0].Priced = price(t, "55"), true
		},
		"spend, by the charger's price": func(s *settings) {
			s.Users[0].Toll.SpendDay = price(t, "1")
			s.Charger = &purse{grants: []Grant{{Price: price(t, "55")}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, change)
			a := b.from(b.phone("alice"), "9123", nil)
			c := b.up(a, b.carrier, nil)
			a.Wait(sip.KindEnded)
			c.Wait(sip.KindEnded)
			rec := b.record()
			if rec.EndedBy != call.System || !strings.Contains(rec.Cause.Text, "user:alice") || rec.Bill > 5000 {
				t.Errorf("record %+v", rec)
			}
			b.idle()
		})
	}
}

func TestOutcomesAreCounted(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Routes[1].Hops[0].Failover.Status = []int{480, 5} })
	alice := b.phone("alice")
	for _, status := range []int{486, 404} {
		a := b.from(alice, "9123", nil)
		if err := b.carrier.Incoming().Reject(status, ""); err != nil {
			t.Fatal(err)
		}
		refused(t, a, status)
	}
	a := b.from(alice, "8123", nil)
	if err := b.carrier.Incoming().Reject(503, ""); err != nil {
		t.Fatal(err)
	}
	c := b.up(a, b.second, nil)
	a.Bye()
	c.Wait(sip.KindEnded)
	refused(t, b.from(alice, "101", nil), 480)
	b.idle()
	routes, attempts := b.Outcomes()
	for o, want := range map[RouteOutcome]uint64{{"out", "failed"}: 2, {"over", "answered"}: 1, {"users", "failed"}: 1} {
		if routes[o] != want {
			t.Errorf("%+v: %d, expected %d", o, routes[o], want)
		}
	}
	for o, want := range map[TrunkOutcome]uint64{{"carrier", "busy"}: 1, {"carrier", "refused"}: 1, {"carrier", "failed"}: 1, {"second", "answered"}: 1} {
		if attempts[o] != want {
			t.Errorf("%+v: %d, expected %d", o, attempts[o], want)
		}
	}
}
