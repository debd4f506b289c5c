package billing

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/patchbay/patchbay/billing/report"
)

// explained asks the database how it does what it is asked.
type explained struct {
	conn *pgx.Conn
	plan string
}

func (e *explained) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	rows, err := e.conn.Query(ctx, "EXPLAIN (ANALYZE, TIMING OFF) "+sql, args...)
	if err != nil {
		return nil, err
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	e.plan = strings.Join(lines, "\n")
	return e.conn.Query(ctx, sql, args...)
}

// The worst legs of many calls are read off an index: what a month has beside them isn't looked at.
func TestWorstAreFoundByIndex(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := decks(t, config(folder(t), database(t)))
	conn := d.conn
	if err := makePartitions(ctx, conn, []month{monthOf(time.Now())}); err != nil {
		t.Fatal(err)
	}
	const n = 6000
	for _, sql := range []string{
		`CREATE TEMP TABLE made AS SELECT gen_random_uuid() AS id, i, date_trunc('month', now()) + i * interval '1 s' AS at FROM generate_series(1, $1::int) i`,
		`INSERT INTO patchbay.call (call_id, started_at, version, state, tenant, linked_id, node_id, epoch, origin, direction, a_raw, b_raw, setup_at, answered_at, ended_at, duration_ms, bill_ms, incomplete, attempts, transcoded)
			SELECT id, at, 10, 'closed', 'default', id, 'n1', 1, 'sip', 'out', '100', '4930' || i, at, at, at, 1, 1, false, 1, false FROM made`,
		`INSERT INTO patchbay.leg (call_id, leg_no, started_at, version, attempt, role, kind, direction, trunk_id, transcoded, early_media, invite_at, hung_up)
			SELECT id, 2, at, 10, 1, 'callee', 'sip', 'out', CASE i % 2 WHEN 0 THEN 'even' ELSE 'odd' END, false, false, at, false FROM made`,
		`INSERT INTO patchbay.leg_quality (call_id, leg_no, stream, bucket, started_at, span_ms, pkts, bytes, mos_lq, mos_cq, no_media, one_way, provisional, modelled)
			SELECT id, 2, 'in', b, at, 10000, 500, 80000, 1 + (i * 7 % 300) / 100.0, CASE WHEN i % 3 > 0 THEN 1.01 + (i * 7 % 300) / 100.0 END, false, false, false, '{}' FROM made, generate_series(0, 1) b`,
		`ANALYZE patchbay.call, patchbay.leg, patchbay.leg_quality`,
	} {
		var args []any
		if strings.Contains(sql, "$1") {
			args = []any{n}
		}
		if _, err := conn.Exec(ctx, sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	for _, trunk := range []string{"", "odd"} {
		q, err := report.Parse(report.Worst, func(name string) (string, bool) {
			return map[string]string{"trunk": trunk, "limit": "50"}[name], name == "limit" || name == "trunk" && trunk != ""
		}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		e := &explained{conn: conn}
		got, err := report.Run(ctx, e, q, nil)
		if err != nil || len(got.Rows) != 50 || !got.Truncated {
			t.Fatalf("%v, %+v", err, got)
		}
		if !strings.Contains(e.plan, "Presorted Key: (COALESCE(q.mos_cq, q.mos_lq))") || strings.Contains(e.plan, "Hash") || strings.Contains(e.plan, "Seq Scan on leg_quality") {
			t.Errorf("calls of trunk %q are looked at one and all:\n%s", trunk, e.plan)
		}
		rows, err := conn.Query(ctx, `SELECT q.call_id, COALESCE(q.mos_cq, q.mos_lq)::float8 FROM patchbay.leg_quality q JOIN patchbay.leg l USING (call_id, leg_no, started_at)
			WHERE bucket = 0 AND ($1 = '' OR trunk_id = $1) ORDER BY 2, q.started_at LIMIT 50`, trunk)
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		var id pgtype.UUID
		var mos float64
		if _, err := pgx.ForEachRow(rows, []any{&id, &mos}, func() error {
			if row := got.Rows[i]; row[0] != id.String() || fmt.Sprint(row[7]) != fmt.Sprint(mos) {
				t.Errorf("row %d is %v of %v, expected %s of %v", i, row[0], row[7], id.String(), mos)
			}
			i++
			return nil
		}); err != nil || i != 50 {
			t.Fatalf("%d rows, %v", i, err)
		}
	}
}
