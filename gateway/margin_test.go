package gateway

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
)

// clerk is a charger that writes down whom it was asked for, and refuses some; and margins of some trunks.
type clerk struct {
	mu      sync.Mutex
	asked   []string // payer, direction, number
	settled int
	refuses string // one of asked
	loses   string // trunk and number
}

func (k *clerk) Authorize(_ context.Context, c *call.Call) (Grant, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ask := strings.Join([]string{c.Payer, string(c.Direction), c.Dialled()}, " ")
	k.asked = append(k.asked, ask)
	if ask == k.refuses {
		return Grant{}, &Refusal{call.Cause{Q850: 21, SIP: 403, Text: "blocked by the clerk"}}
	}
	return Grant{}, nil
}

func (k *clerk) Extend(_ context.Context, g Grant) (Grant, error) { return g, nil }

func (k *clerk) Settle(Grant, Used) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settled++
}

func (k *clerk) Loss(_ context.Context, _ *call.Call, h Hop) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.loses == h.Trunk+" "+h.Number {
		return "it would be at a loss"
	}
	return ""
}

// told is what the clerk was asked for since the last time, and how often it was told that a grant has ended.
func (k *clerk) told() (string, int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, n := strings.Join(k.asked, ", "), k.settled
	k.asked, k.settled = nil, 0
	return s, n
}

// Who forwards a call is asked for, too: for the number that it goes to, and only where it goes through a trunk.
func TestForwardedPartIsAuthorized(t *testing.T) {
	t.Parallel()
	k := &clerk{}
	b := newBench(t, func(s *settings) {
		s.Charger = k
		s.Users[1].Forward.Always = "9123"
	})
	alice := b.phone("alice")
	a := b.from(alice, "9123", nil)
	c := b.up(a, b.carrier, nil)
	a.Bye()
	c.Wait(sip.KindEnded)
	b.idle()
	if asked, settled := k.told(); asked != "alice out 49123" || settled != 1 {
		t.Errorf("a call out: asked for %q, settled %d times", asked, settled)
	}
	a = b.from(alice, "101", nil)
	c = b.up(a, b.carrier, nil)
	a.Bye()
	c.Wait(sip.KindEnded)
	b.idle()
	if asked, settled := k.told(); asked != "alice internal 101, bob out 49123" || settled != 2 {
		t.Errorf("a forwarded call: asked for %q, settled %d times", asked, settled)
	}
	k.mu.Lock()
	k.refuses = "bob out 49123"
	k.mu.Unlock()
	refused(t, b.from(alice, "101", nil), 403)
	if rec := b.ends(call.System, 21, 403); rec.Cause.Text != "blocked by the clerk" {
		t.Errorf("record %+v", rec)
	}
	b.idle()
	if _, settled := k.told(); settled != 1 {
		t.Errorf("settled %d times, expected the internal call's grant alone", settled)
	}
}

// A hop that would be at a loss is passed by for the next, and a call with no other is refused.
func TestNeverAtALoss(t *testing.T) {
	t.Parallel()
	k := &clerk{loses: "carrier 8123"}
	b := newBench(t, func(s *settings) { s.Margins = k })
	alice := b.phone("alice")
	a := b.from(alice, "8123", nil)
	c := b.up(a, b.second, nil)
	a.Bye()
	c.Wait(sip.KindEnded)
	b.idle()
	if rec := b.record(); !b.noted(rec.ID, "trunk carrier is passed by: it would be at a loss") {
		t.Errorf("record %+v", rec)
	}
	k.mu.Lock()
	k.loses = "carrier 49123"
	k.mu.Unlock()
	refused(t, b.from(alice, "9123", nil), 403)
	if rec := b.ends(call.System, 21, 403); rec.Cause.Text != "it would be at a loss" {
		t.Errorf("record %+v", rec)
	}
	b.idle()
}
