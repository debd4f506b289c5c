//go:build linux

package main

import (
	"testing"
	"time"
)

// The measurement itself works: both sides answer in each round.
func TestRoundTrips(t *testing.T) {
	list, err := measureRoundTrips(t.Context(), 2, 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		if r.echo <= 0 || r.get <= 0 || r.set <= 0 {
			t.Errorf("a round took %+v us", r)
		}
	}
}
