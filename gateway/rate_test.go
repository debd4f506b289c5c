package gateway

import (
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

func TestBucket(t *testing.T) {
	var b bucket
	now := time.Now()
	taken := func(rate float64) (n int) {
		for b.take(rate, now) && n < 100 {
			n++
		}
		return n
	}
	if n := taken(3); n != 3 {
		t.Errorf("%d calls at once, want 3", n)
	}
	now = now.Add(400 * time.Millisecond)
	if n := taken(3); n != 1 {
		t.Errorf("%d calls after 0.4 s, want 1", n)
	}
	now = now.Add(time.Hour)
	if n := taken(3); n != 3 {
		t.Errorf("%d calls after an hour, want 3", n)
	}
	var slow bucket
	if !slow.take(0.1, now) || slow.take(0.1, now.Add(9*time.Second)) || !slow.take(0.1, now.Add(11*time.Second)) {
		t.Error("one call in ten seconds isn't")
	}
	if !slow.take(0, now) {
		t.Error("a rate of 0 is a bound")
	}
}

// TestBoundsOfTrunks: each direction of a trunk has its own bounds, and what a call took is given back.
func TestBoundsOfTrunks(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		s.Trunks[0].In.Calls = 1
		s.Trunks[0].Out.Calls = 1
	})
	alice, bob := b.phone("alice"), b.phone("bob")
	in := b.from(b.carrier, "4930101", nil)
	there := b.up(in, bob, nil)
	refused(t, b.from(b.carrier, "4930101", nil), 503)
	if rec := b.ends(call.System, 34, 503); !b.noted(rec.ID, "the limit of 1 calls from trunk:carrier is reached") {
		t.Errorf("record %+v", rec)
	}
	out := b.from(alice, "9123", nil) // the other way is free
	far := b.up(out, b.carrier, nil)
	refused(t, b.from(bob, "9124", nil), 503)
	if rec := b.ends(call.System, 34, 503); !b.noted(rec.ID, "the limit of 1 calls to trunk carrier is reached") {
		t.Errorf("record %+v", rec)
	}
	out.Bye()
	far.Wait(sip.KindEnded)
	eventually(t, "the place is given back", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.busy["trunk:carrier"+outward] == 0
	})
	out = b.from(alice, "9125", nil)
	far = b.up(out, b.carrier, nil)
	in.Bye()
	there.Wait(sip.KindEnded)
	out.Bye()
	far.Wait(sip.KindEnded)
	b.idle()
	if len(b.busy) != 0 {
		t.Errorf("after all calls %v is taken", b.busy)
	}
}

func TestRateOfUsers(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Users[0].Rate = 0.01 })
	alice := b.phone("alice")
	a := b.from(alice, "9123", nil)
	c := b.up(a, b.carrier, nil)
	refused(t, b.from(alice, "9124", nil), 503)
	if rec := b.ends(call.System, 34, 503); !b.noted(rec.ID, "more than 0.01 calls a second from user:alice") {
		t.Errorf("record %+v", rec)
	}
	a.Bye()
	c.Wait(sip.KindEnded)
	b.idle()
}

func TestDurationOfTrunks(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Trunks[0].Duration = 300 * time.Millisecond })
	a := b.from(b.phone("alice"), "9123", nil)
	c := b.up(a, b.carrier, nil)
	a.Wait(sip.KindEnded)
	c.Wait(sip.KindEnded)
	b.ends(call.System, call.TooLong.Q850, 200)
}

// Who is told busy rather than to try elsewhere: callers beyond a bound of a trunk that says so, either way, and of users. Another hop is
// tried all the same, and a full trunk of another kind says 503.
func TestBoundsThatMeanBusy(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		s.Trunks[0].In.Rate, s.Trunks[0].Out.Rate, s.Trunks[0].Full = 0.01, 0.01, 486
		s.Users[1].Rate, s.Limits.Full = 0.01, 486
	})
	alice, bob := b.phone("alice"), b.phone("bob")
	for _, x := range []struct {
		name   string
		caller func() *siptest.Call
		callee *siptest.Phone
		why    string
	}{
		{"to the trunk", func() *siptest.Call { return b.from(alice, "9123", nil) }, b.carrier, "more than 0.01 calls a second to trunk carrier"},
		{"from the trunk", func() *siptest.Call { return b.from(b.carrier, "4930101", nil) }, bob, "more than 0.01 calls a second from trunk:carrier"},
		{"from a user", func() *siptest.Call { return b.from(bob, "100", nil) }, alice, "more than 0.01 calls a second from user:bob"},
	} {
		a := x.caller()
		c := b.up(a, x.callee, nil)
		refused(t, x.caller(), 486)
		if rec := b.ends(call.System, 34, 486); !b.noted(rec.ID, x.why) {
			t.Errorf("%s: record %+v", x.name, rec)
		}
		a.Bye()
		c.Wait(sip.KindEnded)
	}
	b.idle()
}
