package billing

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

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
