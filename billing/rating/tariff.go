package rating

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shopspring/decimal"
)

// Seconds says how a call's milliseconds become whole seconds.
type Seconds string

// Ways to whole seconds.
const (
	Ceil    Seconds = "ceil" // default
	Floor   Seconds = "floor"
	Nearest Seconds = "nearest" // half a second is one
)

// Rounding says how the sum of a call becomes money: once, at the end.
type Rounding string

// Ways of rounding.
const (
	HalfUp   Rounding = "half-up" // default
	HalfEven Rounding = "half-even"
	Up       Rounding = "up"
	Down     Rounding = "down"
)

// Spanning says which window a call that lasts into another is in.
type Spanning string

// Ways to take calls across windows.
const (
	AtStart Spanning = "at_start" // default: that of the answer
	Split   Spanning = "split"    // each unit's is the one in which it begins
)

// Over says what happens to a call that costs the most it may.
type Over string

// What comes behind the most that a call may cost.
const (
	Free       Over = "free"       // default: it goes on and costs no more
	Disconnect Over = "disconnect" // it ends
)

// MaxDecimals is the most digits behind the point of a rounded amount.
const MaxDecimals = 6

// Config of a Tariff. Zero values mean the defaults named here.
type Config struct {
	ID       string
	Deck     string // name of the deck
	Zone     string // of windows: of the IANA database; default UTC
	Windows  []Window
	Spanning Spanning
	Seconds  Seconds
	Rounding Rounding
	Decimals int             // of an amount, 0 to 6
	MaxCost  decimal.Decimal // of a call whose row has none; 0 = any
	Over     Over
}

// Tariff is the rules by which a deck is applied. It never changes.
type Tariff struct {
	Config
	zone *time.Location
}

// NewTariff checks the settings and fills in defaults.
func NewTariff(c Config) (*Tariff, error) {
	or(&c.Zone, "UTC")
	or(&c.Spanning, AtStart)
	or(&c.Seconds, Ceil)
	or(&c.Rounding, HalfUp)
	or(&c.Over, Free)
	t := &Tariff{Config: c}
	var err error
	if t.zone, err = time.LoadLocation(c.Zone); err != nil || c.Zone == "Local" {
		return nil, fmt.Errorf("zone %q: expected a name of the IANA database such as Europe/Berlin", c.Zone)
	}
	switch {
	case !slices.Contains([]Spanning{AtStart, Split}, c.Spanning):
		return nil, fmt.Errorf("spanning %q: expected at_start or split", c.Spanning)
	case !slices.Contains([]Seconds{Ceil, Floor, Nearest}, c.Seconds):
		return nil, fmt.Errorf("seconds %q: expected ceil, floor or nearest", c.Seconds)
	case !slices.Contains([]Rounding{HalfUp, HalfEven, Up, Down}, c.Rounding):
		return nil, fmt.Errorf("rounding %q: expected half-up, half-even, up or down", c.Rounding)
	case !slices.Contains([]Over{Free, Disconnect}, c.Over):
		return nil, fmt.Errorf("over %q: expected free or disconnect", c.Over)
	case c.Decimals < 0 || c.Decimals > MaxDecimals:
		return nil, fmt.Errorf("decimals %d: expected 0 to %d", c.Decimals, MaxDecimals)
	case c.MaxCost.IsNegative():
		return nil, errors.New("max_cost below 0: expected a decimal number such as 5.00")
	}
	t.Windows = slices.Clone(c.Windows)
	for i := range t.Windows {
		w := &t.Windows[i]
		if w.Name == "" || slices.ContainsFunc(t.Windows[:i], func(o Window) bool { return o.Name == w.Name }) {
			return nil, fmt.Errorf("window %q: expected a name that no other window has", w.Name)
		}
		if err := w.parse(); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func or[T ~string](p *T, v T) {
	if *p == "" {
		*p = v
	}
}

// Fits tells whether the tariff knows every window that the deck has prices for.
func (t *Tariff) Fits(d *Deck) error {
	for _, name := range d.Windows() {
		if !slices.ContainsFunc(t.Windows, func(w Window) bool { return w.Name == name }) {
			return fmt.Errorf("deck %s has prices for a window %q that tariff %s doesn't know", d.Name, name, t.ID)
		}
	}
	return nil
}

// steps are the rows that hold at an instant: those of the first window that holds and that the prefix has.
func (t *Tariff) steps(e *entry, at time.Time) []Rate {
	if len(e.windows) == 0 || len(t.Windows) == 0 {
		return e.steps
	}
	now := ofWeek(at.In(t.zone))
	for i := range t.Windows {
		if !t.Windows[i].holds(now) {
			continue
		}
		for _, w := range e.windows {
			if w.window == t.Windows[i].Name {
				return w.steps
			}
		}
	}
	return e.steps
}

// whole makes seconds of a duration.
func (t *Tariff) whole(d time.Duration) int {
	ms := d.Milliseconds()
	switch t.Seconds {
	case Floor:
		return int(ms / 1000)
	case Nearest:
		return int((ms + 500) / 1000)
	}
	return int((ms + 999) / 1000)
}
