package rating_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/patchbay/patchbay/billing/rating"
	"github.com/patchbay/patchbay/billing/rating/ratingtest"
)

func money(s string) decimal.Decimal { return decimal.RequireFromString(s) }

func deck(t testing.TB, rows ...rating.Rate) *rating.Deck {
	t.Helper()
	for i := range rows {
		if rows[i].Next == 0 {
			rows[i].Next = 1
		}
		if rows[i].From == 0 && rows[i].First == 0 {
			rows[i].First = 1
		}
	}
	d, err := rating.NewDeck("d", 3, "EUR", rows)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func tariff(t testing.TB, c rating.Config) *rating.Tariff {
	t.Helper()
	c.ID = "t"
	out, err := rating.NewTariff(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func rate(t testing.TB, tr *rating.Tariff, d *rating.Deck, at time.Time, talk time.Duration) rating.Result {
	t.Helper()
	r, err := tr.Rate(d, rating.Call{Number: "+49301234", At: at, Answered: true, Talk: talk})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestVectors are calls at 0.0123 a minute.
func TestVectors(t *testing.T) {
	at := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	for _, v := range []struct {
		first, next int
		talk        time.Duration
		answered    bool
		rated       int
		amount      string
	}{
		{1, 1, 61 * time.Second, true, 61, "0.012505"},
		{6, 6, 61 * time.Second, true, 66, "0.01353"},
		{30, 6, 61 * time.Second, true, 66, "0.01353"},
		{60, 60, 61 * time.Second, true, 120, "0.0246"},
		{1, 1, 200 * time.Millisecond, true, 1, "0.000205"},
		{30, 6, 5 * time.Second, true, 30, "0.00615"},
		{1, 1, 61 * time.Second, false, 0, "0"},
		{1, 1, 0, true, 0, "0"},
	} {
		d := deck(t, rating.Rate{Prefix: "49", Price: money("0.0123"), First: v.first, Next: v.next})
		tr := tariff(t, rating.Config{Decimals: 6})
		r, err := tr.Rate(d, rating.Call{Number: "+4930", At: at, Answered: v.answered, Talk: v.talk})
		if err != nil || r.Rated != v.rated || !r.Amount.Equal(money(v.amount)) || !r.Rounded.Equal(money(v.amount)) {
			t.Errorf("%s at %d/%d, answered %v: %d s, %s, rounded %s (%v); expected %d s, %s", v.talk, v.first, v.next, v.answered, r.Rated, r.Amount, r.Rounded, err, v.rated, v.amount)
		}
	}
}

// TestOracle holds the engine against the oracle in 50,000 random cases, half of them on each of two cores.
func TestOracle(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			told, paid := ratingtest.Differences(seed, 25_000)
			for _, d := range told {
				t.Error(d)
			}
			if paid < 15_000 {
				t.Errorf("only %d of 25,000 cases have a call to pay for", paid)
			}
		})
	}
}

func TestLongerCallsNeverCostLess(t *testing.T) {
	t.Parallel()
	r, source := rand.New(rand.NewPCG(7, 7)), ratingtest.NewSource(7)
	for range 300 {
		c := source.Next()
		d, tr, err := c.Engine()
		if err != nil {
			t.Fatal(err)
		}
		var last rating.Result
		for ms := int64(0); ms < 300_000; ms += 1 + r.Int64N(15_000) {
			c.Call.Talk = time.Duration(ms) * time.Millisecond
			now, err := tr.Rate(d, c.Call)
			if err != nil {
				break
			}
			if now.Amount.LessThan(last.Amount) || now.Rounded.LessThan(last.Rounded) || now.Rated < last.Rated {
				t.Fatalf("%d ms cost %s, %d ms cost %s", last.TalkMS, last.Amount, ms, now.Amount)
			}
			last = now
		}
	}
}

func TestLongestPrefix(t *testing.T) {
	d := deck(t, rating.Rate{Prefix: "4"}, rating.Rate{Prefix: "49"}, rating.Rate{Prefix: "4930"}, rating.Rate{Prefix: "1"}, rating.Rate{Prefix: "123456789012345678"})
	for number, want := range map[string]string{"+4930123": "4930", "4931": "49", "41": "4", "49": "49", "+": "", "": "", "5": "", "4a30": "4",
		"1234567890123456789": "123456789012345678", "12345678901234567": "1", "+49 30": "49", "99999999999999999999999": ""} {
		r, ok := d.Match(number)
		if got := ""; ok != (want != "") || ok && r.Prefix != want {
			if ok {
				got = r.Prefix
			}
			t.Errorf("%q is matched by %q, expected %q", number, got, want)
		}
	}
	if _, err := tariff(t, rating.Config{}).Rate(d, rating.Call{Number: "5"}); !errors.Is(err, rating.ErrNoRate) {
		t.Errorf("%v, expected that no prefix fits", err)
	}
}

func TestFeesFreeSecondsAndBounds(t *testing.T) {
	at := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	row := rating.Rate{Prefix: "49", Price: money("0.60"), First: 1, Next: 1}
	for _, v := range []struct {
		name    string
		change  func(r *rating.Rate, c *rating.Config)
		talk    time.Duration
		rounded string
		ends    int
	}{
		{"fee", func(r *rating.Rate, _ *rating.Config) { r.Fee = money("0.05") }, 10 * time.Second, "0.15", -1},
		{"a free call has no fee", func(r *rating.Rate, _ *rating.Config) { r.Fee, r.Free = money("0.05"), 10 }, 10 * time.Second, "0", -1},
		{"behind free seconds all count", func(r *rating.Rate, _ *rating.Config) { r.Free = 10 }, 11 * time.Second, "0.11", -1},
		{"minimum charge", func(r *rating.Rate, _ *rating.Config) { r.MinCharge = money("0.2") }, time.Second, "0.2", -1},
		{"minimum seconds", func(r *rating.Rate, _ *rating.Config) { r.MinSeconds, r.Next = 20, 7 }, 21 * time.Second, "0.27", -1},
		{"most, free", func(r *rating.Rate, _ *rating.Config) { r.MaxCost = money("0.3") }, time.Hour, "0.3", -1},
		{"most of the tariff, ended", func(_ *rating.Rate, c *rating.Config) { c.MaxCost, c.Over = money("0.305"), rating.Disconnect }, time.Hour, "0.31", 30},
		{"most that the row has is its own", func(r *rating.Rate, c *rating.Config) {
			r.MaxCost, c.MaxCost, c.Over = money("0.1"), money("9"), rating.Disconnect
		}, time.Hour, "0.1", 10},
		{"less than the fee", func(r *rating.Rate, c *rating.Config) {
			r.MaxCost, r.Fee, c.Over = money("0.1"), money("0.2"), rating.Disconnect
		}, time.Minute, "0.1", 0},
	} {
		r, c := row, rating.Config{Decimals: 2}
		v.change(&r, &c)
		tr, d := tariff(t, c), deck(t, r)
		got := rate(t, tr, d, at, v.talk)
		ends := -1
		if got.Ends != nil {
			ends = *got.Ends
		}
		if !got.Rounded.Equal(money(v.rounded)) || ends != v.ends {
			t.Errorf("%s: %s, ends at %d, expected %s and %d", v.name, got.Rounded, ends, v.rounded, v.ends)
		}
		if limit, bounded := tr.Limit(d, "+4930", at); bounded != (ends >= 0) || bounded && limit != time.Duration(ends)*time.Second {
			t.Errorf("%s: the call may talk %s (%v), expected %d s", v.name, limit, bounded, ends)
		}
	}
}

func TestSecondsAndRounding(t *testing.T) {
	at := time.Now()
	for mode, want := range map[rating.Seconds][4]int{rating.Ceil: {1, 2, 2, 2}, rating.Floor: {1, 1, 1, 1}, rating.Nearest: {1, 1, 2, 2}} {
		tr, d := tariff(t, rating.Config{Seconds: mode}), deck(t, rating.Rate{Prefix: "49"})
		for i, ms := range [...]int{1000, 1001, 1500, 1999} {
			if got := rate(t, tr, d, at, time.Duration(ms)*time.Millisecond).Seconds; got != want[i] {
				t.Errorf("%s of %d ms is %d s, expected %d", mode, ms, got, want[i])
			}
		}
	}
	for how, want := range map[rating.Rounding][4]string{rating.HalfUp: {"0.01", "0.02", "0", "0.02"}, rating.HalfEven: {"0", "0.02", "0", "0.02"},
		rating.Up: {"0.01", "0.02", "0.01", "0.03"}, rating.Down: {"0", "0.01", "0", "0.02"}} {
		for i, price := range [...]string{"0.005", "0.015", "0.004", "0.024"} {
			d := deck(t, rating.Rate{Prefix: "49", Price: money(price)})
			if got := rate(t, tariff(t, rating.Config{Rounding: how, Decimals: 2}), d, at, time.Minute).Rounded; !got.Equal(money(want[i])) {
				t.Errorf("%s %s is %s, expected %s", price, how, got, want[i])
			}
		}
	}
}

func TestSteps(t *testing.T) {
	d := deck(t, rating.Rate{Prefix: "49", Price: money("0.6"), First: 60, Next: 60}, rating.Rate{Prefix: "49", From: 100, Price: money("0.3"), Next: 10})
	r := rate(t, tariff(t, rating.Config{Decimals: 4}), d, time.Now(), 151*time.Second)
	// The unit that begins at 60 s lasts to 120 s, past the step at 100 s.
	if r.Rated != 160 || !r.Rounded.Equal(money("1.4")) || len(r.Segments) != 3 || r.Segments[2].Step != 100 || r.Segments[2].Seconds != 40 {
		t.Errorf("%+v", r)
	}
	b, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(b), `"price":"0.3"`) || !strings.Contains(string(b), `"rounded":"1.4"`) {
		t.Errorf("%s %v, expected money as strings", b, err)
	}
}

