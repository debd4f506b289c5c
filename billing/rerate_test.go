package billing

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

// Rated again, a call says who pays now, though the amount is the same, and counts in the house's currency once it is known what the other is
// worth; the rate of exchange of the day stays. What nobody has a tariff for any more is counted, and left.
func TestRatedAgainOfOthers(t *testing.T) {
	t.Parallel()
	ctx, began := context.Background(), time.Now().Add(-time.Hour)
	c := config(folder(t), database(t))
	c.Rating = tariffs(t)
	c.Rating.FX, c.Rating.Runs = nil, nil
	d := decks(t, c)
	imports(t, d, "retail", "EUR", retailCSV, began.Add(-time.Hour))
	imports(t, d, "carrier", "USD", carrierCSV, began.Add(-time.Hour))
	s := open(t, c)
	e := story(began, 1)
	commit(t, s, e...)
	id := e[0].Call
	eventually(t, "the call is in the database", func() bool { return s.Stats().Projected == 12 })
	rated := []string{"sell  0 0.110000 EUR 1.000000000", "buy  0 0.000820 USD"}
	wants(t, "ratings", ratingsOf(t, d, id), rated...)
	sel := Selection{From: began.Add(-time.Hour), To: time.Now().Add(time.Hour)}
	again := func(left int, want ...string) {
		t.Helper()
		var got []string
		sum, err := d.Rerate(ctx, c.Rating, sel, false, func(x Delta) error {
			got = append(got, fmt.Sprintf("%s %s of %s to %s of %s, exchange %v", x.Side, x.Old, x.WasOf, x.New, x.Account, x.Exchange))
			return nil
		})
		if err != nil || sum.Left != left {
			t.Errorf("%+v %v, expected %d left", sum, err, left)
		}
		wants(t, "differences", got, want...)
	}
	counted := func() (unpriced int, margin, payer string) {
		t.Helper()
		if err := d.conn.QueryRow(ctx, `SELECT unpriced, trim_scale(sell_house - buy_house)::text, account FROM patchbay.counted WHERE leg_no = 0`).Scan(&unpriced, &margin, &payer); err != nil {
			t.Fatal(err)
		}
		return unpriced, margin, payer
	}
	again(0)
	if n, margin, payer := counted(); n != 1 || margin != "0.11" || payer != "user:alice" {
		t.Errorf("%d unpriced, margin %s, of %s", n, margin, payer)
	}
	c.Rating.FX = map[string]decimal.Decimal{"USD": decimal.RequireFromString("0.9")}
	again(0, "buy 0.00082 of  to 0.00082 of trunk:carrier, exchange true")
	if n, margin, _ := counted(); n != 0 || margin != "0.109262" {
		t.Errorf("%d unpriced, margin %s", n, margin)
	}
	c.Rating.FX["USD"] = decimal.RequireFromString("0.5") // another day's
	again(0)
	c.Rating.Users, c.Rating.Tenants = nil, map[string]string{"default": "retail"}
	sel.Account = "user:alice" // who has paid so far
	again(0, "sell 0.11 of user:alice to 0.11 of tenant:default, exchange false")
	if _, _, payer := counted(); payer != "tenant:default" {
		t.Errorf("the call counts for %s", payer)
	}
	sel.Account = ""
	again(0)
	c.Rating.Trunks = nil
	again(1)
	wants(t, "ratings in the end", ratingsOf(t, d, id), rated[0], "sell  1 0.110000 EUR 1.000000000", rated[1], "buy  1 0.000820 USD 0.900000000")
}

