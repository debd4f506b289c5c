// Package report tells what calls came to: traffic, money, quality, concurrency. A Query says which report, of which calls and along
// which dimensions; Run answers it from the rollups that are kept with the records, or from what each call counts for if the
// rollups don't hold it. Both give the same sums to the last digit. Money is decimal.
package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of a query.
const (
	MaxRows  = 100_000
	MaxRange = 10 * 366 * 24 * time.Hour
	maxSlots = 20_000 // of a concurrency curve
	maxText  = 256    // bytes of a filter
)

// Query asks for a report; zero fields have defaults, see Parse.
type Query struct {
	Name     string         // of one of Reports
	From, To time.Time      // calls that began in [From, To)
	Zone     *time.Location // of hours and days
	By       []string       // dimensions: one of Dimensions each

	Tenant, Direction, Trunk, Account, Destination, Codec, Cause *string // only calls of these; nil = all

	Order string        // a column, with - before it the greatest first; "" = the report's own
	Limit int           // so many rows; 0 = the report's own
	Step  time.Duration // of a curve; 0 = by its length
	Calls bool          // count the calls, even where the rollups hold the answer

	House string // code of the currency of the house, in which sums of money are: of who runs the report, not of who asks
}

// Error is what is wrong with a query, in words for who asked.
type Error struct{ Field, Text string }

func (e *Error) Error() string { return e.Field + " " + e.Text }

func wrong(field, format string, args ...any) error {
	return &Error{field, fmt.Sprintf(format, args...)}
}

// filter is a condition on a dimension.
type filter struct {
	name  string
	value **string
}

func (q *Query) filters() []filter {
	return []filter{{"tenant", &q.Tenant}, {"direction", &q.Direction}, {"trunk", &q.Trunk}, {"account", &q.Account}, {"destination", &q.Destination},
		{"codec", &q.Codec}, {"cause", &q.Cause}}
}

// Params are the names that Parse reads, in the order of documents, with what each says.
func Params() []Param {
	return []Param{
		{"from", "Calls that began at or after: a date, a date with a time, or RFC 3339. The first of this month if left out."},
		{"to", "Calls that began before; written like from. The end of today if left out."},
		{"zone", "IANA name of the time zone of dates, hours and days, such as Europe/Berlin. UTC if left out."},
		{"by", "Dimensions to tell apart, with commas between: " + strings.Join(names(dimensions), ", ") + "."},
		{"tenant", "Calls of this tenant."}, {"direction", "in, out or internal; of a trunk: in or out."}, {"trunk", "Calls through this trunk: its tries are counted, not the calls."},
		{"account", "Calls that this account pays for, or would have: user:ID, tenant:ID or trunk:ID."}, {"destination", "Calls to this destination, as the deck names it."},
		{"codec", "Calls with this codec, such as PCMA/8000."}, {"cause", "Calls that ended so: Q.850 cause, or cause/SIP status."},
		{"order", "Column to sort by, with - before it the greatest first."}, {"limit", "At most so many rows: 1 to 100000."},
		{"step", "Of concurrency: seconds of one point, such as 900."}, {"source", "calls: count the calls, even where the rollups hold the answer."},
	}
}

// Param is one that Parse reads.
type Param struct{ Name, About string }

// Parse makes a query of what was asked: get gives a parameter's value and whether it was given. The error is an *Error that names the
// parameter.
func Parse(name string, get func(string) (string, bool), now time.Time) (Query, error) {
	q := Query{Name: name, Zone: time.UTC}
	def, ok := find(name)
	if !ok {
		return q, wrong("report", "%q: expected %s", clip(name), strings.Join(Names(), ", "))
	}
	if s, ok := get("zone"); ok {
		z, err := time.LoadLocation(s)
		if err != nil || s == "" || s == "Local" {
			return q, wrong("zone", "%q: expected an IANA name such as Europe/Berlin", clip(s))
		}
		q.Zone = z
	}
	local := now.In(q.Zone)
	q.From = begins(local.Year(), local.Month(), 1, q.Zone)
	q.To = begins(local.Year(), local.Month(), local.Day()+1, q.Zone)
	var err error
	for _, x := range []struct {
		name string
		at   *time.Time
	}{{"from", &q.From}, {"to", &q.To}} {
		if s, ok := get(x.name); ok {
			if *x.at, err = moment(x.name, s, q.Zone); err != nil {
				return q, err
			}
		}
	}
	if s, ok := get("by"); ok && s != "" {
		q.By = strings.Split(s, ",")
	} else if !ok {
		q.By = slices.Clone(def.by)
	}
	for _, f := range q.filters() {
		if s, ok := get(f.name); ok {
			*f.value = &s
		}
	}
	q.Order, _ = get("order")
	if s, ok := get("limit"); ok {
		if q.Limit, err = strconv.Atoi(s); err != nil || q.Limit < 1 || q.Limit > MaxRows {
			return q, wrong("limit", "%q: expected 1 to %d", clip(s), MaxRows)
		}
	}
	if s, ok := get("step"); ok {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 31*86400 {
			return q, wrong("step", "%q: expected seconds, 1 to %d", clip(s), 31*86400)
		}
		q.Step = time.Duration(n) * time.Second
	}
	if s, ok := get("source"); ok {
		if s != "calls" && s != "auto" {
			return q, wrong("source", "%q: expected auto or calls", clip(s))
		}
		q.Calls = s == "calls"
	}
	return q, q.check(def)
}

