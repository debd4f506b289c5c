package gateway

import (
	"context"
	"net/netip"
	"sync/atomic"
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
		s.Trunks[0].Options = 150 * time.Millisecond
		s.Routes[0].Hops = []Hop{{Trunk: s.Trunks[0].ID, Ring: time.Second}}
	})
	changes := make(chan Change, 1024)
	defer b.Watch(func(c Change) { changes <- c })()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, time.Second) }()
	// Each OPTIONS gets the answer of the moment. On a busy machine some have ended before it comes, which is a failure too: so what is
	// awaited is the change, not a number of them.
	var status, answered atomic.Int32
	status.Store(404) // as good as any
	answering, quiet := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(answering)
		for {
			select {
			case <-quiet:
				return
			default:
			}
			if m, ok := carrier.Receive(50 * time.Millisecond); ok && m.Method() == "OPTIONS" {
				carrier.Reply(m, int(status.Load()), "x", "")
				answered.Add(1)
			}
		}
	}()
	defer func() { close(quiet); <-answering }()
	told := func(state string, up bool) {
		t.Helper()
		end := time.NewTimer(30 * time.Second)
		defer end.Stop()
		for {
			select {
			case c := <-changes:
				if c.Trunk == nil {
					continue // a user's
				}
				if c.Trunk.State == state && c.Trunk.Up == up {
					return
				}
			case <-end.C:
				t.Fatalf("the trunk isn't told to be %s", state)
			}
		}
	}
	eventually(t, "OPTIONS", func() bool { return answered.Load() > 0 })
	status.Store(503)
	before := answered.Load()
	eventually(t, "OPTIONS are answered 503", func() bool { return answered.Load() > before+pingsDown+1 }) // it was never well meanwhile
	told("unreachable", false)
	alice := b.phone("alice")
	refused(t, b.from(alice, "9123", nil), 503)
	if rec := b.ends(call.System, 38, 503); !b.noted(rec.ID, "doesn't answer: OPTIONS") {
		t.Errorf("record %+v", rec)
	}
	status.Store(200)
	told("static", true)
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
