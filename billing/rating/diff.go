package rating

import (
	"slices"

	"github.com/shopspring/decimal"
)

// Change says what became of a row.
type Change string

// Changes of a row from one version to the next.
const (
	New     Change = "new"
	Removed Change = "removed"
	Dearer  Change = "up"
	Cheaper Change = "down"
	Block   Change = "blocked"
	Unblock Change = "unblocked"
	Other   Change = "changed" // the price is the same, what else it costs isn't
)

// Difference is a row that two versions don't have alike.
type Difference struct {
	Change      Change           `json:"change"`
	Prefix      string           `json:"prefix"`
	Window      string           `json:"window,omitempty"`
	From        int              `json:"from,omitempty"`
	Destination string           `json:"destination,omitempty"`
	Old         *decimal.Decimal `json:"old,omitempty"`     // price of a minute
	New         *decimal.Decimal `json:"new,omitempty"`     // likewise
	Percent     *decimal.Decimal `json:"percent,omitempty"` // by which it changed, to one digit; none from 0
}

// Report says what a version changes.
type Report struct {
	Counts map[Change]int `json:"counts"`
	Same   int            `json:"same"`
	Rows   []Difference   `json:"rows"` // by prefix, window and step
}

// Diff compares two versions; old is nil if there is none yet.
func Diff(before, after []Rate) Report {
	before, after = slices.Clone(before), slices.Clone(after)
	slices.SortFunc(before, order)
	slices.SortFunc(after, order)
	r := Report{Counts: map[Change]int{}, Rows: []Difference{}}
	for len(before) > 0 || len(after) > 0 {
		switch c := compare(before, after); {
		case c < 0:
			r.add(Removed, before[0], &before[0].Price, nil)
			before = before[1:]
		case c > 0:
			r.add(New, after[0], nil, &after[0].Price)
			after = after[1:]
		default:
			if change := changed(&before[0], &after[0]); change != "" {
				r.add(change, after[0], &before[0].Price, &after[0].Price)
			} else {
				r.Same++
			}
			before, after = before[1:], after[1:]
		}
	}
	return r
}

func compare(before, after []Rate) int {
	switch {
	case len(before) == 0:
		return 1
	case len(after) == 0:
		return -1
	}
	return order(before[0], after[0])
}

func changed(a, b *Rate) Change {
	switch c := b.Price.Cmp(a.Price); {
	case b.Blocked && !a.Blocked:
		return Block
	case a.Blocked && !b.Blocked:
		return Unblock
	case c > 0:
		return Dearer
	case c < 0:
		return Cheaper
	case a.First != b.First, a.Next != b.Next, a.MinSeconds != b.MinSeconds, a.Free != b.Free, !a.Fee.Equal(b.Fee),
		!a.MinCharge.Equal(b.MinCharge), !a.MaxCost.Equal(b.MaxCost), a.Destination != b.Destination:
		return Other
	}
	return ""
}

func (r *Report) add(c Change, row Rate, before, after *decimal.Decimal) {
	d := Difference{Change: c, Prefix: row.Prefix, Window: row.Window, From: row.From, Destination: row.Destination, Old: before, New: after}
	if before != nil && after != nil && !before.IsZero() {
		p := after.Sub(*before).Mul(decimal.NewFromInt(100)).DivRound(*before, 1)
		d.Percent = &p
	}
	r.Counts[c]++
	r.Rows = append(r.Rows, d)
}
