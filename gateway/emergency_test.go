package gateway

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/gateway/numbering"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// capped leaves room for one call, everywhere, and bars what it can.
func capped(s *settings) {
	s.Emergency = Emergency{Numbers: []string{"112", "911"}, Hops: []Hop{{Trunk: "carrier", Ring: 5 * time.Second}, {Trunk: "second", Ring: 5 * time.Second}}}
	s.Limits.Calls, s.Limits.Duration = 1, 300*time.Millisecond
	s.Users[0].MaxCalls, s.Users[0].Rate, s.Users[0].Duration = 1, 0.01, 300*time.Millisecond
	s.Users[0].Toll = Toll{Allow: []string{"+4912"}, Calls: 1, Rate: 0.01, Duration: 300 * time.Millisecond, LockAfter: 1}
	s.Trunks[0].MaxCalls, s.Trunks[0].Out = 1, Bounds{Calls: 1, Rate: 0.01}
	s.Charger = &purse{refuse: &Refusal{call.Cause{Q850: 21, SIP: 403, Text: "no credit"}}}
}

// A call for help goes out although everything is full, locked and used up, and lasts as long as it takes.
func TestEmergencyIsNeverCapped(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		capped(s)
		s.Charger = nil
		s.Limits.Duration, s.Users[0].Duration, s.Users[0].Toll.Duration = time.Hour, time.Hour, time.Hour
	})
	alice := b.phone("alice")
	first := b.from(alice, "9123", nil)
	c := b.up(first, b.carrier, nil)
	refused(t, b.from(alice, "9124", nil), 503)
	help := b.from(alice, "112", nil)
	d := b.up(help, b.carrier, nil)
	if n := d.Request().URI.User; n != "112" {
		t.Errorf("the carrier was asked for %s", n)
	}
	help.Bye()
	d.Wait(sip.KindEnded)
	first.Bye()
	c.Wait(sip.KindEnded)
	b.idle()
	if helps, _, _ := b.Tolls(); helps != 1 {
		t.Errorf("%d calls for help were counted", helps)
	}
}

func TestEmergencyWhileLockedAndUsedUp(t *testing.T) {
	t.Parallel()
	b := newBench(t, capped)
	alice := b.phone("alice")
	refused(t, b.from(alice, "9999", nil), 403) // by the charger
	a := b.accounts["user:alice"]
	if _, locks := a.refuses("+49900", numbering.Told{}, time.Now()); !locks {
		t.Fatal("the account isn't locked")
	}
	b.trunks["carrier"].putAside(time.Minute, "503")
	b.ledger.stall("disk is full")
	help := b.from(alice, "911", nil)
	d := b.up(help, b.second, nil) // the first was put aside: it comes last
	time.Sleep(600 * time.Millisecond)
	if err := help.Info(t.Context(), "application/dtmf", []byte("1")); err != nil {
		t.Error(err) // after twice the longest call
	}
	help.Bye()
	d.Wait(sip.KindEnded)
	rec := b.ends(call.Caller, 16, 200)
	if rec.Route != "emergency" || rec.Direction != call.Out {
		t.Errorf("record %+v", rec)
	}
	// Whatever a carrier says, the next is tried.
	help = b.from(alice, "911", nil)
	if err := b.second.Incoming().Reject(603, ""); err != nil {
		t.Fatal(err)
	}
	d = b.up(help, b.carrier, nil)
	help.Bye()
	d.Wait(sip.KindEnded)
	b.idle()
}

// urn:service:sos, of whatever kind.
func TestEmergencyService(t *testing.T) {
	t.Parallel()
	b := newBench(t, capped)
	alice := b.phone("alice")
	for _, urn := range []string{"urn:service:sos", "urn:service:sos.fire"} {
		uri, err := sip.ParseURI(urn)
		if err != nil {
			t.Fatal(err)
		}
		self := alice.AOR("alice")
		a := alice.DialInvite(sip.Invite{Target: uri, To: sip.NameAddr{URI: uri}, From: sip.NameAddr{URI: self}, Contact: alice.UA.Name(),
			Destination: sip.Destination{Network: "udp", Addr: b.addr}, Body: []byte(siptest.SDP)})
		d := b.up(a, b.carrier, nil)
		if n := d.Request().URI.User; n != "112" {
			t.Errorf("the carrier was asked for %s", n)
		}
		d.Bye()
		a.Wait(sip.KindEnded)
		if rec := b.ends(call.Callee, 16, 200); rec.To != urn || rec.ToN != "112" {
			t.Errorf("record %+v", rec)
		}
		b.idle()
	}
}

