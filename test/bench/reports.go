//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/billing/report"
)

// mostReport is how long a month's report may take, in milliseconds.
const mostReport = 50

// reports measures how fast a month's report comes from the rollups, beside the same report counted call by call.
func reports(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("bench reports", flag.ContinueOnError)
	n := f.Int("calls", 10_000_000, "how many calls the month has, 1000 to 100000000")
	var strict bool
	goalFlag(f, &strict)
	if err := f.Parse(args); err != nil {
		return err
	}
	if *n < 1000 || *n > 100_000_000 {
		return fmt.Errorf("-calls is %d, expected 1000 to 100000000", *n)
	}
	dir, err := os.MkdirTemp("", "patchbay-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()     // best effort: it's below the system's temporary folder
	if err := os.Chmod(dir, 0o755); err != nil { // the user that Postgres runs as gets there
		return err
	}
	cfg := billing.Config{Dir: dir, Node: "bench", Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	s, err := billing.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close(context.WithoutCancel(ctx)) }() // nothing was recorded
	for !s.Stats().Connected {
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	if err := makeMonth(ctx, dir, *n); err != nil {
		return fmt.Errorf("make calls: %w", err)
	}
	reader, err := billing.OpenReader(ctx, cfg)
	if err != nil {
		return err
	}
	goals, err := askReports(ctx, reader, *n)
	if err = errors.Join(err, reader.Close()); err != nil {
		return err
	}
	if missed := judge(os.Stdout, goals); missed > 0 && strict {
		return fmt.Errorf("%d of %d goals were missed", missed, len(goals))
	}
	return nil
}

// makeMonth makes the calls of March 2026 by SQL: what each counts for, and the rollups as sums of that. Ten trunks, 200 accounts, 150
// destinations, half of the calls by day, 45 of 100 answered, 20 kinds of end.
func makeMonth(ctx context.Context, dir string, n int) error {
	conn, err := pgx.Connect(ctx, "host="+filepath.Join(dir, "postgres", "run")+" user=patchbay dbname=patchbay")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, sql := range []string{
		`SET synchronous_commit = off`, `SET max_parallel_workers_per_gather = 2`, `SET work_mem = '256MB'`, `SET maintenance_work_mem = '512MB'`, `SET timezone = 'UTC'`,
		// Its indexes are made when it has its rows: one by one they take ten times as long. Nothing of it has to outlive the run.
		`CREATE UNLOGGED TABLE patchbay.counted_p2026_03 (LIKE patchbay.counted)`,
		fmt.Sprintf(`INSERT INTO patchbay.counted_p2026_03 SELECT ('019ca6c0-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, 0, '2026-03-01T00:00:00Z'::timestamptz + (i * 2678399.0 / %d) * interval '1 s', 'default', 'out', '',
'user:' || i %% 200, 'destination ' || i %% 150, CASE i %% 3 WHEN 0 THEN 'PCMU/8000' ELSE 'PCMA/8000' END, (i %% 20 + 1) || '/0', 'EUR', 'EUR', 1, a, a, a * (i %% 300000), a * (i %% 300000) + 5000, i %% 8000,
a * (i %% 997) * 0.000123, a * (i %% 997) * 0.000123, a * (i %% 991) * 0.000101, a * (i %% 991) * 0.000101, 0, 0, 4.2, 0, 0, 500, i %% 5, 1.25, 'EUR'
FROM generate_series(0::bigint, %d) i CROSS JOIN LATERAL (SELECT (i * 7919 %% 100 < 45)::int::bigint AS a) x`, n, n-1),
		`INSERT INTO patchbay.counted_p2026_03 SELECT call_id, 2, started_at, tenant, direction, 'trunk ' || lost + substr(destination, 13)::int % 2 * 5, account, destination, codec, cause, sell_currency, buy_currency, seizures,
answered, effective, bill_ms, duration_ms, pdd_ms, sell, sell_house, buy, buy_house, unpriced, losses, mos, one_way, fas, pkts, lost, jitter_ms, house FROM patchbay.counted_p2026_03 WHERE leg_no = 0`,
		`ALTER TABLE patchbay.counted ATTACH PARTITION patchbay.counted_p2026_03 FOR VALUES FROM ('2026-03-01 00:00:00+00') TO ('2026-04-01 00:00:00+00')`,
		`ANALYZE patchbay.counted`,
		`ALTER TABLE patchbay.rollup SET UNLOGGED`, `ALTER TABLE patchbay.rollup_delay SET UNLOGGED`,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	// Rows of the rollups as sums of the calls, a dimension after the other.
	for _, cube := range []string{"trunk", "account", "destination", "codec", "cause"} {
		legs := map[bool]string{true: ">", false: "="}[cube == "trunk"]
		for _, sql := range []string{
			`INSERT INTO patchbay.rollup SELECT '%[1]s', 'q', patchbay.quarter(started_at), %[1]s, tenant, direction, sell_currency, buy_currency, count(*), sum(seizures), sum(answered), sum(effective), sum(bill_ms),
sum(duration_ms), count(pdd_ms), sum(pdd_ms), sum(sell), sum(sell_house), sum(buy), sum(buy_house), sum(unpriced), sum(losses), count(mos), sum(mos), sum(one_way), sum(fas), sum(pkts), sum(lost), count(jitter_ms), sum(jitter_ms), house
FROM patchbay.counted WHERE leg_no %[2]s 0 GROUP BY 3, 4, 5, 6, 7, 8, house`,
			`INSERT INTO patchbay.rollup SELECT cube, 'd', patchbay.utc_day(slot), key, tenant, direction, sell_currency, buy_currency, sum(calls), sum(seizures), sum(answered), sum(effective), sum(bill_ms),
sum(duration_ms), sum(pdd_n), sum(pdd_ms), sum(sell), sum(sell_house), sum(buy), sum(buy_house), sum(unpriced), sum(losses), sum(mos_n), sum(mos), sum(one_way), sum(fas), sum(pkts), sum(lost), sum(jitter_n), sum(jitter_ms), house
FROM patchbay.rollup WHERE cube = '%[1]s' GROUP BY 1, 3, 4, 5, 6, 7, 8, house`,
			`INSERT INTO patchbay.rollup_delay SELECT '%[1]s', 'q', slot, key, tenant, direction, array_agg((class << 40) + n ORDER BY class) FROM (
SELECT patchbay.quarter(started_at) AS slot, %[1]s AS key, tenant, direction, patchbay.delay_class(pdd_ms) AS class, count(*) AS n FROM patchbay.counted WHERE leg_no %[2]s 0 GROUP BY 1, 2, 3, 4, 5) x GROUP BY 3, 4, 5, 6`,
			`INSERT INTO patchbay.rollup_delay SELECT '%[1]s', 'd', slot, key, tenant, direction, array_agg((class << 40) + n ORDER BY class) FROM (
SELECT patchbay.utc_day(started_at) AS slot, %[1]s AS key, tenant, direction, patchbay.delay_class(pdd_ms) AS class, count(*) AS n FROM patchbay.counted WHERE leg_no %[2]s 0 GROUP BY 1, 2, 3, 4, 5) x GROUP BY 3, 4, 5, 6`,
		} {
			if _, err := conn.Exec(ctx, fmt.Sprintf(sql, cube, legs)); err != nil {
				return err
			}
		}
	}
	_, err = conn.Exec(ctx, `VACUUM ANALYZE patchbay.rollup, patchbay.rollup_delay`)
	return err
}

// askReports asks for the month by trunk, account, destination and codec, from the rollups and, for the first, call by call.
func askReports(ctx context.Context, r *billing.Reader, n int) ([]goal, error) {
	month := func(name, by, source string) (time.Duration, *report.Report, error) {
		given := map[string]string{"from": "2026-03-01", "to": "2026-04-01", "zone": "Europe/Berlin", "by": by, "source": source}
		q, err := report.Parse(name, func(p string) (string, bool) { v, ok := given[p]; return v, ok }, time.Now())
		if err != nil {
			return 0, nil, err
		}
		began := time.Now()
		got, err := r.Report(ctx, q, nil)
		return time.Since(began), got, err
	}
	var goals []goal
	for _, x := range []struct{ name, by string }{{report.Money, "trunk"}, {report.Traffic, "trunk"}, {report.Destinations, "destination"}, {report.Money, "account"}, {report.Traffic, "codec"}} {
		var times []float64
		for range 7 {
			took, got, err := month(x.name, x.by, "auto")
			if err != nil {
				return nil, err
			}
			if got.Source != report.FromRollups || len(got.Rows) == 0 {
				return nil, fmt.Errorf("report %s by %s: %d rows from %s", x.name, x.by, len(got.Rows), got.Source)
			}
			times = append(times, float64(took.Microseconds())/1000)
		}
		slices.Sort(times)
		goals = append(goals, goal{fmt.Sprintf("%s of a month of %d calls by %s", x.name, n, x.by), times[len(times)/2], mostReport, 1, "ms"})
	}
	fast, rolled, err := month(report.Money, "trunk", "auto")
	if err != nil {
		return nil, err
	}
	slow, counted, err := month(report.Money, "trunk", "calls")
	if err != nil {
		return nil, err
	}
	if a, b := fmt.Sprint(rolled.Rows, rolled.Total), fmt.Sprint(counted.Rows, counted.Total); a != b {
		return nil, fmt.Errorf("the rollups say\n%s\nthe calls\n%s", a, b)
	}
	fmt.Printf("\nmoney by trunk: %.1f ms from the rollups, %.1f s call by call; the same to the last digit\n\n", float64(fast.Microseconds())/1000, slow.Seconds())
	return goals, nil
}
