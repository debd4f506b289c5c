package gateway

import (
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
)

// passedBy are the hops that a call's record says were passed by, with their SIP status.
func (b *bench) passedBy(id call.ID) map[string]int {
	out := map[string]int{}
	for _, e := range b.ledger.of(id) {
		if d, ok := e.Data.(call.Decision); ok && d.Passed != "" {
			out[d.Passed] = d.Cause.SIP
		}
	}
	return out
}

// A trunk that is full is passed by, whatever its table says; that stands in the record.
func TestFullTrunkIsPassedBy(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		s.Trunks[0].Out.Calls = 1
		s.Routes[1].Hops[0].Failover = Failover{}
	})
	alice := b.phone("alice")
	first := b.from(alice, "8123", nil)
	c := b.up(first, b.carrier, nil)
	next := b.from(alice, "8124", nil)
	d := b.up(next, b.second, nil)
	next.Bye()
	d.Wait(sip.KindEnded)
	rec := b.ends(call.Caller, 16, 200)
	if got := b.passedBy(rec.ID); len(got) != 1 || got["trunk:carrier"] != 503 || rec.Trunk != "second" || rec.Attempts != 1 {
		t.Errorf("passed by %v, record %+v", got, rec)
	}
	first.Bye()
	c.Wait(sip.KindEnded)
	b.idle()
}

// A carrier that asks for it is left alone: calls pass it by until its time is over.
func TestTrunkIsPutAside(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		s.Routes[1].Hops[0].Failover = Failover{Status: []int{5}, Later: []int{480}, Aside: time.Minute}
	})
	alice := b.phone("alice")
	// By its Retry-After.
	a := b.from(alice, "8123", nil)
	if err := b.carrier.Incoming().Reject(503, "", sip.Header{Name: "Retry-After", Value: "1 (full)"}); err != nil {
		t.Fatal(err)
	}
	c := b.up(a, b.second, nil)
	a.Bye()
	c.Wait(sip.KindEnded)
	rec := b.ends(call.Caller, 16, 200)
	if !b.noted(rec.ID, "trunk carrier is put aside for 1s") || rec.Attempts != 2 || rec.Legs[1].Cause.SIP != 503 {
		t.Errorf("record %+v", rec)
	}
	b.idle()
	a = b.from(alice, "8124", nil)
	c = b.up(a, b.second, nil)
	a.Bye()
	c.Wait(sip.KindEnded)
	if rec := b.ends(call.Caller, 16, 200); b.passedBy(rec.ID)["trunk:carrier"] != 503 || !b.noted(rec.ID, "put aside") || rec.Attempts != 1 {
		t.Errorf("record %+v", rec)
	}
	b.idle()
	eventually(t, "the trunk's time is over", func() bool { left, _ := b.trunks["carrier"].aside(); return left == 0 })
	// By its table.
	a = b.from(alice, "8125", nil)
	if err := b.carrier.Incoming().Reject(480, ""); err != nil {
		t.Fatal(err)
	}
	c = b.up(a, b.second, nil)
	a.Bye()
	c.Wait(sip.KindEnded)
	b.ends(call.Caller, 16, 200)
	if left, why := b.trunks["carrier"].aside(); left < 30*time.Second {
		t.Errorf("put aside for %v after %s, expected about a minute", left, why)
	}
}

// What is never tried again: busy and declined.
func TestBusyEndsTheSearch(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Routes[1].Hops[0].Failover = Failover{Retry: true, Status: []int{408, 5}} })
	alice := b.phone("alice")
	for status, q850 := range map[int]int{486: 17, 603: 21, 600: 17, 606: 88} {
		a := b.from(alice, "8123", nil)
		if err := b.carrier.Incoming().Reject(status, ""); err != nil {
			t.Fatal(err)
		}
		refused(t, a, status)
		if rec := b.ends(call.Callee, q850, status); rec.Attempts != 1 || !b.noted(rec.ID, "no further hop") {
			t.Errorf("record %+v", rec)
		}
	}
	b.idle()
}
