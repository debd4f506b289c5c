package rating

import (
	"errors"
	"math"
	"time"

	"github.com/shopspring/decimal"
)

// ErrNoRate: no prefix of the deck fits the number.
var ErrNoRate = errors.New("no prefix of the deck fits the number")

// amountDigits are those of an amount before it is rounded: what the database keeps of it.
const amountDigits = 9

// Call is what a call is rated by.
type Call struct {
	Number   string        // E.164, with or without its +
	At       time.Time     // the answer
	Answered bool          // a call that was not costs nothing
	Talk     time.Duration // from the answer to the end, to the millisecond
}

// Result is what a call costs, and why.
type Result struct {
	Tariff      string          `json:"tariff"`
	Deck        string          `json:"deck"`
	Version     int             `json:"version"`
	Currency    string          `json:"currency"`
	Number      string          `json:"number"`
	Prefix      string          `json:"prefix"`
	Destination string          `json:"destination,omitempty"`
	Blocked     bool            `json:"blocked,omitempty"`
	At          time.Time       `json:"at"`
	TalkMS      int64           `json:"talkMs"`
	Seconds     int             `json:"seconds"` // whole, by the tariff's mode
	SecondsMode Seconds         `json:"secondsMode"`
	Rated       int             `json:"ratedSeconds"` // in whole units
	Price       decimal.Decimal `json:"price"`        // of a minute, at the answer
	First       int             `json:"first"`
	Next        int             `json:"next"`
	Fee         decimal.Decimal `json:"connectFee"`
	Segments    []Segment       `json:"segments"`
	Minimum     bool            `json:"minimum,omitempty"` // the minimum charge is more than the sum, and taken
	Maximum     bool            `json:"maximum,omitempty"` // the most that a call may cost is less than the sum, and taken
	Ends        *int            `json:"ends,omitempty"`    // second at which a call that may cost no more is ended
	Amount      decimal.Decimal `json:"amount"`            // to 9 digits, half-even
	Rounded     decimal.Decimal `json:"rounded"`           // by the tariff, of the sum itself
	Rounding    Rounding        `json:"rounding"`
	Decimals    int             `json:"decimals"`
	Before      *Before         `json:"before,omitempty"` // what another call was rated by, of which this is the rest
}

// Before is the beginning of a talk, that was rated by itself.
type Before struct {
	TalkMS  int64           `json:"talkMs"`
	Rated   int             `json:"ratedSeconds"`
	Amount  decimal.Decimal `json:"amount"`
	Rounded decimal.Decimal `json:"rounded"`
}

// Segment is a run of equal units.
type Segment struct {
	From    int             `json:"from"`    // second of the call
	Seconds int             `json:"seconds"` // all units
	Unit    int             `json:"unit"`    // seconds of one
	Price   decimal.Decimal `json:"price"`   // of a minute
	Step    int             `json:"step,omitempty"`
	Window  string          `json:"window,omitempty"`
	Zone    string          `json:"zone,omitempty"` // where there are windows
	Amount  decimal.Decimal `json:"amount"`         // to 9 digits
}

// Rate says what a call costs. The only error is ErrNoRate.
func (t *Tariff) Rate(d *Deck, c Call) (Result, error) {
	r := Result{Tariff: t.ID, Deck: d.Name, Version: d.Version, Currency: d.Currency, Number: c.Number, At: c.At, TalkMS: c.Talk.Milliseconds(),
		SecondsMode: t.Seconds, Rounding: t.Rounding, Decimals: t.Decimals, Segments: []Segment{}}
	e := d.find(c.Number)
	if e == nil {
		return r, ErrNoRate
	}
	base := &t.steps(e, c.At)[0]
	r.Prefix, r.Destination, r.Blocked = base.Prefix, base.Destination, base.Blocked
	r.Price, r.First, r.Next = base.Price, base.First, base.Next
	if r.Seconds = t.whole(c.Talk); !c.Answered || r.Seconds <= base.Free {
		return r, nil
	}
	r.Fee = base.Fee
	m := meter{t: t, e: e, base: base, at: c.At, sum: base.Fee.Mul(sixty)}
	for m.pos < r.Seconds {
		r.Segments = append(r.Segments, m.next(r.Seconds))
	}
	r.Rated = m.pos
	sum := m.sum
	if least := base.MinCharge.Mul(sixty); sum.LessThan(least) {
		sum, r.Minimum = least, true
	}
	if most := t.most(base); most.IsPositive() && sum.GreaterThan(most) {
		sum, r.Maximum = most, true
		if t.Over == Disconnect {
			if ends, bounded := t.limit(e, base, c.At, r.Seconds); bounded {
				r.Ends = &ends
			}
		}
	}
	r.Amount = share(sum, amountDigits, HalfEven)
	r.Rounded = share(sum, int32(t.Decimals), t.Rounding)
	return r, nil
}

