//go:build soak

// Package soak holds long loads: what they look for is what a test of seconds can't see, memory, goroutines and
// descriptors that grow. Without settings in the environment they take 40 minutes together:
//
//	PATCHBAY_SOAK_CALLS  calls held at a time (1000)
//	PATCHBAY_SOAK_HOLD   for how long (10m)
//	PATCHBAY_SOAK_RATE   calls per second (5)
//	PATCHBAY_SOAK_FOR    for how long (30m)
package soak

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

func TestMain(m *testing.M) { peers.Main(m, peers.MainConfig{Package: "../../cmd/patchbay"}) }

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, expected a whole number from 1", name, text)
	}
	return n
}

func duration(t *testing.T, name string, otherwise time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 10*time.Second {
		t.Fatalf("%s is %q, expected a duration from 10s", name, text)
	}
	return d
}
