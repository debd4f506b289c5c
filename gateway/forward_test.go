package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
)

// forwards are the forwardings in a call's record.
func (b *bench) forwards(id call.ID) (out []call.Forward) {
	for _, e := range b.ledger.of(id) {
		if d, ok := e.Data.(call.Forward); ok {
			out = append(out, d)
		}
	}
	return out
}

// forwarded expects the only forwarding of a call.
func (b *bench) forwarded(id call.ID, user, to, reason string) {
	b.Helper()
	if got := b.forwards(id); len(got) != 1 || got[0].User != user || got[0].To != to || got[0].Reason != reason || got[0].Depth != 1 || got[0].Refuse {
		b.Errorf("forwarded %+v, expected by %s to %s, %s", got, user, to, reason)
	}
}

func TestForwarding(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		reason string
		f      Forwarding
		bob    bool // is registered
		says   int  // what bob's phone says; 0: it rings on
	}{
		{"always", Forwarding{Always: "9123"}, true, 0},
		{"busy", Forwarding{Busy: "9123"}, true, 486},
		{"busy", Forwarding{Busy: "9123"}, true, 600},
		{"no-answer", Forwarding{NoAnswer: "9123", After: 200 * time.Millisecond}, true, 0},
		{"no-answer", Forwarding{NoAnswer: "9123"}, true, 480},
		{"offline", Forwarding{Offline: "9123", Busy: "101"}, false, 0},
	} {
		t.Run(fmt.Sprint(x.reason, x.says), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(s *settings) { s.Users[1].Forward = x.f })
			if x.bob {
				bob := b.phone("bob")
				if x.reason != "always" {
					go func() {
						if c := bob.Incoming(); x.says != 0 {
							_ = c.Reject(x.says, "")
						} else {
							_ = c.Progress(180, "", nil)
						}
					}()
				}
			}
			// The second carrier may not call what bob may: the call goes on with bob's rights.
			a := b.from(b.second, "4930101", nil)
			c := b.up(a, b.carrier, nil)
			if n := c.Request().URI.User; n != "49123" {
				t.Errorf("the carrier was asked for %s", n)
			}
			a.Bye()
			c.Wait(sip.KindEnded)
			rec := b.ends(call.Caller, 16, 200)
			b.forwarded(rec.ID, "bob", "9123", x.reason)
			if rec.From != "4930777" || rec.ToN != "49123" || rec.Route != "out" {
				t.Errorf("record %+v", rec)
			}
			b.idle()
		})
	}
}

// To a user and to a group; declined isn't forwarded.
func TestForwardingInside(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		withGroup(Parallel, 5*time.Second, Hop{User: "carol"})(s)
		s.Users[1].Forward = Forwarding{Busy: "user:carol", Offline: "group:sales", NoAnswer: "user:carol"}
	})
	alice, carol := b.phone("alice"), b.phone("carol")
	ends := func(reason, to string) {
		t.Helper()
		a := b.from(alice, "101", nil)
		if reason == "busy" {
			if err := b.phone("bob").Incoming().Reject(486, ""); err != nil {
				t.Fatal(err)
			}
		}
		c := b.up(a, carol, nil)
		c.Bye()
		a.Wait(sip.KindEnded)
		b.forwarded(b.ends(call.Callee, 16, 200).ID, "bob", to, reason)
		b.idle()
	}
	ends("offline", "group:sales")
	bob := b.phone("bob")
	a := b.from(alice, "101", nil)
	if err := bob.Incoming().Reject(486, ""); err != nil {
		t.Fatal(err)
	}
	c := b.up(a, carol, nil)
	c.Bye()
	a.Wait(sip.KindEnded)
	b.forwarded(b.ends(call.Callee, 16, 200).ID, "bob", "user:carol", "busy")
	a = b.from(alice, "101", nil)
	if err := bob.Incoming().Reject(603, ""); err != nil {
		t.Fatal(err)
	}
	refused(t, a, 603)
	if rec := b.ends(call.Callee, 21, 603); len(b.forwards(rec.ID)) != 0 {
		t.Errorf("forwarded %+v", b.forwards(rec.ID))
	}
	b.idle()
}

