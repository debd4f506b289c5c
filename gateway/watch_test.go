package gateway

import (
	"context"
	"sync"
	"testing"
	"time"
)

// Whoever watches is told of trunks that don't register and of users who do, until it stops.
func TestWatch(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		s.Trunks[1].Register, s.Trunks[1].User, s.Trunks[1].Registrar = true, "account", s.Trunks[1].Proxy
		s.Users[0].Tenant = "other"
	})
	var mu sync.Mutex
	var told []Change
	stop := b.Watch(func(c Change) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, c)
	})
	find := func(ok func(Change) bool) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			for _, c := range told {
				if ok(c) {
					return true
				}
			}
			return false
		}
	}
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, time.Second) }()
	eventually(t, "the trunk's failure is told", find(func(c Change) bool {
		return c.Trunk != nil && c.Trunk.ID == "second" && c.Tenant == "default" && !c.Trunk.Up && c.Trunk.Error != ""
	}))
	if list := b.Trunks("default"); len(list) != 2 || list[0].State != "static" || !list[0].Up || list[1].Up || list[1].Error == "" {
		t.Errorf("trunks %+v", list)
	}
	if list := b.Trunks("other"); len(list) != 0 {
		t.Errorf("another tenant's trunks %+v", list)
	}
	b.phone("alice")
	eventually(t, "a user's registration is told", find(func(c Change) bool { return c.User == "alice" && c.Online && c.Tenant == "other" }))
	if list := b.Registrations("other"); len(list) != 1 || list[0] != (Registration{"alice", true}) {
		t.Errorf("registrations %+v", list)
	}
	if list := b.Registrations("default"); len(list) != 1 || list[0] != (Registration{"bob", false}) {
		t.Errorf("registrations %+v", list)
	}
	stop()
	b.phone("bob")
	if find(func(c Change) bool { return c.User == "bob" })() {
		t.Error("told after the end")
	}
	end()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