// most is what a call may cost, times 60.
func (t *Tariff) most(base *Rate) decimal.Decimal {
	if base.MaxCost.IsPositive() {
		return base.MaxCost.Mul(sixty)
	}
	return t.MaxCost.Mul(sixty)
}

// Limit is the time that a call may talk, where the tariff ends calls that cost the most they may; bounded is false if it
// may talk for a day.
func (t *Tariff) Limit(d *Deck, number string, at time.Time) (talk time.Duration, bounded bool) {
	e := d.find(number)
	if e == nil || t.Over != Disconnect {
		return 0, false
	}
	base := &t.steps(e, at)[0]
	if !t.most(base).IsPositive() {
		return 0, false
	}
	s, bounded := t.limit(e, base, at, 24*3600)
	return time.Duration(s) * time.Second, bounded
}

// limit is the last second before which all units that have begun are within the most that a call may cost.
func (t *Tariff) limit(e *entry, base *Rate, at time.Time, until int) (second int, bounded bool) {
	m := meter{t: t, e: e, base: base, at: at, sum: base.Fee.Mul(sixty)}
	most := t.most(base)
	for m.pos < until {
		from, before := m.pos, m.sum
		s := m.next(until)
		if !m.sum.GreaterThan(most) {
			continue
		}
		unit := s.Price.Mul(decimal.NewFromInt(int64(s.Unit)))
		n := int64(0)
		if left := most.Sub(before); left.IsPositive() {
			n = left.Div(unit).Floor().IntPart() // below what the segment has: it passed the most
			for unit.Mul(decimal.NewFromInt(n)).GreaterThan(left) {
				n-- // Div has rounded up
			}
		}
		return max(from+int(n)*s.Unit, base.Free), true
	}
	return 0, false
}

// meter goes through a call unit by unit, as many at once as are equal.
type meter struct {
	t    *Tariff
	e    *entry
	base *Rate
	at   time.Time
	pos  int             // seconds that are paid
	sum  decimal.Decimal // their price, times 60
}

// next takes the units that begin from here on before until and are equal.
func (m *meter) next(until int) Segment {
	now, steps := m.at, m.e.steps
	if len(m.e.windows) > 0 {
		if m.t.Spanning == Split {
			now = m.at.Add(time.Duration(m.pos) * time.Second)
		}
		steps = m.t.steps(m.e, now)
	}
	i := len(steps) - 1
	for steps[i].From > m.pos {
		i--
	}
	row, unit, n := &steps[i], steps[i].Next, 1
	if m.pos == 0 {
		unit = max(m.base.First, m.base.MinSeconds)
	} else {
		end := until
		if i+1 < len(steps) {
			end = min(end, steps[i+1].From)
		}
		n = (end - m.pos + unit - 1) / unit
		if m.t.Spanning == Split && len(m.e.windows) > 0 && len(m.t.Windows) > 0 {
			n = min(n, units(m.t.change(now).Sub(now), unit))
		}
	}
	s := Segment{From: m.pos, Seconds: n * unit, Unit: unit, Price: row.Price, Step: row.From, Window: row.Window}
	if len(m.e.windows) > 0 {
		s.Zone = m.t.Zone
	}
	cost := row.Price.Mul(decimal.NewFromInt(int64(s.Seconds)))
	s.Amount = share(cost, amountDigits, HalfEven)
	m.pos += s.Seconds
	m.sum = m.sum.Add(cost)
	return s
}

// units is how many begin within d.
func units(d time.Duration, unit int) int {
	u := time.Duration(unit) * time.Second
	if d > math.MaxInt64-u {
		return math.MaxInt32
	}
	return int((d + u - 1) / u)
}