// TestNightsOfClockChanges: 2026-03-29 has no 02:00 to 03:00 in Berlin, 2026-10-25 has it twice.
func TestNightsOfClockChanges(t *testing.T) {
	cheap := rating.Window{Name: "night", Times: []string{"Sat,Sun 02:00-03:00"}}
	d := deck(t, rating.Rate{Prefix: "49", Price: money("1"), First: 60, Next: 60}, rating.Rate{Prefix: "49", Window: "night", Price: money("0.1"), First: 60, Next: 60})
	spring, autumn := time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC)
	for _, v := range []struct {
		from time.Time
		talk time.Duration
		mode rating.Spanning
		cost string
	}{
		{spring, 3 * time.Hour, rating.Split, "180"},                   // 01:00 CET to 05:00 CEST
		{spring.AddDate(0, 0, -7), 3 * time.Hour, rating.Split, "126"}, // of which an hour is cheap
		{autumn, 3 * time.Hour, rating.Split, "72"},                    // 02:00 to 03:00 CEST, 02:00 to 03:00 CET, then an hour
		{autumn.Add(-time.Hour), 4 * time.Hour, rating.AtStart, "240"},
		{autumn.Add(90 * time.Minute), time.Hour, rating.AtStart, "6"},
		{autumn.Add(30*time.Minute + 500*time.Millisecond), 91 * time.Minute, rating.Split, "10"}, // a unit is of the window in which it begins
	} {
		tr := tariff(t, rating.Config{Zone: "Europe/Berlin", Windows: []rating.Window{cheap}, Spanning: v.mode, Decimals: 2})
		r := rate(t, tr, d, v.from, v.talk)
		if !r.Rounded.Equal(money(v.cost)) {
			t.Errorf("%s from %s (%s): %s, expected %s: %+v", v.talk, v.from, v.mode, r.Rounded, v.cost, r.Segments)
		}
	}
}