// Day reads a date as the first instant of that day in a zone.
func Day(s string, zone *time.Location) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, err
	}
	return begins(t.Year(), t.Month(), t.Day(), zone), nil
}

// begins is the first instant of a day. Where clocks are put forward at midnight, as on the Azores, it has no 00:00 and begins as they are.
func begins(year int, month time.Month, day int, zone *time.Location) time.Time {
	t, noon := time.Date(year, month, day, 0, 0, 0, 0, zone), time.Date(year, month, day, 12, 0, 0, 0, zone)
	if _, end := t.ZoneBounds(); t.Day() != noon.Day() && !end.IsZero() && end.Before(noon) {
		return end
	}
	return t
}

func moment(field, s string, zone *time.Location) (time.Time, error) {
	if t, err := Day(s, zone); err == nil {
		return t, nil
	}
	for _, layout := range [...]string{"2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, wrong(field, "%q: expected a date (2026-03-14), a time (2026-03-14T15:09) or RFC 3339", clip(s))
}

// check finds what is wrong with a query, and fills in what is the report's own.
func (q *Query) check(def definition) error {
	switch {
	case !q.From.Before(q.To):
		return wrong("to", "is %s, not after from, %s", q.To.Format(time.RFC3339), q.From.Format(time.RFC3339))
	case q.To.Sub(q.From) > MaxRange:
		return wrong("to", "is more than ten years after from")
	case q.From.Year() < 1970 || q.To.Year() > 2200:
		return wrong("from", "and to: expected years from 1970 to 2200")
	}
	seen := map[string]bool{}
	for _, b := range q.By {
		if !slices.ContainsFunc(dimensions, func(d dimension) bool { return d.name == b }) {
			return wrong("by", "%q: expected some of %s", clip(b), strings.Join(names(dimensions), ", "))
		}
		if seen[b] {
			return wrong("by", "%q stands twice", b)
		}
		seen[b] = true
	}
	for _, f := range q.filters() {
		switch v := *f.value; {
		case v == nil:
		case len(*v) > maxText:
			return wrong(f.name, "has %d bytes: expected at most %d", len(*v), maxText)
		case !utf8.ValidString(*v) || strings.ContainsRune(*v, 0): // no text of the database is so
			return wrong(f.name, "%q: expected UTF-8 without NUL", clip(*v))
		}
	}
	if def.measures == nil {
		if len(q.By) > 0 {
			return wrong("by", "isn't of the report %s", q.Name)
		}
		if q.Order != "" {
			return wrong("order", "isn't of the report %s", q.Name)
		}
	}
	if q.Step != 0 && q.Name != Concurrency {
		return wrong("step", "is of the report %s alone", Concurrency)
	}
	if q.Order == "" {
		q.Order = def.order
		if def.measures != nil && slices.ContainsFunc(q.By, isTime) {
			q.Order = ""
		}
	} else if column := strings.TrimPrefix(q.Order, "-"); !slices.ContainsFunc(q.columns(def), func(c Column) bool { return c.Name == column }) {
		return wrong("order", "%q: expected a column: %s", clip(q.Order), strings.Join(columnNames(q.columns(def)), ", "))
	}
	if q.Limit == 0 {
		q.Limit = def.limit
	}
	if q.Name == Concurrency {
		return q.checkCurve()
	}
	return nil
}

func (q *Query) checkCurve() error {
	for _, f := range q.filters()[4:] {
		if *f.value != nil {
			return wrong(f.name, "can't choose the calls of the report %s", q.Name)
		}
	}
	span := q.To.Sub(q.From)
	if q.Step == 0 {
		for _, q.Step = range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour} {
			if span/q.Step <= 1000 {
				break
			}
		}
	}
	if span/q.Step > maxSlots {
		return wrong("step", "of %s makes %d points: expected at most %d", q.Step, span/q.Step, maxSlots)
	}
	return nil
}

func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
	return strings.ToValidUTF8(s[:min(len(s), 80)], "")
}