// What calls sounded like stays in the reports when they are rated again after the rows that say so are gone.
func TestRatedAgainKeepsQuality(t *testing.T) {
	t.Parallel()
	ctx, began := context.Background(), time.Now().Add(-time.Hour)
	c := config(folder(t), database(t))
	c.Rating = tariffs(t)
	d := decks(t, c)
	imports(t, d, "retail", "EUR", retailCSV, began.Add(-time.Hour))
	imports(t, d, "carrier", "USD", carrierCSV, began.Add(-time.Hour))
	s := open(t, c)
	e := measuredStory(1)
	commit(t, s, e...)
	eventually(t, "the call is in the database", func() bool { return s.Stats().Projected == uint64(len(e)) })
	quality := func() (out []string) {
		t.Helper()
		rows, err := d.conn.Query(ctx, `SELECT concat_ws(' ', cube, grain, sum(calls), sum(pkts), sum(lost), sum(jitter_n), sum(jitter_ms), sum(mos_n), sum(mos), sum(one_way)) FROM patchbay.rollup GROUP BY cube, grain ORDER BY cube, grain`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			out = append(out, s)
		}
		return out
	}
	before := quality()
	if len(before) != 10 || before[0] == "" {
		t.Fatalf("%v", before)
	}
	if _, err := d.conn.Exec(ctx, `TRUNCATE patchbay.leg_quality`); err != nil { // as retention does by and by
		t.Fatal(err)
	}
	imports(t, d, "retail", "EUR", strings.Replace(retailCSV, "0.06", "0.12", 1), began.Add(-time.Minute))
	sum, err := d.Rerate(ctx, c.Rating, Selection{From: began.Add(-time.Hour), To: time.Now().Add(time.Hour)}, false, func(Delta) error { return nil })
	if err != nil || sum.Changed == 0 {
		t.Fatalf("%+v %v", sum, err)
	}
	wants(t, "quality of a call that was rated again", quality(), before...)
}

// Calls are rated again page by page: each is read off the index of their ids, and each call is met once, also where a page ends amid those of
// one millisecond.
func TestRatedAgainPageByPage(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := config(folder(t), database(t))
	c.Rating = tariffs(t)
	d := decks(t, c)
	began := time.Now().UTC().Truncate(time.Hour)
	if err := makePartitions(ctx, d.conn, []month{monthOf(began), monthOf(began.Add(time.Minute))}); err != nil {
		t.Fatal(err)
	}
	const n = 3*rerateChunk + 7
	ids, times := make([]uuid.UUID, n), make([]time.Time, n)
	for i := range ids {
		times[i] = began.Add(time.Duration(i/9) * time.Millisecond)
		ids[i] = uuid.UUID(idAt(times[i]))
	}
	if _, err := d.conn.Exec(ctx, `INSERT INTO patchbay.call (call_id, started_at, version, state, tenant, linked_id, node_id, epoch, origin, direction, a_raw, b_raw, setup_at, ended_at, duration_ms, bill_ms, incomplete, attempts, transcoded)
		SELECT id, at, 10, 'closed', 'default', id, 'n1', 1, 'sip', 'out', '100', '4930', at, at, 1, 0, false, 0, false FROM unnest($1::uuid[], $2::timestamptz[]) AS x (id, at)`, ids, times); err != nil {
		t.Fatal(err)
	}
	if _, err := d.conn.Exec(ctx, `ANALYZE patchbay.call`); err != nil {
		t.Fatal(err)
	}
	sql, args := (Filter{From: began, To: began.Add(time.Second), Limit: 10}).selects()
	e := &explained{conn: decks(t, c).conn}
	rows, err := e.Query(ctx, sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	rows.Close()
	if !strings.Contains(e.plan, "Index Scan Backward") || strings.Contains(e.plan, "Sort") {
		t.Errorf("all calls are looked at for a page of them:\n%s", e.plan)
	}
	for _, x := range []struct {
		from, to time.Time
		want     int
	}{{began, began.Add(time.Hour), n}, {began.Add(time.Millisecond), began.Add(3 * time.Millisecond), 18}, {began.Add(500 * time.Microsecond), began.Add(2500 * time.Microsecond), 18}, {began.Add(-time.Hour), began, 0}} {
		sum, err := d.Rerate(ctx, c.Rating, Selection{From: x.from, To: x.to}, true, func(Delta) error { return nil })
		if err != nil || sum.Calls != x.want {
			t.Errorf("%s to %s: %+v %v, expected %d calls", x.from, x.to, sum, err, x.want)
		}
	}
	// What is prepared is planned once, for times that nobody knows.
	prepared := 0
	if err := d.conn.QueryRow(ctx, `SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%ORDER BY call_id DESC%' AND statement NOT LIKE '%pg_prepared_statements%'`).Scan(&prepared); err != nil || prepared != 0 {
		t.Errorf("%d statements are planned for any times, %v", prepared, err)
	}
}
