// Package ratingtest says what a call costs a second time, with fractions and by looking at the clock unit by unit: what the
// engine is held against. It shares no step of the engine's reckoning.
package ratingtest

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/patchbay/patchbay/billing/rating"
)

// Days are the days and hours of a window, as the oracle reads them: never parsed, never merged.
type Days struct {
	Name     string
	On       [7]bool // from Sunday, as time.Weekday counts
	From, To int     // minutes of the day; To below From ends the day after
}

// Case is one deck, tariff and call.
type Case struct {
	rules
	Rows []rating.Rate
	Call rating.Call

	deck *rating.Deck
	err  error // of the deck
}

// Cost is what the oracle says.
type Cost struct {
	Found   bool
	Prefix  string
	Rated   int
	Amount  string // exact to 9 digits, half-even
	Rounded string
	Ends    int // -1 = the call isn't ended
}

// Reckon says what the case costs.
func Reckon(c Case) Cost {
	digits := strings.TrimPrefix(c.Call.Number, "+")
	out := Cost{Ends: -1}
	for _, r := range c.Rows {
		if strings.HasPrefix(digits, r.Prefix) && len(r.Prefix) > len(out.Prefix) {
			out.Found, out.Prefix = true, r.Prefix
		}
	}
	if !out.Found {
		return out
	}
	var rows []rating.Rate
	for _, r := range c.Rows {
		if r.Prefix == out.Prefix {
			rows = append(rows, r)
		}
	}
	base := pick(c, rows, c.Call.At, 0)
	talk := seconds(c)
	if !c.Call.Answered || talk <= base.Free {
		out.Amount, out.Rounded = "0.000000000", fixed(new(big.Rat), c.config.Decimals)
		return out
	}
	most := fraction(base.MaxCost.String())
	if most.Sign() == 0 {
		most = fraction(c.config.MaxCost.String())
	}
	sum, ended, spent := fraction(base.Fee.String()), -1, map[part]*big.Rat{}
	for out.Rated < talk {
		at := c.Call.At
		if c.config.Spanning == rating.Split {
			at = at.Add(time.Duration(out.Rated) * time.Second)
		}
		row := pick(c, rows, at, out.Rated)
		unit := row.Next
		if out.Rated == 0 {
			unit = max(base.First, base.MinSeconds)
		}
		kind := part{row.Window, row.From, unit}
		if spent[kind] == nil {
			spent[kind] = new(big.Rat).Mul(fraction(row.Price.String()), big.NewRat(int64(unit), 60))
		}
		sum.Add(sum, spent[kind])
		if ended < 0 && most.Sign() > 0 && sum.Cmp(most) > 0 {
			ended = max(out.Rated, base.Free)
		}
		out.Rated += unit
	}
	if least := fraction(base.MinCharge.String()); sum.Cmp(least) < 0 {
		sum = least
	}
	if most.Sign() > 0 && sum.Cmp(most) > 0 {
		sum = most
		if c.config.Over == rating.Disconnect {
			out.Ends = ended
		}
	}
	out.Amount = fixed(round(sum, 9, rating.HalfEven), 9)
	out.Rounded = fixed(round(sum, c.config.Decimals, c.config.Rounding), c.config.Decimals)
	return out
}

// part is a unit of one kind.
type part struct {
	window     string
	from, unit int
}

// pick is the row that holds at an instant and a second of the call.
func pick(c Case, rows []rating.Rate, at time.Time, second int) rating.Rate {
	window := ""
	if len(rows) > 1 {
		window = inWindow(c, rows, at)
	}
	var best *rating.Rate
	for i, r := range rows {
		if r.Window == window && r.From <= second && (best == nil || r.From > best.From) {
			best = &rows[i]
		}
	}
	if best == nil {
		panic(fmt.Sprintf("no row for window %q at second %d", window, second))
	}
	return *best
}

func inWindow(c Case, rows []rating.Rate, at time.Time) string {
	local := at.In(c.zone)
	minute := local.Hour()*60 + local.Minute()
	for _, w := range c.windows {
		yesterday := (local.Weekday() + 6) % 7
		in := w.On[local.Weekday()] && w.From <= minute && (minute < w.To || w.To < w.From) || w.On[yesterday] && w.To < w.From && minute < w.To
		if !in {
			continue
		}
		for _, r := range rows {
			if r.Window == w.Name {
				return w.Name
			}
		}
	}
	return ""
}

func seconds(c Case) int {
	talk := big.NewRat(c.Call.Talk.Milliseconds(), 1000)
	whole := new(big.Int).Div(talk.Num(), talk.Denom())
	rest := new(big.Rat).Sub(talk, new(big.Rat).SetInt(whole))
	switch c.config.Seconds {
	case rating.Floor:
	case rating.Nearest:
		if rest.Cmp(big.NewRat(1, 2)) >= 0 {
			whole.Add(whole, big.NewInt(1))
		}
	default:
		if rest.Sign() > 0 {
			whole.Add(whole, big.NewInt(1))
		}
	}
	return int(whole.Int64())
}

func fraction(s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		panic(s)
	}
	return r
}

// round makes a whole number of steps of one unit of the last digit.
func round(x *big.Rat, digits int, how rating.Rounding) *big.Rat {
	scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil))
	y := new(big.Rat).Mul(x, scale)
	low := new(big.Int).Quo(y.Num(), y.Denom())
	rest := new(big.Rat).Sub(y, new(big.Rat).SetInt(low))
	up := false
	switch half := rest.Cmp(big.NewRat(1, 2)); how {
	case rating.Down:
	case rating.Up:
		up = rest.Sign() > 0
	case rating.HalfEven:
		up = half > 0 || half == 0 && low.Bit(0) == 1
	default:
		up = half >= 0
	}
	if up {
		low.Add(low, big.NewInt(1))
	}
	return new(big.Rat).Quo(new(big.Rat).SetInt(low), scale)
}

func fixed(x *big.Rat, digits int) string { return x.FloatString(digits) }
