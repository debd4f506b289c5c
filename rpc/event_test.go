package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

type ear struct {
	mu    sync.Mutex
	heard []rpc.Event
}

func (e *ear) Event(ev rpc.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, ev)
}

func (e *ear) take() []rpc.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.heard
	e.heard = nil
	return h
}

type nopElement struct{}

func (nopElement) Source(media.Pad) *media.Source { return nil }
func (nopElement) Sink(media.Pad) media.Sink      { return nil }
func (nopElement) Stats(*media.Snapshot)          {}
func (nopElement) Close() error                   { return nil }

func TestEvents(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t, rpc.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	one, two := &ear{}, &ear{}
	subscribe := func(who rpc.Subscriber, event string) string {
		id, err := r.a.Subscribe(r.vol.ID(), event, who)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first, second := subscribe(one, "Started"), subscribe(one, "Started")
	subscribe(two, "Started")
	subscribe(two, "ElementConnected")
	subscribe(two, "Error")
	for _, bad := range []string{"", "ObjectCreated", "started", "Nothing"} {
		_, err := r.a.Subscribe(r.vol.ID(), bad, one)
		r.code(rpc.EventNotSupported, bad, err)
	}
	before := time.Now().UnixMilli()
	r.invoke(r.vol, "start", "")
	h := one.take()
	if len(h) != 1 || len(two.take()) != 1 {
		t.Fatalf("two subscriptions of one subscriber gave %d events, want 1", len(h))
	}
	var data struct {
		Source, Type, TimestampMillis string
		Tags                          []any
	}
	if err := json.Unmarshal(h[0].Data, &data); err != nil {
		t.Fatalf("%s: %v", h[0].Data, err)
	}
	var ms int64
	fmt.Sscan(data.TimestampMillis, &ms)
	if data.Source != r.vol.ID() || data.Type != "Started" || data.Tags == nil || len(data.Tags) != 0 || ms < before || ms > time.Now().UnixMilli() {
		t.Errorf("data is %s", h[0].Data)
	}
	if h[0].Object != r.vol.ID() || h[0].Type != "Started" {
		t.Errorf("event is %+v", h[0])
	}

	r.a.Unsubscribe(r.vol.ID(), first)
	r.invoke(r.vol, "start", "")
	if n := len(one.take()); n != 1 {
		t.Errorf("%d events while one subscription is left", n)
	}
	r.a.Unsubscribe(r.vol.ID(), second)
	r.a.Unsubscribe(r.vol.ID(), second)
	r.a.Unsubscribe(r.vol.ID(), "nothing")
	r.a.Unsubscribe("nobody", second)
	r.invoke(r.vol, "start", "")
	if n := len(one.take()); n != 0 {
		t.Errorf("%d events without a subscription", n)
	}
	two.take()

	r.invoke(r.vol, "addTag", `{"key":"k","value":"v"}`)
	r.invoke(r.vol, "setSendTagsInEvents", `{"sendTagsInEvents":true}`)
	r.invoke(r.vol, "connect", `{"sink":"`+r.vol.ID()+`","mediaType":"AUDIO"}`)
	r.vol.Raise(rpc.ErrorRaised{Description: "no such file", Code: 3, Kind: "RESOURCE_ERROR_OPEN"})
	h = two.take()
	if len(h) != 2 {
		t.Fatalf("%d events, want 2", len(h))
	}
	tags := `"tags":[{"key":"k","value":"v","__module__":"kurento","__type__":"Tag"}]`
	if got, want := string(h[0].Data), tags+`,"type":"ElementConnected","sink":"`+r.vol.ID()+`","mediaType":"AUDIO"}`; !strings.HasSuffix(got, want) {
		t.Errorf("connected: %s, want %s at its end", got, want)
	}
	if got, want := string(h[1].Data), `,"description":"no such file","errorCode":3,"type":"RESOURCE_ERROR_OPEN"}`; !strings.HasSuffix(got, want) {
		t.Errorf("error: %s, want %s at its end", got, want)
	}

	r.invoke(r.vol, "bad", "") // an event of another class
	if !strings.Contains(log.String(), "event isn't one of the object's class") {
		t.Errorf("log: %s", log.String())
	}
	r.a.Release(r.vol.ID())
	r.vol.Raise(started{})
	if n := len(two.take()); n != 0 {
		t.Errorf("%d events after release", n)
	}
}

// Events of one object arrive in the order in which they were raised, at all subscribers the same.
func TestEventOrder(t *testing.T) {
	r := newRig(t, rpc.Config{})
	ears := []*ear{{}, {}, {}}
	for _, e := range ears {
		if _, err := r.a.Subscribe(r.vol.ID(), "Error", e); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				r.vol.Raise(rpc.ErrorRaised{Code: g*1000 + i})
			}
		})
	}
	wg.Wait()
	var lists [][]int
	for _, e := range ears {
		var codes []int
		last := [4]int{-1, -1, -1, -1}
		for _, ev := range e.take() {
			var d struct{ ErrorCode int }
			if err := json.Unmarshal(ev.Data, &d); err != nil {
				t.Fatal(err)
			}
			g, i := d.ErrorCode/1000, d.ErrorCode%1000
			if i != last[g]+1 {
				t.Fatalf("event %d of %d after %d", i, g, last[g])
			}
			last[g] = i
			codes = append(codes, d.ErrorCode)
		}
		lists = append(lists, codes)
	}
	if len(lists[0]) != 800 || !slices.Equal(lists[0], lists[1]) || !slices.Equal(lists[0], lists[2]) {
		t.Errorf("subscribers heard %d, %d and %d events, or in another order", len(lists[0]), len(lists[1]), len(lists[2]))
	}
}