// In a circle, and too often.
func TestForwardingEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		withGroup(Parallel, time.Second)(s)
		s.Users[0].Forward = Forwarding{Always: "101"}
		s.Users[1].Forward = Forwarding{Always: "user:alice"}
		for i := range 7 {
			u := s.Users[2]
			u.ID, u.Login, u.Numbers = fmt.Sprint("u", i), fmt.Sprint("u", i), []string{fmt.Sprint(300 + i)}
			u.Forward.Always = fmt.Sprint(301 + i)
			s.Users = append(s.Users, u)
		}
	})
	a := b.from(b.carrier, "100", nil)
	refused(t, a, 482)
	rec := b.ends(call.System, 25, 482)
	if f := b.forwards(rec.ID); len(f) != 2 || !f[1].Refuse || !strings.Contains(f[1].Text, "in a circle") {
		t.Errorf("forwarded %+v", f)
	}
	refused(t, b.from(b.carrier, "300", nil), 482)
	rec = b.ends(call.System, 25, 482)
	if f := b.forwards(rec.ID); len(f) != maxForwards+1 || !f[maxForwards].Refuse || f[maxForwards].Depth != maxForwards+1 {
		t.Errorf("forwarded %+v", f)
	}
	b.idle()
}

// A phone of ours redirects: followed as the user's forwarding, but not to foreign hosts.
func TestPhoneRedirects(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	alice, bob := b.phone("alice"), b.phone("bob")
	for _, to := range []string{"<sip:9123@home.test>;q=0.5", "<tel:9123>", `"Mobile" <sip:9123@` + b.addr.String() + ">"} {
		a := b.from(alice, "101", nil)
		if err := bob.Incoming().Reject(302, "", sip.Header{Name: "Contact", Value: to}); err != nil {
			t.Fatal(err)
		}
		c := b.up(a, b.carrier, nil)
		a.Bye()
		c.Wait(sip.KindEnded)
		b.forwarded(b.ends(call.Caller, 16, 200).ID, "bob", "9123", "redirect")
	}
	for _, to := range []string{"<sip:9123@evil.test>", "<sips:9123@home.test>", "<sip:home.test>", "<mailto:a@b>", "<sip:9%0d%0aX@home.test>", "<sip:user%3aalice@home.test>"} {
		a := b.from(alice, "101", nil)
		if err := bob.Incoming().Reject(302, "", sip.Header{Name: "Contact", Value: to}); err != nil {
			t.Fatal(err)
		}
		refused(t, a, 480)
		rec := b.ends(call.Callee, 31, 302)
		if f := b.forwards(rec.ID); len(f) != 1 || !f[0].Refuse || f[0].Text == "" {
			t.Errorf("%s: forwarded %+v", to, f)
		}
	}
	b.idle()
}

// A carrier redirects: not followed unless the trunk says so, and then to its own host alone.
func TestCarrierRedirects(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Trunks[1].Redirects = true; s.Routes[1].Hops = s.Routes[1].Hops[:2] })
	alice := b.phone("alice")
	contact := func(v string) sip.Header { return sip.Header{Name: "Contact", Value: v} }
	a := b.from(alice, "9123", nil)
	if err := b.carrier.Incoming().Reject(302, "", contact("<sip:777@carrier.test>")); err != nil {
		t.Fatal(err)
	}
	refused(t, a, 480)
	if f := b.forwards(b.ends(call.Callee, 31, 302).ID); len(f) != 1 || !f[0].Refuse || f[0].Trunk != "carrier" {
		t.Errorf("forwarded %+v", f)
	}
	second := func() *sip.Request { // by the second trunk
		t.Helper()
		a = b.from(alice, "8123", nil)
		if err := b.carrier.Incoming().Reject(503, ""); err != nil {
			t.Fatal(err)
		}
		return nil
	}
	second()
	if err := b.second.Incoming().Reject(302, "", contact("<sip:666@evil.test>, <sip:888@second.test>;q=0.1, <sip:777@second.test>;q=0.9")); err != nil {
		t.Fatal(err)
	}
	c := b.up(a, b.second, nil)
	if u := c.Request().URI; u.User != "777" || u.Host != "second.test" {
		t.Errorf("asked for %s", u)
	}
	a.Bye()
	c.Wait(sip.KindEnded)
	rec := b.ends(call.Caller, 16, 200)
	if f := b.forwards(rec.ID); len(f) != 1 || f[0].Trunk != "second" || f[0].To != "777" || f[0].From != "8123" || rec.Attempts != 3 {
		t.Errorf("forwarded %+v", f)
	}
	second()
	for i := range maxForwards + 1 {
		if err := b.second.Incoming().Reject(302, "", contact(fmt.Sprintf("<sip:70%d@second.test>", i))); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, a, 480)
	if f := b.forwards(b.record().ID); len(f) != maxForwards+1 || !f[maxForwards].Refuse {
		t.Errorf("forwarded %+v", f)
	}
	second()
	if err := b.second.Incoming().Reject(301, "", contact("<sip:666@evil.test>")); err != nil {
		t.Fatal(err)
	}
	refused(t, a, 480)
	if f := b.forwards(b.record().ID); len(f) != 1 || !strings.Contains(f[0].Text, "foreign host") {
		t.Errorf("forwarded %+v", f)
	}
	b.idle()
}
