package rating

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const week = 7 * 24 * 3600 // seconds

// Window is a part of the week, by the clock on the wall of the tariff's zone.
type Window struct {
	Name  string
	Times []string // Mon-Fri 08:00-18:00, Sat,Sun 00:00-24:00; one that ends before it begins ends the day after

	spans []span
}

// span is a part of the week in seconds from Monday 00:00, its end excluded.
type span struct{ from, to int }

var dayNames = [...]string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

func (w *Window) parse() error {
	w.spans = nil
	for _, s := range w.Times {
		spans, err := parseTimes(s)
		if err != nil {
			return err
		}
		w.spans = append(w.spans, spans...)
	}
	if len(w.spans) == 0 {
		return fmt.Errorf("window %q has no times, expected some such as Mon-Fri 08:00-18:00", w.Name)
	}
	return nil
}

func parseTimes(s string) ([]span, error) {
	wrong := fmt.Errorf("times %q: expected days and hours such as Mon-Fri 08:00-18:00 or Sat,Sun 00:00-24:00", s)
	days, hours, ok := strings.Cut(s, " ")
	if !ok {
		return nil, wrong
	}
	begin, end, ok := strings.Cut(hours, "-")
	from, ok1 := clock(begin)
	to, ok2 := clock(end)
	if !ok || !ok1 || !ok2 || from == to || from == 24*3600 {
		return nil, wrong
	}
	if to < from {
		to += 24 * 3600
	}
	var out []span
	for _, part := range strings.Split(days, ",") {
		a, b, ranged := strings.Cut(part, "-")
		first, last := slices.Index(dayNames[:], a), slices.Index(dayNames[:], b)
		if !ranged {
			last = first
		}
		if first < 0 || last < 0 {
			return nil, wrong
		}
		for d := first; ; d = (d + 1) % 7 {
			sp := span{d*24*3600 + from, d*24*3600 + to}
			if sp.to > week { // Sunday night
				out = append(out, span{0, sp.to - week})
				sp.to = week
			}
			out = append(out, sp)
			if d == last {
				break
			}
		}
	}
	return out, nil
}

// clock reads 08:30 as seconds of the day; 24:00 is its end.
func clock(s string) (int, bool) {
	if len(s) != 5 || s[2] != ':' {
		return 0, false
	}
	h, err1 := strconv.ParseUint(s[:2], 10, 8)
	m, err2 := strconv.ParseUint(s[3:], 10, 8)
	if err1 != nil || err2 != nil || m > 59 || h > 24 || h == 24 && m != 0 {
		return 0, false
	}
	return int(h)*3600 + int(m)*60, true
}

// ofWeek is the clock on the wall in seconds from Monday 00:00.
func ofWeek(local time.Time) int {
	_, offset := local.Zone()
	s := (local.Unix() + int64(offset) + 3*24*3600) % week // 1970-01-01 was a Thursday
	if s < 0 {
		s += week
	}
	return int(s)
}

func (w *Window) holds(second int) bool {
	for _, s := range w.spans {
		if s.from <= second && second < s.to {
			return true
		}
	}
	return false
}

// change is the next instant behind t at which a window may begin or end: at its hours, or as the zone's clocks are put
// forward or back.
func (t *Tariff) change(at time.Time) time.Time {
	local := at.In(t.zone)
	now, least := ofWeek(local), week
	for i := range t.Windows {
		for _, s := range t.Windows[i].spans {
			for _, b := range [...]int{s.from, s.to} {
				d := (b - now) % week
				if d <= 0 {
					d += week
				}
				least = min(least, d)
			}
		}
	}
	next := local.Add(time.Duration(least)*time.Second - time.Duration(local.Nanosecond()))
	if _, end := local.ZoneBounds(); !end.IsZero() && end.Before(next) {
		return end
	}
	return next
}
