//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/shopspring/decimal"
	"golang.org/x/sys/unix"

	"github.com/patchbay/patchbay/billing/rating"
)

// What finding a price may take, and a call's whole rating: from its number to a rounded amount.
const (
	ratedPrefixes = 300_000
	mostMatch     = 200.0 // ns
	mostRated     = 100.0 // us: 10,000 calls a second on one core
	ratedNumbers  = 1 << 16
)

// prices measures how long it takes to find the longest of 300,000 prefixes, and to rate a call, in CPU time of one thread.
func prices(_ context.Context, args []string) error {
	f := flag.NewFlagSet("bench rating", flag.ContinueOnError)
	rounds := f.Int("rounds", 9, "how often, 1 to 1000; the median counts")
	var strict bool
	goalFlag(f, &strict)
	if err := f.Parse(args); err != nil {
		return err
	}
	if *rounds < 1 || *rounds > 1000 {
		return fmt.Errorf("-rounds is %d, expected 1 to 1000", *rounds)
	}
	deck, numbers, err := world()
	if err != nil {
		return err
	}
	tariff, err := rating.NewTariff(rating.Config{ID: "retail", Decimals: 4})
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var matches, ratings []float64
	for range *rounds {
		matches = append(matches, each(1<<20, func(i int) { deck.Match(numbers[i%ratedNumbers]) }))
		ratings = append(ratings, each(1<<14, func(i int) {
			_, err = tariff.Rate(deck, rating.Call{Number: numbers[i%ratedNumbers], Answered: true, Talk: 61 * time.Second})
		})/1e3)
		if err != nil {
			return err
		}
	}
	slices.Sort(matches)
	slices.Sort(ratings)
	match, rated := matches[len(matches)/2], ratings[len(ratings)/2]
	fmt.Printf("\n%d prefixes: %.0f ns to find the longest (%.0f to %.0f); %.1f us to rate a call, %.0f calls a second on one core\n\n", deck.Len(), match, matches[0],
		matches[len(matches)-1], rated, 1e6/rated)
	goals := []goal{{"longest of 300,000 prefixes", match, mostMatch, 0, "ns"}, {"a call's rating", rated, mostRated, 1, "us"}}
	if missed := judge(os.Stdout, goals); missed > 0 && strict {
		return fmt.Errorf("%d goals missed", missed)
	}
	return nil
}

// each is the thread's CPU time of one of n calls, in ns.
func each(n int, call func(i int)) float64 {
	began := threadTime()
	for i := range n {
		call(i)
	}
	return float64(threadTime()-began) / float64(n)
}

func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// world is a deck as a carrier's list of the world is, most of its prefixes of five to eight digits, and numbers to be called, each
// elsewhere than the one before.
func world() (*rating.Deck, []string, error) {
	r := rand.New(rand.NewPCG(3, 3))
	rows := make([]rating.Rate, 0, ratedPrefixes)
	seen := map[string]bool{}
	for len(rows) < ratedPrefixes {
		p := fmt.Sprint(1 + r.Int64N([]int64{99, 9_999, 99_999, 999_999, 9_999_999, 99_999_999}[r.IntN(6)]))
		if !seen[p] {
			seen[p] = true
			rows = append(rows, rating.Rate{Prefix: p, Price: decimal.New(r.Int64N(90_000), -5), First: 30, Next: 6})
		}
	}
	numbers := make([]string, ratedNumbers)
	for i := range numbers {
		numbers[i] = fmt.Sprintf("+%s%06d", rows[r.IntN(len(rows))].Prefix, r.IntN(1e6))
	}
	deck, err := rating.NewDeck("world", 1, "EUR", rows)
	return deck, numbers, err
}
