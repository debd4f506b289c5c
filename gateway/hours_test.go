package gateway

import (
	"errors"
	"testing"
	"time"
	_ "time/tzdata"
)

func TestHours(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	office := HoursConfig{Zone: "Europe/Berlin", Week: []string{"Mon-Thu 08:00-18:00", "fri 08:00-14:00"},
		Also: []string{"2026-12-19 10:00-12:00"}, Never: []string{"12-24..12-26", "2026-05-01", "12-31..01-01"}}
	night := HoursConfig{Zone: "Europe/Berlin", Week: []string{"Fri-Sun 22:00-06:00"}}
	for _, x := range []struct {
		what string
		c    HoursConfig
		at   string
		open bool
	}{
		{"no hours", HoursConfig{}, "2026-03-04 03:00", true},
		{"a Wednesday", office, "2026-03-04 08:00", true},
		{"just before", office, "2026-03-04 07:59", false},
		{"the end is out", office, "2026-03-04 18:00", false},
		{"Friday afternoon", office, "2026-03-06 15:00", false},
		{"Saturday", office, "2026-03-07 10:00", false},
		{"a Saturday that is open", office, "2026-12-19 10:30", true},
		{"but not all day", office, "2026-12-19 12:00", false},
		{"each Christmas", office, "2029-12-25 10:00", false},
		{"the first of May of one year", office, "2026-05-01 10:00", false},
		{"of another", office, "2028-05-01 10:00", true},
		{"over the turn of the year", office, "2030-01-01 10:00", false},
		{"after it", office, "2030-01-02 10:00", true},
		{"summer time", office, "2026-07-01 08:00", true},
		{"night", night, "2026-03-06 23:00", true},
		{"after midnight", night, "2026-03-09 05:59", true},
		{"Monday night", night, "2026-03-09 22:00", false},
		{"before Friday's", night, "2026-03-06 05:00", false},
		{"only some days", HoursConfig{Also: []string{"2026-03-04"}}, "2026-03-04 12:00", true},
		{"and not others", HoursConfig{Zone: "Europe/Berlin", Also: []string{"2026-03-04"}}, "2026-03-05 12:00", false},
		{"every day until midnight", HoursConfig{Zone: "Europe/Berlin", Week: []string{"20:00-24:00"}}, "2026-03-04 23:59", true},
		{"list of days", HoursConfig{Zone: "Europe/Berlin", Week: []string{"Mon,Wed 08:00-09:00"}}, "2026-03-04 08:30", true},
		{"over the week's end", HoursConfig{Zone: "Europe/Berlin", Week: []string{"Sat-Mon"}}, "2026-03-08 08:30", true},
	} {
		h, err := NewHours(x.c)
		if err != nil {
			t.Fatalf("%s: %v", x.what, err)
		}
		at, err := time.ParseInLocation("2006-01-02 15:04", x.at, berlin)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Open(at.UTC()); got != x.open {
			t.Errorf("%s: open at %s: %v, expected %v", x.what, x.at, got, x.open)
		}
	}
	if !(*Hours)(nil).Open(time.Now()) {
		t.Error("no hours at all: closed")
	}
	for _, x := range []struct {
		field string
		c     HoursConfig
	}{
		{"zone", HoursConfig{Zone: "Berlin"}}, {"zone", HoursConfig{Zone: "Local"}},
		{"week[1]", HoursConfig{Week: []string{"Mon", "Monday"}}}, {"week[0]", HoursConfig{Week: []string{"Mon 8-18"}}}, {"week[0]", HoursConfig{Week: []string{""}}},
		{"week[0]", HoursConfig{Week: []string{"Mon 08:00-08:00"}}}, {"week[0]", HoursConfig{Week: []string{"Mon 08:00-25:00"}}},
		{"also[0]", HoursConfig{Also: []string{"2026-02-30"}}}, {"never[0]", HoursConfig{Never: []string{"12-26..2026-12-28"}}},
		{"never[0]", HoursConfig{Never: []string{"2026-12-26..2026-12-24"}}}, {"also[0]", HoursConfig{Also: []string{"12-24 22:00-02:00"}}},
	} {
		_, err := NewHours(x.c)
		var f *FieldError
		if !errors.As(err, &f) || f.Field != x.field {
			t.Errorf("%+v: %v, expected an error of %s", x.c, err, x.field)
		}
	}
}
