package gateway

import (
	"slices"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// withGroup adds the user carol (103) and a group (200) of all three, and a mobile phone by the carrier.
func withGroup(how Strategy, ring time.Duration, members ...Hop) func(*settings) {
	return func(s *settings) {
		carol := s.Users[1]
		carol.ID, carol.Login, carol.Password, carol.Numbers, carol.CallerID, carol.CallerName = "carol", "carol", "carol-pass", []string{"103"}, "103", "CAROL"
		s.Users = append(s.Users, carol)
		if members == nil {
			members = []Hop{{User: "bob"}, {User: "carol"}, {Trunk: "carrier", Number: "4917111"}}
		}
		s.Groups = []Group{{ID: "sales", Tenant: "default", Numbers: []string{"200"}, Members: members, Strategy: how, Ring: ring}}
	}
}

func (b *bench) rings(p *siptest.Phone) *siptest.Call {
	b.Helper()
	c := p.Incoming()
	if err := c.Progress(180, "", nil); err != nil {
		b.Fatal(err)
	}
	return c
}

// elsewhere expects that a callee's INVITE is taken back since somebody else has answered (RFC 3326).
func (b *bench) elsewhere(c *siptest.Call) {
	b.Helper()
	if e := c.Wait(sip.KindEnded); e.Method != "CANCEL" || e.Reason != (sip.Reason{Protocol: "SIP", Cause: 200, Text: "Call completed elsewhere"}) {
		b.Errorf("a callee that lost: %+v", e)
	}
}

// All ring; one is busy, which ends nothing; one answers, the others hear that.
func TestGroupRingsAll(t *testing.T) {
	t.Parallel()
	b := newBench(t, withGroup(Parallel, 5*time.Second))
	alice, bob, desk, mobile := b.phone("alice"), b.phone("bob"), b.phone("carol"), b.phone("carol")
	a := b.from(alice, "200", nil)
	if err := bob.Incoming().Reject(486, ""); err != nil {
		t.Fatal(err)
	}
	d, m, k := b.rings(desk), b.rings(mobile), b.rings(b.carrier)
	if n := k.Request().URI.User; n != "4917111" {
		t.Errorf("the carrier was asked for %s", n)
	}
	// Whose early media would be heard is chance: none is.
	if err := k.Progress(183, "", []byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	if e := a.Wait(sip.KindProgress); e.Status != 180 || len(e.Body) != 0 {
		t.Errorf("progress %d with %q, expected 180 alone", e.Status, e.Body)
	}
	if err := m.Answer([]byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	a.Wait(sip.KindAnswered)
	b.elsewhere(d)
	b.elsewhere(k)
	b.mu.Lock()
	busy := []int{b.busy["user:bob"], b.busy["user:carol"], b.busy["trunk:carrier"]}
	b.mu.Unlock()
	if !slices.Equal(busy, []int{0, 1, 0}) {
		t.Errorf("places of bob, carol and the trunk that are taken: %v, expected carol's", busy)
	}
	a.Bye()
	m.Wait(sip.KindEnded)
	rec := b.ends(call.Caller, 16, 200)
	if rec.Route != "group-sales" || rec.Attempts != 4 || len(rec.Legs) != 5 {
		t.Errorf("record %+v", rec)
	}
	causes := map[int]int{}
	for _, l := range rec.Legs[1:] {
		causes[l.Cause.Q850]++
	}
	if causes[17] != 1 || causes[26] != 2 || causes[16] != 1 {
		t.Errorf("causes of the legs %v, expected one busy, two elsewhere, one that talked", causes)
	}
	b.idle()
	if n := len(slices.DeleteFunc(b.ledger.order(), func(l string) bool { return l != "sent 180 INVITE users" })); n != 1 {
		t.Errorf("the caller was told %d times that it rings", n)
	}
}

// The caller hears early media when one alone is left.
func TestGroupsEarlyMedia(t *testing.T) {
	t.Parallel()
	b := newBench(t, withGroup(Parallel, 5*time.Second, Hop{User: "bob"}, Hop{Trunk: "carrier", Number: "4917111"}))
	alice, bob := b.phone("alice"), b.phone("bob")
	ha, hc := newHandset(t, 440), newHandset(t, 880)
	offer := ha.offer(media.Want{})
	a := b.from(alice, "200", offer.SDP())
	p, k := b.rings(bob), b.rings(b.carrier)
	a.Wait(sip.KindProgress)
	answer := hc.answers(k.Request().Body, media.Want{})
	if err := k.Progress(183, "", answer); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the carrier's early media is known", func() bool {
		list := b.ledger.records(t)
		return len(list) == 1 && list[0].EarlyMediaAt != nil
	})
	if err := p.Reject(486, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "bob's leg has ended", func() bool { l := b.ledger.records(t)[0].Leg(2); return l.EndedAt != nil })
	if err := k.Progress(183, "", answer); err != nil {
		t.Fatal(err)
	}
	e := a.Wait(sip.KindProgress)
	for e.Status == 180 { // sent again: an INVITE that was sent again crossed it
		e = a.Wait(sip.KindProgress)
	}
	if e.Status != 183 || len(e.Body) == 0 {
		t.Fatalf("progress %d without media", e.Status)
	}
	ha.takes(offer, e.Body)
	ha.hear(880)
	if err := a.Hangup(t.Context(), sip.Reason{}, 0); err != nil {
		t.Fatal(err)
	}
	k.Wait(sip.KindEnded)
	b.ends(call.Caller, 16, 487)
	b.idle()
}

// One after the other: who doesn't answer in time, or is busy, or away, is followed by the next.
func TestGroupRingsOneAfterTheOther(t *testing.T) {
	t.Parallel()
	b := newBench(t, withGroup(Sequential, 500*time.Millisecond, Hop{User: "bob"}, Hop{User: "carol"}, Hop{Trunk: "carrier", Number: "4917111"}, Hop{Trunk: "second", Number: "4917222"}))
	alice, bob := b.phone("alice"), b.phone("bob")
	a := b.from(alice, "200", nil)
	first := b.rings(bob)
	if e := first.Wait(sip.KindEnded); e.Method != "CANCEL" {
		t.Errorf("who didn't answer in time: %+v", e)
	}
	if err := b.carrier.Incoming().Reject(603, ""); err != nil { // carol isn't there
		t.Fatal(err)
	}
	c := b.up(a, b.second, nil)
	a.Bye()
	c.Wait(sip.KindEnded)
	rec := b.ends(call.Caller, 16, 200)
	if got := b.passedBy(rec.ID); rec.Attempts != 3 || got["user:carol"] != 480 || rec.Legs[1].Cause.Q850 != call.NoAnswer.Q850 || rec.Legs[2].Cause.SIP != 603 {
		t.Errorf("passed by %v, record %+v", got, rec)
	}
	b.idle()
}

// Nobody answers: the caller hears what was most definite, and a group's route can go on.
func TestGroupInVain(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		withGroup(Random, 300*time.Millisecond, Hop{User: "bob"}, Hop{User: "carol"})(s)
		s.Routes = append(s.Routes, Route{ID: "night", Tenant: "default", Source: []string{"trunk"}, Number: []string{"4940*"}, Hops: []Hop{
			{Group: "sales", Failover: Failover{Status: []int{480, 486}}}, {User: "alice", Ring: 5 * time.Second}}})
	})
	bob := b.phone("bob")
	a := b.from(b.carrier, "200", nil)
	if err := bob.Incoming().Reject(486, ""); err != nil {
		t.Fatal(err)
	}
	refused(t, a, 486)
	b.ends(call.Callee, 17, 486)
	alice := b.phone("alice")
	a = b.from(b.carrier, "4940", nil)
	b.rings(bob).Wait(sip.KindEnded)
	c := b.up(a, alice, nil)
	c.Bye()
	a.Wait(sip.KindEnded)
	b.ends(call.Callee, 16, 200)
	// The caller gives up while somebody rings.
	a = b.from(b.carrier, "200", nil)
	p := b.rings(bob)
	a.Wait(sip.KindProgress)
	if err := a.Hangup(t.Context(), sip.Reason{}, 0); err != nil {
		t.Fatal(err)
	}
	p.Wait(sip.KindEnded)
	if rec := b.ends(call.Caller, 16, 487); rec.Attempts > 1 {
		t.Errorf("record %+v", rec)
	}
	b.idle()
}
