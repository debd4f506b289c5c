package billing

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/gateway/call"
)

// tables of the months that there are.
func monthTables(t testing.TB, conn *pgx.Conn, table string) []string {
	t.Helper()
	rows, err := conn.Query(context.Background(), `SELECT right(relname, 7) FROM pg_class WHERE relnamespace = 'patchbay'::regnamespace AND relkind = 'r' AND relname LIKE $1 || '\_p2%' ORDER BY 1`, table)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Over the end of a year: the months to come are there before they begin, the old ones go by class, and a report that reads what is
// to go holds up nobody who writes.
func TestPartitionsOverTheYear(t *testing.T) {
	t.Parallel()
	url := database(t)
	var clock atomic.Int64
	set := func(s string) time.Time {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		clock.Store(at.UnixNano())
		return at
	}
	c := config(folder(t), url)
	c.now = func() time.Time { return time.Unix(0, clock.Load()) }
	c.Retention = Retention{Events: 90 * 24 * time.Hour, Quality: 180 * 24 * time.Hour, Calls: 3650 * 24 * time.Hour}
	december := set("2026-12-31T23:59:59.5Z")
	s := openStopped(t, c) // it has no keeper of its own
	s.startProjector()
	conn := dial(t, url)
	keeper := &keeper{cfg: s.cfg, log: quiet(), source: urlSource(url), ready: func() bool { return true }}
	care := func() error { return keeper.care(context.Background()) }
	up(t, s)
	has := func(table string, want ...string) {
		t.Helper()
		if got := monthTables(t, conn, table); !slices.Equal(got, want) {
			t.Errorf("%s has %v, expected %v", table, got, want)
		}
	}
	for _, p := range partitioned(Retention{}) {
		has(p.table, "2026_12", "2027_01")
	}
	old := storyOf(idAt(december), december, 1)
	commit(t, s, old...)
	january := set("2027-01-01T00:00:00.5Z")
	commit(t, s, storyOf(idAt(january), january, 1)...)
	eventually(t, "calls of both years", func() bool { return s.Stats().Outbox == 0 })
	if err := care(); err != nil {
		t.Fatal(err)
	}
	has("call_event", "2026_12", "2027_01", "2027_02")
	set("2027-03-31T23:59:59Z")
	if err := care(); err != nil {
		t.Fatal(err)
	}
	has("call_event", "2026_12", "2027_01", "2027_02", "2027_03", "2027_04")

	// Somebody reads on while December's events are to go.
	april := set("2027-04-01T00:00:01Z")
	tx, err := dial(t, url).Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow(context.Background(), `SELECT count(*) FROM patchbay.call_event`).Scan(&n); err != nil || n != 24 {
		t.Fatalf("%d events, %v", n, err)
	}
	done := make(chan error, 1)
	go func() { done <- care() }()
	time.Sleep(100 * time.Millisecond)
	commit(t, s, storyOf(idAt(april), april, 1)...)
	may := april.AddDate(0, 1, 0) // whose partition isn't there yet
	commit(t, s, storyOf(idAt(may), may, 1)...)
	eventually(t, "projected beside a reader", func() bool { return s.Stats().Outbox == 0 })
	if err := <-done; err == nil {
		t.Error("what somebody reads was dropped")
	}
	if err := tx.Rollback(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := care(); err != nil { // goes on where it was interrupted
		t.Fatal(err)
	}
	has("call_event", "2027_01", "2027_02", "2027_03", "2027_04", "2027_05")
	has("leg_quality", "2026_12", "2027_01", "2027_02", "2027_03", "2027_04", "2027_05")
	set("2027-06-30T00:00:01Z")
	if err := care(); err != nil {
		t.Fatal(err)
	}
	has("leg_quality", "2027_01", "2027_02", "2027_03", "2027_04", "2027_05", "2027_06", "2027_07")
	has("call", "2026_12", "2027_01", "2027_02", "2027_03", "2027_04", "2027_05", "2027_06", "2027_07")

	r := reader(t, Config{Dir: t.TempDir(), Database: url, Log: quiet()})
	got, events, err := r.Show(context.Background(), old[0].Call.String())
	if err != nil || len(events) != 0 || got.Bill != build(old).Bill || len(got.Legs) != 2 {
		t.Errorf("a call without its events: %+v, %d events, %v", got, len(events), err)
	}
	if _, _, err := r.Show(context.Background(), call.NewID().String()); !errors.Is(err, ErrNotFound) {
		t.Errorf("a call that never was: %v", err)
	}

	// Ten years later calls go, and what they cost with them.
	set("2037-01-05T00:00:00Z")
	if err := care(); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"call", "leg", "rating"} {
		has(table, "2027_01", "2027_02", "2027_03", "2027_04", "2027_05", "2027_06", "2027_07", "2037_01", "2037_02")
	}
}
