package billing

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// copyTable copies rows of a table that both databases have, with the columns that the second knows.
func copyTable(t *testing.T, from, to *pgx.Conn, table, where string) {
	t.Helper()
	ctx := context.Background()
	var columns string
	if err := to.QueryRow(ctx, `SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_schema = 'patchbay' AND table_name = $1`, table).Scan(&columns); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	go func() {
		_, err := from.PgConn().CopyTo(ctx, w, fmt.Sprintf("COPY (SELECT %s FROM patchbay.%s x WHERE %s) TO STDOUT", columns, table, where))
		w.CloseWithError(err)
	}()
	if _, err := to.PgConn().CopyFrom(ctx, r, fmt.Sprintf("COPY patchbay.%s (%s) FROM STDIN", table, columns)); err != nil {
		t.Fatalf("copy %s: %v", table, err)
	}
}

// recounted: records that an older program has counted, whose tables had less in them, count behind all migrations as if they were counted now, in the
// rollups too, as far as they were sold; of the others nobody knows any more who would have paid. Legs that came from other calls weren't rated then.
func recounted(t *testing.T, d *Reader) {
	t.Helper()
	ctx := context.Background()
	old := dial(t, database(t))
	const ordinary = `NOT EXISTS (SELECT FROM patchbay.leg l WHERE l.call_id = x.call_id AND l.carried IS NOT NULL)`
	sold := func(conn *pgx.Conn) []string {
		t.Helper()
		rows, err := conn.Query(ctx, `SELECT (to_jsonb(x) - 'house')::text FROM patchbay.counted x WHERE EXISTS (SELECT FROM patchbay.rating r WHERE r.call_id = x.call_id AND r.side = 'sell') `+
			map[bool]string{true: "AND " + ordinary}[conn == d.conn]+` ORDER BY x.call_id, x.leg_no`)
		if err != nil {
			t.Fatal(err)
		}
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(list) == 0 {
			t.Fatal(len(list), err)
		}
		return list
	}
	want := sold(d.conn)
	const before = 35
	if err := migrateTo(ctx, old.Config(), old, before); err != nil {
		t.Fatal(err)
	}
	rows, err := d.conn.Query(ctx, `SELECT call_id, started_at, destination FROM patchbay.counted x WHERE leg_no = 0 AND `+ordinary)
	if err != nil {
		t.Fatal(err)
	}
	var ids []uuid.UUID
	var times []time.Time
	var destinations []string
	months := map[month]bool{}
	var id uuid.UUID
	var at time.Time
	var destination string
	if _, err := pgx.ForEachRow(rows, []any{&id, &at, &destination}, func() error {
		ids, times, destinations = append(ids, id), append(times, at), append(destinations, destination)
		months[monthOf(at)] = true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for m := range months {
		if err := makePartitions(ctx, old, []month{m}); err != nil {
			t.Fatal(err)
		}
	}
	for _, table := range []string{"call", "leg", "leg_quality", "rating"} {
		copyTable(t, d.conn, old, table, ordinary)
	}
	if _, err := old.Exec(ctx, `SELECT patchbay.count_calls($1::uuid[], $2::timestamptz[], $3::text[])`, ids, times, destinations); err != nil {
		t.Fatal(err)
	}
	if slices.Equal(sold(old), want) {
		t.Error("there is nothing that the migrations change")
	}
	if err := migrate(ctx, old.Config(), old); err != nil {
		t.Fatal(err)
	}
	wants(t, "what sold calls count for", sold(old), want...)
	var houses string
	if err := old.QueryRow(ctx, `SELECT string_agg(DISTINCT x.house, ' ') FROM (SELECT house FROM patchbay.rating UNION ALL SELECT house FROM patchbay.counted UNION ALL SELECT house FROM patchbay.rollup) x`).Scan(&houses); err != nil ||
		strings.TrimSpace(houses) != "EUR" {
		t.Errorf("the currency of the house is %q (%v), expected that of the ratings so far", houses, err)
	}
	then := &Reader{cfg: d.cfg, conn: old}
	for _, x := range questions(t) {
		x.ask["source"] = "calls"
		counted := told(t, then, x.ask)
		x.ask["source"] = "auto"
		wants(t, fmt.Sprintf("rollups behind the migrations, %v", x.ask), told(t, then, x.ask), counted...)
	}
}