func TestDecksAndTariffsThatMakeNoSense(t *testing.T) {
	for want, rows := range map[string][]rating.Rate{
		"1 to 18 digits":   {{Prefix: "4x", First: 1, Next: 1}},
		"stands twice":     {{Prefix: "49", First: 1, Next: 1}, {Prefix: "49", First: 1, Next: 6}},
		"for window night": {{Prefix: "49", Window: "night", First: 1, Next: 1}},
		"from second 0":    {{Prefix: "49", From: 9, Next: 1}},
		"at least 1 s":     {{Prefix: "49", First: 1}},
		"no price below 0": {{Prefix: "49", First: 1, Next: 1, Price: money("-1")}},
	} {
		if _, err := rating.NewDeck("d", 1, "EUR", rows); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
	for want, c := range map[string]rating.Config{
		`zone "Mars"`:       {Zone: "Mars"},
		`seconds "x"`:       {Seconds: "x"},
		`rounding "x"`:      {Rounding: "x"},
		`spanning "x"`:      {Spanning: "x"},
		`over "x"`:          {Over: "x"},
		"decimals 7":        {Decimals: 7},
		"max_cost":          {MaxCost: money("-1")},
		`window ""`:         {Windows: []rating.Window{{}}},
		`has no times`:      {Windows: []rating.Window{{Name: "a"}}},
		`times "Mon"`:       {Windows: []rating.Window{{Name: "a", Times: []string{"Mon"}}}},
		`times "Mo 0:0-1"`:  {Windows: []rating.Window{{Name: "a", Times: []string{"Mo 0:0-1"}}}},
		`24:01`:             {Windows: []rating.Window{{Name: "a", Times: []string{"Mon 00:00-24:01"}}}},
		"no other window":   {Windows: []rating.Window{{Name: "a", Times: []string{"Mon 00:00-24:00"}}, {Name: "a"}}},
		`"Mon 08:00-08:00"`: {Windows: []rating.Window{{Name: "a", Times: []string{"Mon 08:00-08:00"}}}},
	} {
		if _, err := rating.NewTariff(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
	d := deck(t, rating.Rate{Prefix: "49"}, rating.Rate{Prefix: "49", Window: "peak"})
	if err := tariff(t, rating.Config{}).Fits(d); err == nil || !strings.Contains(err.Error(), `"peak"`) {
		t.Errorf("%v, expected that the window isn't known", err)
	}
}

// large has 300,000 prefixes, as a carrier's list of the world has them.
func large(t testing.TB) (*rating.Deck, []string) {
	r := rand.New(rand.NewPCG(3, 3))
	rows := make([]rating.Rate, 0, 300_000)
	seen := map[string]bool{}
	for len(rows) < 300_000 {
		p := fmt.Sprint(1 + r.Int64N([]int64{99, 9999, 99999, 999999, 9999999, 99999999}[r.IntN(6)]))
		if !seen[p] {
			seen[p] = true
			rows = append(rows, rating.Rate{Prefix: p, Price: decimal.New(r.Int64N(90000), -5)})
		}
	}
	numbers := make([]string, 4096)
	for i := range numbers {
		numbers[i] = fmt.Sprintf("+%s%06d", rows[r.IntN(len(rows))].Prefix, r.IntN(1e6))
	}
	return deck(t, rows...), numbers
}

func TestMatchAllocatesNothing(t *testing.T) {
	d, numbers := large(t)
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		if _, ok := d.Match(numbers[i%len(numbers)]); !ok {
			t.Error("no match")
		}
		i++
	}); n != 0 {
		t.Errorf("%v allocations, expected none", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	d, numbers := large(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d.Match(numbers[i&4095])
	}
}

func BenchmarkRate(b *testing.B) {
	d, numbers := large(b)
	tr := tariff(b, rating.Config{Decimals: 6})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := tr.Rate(d, rating.Call{Number: numbers[i&4095], Answered: true, Talk: 61 * time.Second}); err != nil {
			b.Fatal(err)
		}
	}
}