// A gateway that waits for its last calls takes no others, but those for help.
func TestEmergencyWhileDraining(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { capped(s); s.Charger, s.Limits.Duration = nil, time.Hour })
	alice, bob := b.phone("alice"), b.phone("bob")
	a := b.from(bob, "9123", nil)
	c := b.up(a, b.carrier, nil)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, time.Minute) }()
	stop()
	eventually(t, "it drains", func() bool { return b.Status().Draining })
	refused(t, b.from(bob, "9124", nil), 503)
	help := b.from(alice, "112", nil)
	d := b.up(help, b.carrier, nil)
	a.Bye()
	c.Wait(sip.KindEnded)
	if err := help.Info(t.Context(), "application/dtmf", []byte("1")); err != nil {
		t.Error(err) // it is waited for, as others are
	}
	help.Bye()
	d.Wait(sip.KindEnded)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if rec := b.ledger.records(t)[2]; rec.Route != "emergency" || rec.AnsweredAt == nil || rec.EndedBy != call.Caller {
		t.Errorf("record %+v", rec)
	}
}

// Who transfers a party to a number for help has no limits either, and the party's own carrier isn't asked to do it.
func TestEmergencyByTransfer(t *testing.T) {
	v := newVisit(t, func(s *settings) {
		capped(s)
		s.Charger, s.Limits.Duration, s.Users[1].Toll = nil, time.Hour, Toll{Deny: []string{"112", "4", "9"}}
		s.Trunks[0].Refer, s.Users[1].MaxCalls = true, 1
	})
	v.refers(v.b, "sip:112@home.test", "")
	c := v.carrier.Incoming()
	if n := c.Request().URI.User; n != "112" {
		t.Errorf("the carrier was asked for %s", n)
	}
	c.Accept()
	v.told(v.b, 100, 180, 200)
	v.b.Wait(sip.KindEnded)
	c.Bye()
	v.a.Wait(sip.KindEnded)
	v.idle()
	if helps, _, _ := v.Tolls(); helps != 1 {
		t.Errorf("%d calls for help were counted", helps)
	}
}

func TestEmergencyWithoutRoute(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		s.Emergency.Numbers = []string{"112", "9112"}
		s.Users[0].Toll.Deny = []string{"49112"}
	})
	alice := b.phone("alice")
	e := refused(t, b.from(alice, "112", nil), 503)
	if w := e.Headers.Get("Warning"); !strings.Contains(w, "no emergency route is configured") || e.Headers.Get("Retry-After") != "" {
		t.Errorf("Warning %q, Retry-After %q", w, e.Headers.Get("Retry-After"))
	}
	if rec := b.ends(call.System, 38, 503); !b.noted(rec.ID, "no emergency route") {
		t.Errorf("record %+v", rec)
	}
	// Where a common route takes the number it goes there, without limits.
	a := b.from(alice, "9112", nil)
	d := b.up(a, b.carrier, nil)
	a.Bye()
	d.Wait(sip.KindEnded)
	if rec := b.ends(call.Caller, 16, 200); rec.Route != "out" || rec.ToN != "49112" {
		t.Errorf("record %+v", rec)
	}
	// A carrier doesn't call for help.
	refused(t, b.from(b.carrier, "112", nil), 404)
	b.idle()
}

// Other calls leave some ports to calls for help.
func TestEmergencyHasPorts(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		capped(s)
		s.Charger, s.Limits.Calls, s.Users[0] = nil, 50, User{ID: "alice", Tenant: "default", Login: "alice", Password: "alice-pass", CallerID: "100",
			Codecs: []string{"PCMU"}, DTMF: "rfc4733", MaxCalls: 50}
		s.Trunks[0].MaxCalls, s.Trunks[0].Out = 50, Bounds{}
		s.Limits.Duration = time.Hour
		s.Media.MinPort, s.Media.MaxPort = 21000, 21067 // 34 pairs, two of them kept
	})
	alice := b.phone("alice")
	var calls []*siptest.Call
	for range 16 {
		a := b.from(alice, "9123", nil)
		b.up(a, b.carrier, nil)
		calls = append(calls, a)
	}
	refused(t, b.from(alice, "9123", nil), 503)
	help := b.from(alice, "112", nil)
	b.up(help, b.carrier, nil)
	for _, a := range append(calls, help) {
		a.Bye()
	}
	b.idle()
}
