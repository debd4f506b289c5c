package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
)

// A grant goes with the party that it was given for: it isn't settled before that party's talk is over, with all of it.
func TestGrantGoesWithATransferredParty(t *testing.T) {
	t.Parallel()
	p := &purse{grants: []Grant{{ID: "carrier"}, {ID: "bob"}}}
	b := newBench(t, func(s *settings) { s.Charger = p })
	alice, bob := b.phone("alice"), b.phone("bob")
	began := time.Now()
	a := b.from(alice, "9123", nil)
	x := b.up(a, b.carrier, nil)
	up := time.Now()
	b.refers(a, "sip:101@home.test", "")
	c := bob.Incoming()
	c.Accept()
	b.told(a, 100, 180, 200)
	a.Wait(sip.KindEnded)
	eventually(t, "the first call is over", func() bool { return b.Active() == 1 })
	time.Sleep(talkTime)
	p.mu.Lock()
	if len(p.settled) != 0 {
		t.Errorf("%v is settled while its party talks on", p.of)
	}
	p.mu.Unlock()
	ended := time.Now()
	c.Bye()
	x.Wait(sip.KindEnded)
	b.idle()
	got := map[string]time.Duration{}
	for i, id := range p.of {
		got[id] = p.settled[i].Talk
	}
	if talk := got["carrier"]; len(p.of) != 2 || talk < ended.Sub(up) || talk > time.Since(began) || got["bob"] < talkTime || got["bob"] > talk {
		t.Errorf("settled %v, the carrier's party has talked for at least %v", got, ended.Sub(up))
	}
}

// What a grant allows ends the call that its party has gone to, on time.
func TestGrantEndsATransferredCall(t *testing.T) {
	t.Parallel()
	p := &purse{grants: []Grant{{ID: "carrier", For: 1500 * time.Millisecond, Final: true}, {ID: "bob"}}}
	b := newBench(t, func(s *settings) { s.Charger = p })
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
	if rec := b.ledger.records(t)[1]; rec.EndedBy != call.System || rec.Cause.Text != "credit is used up" || fmt.Sprint(p.of) != "[bob carrier]" && fmt.Sprint(p.of) != "[carrier bob]" {
		t.Errorf("settled %v, record %+v", p.of, rec)
	}
}

// A party that comes by an attended transfer brings its bound: the call that it comes to ends then, not when it is looked at next.
func TestBoundComesWithAnAttendedTransfer(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		s.Records.Interim = time.Hour // nobody looks
		s.Users[0].Toll.Duration = 1500 * time.Millisecond
	})
	alice, bob := b.phone("alice"), b.phone("bob")
	two := b.from(alice, "9124", nil)
	y := b.up(two, b.carrier, nil)
	three := b.from(alice, "101", nil)
	z := b.up(three, bob, nil)
	b.refers(two, "sip:x@phone.invalid", replacing(three))
	b.told(two, 100, 200)
	y.Wait(sip.KindEnded)
	z.Wait(sip.KindEnded)
	b.idle()
}
