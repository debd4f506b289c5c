package gateway

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Hours are the times at which a route takes calls: windows of the week and days of the calendar, in one zone. The zero value is
// always.
type Hours struct {
	zone  *time.Location
	week  []window
	also  []days
	never []days
}

// HoursConfig writes Hours down.
type HoursConfig struct {
	Zone  string   // of the IANA database, such as Europe/Berlin; "" = UTC
	Week  []string // "Mon-Fri 08:00-18:00", "Sat 09:00-13:00", "Sun"; none: all of it, unless Also has some
	Also  []string // days on which it is open whatever Week says: 2026-12-24, 12-31 (each year), 12-24..12-26, and a time: "12-24 08:00-12:00"
	Never []string // days on which it is closed, written the same way; Also goes before
}

// window is a part of a week: days, and minutes of the day. One that ends before it begins goes on into the next day.
type window struct {
	days     [7]bool
	from, to int
}

// days is a span of days, both included, and a part of each.
type days struct {
	from, to   date
	begin, end int // minutes of the day
}

// date of a calendar; year 0 = each.
type date struct{ year, month, day int }

const dayMinutes = 24 * 60

// NewHours reads what the settings say. The error names the field and what was expected.
func NewHours(c HoursConfig) (*Hours, error) {
	h := &Hours{zone: time.UTC}
	var err error
	if c.Zone != "" {
		if h.zone, err = time.LoadLocation(c.Zone); err != nil || c.Zone == "Local" {
			return nil, &FieldError{"zone", fmt.Sprintf("%q: expected a time zone of the IANA database, such as Europe/Berlin", clip(c.Zone))}
		}
	}
	for i, s := range c.Week {
		w, err := parseWindow(s)
		if err != nil {
			return nil, &FieldError{fmt.Sprintf("week[%d]", i), fmt.Sprintf("%q: %v", clip(s), err)}
		}
		h.week = append(h.week, w)
	}
	for _, l := range []struct {
		field string
		in    []string
		out   *[]days
	}{{"also", c.Also, &h.also}, {"never", c.Never, &h.never}} {
		for i, s := range l.in {
			d, err := parseDays(s)
			if err != nil {
				return nil, &FieldError{fmt.Sprintf("%s[%d]", l.field, i), fmt.Sprintf("%q: %v", clip(s), err)}
			}
			*l.out = append(*l.out, d)
		}
	}
	return h, nil
}

// Open tells whether a moment is within the hours.
func (h *Hours) Open(at time.Time) bool {
	if h == nil {
		return true
	}
	at = at.In(h.zone)
	minute := at.Hour()*60 + at.Minute()
	for _, d := range h.also {
		if d.has(at, minute) {
			return true
		}
	}
	for _, d := range h.never {
		if d.has(at, minute) {
			return false
		}
	}
	if len(h.week) == 0 {
		return len(h.also) == 0
	}
	today, yesterday := int(at.Weekday()), (int(at.Weekday())+6)%7
	for _, w := range h.week {
		if w.from < w.to {
			if w.days[today] && minute >= w.from && minute < w.to {
				return true
			}
			continue
		}
		if w.days[today] && minute >= w.from || w.days[yesterday] && minute < w.to {
			return true
		}
	}
	return false
}

func (d days) has(at time.Time, minute int) bool {
	y, m, day := at.Date()
	today := date{y, int(m), day}
	if d.from.year == 0 {
		today.year = 0
		if d.to.before(d.from) { // over the turn of the year
			return (!today.before(d.from) || !d.to.before(today)) && minute >= d.begin && minute < d.end
		}
	}
	return !today.before(d.from) && !d.to.before(today) && minute >= d.begin && minute < d.end
}

func (d date) before(o date) bool {
	if d.year != o.year {
		return d.year < o.year
	}
	if d.month != o.month {
		return d.month < o.month
	}
	return d.day < o.day
}

func parseWindow(s string) (window, error) {
	const want = "expected days and a time, such as Mon-Fri 08:00-18:00, Sat, or 22:00-06:00"
	var w window
	parts := strings.Fields(s)
	if len(parts) == 0 || len(parts) > 2 {
		return w, errors.New(want)
	}
	w.to = dayMinutes
	timed := strings.Contains(parts[len(parts)-1], ":")
	if timed {
		var err error
		if w.from, w.to, err = parseTimes(parts[len(parts)-1]); err != nil {
			return w, err
		}
		parts = parts[:len(parts)-1]
	}
	if len(parts) > 1 {
		return w, errors.New(want)
	}
	if len(parts) == 0 {
		w.days = [7]bool{true, true, true, true, true, true, true}
		return w, nil
	}
	for _, span := range strings.Split(parts[0], ",") {
		from, to, ranged := strings.Cut(span, "-")
		a, b := weekday(from), weekday(from)
		if ranged {
			b = weekday(to)
		}
		if a < 0 || b < 0 {
			return w, errors.New(want)
		}
		for d := a; ; d = (d + 1) % 7 {
			w.days[d] = true
			if d == b {
				break
			}
		}
	}
	return w, nil
}

func weekday(s string) int {
	for i, n := range [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} {
		if strings.EqualFold(s, n) {
			return i
		}
	}
	return -1
}

// parseTimes reads 08:00-18:00 as minutes of the day; 24:00 is the end of it.
func parseTimes(s string) (from, to int, err error) {
	a, b, ok := strings.Cut(s, "-")
	from, okA := clock(a)
	to, okB := clock(b)
	if !ok || !okA || !okB || from == dayMinutes || from == to {
		return 0, 0, errors.New("expected times such as 08:00-18:00")
	}
	if to == 0 {
		to = dayMinutes
	}
	return from, to, nil
}

func clock(s string) (int, bool) {
	h, m, ok := strings.Cut(s, ":")
	hour, err1 := strconv.Atoi(h)
	minute, err2 := strconv.Atoi(m)
	if !ok || err1 != nil || err2 != nil || len(h) > 2 || len(m) != 2 || hour < 0 || minute < 0 || minute > 59 || hour*60+minute > dayMinutes {
		return 0, false
	}
	return hour*60 + minute, true
}

func parseDays(s string) (days, error) {
	const want = "expected a date such as 2026-12-24, 12-25 (each year) or 12-24..12-26, and a time after it if need be"
	d := days{end: dayMinutes}
	parts := strings.Fields(s)
	if len(parts) == 0 || len(parts) > 2 {
		return d, errors.New(want)
	}
	if len(parts) == 2 {
		var err error
		if d.begin, d.end, err = parseTimes(parts[1]); err != nil {
			return d, err
		}
		if d.end <= d.begin {
			return d, errors.New("expected a time within one day")
		}
	}
	first, last, ranged := strings.Cut(parts[0], "..")
	var ok bool
	if d.from, ok = parseDate(first); !ok {
		return d, errors.New(want)
	}
	d.to = d.from
	if ranged {
		if d.to, ok = parseDate(last); !ok || (d.to.year == 0) != (d.from.year == 0) || d.from.year != 0 && d.to.before(d.from) {
			return d, errors.New(want)
		}
	}
	return d, nil
}

func parseDate(s string) (date, bool) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return date{t.Year(), int(t.Month()), t.Day()}, true
	}
	if t, err := time.Parse(time.DateOnly, "2000-"+s); err == nil { // a leap year
		return date{0, int(t.Month()), t.Day()}, true
	}
	return date{}, false
}
