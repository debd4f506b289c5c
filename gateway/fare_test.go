package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// owes is what an account has talked, and the calls that it has.
func (b *bench) owes(name string) (talk time.Duration, calls int) {
	a := b.accounts[name]
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Duration(a.hour.total(time.Now())), a.calls
}

// paid expects that an account has been counted what so many parties talked, at least talkTime and at most since they were called,
// once nothing is left of its calls.
func (b *bench) paid(name string, parties int, since time.Time) {
	b.Helper()
	b.idle()
	talk, calls := b.owes(name)
	least, most := time.Duration(parties)*talkTime, time.Duration(parties)*time.Since(since)
	if talk < least || talk > most || calls != 0 {
		b.Errorf("%s was counted %v of talk and has %d calls, expected %v to %v, and none", name, talk, calls, least, most)
	}
}

const talkTime = 400 * time.Millisecond

func replacing(c *siptest.Call) string {
	return c.CallID() + ";to-tag=" + c.RemoteTag() + ";from-tag=" + c.LocalTag()
}

// Who has called a number pays for it as long as that party talks, also once it is handed over.
func TestFareGoesWithATransferredParty(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Users[0].Toll.Calls = 1 })
	alice, bob := b.phone("alice"), b.phone("bob")
	began := time.Now()
	a := b.from(alice, "9123", nil)
	x := b.up(a, b.carrier, nil)
	b.refers(a, "sip:101@home.test", "")
	c := bob.Incoming()
	c.Accept()
	b.told(a, 100, 180, 200)
	a.Wait(sip.KindEnded)
	eventually(t, "the first call is over", func() bool { return b.Active() == 1 })
	if _, calls := b.owes("user:alice"); calls != 1 {
		t.Errorf("alice has %d calls out, expected the one that she has transferred", calls)
	}
	refused(t, b.from(alice, "9124", nil), 503)
	time.Sleep(talkTime)
	c.Bye()
	x.Wait(sip.KindEnded)
	b.paid("user:alice", 1, began)
	if talk, _ := b.owes("user:bob"); talk != 0 {
		t.Errorf("bob, who was called, was counted %v", talk)
	}
}

// A party that takes another's place goes on at the cost of who called it, whichever of two calls the transferor refers.
func TestFareOfAnAttendedTransfer(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{true, false} {
		b := newBench(t, func(s *settings) { s.Users[0].Toll.Hour = time.Hour })
		alice := b.phone("alice")
		began := time.Now()
		one := b.from(alice, "9123", nil)
		x := b.up(one, b.carrier, nil)
		two := b.from(alice, "9124", nil)
		y := b.up(two, b.carrier, nil)
		in, named := one, two
		if !first {
			in, named = two, one
		}
		b.refers(in, "sip:x@phone.invalid", replacing(named))
		b.told(in, 100, 200)
		in.Wait(sip.KindEnded)
		named.Wait(sip.KindEnded)
		eventually(t, "one call is left", func() bool { return b.Active() == 1 })
		if _, calls := b.owes("user:alice"); calls != 2 {
			t.Errorf("alice has %d calls out, expected both that she has joined", calls)
		}
		time.Sleep(talkTime)
		x.Bye()
		y.Wait(sip.KindEnded)
		b.paid("user:alice", 2, began)
		b.carries("49123", "49124")
	}
}

// carries expects that two calls of alice to numbers are on record of which one goes on with the other's party, by what that is rated by there: who has
// called it, the number, and what it has talked.
func (b *bench) carries(numbers ...string) {
	b.Helper()
	list := b.ledger.records(b.TB)
	got := map[string]int64{}
	var carried *call.Carried
	for _, c := range list {
		for _, x := range c.Talks() {
			if x.User != "alice" || x.In {
				b.Errorf("leg %d of call %s is paid by %+v, expected alice", x.Leg.No, c.To, x.Carried)
			}
			got[x.Number] += x.Talk
			if x.Leg.Carried != nil {
				carried = x.Leg.Carried
			}
		}
	}
	if len(list) != 2 || carried == nil || len(got) != len(numbers) || got[numbers[0]] < talkTime.Milliseconds() || got[numbers[1]] < talkTime.Milliseconds() {
		b.Fatalf("%d calls, talk by number: %v, carried %+v", len(list), got, carried)
	}
	from := list[0]
	if carried.From != from.ID {
		from = list[1]
	}
	if x := from.Talks(); len(x) != 1 || carried.From != from.ID || carried.TalkMS != x[0].Talk || carried.TalkMS != from.Bill || carried.Number != x[0].Number {
		b.Errorf("what was carried is %+v, expected it to be of %+v", carried, x)
	}
}

// What an account may talk ends a call that its party was handed over to.
func TestFareEndsATransferredCall(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Users[0].Toll.Duration = 1200 * time.Millisecond })
	alice, bob := b.phone("alice"), b.phone("bob")
	a := b.from(alice, "9123", nil)
	x := b.up(a, b.carrier, nil)
	b.refers(a, "sip:101@home.test", "")
	c := bob.Incoming()
	c.Accept()
	b.told(a, 100, 180, 200)
	x.Wait(sip.KindEnded)
	c.Wait(sip.KindEnded)
	b.idle()
	if rec := b.ledger.records(t)[1]; rec.EndedBy != call.System || !strings.Contains(rec.Cause.Text, "user:alice allows calls of 1.2s") {
		t.Errorf("record %+v", rec)
	}
}

