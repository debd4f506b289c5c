package billing

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/patchbay/patchbay/billing/report"
	"github.com/patchbay/patchbay/gateway/call"
)

// lasting is a call that ends so long after it began; 0 = it goes on.
func lasting(began time.Time, d time.Duration) []call.Event {
	e := storyOf(idAt(began), began, 1)
	if d == 0 {
		return e[:8]
	}
	for i := 9; i < len(e); i++ {
		e[i].At, e[i].Mono = began.Add(d).UTC(), int64(d)
	}
	return e
}

// Calls at a time: those that began days before are seen too, if they went on until then, or still do.
func TestCurveSeesLongCalls(t *testing.T) {
	t.Parallel()
	c := config(folder(t), database(t))
	s := open(t, c)
	from, day := time.Date(2026, 5, 20, 0, 0, 0, 0, time.UTC), 24*time.Hour
	for _, x := range []struct {
		began time.Time
		lasts time.Duration
	}{
		{from.Add(-60 * day), 61 * day}, {from.Add(-5 * day), 5*day + time.Hour}, {from.Add(-40 * day), 0}, {from.Add(-time.Hour), 2 * time.Hour}, // seen
		{from.Add(-5 * day), 4 * day}, {from.Add(-3 * day), time.Hour}, {from.Add(-50 * day), 50*day - time.Second}, {from.Add(day), time.Hour}, // not
	} {
		commit(t, s, lasting(x.began, x.lasts)...)
	}
	eventually(t, "projected", func() bool { st := s.Stats(); return st.Outbox == 0 && st.Connected })
	r := reader(t, Config{Dir: t.TempDir(), Database: c.Database, Log: quiet()})
	for _, x := range []struct {
		name, value string
		want        string
	}{{"tenant", "default", "4 0"}, {"trunk", "carrier", "4 0"}, {"account", "user:alice", "4 0"}, {"account", "user:bob", "0 0"}} {
		q, err := report.Parse(report.Concurrency, func(name string) (string, bool) {
			v, ok := map[string]string{"from": "2026-05-20", "to": "2026-05-20T00:30", "step": "1800", x.name: x.value}[name]
			return v, ok
		}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Report(context.Background(), q, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text := fmt.Sprint(got.Rows[0][1], " ", got.Rows[0][3]); text != x.want {
			t.Errorf("%s %s: peak and beginnings are %s, expected %s", x.name, x.value, text, x.want)
		}
	}
}
