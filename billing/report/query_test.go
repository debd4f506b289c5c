package report

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// A day begins at its midnight, at the first of two, and where clocks are put forward at midnight as they are: never on the day before.
func TestDaysBegin(t *testing.T) {
	for day, want := range map[string]string{
		"2026-03-29 Europe/Berlin":    "2026-03-29T00:00:00+01:00",
		"2026-10-25 Europe/Berlin":    "2026-10-25T00:00:00+02:00",
		"2026-03-29 Atlantic/Azores":  "2026-03-29T01:00:00Z",
		"2026-10-25 Atlantic/Azores":  "2026-10-25T00:00:00Z",
		"2026-09-06 America/Santiago": "2026-09-06T01:00:00-03:00",
		"2026-04-05 America/Santiago": "2026-04-05T00:00:00-04:00",
		"2026-03-08 America/Havana":   "2026-03-08T01:00:00-04:00",
		"2026-11-01 America/Havana":   "2026-11-01T00:00:00-04:00",
		"2026-04-24 Africa/Cairo":     "2026-04-24T01:00:00+03:00",
		"2026-03-01 Asia/Kathmandu":   "2026-03-01T00:00:00+05:45",
	} {
		date, name, _ := strings.Cut(day, " ")
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Day(date, zone); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s begins at %s (%v), expected %s", day, got.Format(time.RFC3339), err, want)
		}
		q, err := Parse(Traffic, asked(map[string]string{"from": date, "to": "2027-01-01", "zone": name}), time.Now())
		if err != nil || q.From.Format(time.RFC3339) != want {
			t.Errorf("a report from %s is from %s (%v), expected %s", day, q.From.Format(time.RFC3339), err, want)
		}
	}
}

func asked(given map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { s, ok := given[name]; return s, ok }
}

// What no text of the database can be is the asker's mistake, not the database's.
func TestFiltersAreText(t *testing.T) {
	for _, v := range []string{"a\x00b", "\xff", strings.Repeat("ä", 200)} {
		_, err := Parse(Traffic, asked(map[string]string{"destination": v}), time.Now())
		if bad := (*Error)(nil); !errors.As(err, &bad) || bad.Field != "destination" {
			t.Errorf("%q: %v, expected an error of destination", v, err)
		}
	}
	if _, err := Parse(strings.Repeat("ä", 79), asked(nil), time.Now()); err == nil || strings.ContainsRune(err.Error(), '\uFFFD') || !strings.Contains(err.Error(), strings.Repeat("ä", 40)+`"`) {
		t.Errorf("%v", err)
	}
}
