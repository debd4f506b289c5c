//go:build soak

package soak

import (
	"fmt"
	"testing"

	"github.com/patchbay/patchbay/billing/rating/ratingtest"
)

// TestRating holds the engine against the oracle in a million random cases.
func TestRating(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("seed ", 100+seed), func(t *testing.T) {
			t.Parallel()
			told, paid := ratingtest.Differences(100+seed, 100_000)
			for _, d := range told {
				t.Error(d)
			}
			t.Logf("100,000 cases, %d with a call to pay for, %d differences", paid, len(told))
		})
	}
}
