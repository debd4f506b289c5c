package rating

import (
	"time"

	"github.com/shopspring/decimal"
)

// Rest says what the rest of a talk costs whose beginning, before, was rated by itself: what all of it costs less what the beginning does. So
// the parts of a talk cost together, to the last digit, what it would as a whole: one fee, the first unit once. Talk is that of the
// rest. The only error is ErrNoRate.
func (t *Tariff) Rest(d *Deck, c Call, before time.Duration) (Result, error) {
	whole := c
	whole.Talk += before
	r, err := t.Rate(d, whole)
	if err != nil || before <= 0 {
		return r, err
	}
	c.Talk = before
	b, err := t.Rate(d, c)
	if err != nil {
		return r, err
	}
	r.Before = &Before{b.TalkMS, b.Rated, b.Amount, b.Rounded}
	r.TalkMS -= b.TalkMS
	r.Seconds -= b.Seconds
	r.Rated -= b.Rated
	r.Fee = r.Fee.Sub(b.Fee)
	r.Amount, r.Rounded = r.Amount.Sub(b.Amount), r.Rounded.Sub(b.Rounded)
	rest := []Segment{}
	for _, s := range r.Segments {
		if gone := min(max(0, b.Rated-s.From), s.Seconds); gone > 0 { // whole units: both are counted from the answer
			s.From += gone
			s.Seconds -= gone
			s.Amount = share(s.Price.Mul(decimal.NewFromInt(int64(s.Seconds))), amountDigits, HalfEven)
		}
		if s.Seconds > 0 {
			rest = append(rest, s)
		}
	}
	r.Segments = rest
	return r, nil
}
