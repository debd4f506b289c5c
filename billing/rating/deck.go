// Package rating says what a call costs: decks hold prices by number prefix, tariffs the rules by which a deck is applied.
// Everything in it is a value: the same deck, tariff and call give the same result for ever. Money is decimal, never a float.
package rating

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

// MaxPrefix is the most digits of a prefix. E.164 numbers have at most 15.
const MaxPrefix = 18

// Rate is one row of a deck: what calls to numbers that begin with a prefix cost.
type Rate struct {
	Prefix      string          `json:"prefix"` // digits
	Destination string          `json:"destination,omitempty"`
	Window      string          `json:"window,omitempty"` // the tariff's window that it is for; "" = all the time that no other row is for
	From        int             `json:"from,omitempty"`   // seconds of the call from which on it holds: a step; 0 = from the answer
	Price       decimal.Decimal `json:"price"`            // of a minute
	First       int             `json:"first,omitempty"`  // seconds of the first unit; of steps 0
	Next        int             `json:"next"`             // seconds of all others
	// What follows is read of the row that holds at the answer; steps have none of it.
	MinSeconds int             `json:"minSeconds,omitempty"`  // the first unit is at least so long
	Free       int             `json:"freeSeconds,omitempty"` // a call of at most so many seconds costs nothing
	Fee        decimal.Decimal `json:"connectFee"`
	MinCharge  decimal.Decimal `json:"minCharge"`
	MaxCost    decimal.Decimal `json:"maxCost"` // 0 = the tariff's
	Blocked    bool            `json:"blocked,omitempty"`
}

// Deck is one version of prices. It never changes.
type Deck struct {
	Name     string
	Version  int
	Currency string // ISO 4217

	rows    []Rate  // in order: a prefix's first is the one that holds at any time that has no row of its own
	entries []entry // by prefix
	entryOf []int32 // of the row that is a prefix's first, the entry's index
	trie    *trie   // of prefixes, their first rows' indexes
}

// entry is a prefix. Its rows are the deck's.
type entry struct {
	steps   []Rate // by From; the first is 0
	windows []windowed
}

// windowed are the rows of a prefix that hold within a window.
type windowed struct {
	window string
	steps  []Rate
}

// NewDeck makes a deck of its rows, in any order. Each prefix needs a row of no window, each window of a prefix one from
// second 0.
func NewDeck(name string, version int, currency string, rows []Rate) (*Deck, error) {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, order)
	d := &Deck{Name: name, Version: version, Currency: currency, rows: rows, entryOf: make([]int32, len(rows))}
	var prefixes []string
	var first []int32
	for i, r := range rows {
		if err := checkPrefix(r.Prefix); err != nil {
			return nil, fmt.Errorf("deck %s: %w", name, err)
		}
		if r.Next < 1 || r.From == 0 && r.First < 1 || r.Price.IsNegative() || r.Fee.IsNegative() || r.MinCharge.IsNegative() || r.MaxCost.IsNegative() {
			return nil, fmt.Errorf("deck %s: prefix %s: increments %d/%d and prices, expected increments of at least 1 s and no price below 0", name, r.Prefix, r.First, r.Next)
		}
		if i > 0 && order(rows[i-1], r) == 0 {
			return nil, fmt.Errorf("deck %s: prefix %s stands twice with the same window and step", name, r.Prefix)
		}
		if i == 0 || rows[i-1].Prefix != r.Prefix {
			if r.Window != "" {
				return nil, fmt.Errorf("deck %s: prefix %s has a row for window %s only, expected one without a window too", name, r.Prefix, r.Window)
			}
			prefixes, first = append(prefixes, r.Prefix), append(first, int32(i))
			d.entryOf[i] = int32(len(d.entries))
			d.entries = append(d.entries, entry{})
		}
		if err := d.entries[len(d.entries)-1].add(rows, i); err != nil {
			return nil, fmt.Errorf("deck %s: prefix %s: %w", name, r.Prefix, err)
		}
	}
	d.trie = newTrie(prefixes, first)
	return d, nil
}

func checkPrefix(p string) error {
	if len(p) == 0 || len(p) > MaxPrefix || strings.Trim(p, "0123456789") != "" {
		return fmt.Errorf("prefix %q: expected 1 to %d digits", p, MaxPrefix)
	}
	return nil
}

// add takes row i, which follows those that the entry has.
func (e *entry) add(rows []Rate, i int) error {
	r, steps := &rows[i], &e.steps
	if r.Window != "" {
		if n := len(e.windows); n == 0 || e.windows[n-1].window != r.Window {
			e.windows = append(e.windows, windowed{window: r.Window})
		}
		steps = &e.windows[len(e.windows)-1].steps
	}
	if len(*steps) == 0 && r.From != 0 {
		return fmt.Errorf("its first row is from second %d, expected one from second 0", r.From)
	}
	*steps = rows[i-len(*steps) : i+1 : i+1]
	return nil
}

// order is by prefix, then the row without a window, then by window and step.
func order(a, b Rate) int {
	return cmp.Or(cmp.Compare(a.Prefix, b.Prefix), cmp.Compare(a.Window, b.Window), cmp.Compare(a.From, b.From))
}

// find is the entry of the longest prefix that the number begins with; nil: there is none. A leading + is passed over, and
// the number ends where its digits do.
func (d *Deck) find(number string) *entry {
	if i := d.at(number); i >= 0 {
		return &d.entries[d.entryOf[i]]
	}
	return nil
}

// at is the index of the row that Match gives; -1: there is none.
func (d *Deck) at(number string) int {
	if len(number) > 0 && number[0] == '+' {
		number = number[1:]
	}
	return d.trie.find(number)
}

// Match is the row of the longest prefix that the number begins with, at any time that has no row of its own. A leading +
// is passed over. It allocates nothing.
func (d *Deck) Match(number string) (*Rate, bool) {
	i := d.at(number)
	if i < 0 {
		return nil, false
	}
	return &d.rows[i], true
}

// Len is how many rows there are.
func (d *Deck) Len() int { return len(d.rows) }

// Windows are the names of the windows that rows are for.
func (d *Deck) Windows() []string {
	seen := map[string]bool{}
	var out []string
	for i := range d.entries {
		for _, w := range d.entries[i].windows {
			if !seen[w.window] {
				seen[w.window] = true
				out = append(out, w.window)
			}
		}
	}
	slices.Sort(out)
	return out
}