// A group's member by a carrier costs who calls the group; a colleague who picks the call up costs nothing.
func TestFareOfAGroup(t *testing.T) {
	t.Parallel()
	for _, how := range []Strategy{Parallel, Sequential} {
		b := newBench(t, withGroup(how, 5*time.Second, Hop{Trunk: "carrier", Number: "4917111"}, Hop{User: "carol"}))
		alice, bob, carol := b.phone("alice"), b.phone("bob"), b.phone("carol")
		began := time.Now()
		a := b.from(alice, "200", nil)
		if how == Parallel {
			b.rings(carol)
		}
		c := b.up(a, b.carrier, nil)
		time.Sleep(talkTime)
		a.Bye()
		c.Wait(sip.KindEnded)
		b.paid("user:alice", 1, began)
		if how == Sequential {
			continue
		}
		before, _ := b.owes("user:alice")
		a = b.from(alice, "200", nil)
		rings := b.rings(carol)
		a.Wait(sip.KindProgress) // hers: she can be picked up
		far := b.rings(b.carrier)
		p := b.from(bob, "103", nil, sip.Header{Name: "Replaces", Value: replacing(rings) + ";early-only"})
		p.Wait(sip.KindAnswered)
		a.Wait(sip.KindAnswered)
		b.elsewhere(far)
		p.Bye()
		a.Wait(sip.KindEnded)
		b.idle()
		if now, calls := b.owes("user:alice"); now != before || calls != 0 {
			t.Errorf("alice was counted %v for a call inside, and has %d calls", now-before, calls)
		}
	}
}

// A carrier isn't asked to transfer to a number that who transfers may not call.
func TestTollOfACarriersTransfer(t *testing.T) {
	v := newVisit(t, func(s *settings) {
		s.Trunks[0].Refer = true
		s.Users[1].Toll = Toll{Deny: []string{"+49900"}, LockAfter: 2}
	})
	for range 2 {
		v.refers(v.b, "sip:990012@home.test", "")
		v.told(v.b, 100, 403)
	}
	if l := v.Locks(); len(l) != 1 || l[0].Account != "user:bob" {
		t.Errorf("locks %+v, expected bob's", l)
	}
	v.a.Bye()
	v.b.Wait(sip.KindEnded)
	v.idle()
	for _, line := range v.ledger.order() {
		if strings.Contains(line, "sent REFER") {
			t.Errorf("the carrier was asked: %s", line)
		}
	}
}

// Who wants to be private stays so through transfers: who transfers, and who is transferred.
func TestTransfersKeepPrivacy(t *testing.T) {
	t.Parallel()
	private := sip.Header{Name: "Privacy", Value: "id"}
	b := newBench(t, func(s *settings) {
		s.Trunks[0].Transfers, s.Trunks[0].Trusted, s.Trunks[1].Trusted = true, false, false
		s.Routes = append(s.Routes, Route{ID: "back", Tenant: "default", Source: []string{"trunk"}, Number: []string{"7*"}, Hops: []Hop{{Trunk: "second", Ring: 5 * time.Second}}})
	})
	alice, bob := b.phone("alice"), b.phone("bob")
	silent := func(r *sip.Request) {
		t.Helper()
		var all strings.Builder
		for _, h := range r.Headers {
			all.WriteString(h.Name + ": " + h.Value + "\n")
		}
		for _, s := range []string{r.From.String(), r.Contact.String(), all.String()} {
			if strings.Contains(s, "sip:100@") || strings.Contains(s, "ALICE") {
				t.Errorf("alice is told of in %q", s)
			}
		}
	}
	// alice transfers whom she called: bob's phone and the carrier aren't told who does.
	for to, who := range map[string]*siptest.Phone{"sip:101@home.test": bob, "sip:9777@home.test": b.carrier} {
		a := b.from(alice, "9123", nil, private)
		x := b.up(a, b.carrier, nil)
		b.refers(a, to, "")
		d := who.Incoming()
		silent(d.Request())
		d.Accept()
		b.told(a, 100, 180, 200)
		d.Bye()
		x.Wait(sip.KindEnded)
	}
	// The carrier transfers alice: neither bob nor another carrier is told whom.
	for to, who := range map[string]*siptest.Phone{"sip:4930101@carrier.test": bob, "sip:7123@carrier.test": b.second} {
		a := b.from(alice, "9123", nil, private)
		x := b.up(a, b.carrier, nil)
		b.refers(x, to, "")
		d := who.Incoming()
		silent(d.Request())
		d.Accept()
		x.Wait(sip.KindEnded)
		a.Bye()
		d.Wait(sip.KindEnded)
	}
	b.idle()
}

// A party that came from another call is shown as itself when it is transferred again.
func TestTransferredAgainIsItself(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	alice, bob := b.phone("alice"), b.phone("bob")
	a := b.from(alice, "9123", nil)
	x := b.up(a, b.carrier, nil)
	b.refers(a, "sip:101@home.test", "")
	c := bob.Incoming()
	c.Accept()
	b.told(a, 100, 180, 200)
	a.Wait(sip.KindEnded)
	b.refers(c, "sip:100@home.test", "")
	d := alice.Incoming()
	if who := d.Request().From.URI.User; who != "49123" {
		t.Errorf("alice is called by %s, expected the number that she had called herself", who)
	}
	d.Accept()
	b.told(c, 100, 180, 200)
	d.Bye()
	x.Wait(sip.KindEnded)
	b.idle()
}
