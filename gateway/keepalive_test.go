package gateway

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

func TestPulse(t *testing.T) {
	var p pulse
	for i, c := range []struct {
		why        string
		down, told bool
	}{
		{"", false, false}, {"x", false, false}, {"x", false, false}, {"", false, false}, // not three in a row
		{"x", false, false}, {"x", false, false}, {"last", true, true}, {"last", true, false},
		{"", true, false}, {"x", true, false}, {"", true, false}, {"", false, true}, {"x", false, false},
	} {
		told := p.beat(c.why)
		if down, _ := p.dead(); down != c.down || told != c.told {
			t.Errorf("after outcome %d down is %v, told %v, want %v, %v", i, down, told, c.down, c.told)
		}
	}
}

// TestTrunkIsAsked: a carrier that answers OPTIONS with 503, or not at all, isn't called until it answers again.
func TestTrunkIsAsked(t *testing.T) {
	t.Parallel()
	carrier := siptest.NewPeer(t, netip.AddrPort{})
	b := newBench(t, func(s *settings) {
		s.Trunks[0].Proxy = sip.HostPort{Host: carrier.Addr().Addr().String(), Port: carrier.Addr().Port()}
		s.Trunks[0].Options = 100 * time.Millisecond
		s.Routes[0].Hops = []Hop{{Trunk: s.Trunks[0].ID, Ring: time.Second}}
	})
	changes := make(chan Change, 16)
	defer b.Watch(func(c Change) { changes <- c })()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, time.Second) }()
	answer := func(status, times int) {
		for range times {
			carrier.Reply(carrier.Request("OPTIONS"), status, "x", "")
		}
	}
	told := func(state string, up bool) {
		t.Helper()
		for {
			select {
			case c := <-changes:
				if c.Trunk == nil {
					continue // a user's
				}
				if c.Trunk.State != state || c.Trunk.Up != up {
					t.Errorf("the trunk is told to be %s, up %v, want %s, %v", c.Trunk.State, c.Trunk.Up, state, up)
				}
				return
			case <-time.After(siptest.Patience):
				t.Fatal("nothing is told of the trunk")
			}
		}
	}
	answer(404, 1) // as good as any
	answer(503, pingsDown)
	told("unreachable", false)
	alice := b.phone("alice")
	refused(t, b.from(alice, "9123", nil), 503)
	if rec := b.ends(call.System, 38, 503); !b.noted(rec.ID, "doesn't answer: OPTIONS was answered 503") {
		t.Errorf("record %+v", rec)
	}
	answer(200, pingsUp)
	told("static", true)
	stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
			if m, ok := carrier.Receive(50 * time.Millisecond); ok && m.Method() == "OPTIONS" {
				carrier.Reply(m, 200, "x", "")
			}
		}
	}
}
