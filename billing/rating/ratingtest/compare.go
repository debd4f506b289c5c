package ratingtest

import (
	"fmt"

	"github.com/patchbay/patchbay/billing/rating"
)

// Differences rates n random cases by the engine and by the oracle, and tells where they differ; at most 10 are told.
func Differences(seed uint64, n int) (told []string, answered int) {
	source := NewSource(seed)
	for i := 0; i < n && len(told) < 10; i++ {
		c := source.Next()
		got, err := engine(c)
		if err != nil {
			return append(told, fmt.Sprintf("case %d: %v", i, err)), answered
		}
		want := Reckon(c)
		if got != want {
			told = append(told, fmt.Sprintf("case %d of seed %d: engine %+v, oracle %+v\n%+v\n%+v\n%+v", i, seed, got, want, c.config, c.Rows, c.Call))
		}
		if want.Rated > 0 {
			answered++
		}
	}
	return told, answered
}

func engine(c Case) (Cost, error) {
	if c.err != nil {
		return Cost{}, c.err
	}
	res, err := c.tariff.Rate(c.deck, c.Call)
	if err != nil {
		return Cost{Ends: -1}, nil // ErrNoRate: Found is false
	}
	out := Cost{Found: true, Prefix: res.Prefix, Rated: res.Rated, Amount: res.Amount.StringFixed(9), Rounded: res.Rounded.StringFixed(int32(c.config.Decimals)), Ends: -1}
	if res.Ends != nil {
		out.Ends = *res.Ends
	}
	return out, nil
}

// Engine is the case's deck and tariff.
func (c Case) Engine() (*rating.Deck, *rating.Tariff, error) { return c.deck, c.tariff, c.err }
