package gateway

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// mortal is a journal whose process can die: whoever commits then waits until nobody hears of it any more.
type mortal struct {
	*billing.Store
	died, buried chan struct{}
}

func (m *mortal) Commit(ctx context.Context, es ...call.Event) error {
	if closed(m.died) {
		<-m.buried
		return billing.ErrClosed
	}
	return m.Store.Commit(ctx, es...)
}

func (m *mortal) Note(e call.Event) {
	if !closed(m.died) {
		m.Store.Note(e)
	}
}

// die ends the gateway's sockets and its journal without a word to anybody.
func (m *mortal) die(b *bench) {
	b.Helper()
	close(m.died)
	if err := m.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	down := make(chan error, 1)
	go func() { down <- b.front.Close() }()
	eventually(b, "the sockets are closed", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for d := range b.legs {
			if !closed(d.Ended()) {
				return false
			}
		}
		return true
	})
	close(m.buried)
	if err := errors.Join(<-down, b.Gateway.Close()); err != nil {
		b.Fatal(err)
	}
}

// The real journal, a process that dies, and the one that comes after.
func TestRecover(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() *billing.Store {
		s, err := billing.Open(t.Context(), billing.Config{Dir: dir, Database: billing.None, Node: "node"})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	store := open()
	dead := &mortal{Store: store, died: make(chan struct{}), buried: make(chan struct{})}
	b := newBench(t, func(s *settings) { s.Journal = dead })
	alice := b.phone("alice")
	up := b.from(alice, "9123", nil)
	upFar := b.up(up, b.carrier, nil)
	gone := b.from(alice, "8123", nil) // the trunk of this one will have vanished
	if err := b.carrier.Incoming().Reject(503, ""); err != nil {
		t.Fatal(err)
	}
	goneFar := b.up(gone, b.second, nil)
	ringing := b.from(alice, "9124", nil)
	ringingFar := b.carrier.Incoming()
	if err := ringingFar.Progress(180, "", nil); err != nil {
		t.Fatal(err)
	}
	ringing.Wait(sip.KindProgress)
	time.Sleep(100 * time.Millisecond) // what was noted is on disk
	dead.die(b)
	store = open()
	lost := store.Unfinished()
	if len(lost) != 3 {
		t.Fatalf("%d calls are open, expected 3", len(lost))
	}
	b.open(t, func(s *settings) {
		s.Journal = store
		s.Trunks = s.Trunks[:1]
		s.Routes[1].Hops = s.Routes[1].Hops[:1]
		s.front.Listen = []sip.Listen{{Network: "udp", Addr: b.addr}}
	})
	if err := b.Recover(t.Context(), lost, store.LastSign); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*siptest.Call{up, upFar, gone} {
		if e := c.Wait(sip.KindEnded); e.Method != "BYE" {
			t.Errorf("ended %+v, expected by BYE", e)
		}
	}
	refused(t, ringing, 503)
	if e := ringingFar.Wait(sip.KindEnded); e.Method != "CANCEL" {
		t.Errorf("ended %+v, expected by CANCEL", e)
	}
	if err := goneFar.Hangup(t.Context(), sip.Reason{}, 0); err == nil {
		t.Error("somebody knows the call of a trunk that has vanished")
	}
	if err := b.Gateway.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	store = open()
	if n := len(store.Unfinished()); n != 0 {
		t.Errorf("%d calls are still open", n)
	}
	if err := store.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// A peer that says nothing doesn't keep the record of its call open: it is sent BYE all the same, and may confirm later.
func TestRecoverDoesNotWaitForTheSilent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() *billing.Store {
		s, err := billing.Open(t.Context(), billing.Config{Dir: dir, Database: billing.None, Node: "node"})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	store := open()
	dead := &mortal{Store: store, died: make(chan struct{}), buried: make(chan struct{})}
	carrier := siptest.NewPeer(t, netip.AddrPort{})
	b := newBench(t, func(s *settings) {
		s.Journal = dead
		s.Trunks[0].Proxy = sip.HostPort{Host: "127.0.0.1", Port: carrier.Addr().Port()}
	})
	up := b.from(b.phone("alice"), "9123", nil)
	carrier.Reply(carrier.Request("INVITE"), 200, "c", siptest.SDP, carrier.Contact())
	up.Wait(sip.KindAnswered)
	carrier.Request("ACK")
	dead.die(b)
	store = open()
	lost := store.Unfinished()
	if len(lost) != 1 {
		t.Fatalf("%d calls are open, expected 1", len(lost))
	}
	b.open(t, func(s *settings) {
		s.Journal = store
		s.Trunks[0].Proxy = sip.HostPort{Host: "127.0.0.1", Port: carrier.Addr().Port()}
		s.front.Listen = []sip.Listen{{Network: "udp", Addr: b.addr}}
	})
	enough := make(chan time.Time)
	close(enough)
	var byes sync.WaitGroup
	// It returns once the end is durable, and the carrier hasn't answered by then.
	if err := b.recoverCall(t.Context(), lost[0], store.LastSign, enough, &byes); err != nil {
		t.Fatal(err)
	}
	carrier.Reply(carrier.Request("BYE"), 200, "", "")
	if e := up.Wait(sip.KindEnded); e.Method != "BYE" {
		t.Errorf("ended %+v, expected by BYE", e)
	}
	byes.Wait()
	if err := errors.Join(b.Gateway.Close(), store.Close(context.Background())); err != nil {
		t.Fatal(err)
	}
	store = open()
	if n := len(store.Unfinished()); n != 0 {
		t.Errorf("%d calls are still open", n)
	}
	if err := store.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}