func TestSubscriptionLimit(t *testing.T) {
	r := newRig(t, rpc.Config{})
	for range rpc.MaxSubscriptions {
		if _, err := r.a.Subscribe(r.vol.ID(), "Error", &ear{}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := r.a.Subscribe(r.vol.ID(), "Error", &ear{})
	r.code(rpc.NotEnoughResources, "one more", err)
}

func TestScopeOfForeignContext(t *testing.T) {
	if _, ok := rpc.ScopeOf(context.Background()); ok {
		t.Error("a scope out of nothing")
	}
}

// Posting from the packet path doesn't wait for a subscriber that hangs, keeps the order and loses what is too much.
func TestPost(t *testing.T) {
	var log lockedBuffer
	r := newRig(t, rpc.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	gate := &gated{let: make(chan struct{})}
	if _, err := r.a.Subscribe(r.vol.ID(), "Error", gate); err != nil {
		t.Fatal(err)
	}
	const n = 5000
	begin := time.Now()
	for i := range n {
		r.vol.Post(rpc.ErrorRaised{Code: i})
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("%d posts took %s", n, took)
	}
	close(gate.let)
	deadline := time.Now().Add(5 * time.Second)
	for gate.len() < 4096 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	heard := gate.take()
	if len(heard) < 4096 || len(heard) >= n {
		t.Fatalf("%d of %d were told, want what fits the queue", len(heard), n)
	}
	last := -1
	for i, ev := range heard { // the first is taken out of the queue at any time, which makes room for one more
		var d struct{ ErrorCode int }
		if err := json.Unmarshal(ev.Data, &d); err != nil || d.ErrorCode <= last || i < 4095 && d.ErrorCode != i {
			t.Fatalf("event %d is %s after %d, %v", i, ev.Data, last, err)
		}
		last = d.ErrorCode
	}
	if !strings.Contains(log.String(), "events were lost") {
		t.Errorf("log: %s", log.String())
	}
}

type gated struct {
	ear
	let chan struct{}
}

func (g *gated) Event(ev rpc.Event) {
	<-g.let
	g.ear.Event(ev)
}

func (e *ear) len() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.heard)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
