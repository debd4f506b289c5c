package ratingtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/patchbay/patchbay/billing/rating"
)

// Source draws cases. Those of one seed come in the same order for ever.
type Source struct {
	r     *rand.Rand
	rules []rules
	last  Case
	drawn int
}

// rules are a tariff, and its windows as the oracle reads them.
type rules struct {
	config  rating.Config
	tariff  *rating.Tariff
	windows []Days
	zone    *time.Location
}

// NewSource makes a source of a thousand tariffs.
func NewSource(seed uint64) *Source {
	s := &Source{r: rand.New(rand.NewPCG(seed, 1))}
	for range 1000 {
		s.rules = append(s.rules, draw(s.r))
	}
	return s
}

// Next draws a case; four in a row have the same deck and tariff.
func (s *Source) Next() Case {
	if s.drawn%4 == 0 {
		s.last = Case{rules: s.rules[s.r.IntN(len(s.rules))]}
		rows(s.r, &s.last)
		s.last.deck, s.last.err = rating.NewDeck("d", 1, "EUR", s.last.Rows)
	}
	s.drawn++
	s.last.Call = call(s.r, s.last)
	return s.last
}

func draw(r *rand.Rand) rules {
	c := rules{config: rating.Config{ID: "t", Deck: "d", Decimals: r.IntN(7),
		Zone:     one(r, "Europe/Berlin", "UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"),
		Seconds:  one(r, rating.Ceil, rating.Floor, rating.Nearest),
		Rounding: one(r, rating.HalfUp, rating.HalfEven, rating.Up, rating.Down),
		Spanning: one(r, rating.AtStart, rating.Split),
		Over:     one(r, rating.Free, rating.Disconnect)}}
	if r.IntN(4) == 0 {
		c.config.MaxCost = price(r, 3)
	}
	for i := range r.IntN(3) {
		w := Days{Name: fmt.Sprintf("w%d", i), From: r.IntN(1440), To: r.IntN(1440)}
		if w.From == w.To {
			w.To = w.From/2 + 720
		}
		if w.From == w.To {
			w.To++
		}
		var names []string
		for d := range 7 {
			if w.On[d] = r.IntN(2) == 0; w.On[d] {
				names = append(names, time.Weekday(d).String()[:3])
			}
		}
		if len(names) == 0 {
			w.On[3], names = true, []string{"Wed"}
		}
		c.windows = append(c.windows, w)
		times := fmt.Sprintf("%s %02d:%02d-%02d:%02d", strings.Join(names, ","), w.From/60, w.From%60, w.To/60, w.To%60)
		c.config.Windows = append(c.config.Windows, rating.Window{Name: w.Name, Times: []string{times}})
	}
	var err error
	if c.tariff, err = rating.NewTariff(c.config); err != nil {
		panic(err)
	}
	if c.zone, err = time.LoadLocation(c.config.Zone); err != nil {
		panic(err)
	}
	return c
}

func rows(r *rand.Rand, c *Case) {
	number := digits(r, 12)
	seen := map[string]bool{}
	for range 1 + r.IntN(6) {
		prefix := number[:1+r.IntN(9)]
		if r.IntN(3) == 0 {
			prefix = digits(r, 1+r.IntN(6))
		}
		if seen[prefix] {
			continue
		}
		seen[prefix] = true
		for i := -1; i < len(c.windows); i++ {
			window := ""
			if i >= 0 {
				if window = c.windows[i].Name; r.IntN(2) == 0 {
					continue
				}
			}
			c.Rows = append(c.Rows, base(r, prefix, window))
			from := 0
			for range r.IntN(3) {
				from += 1 + r.IntN(120)
				c.Rows = append(c.Rows, rating.Rate{Prefix: prefix, Window: window, From: from, Price: price(r, 1), Next: increment(r)})
			}
		}
	}
	r.Shuffle(len(c.Rows), func(i, j int) { c.Rows[i], c.Rows[j] = c.Rows[j], c.Rows[i] })
	c.Call.Number = number
	if r.IntN(2) == 0 {
		c.Call.Number = "+" + number
	}
}

func base(r *rand.Rand, prefix, window string) rating.Rate {
	row := rating.Rate{Prefix: prefix, Window: window, Price: price(r, 1), First: increment(r), Next: increment(r)}
	if r.IntN(3) == 0 {
		row.Fee = price(r, 1)
	}
	if r.IntN(4) == 0 {
		row.MaxCost = price(r, 2)
	}
	if r.IntN(4) == 0 {
		if row.MinCharge = price(r, 1); row.MaxCost.IsPositive() && row.MinCharge.GreaterThan(row.MaxCost) {
			row.MinCharge = row.MaxCost
		}
	}
	if r.IntN(4) == 0 {
		row.MinSeconds = r.IntN(90)
	}
	if r.IntN(4) == 0 {
		row.Free = r.IntN(15)
	}
	return row
}

// call is at any instant of some years, half of them in an hour before or behind one at which the zone's clocks are changed,
// or a window begins.
func call(r *rand.Rand, c Case) rating.Call {
	at := time.UnixMilli(1_700_000_000_000 + r.Int64N(100_000_000_000))
	if r.IntN(2) == 0 {
		edge := at
		if _, end := at.In(c.zone).ZoneBounds(); !end.IsZero() && r.IntN(2) == 0 {
			edge = end
		} else if len(c.windows) > 0 {
			w, l := c.windows[0], at.In(c.zone)
			edge = time.Date(l.Year(), l.Month(), l.Day(), w.To/60, w.To%60, 0, 0, c.zone)
		}
		at = edge.Add(time.Duration(r.IntN(300_000)-200_000) * time.Millisecond)
	}
	most := 3.0
	if r.IntN(50) == 0 {
		most = 5
	}
	talk := time.Duration(math.Pow(10, 2+r.Float64()*most)) * time.Millisecond
	return rating.Call{Number: c.Call.Number, At: at, Answered: r.IntN(20) > 0, Talk: talk}
}

func one[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func increment(r *rand.Rand) int { return one(r, 1, 1, 6, 10, 15, 30, 60, 1+r.IntN(100)) }

func digits(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('0' + r.IntN(10))
	}
	return string(b)
}

// price is below 10 to the magnitude, of 0 to 9 digits behind the point, or a plain one.
func price(r *rand.Rand, magnitude int) decimal.Decimal {
	if r.IntN(10) == 0 {
		return decimal.RequireFromString(one(r, "0", "0.0123", "1", "0.6", "0.03", "0.000000001"))
	}
	n := r.IntN(10)
	most := int64(math.Pow10(n + r.IntN(magnitude+1)))
	return decimal.New(r.Int64N(most+1), int32(-n))
}
