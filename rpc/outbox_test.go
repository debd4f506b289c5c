package rpc

import "testing"

// What is used up together is taken from those who have much waiting, and given back when it was written or dropped.
func TestOutboxBudget(t *testing.T) {
	all := &budget{most: 1 << 20}
	box := func() *outbox { return &outbox{most: 4 << 20, all: all, wake: make(chan struct{}, 1)} }
	big := make([]byte, 1<<19)
	slow, other := box(), box()
	for i, want := range []bool{true, true, false} {
		if got := slow.push(big); got != want {
			t.Fatalf("message %d of half the budget: %t, expected %t", i+1, got, want)
		}
	}
	if !other.push(make([]byte, fairShare)) || other.push(make([]byte, 1)) {
		t.Error("another client can't have its share, or has more")
	}
	if batch, _ := slow.take(); len(batch) != 2 || all.used.Load() != 1<<20+fairShare {
		t.Errorf("%d messages are being written and %d bytes held, expected 2 and %d", len(batch), all.used.Load(), 1<<20+fairShare)
	}
	slow.shut()
	slow.take() // those before have been written
	slow.leave()
	other.abandon()
	other.leave()
	if n := all.used.Load(); n != 0 {
		t.Errorf("%d bytes are held after all, expected none", n)
	}
}
