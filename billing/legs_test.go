package billing

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/patchbay/patchbay/billing/report"
	"github.com/patchbay/patchbay/gateway/call"
)

// step is an event of a call by the second.
type step struct {
	second float64
	leg    int
	data   call.Data
}

// timeline are the events of a call: its id, and seconds, count from began.
func timeline(id call.ID, began time.Time, list ...step) []call.Event {
	var out []call.Event
	for i, x := range list {
		mono := int64(math.Round(x.second * 1e9))
		out = append(out, call.Event{Call: id, Seq: uint64(i + 1), At: began.Add(time.Duration(mono)).UTC().Truncate(time.Microsecond), Mono: mono, Leg: x.leg, Data: x.data})
	}
	return out
}

func startOf(id call.ID, user, trunk, number string) call.Start {
	s := call.Start{Tenant: "default", LinkedID: id, Node: "n1", Epoch: 1, Origin: "sip", Direction: call.Out, User: user, Trunk: trunk, From: "100", To: number, ToN: number}
	if trunk != "" {
		s.Direction = call.In
	}
	return s
}

func callerLeg(user, trunk string) call.LegNew {
	return call.LegNew{Role: call.CallerLeg, Medium: "sip", Direction: call.In, User: user, Trunk: trunk}
}

func calleeLeg(user, trunk string) call.LegNew {
	return call.LegNew{Attempt: 1, Role: call.CalleeLeg, Medium: "sip", Direction: call.Out, User: user, Trunk: trunk}
}

// movedLeg is one that came from another call: a party that was called, or one that called.
func movedLeg(side call.Role, way call.Direction, trunk string) call.LegNew {
	return call.LegNew{Role: side, Medium: "sip", Direction: way, Trunk: trunk}
}

var (
	leaves = call.LegEnd{Cause: call.Transferred, Left: true}
	ends   = call.End{By: call.Callee, Cause: call.Normal}
)

// joined are two calls of alice, to numbers that she dials one after the other and joins at second 35: the first number takes her place in the second
// call, or the second number in the first. The first talks from second 5, the second from second 15, both until 80.
func joined(began time.Time, toSecond bool) (one, two []call.Event) {
	a, b := idAt(began), idAt(began.Add(10*time.Second))
	first := []step{{0, 0, startOf(a, "alice", "", "+4930111")}, {0, 1, callerLeg("alice", "")}, {1, 2, calleeLeg("", "carrier")}, {5, 2, call.Answer{}}, {5, 1, call.Answer{}}}
	second := []step{{10, 0, startOf(b, "alice", "", "+4989222")}, {10, 1, callerLeg("alice", "")}, {11, 2, calleeLeg("", "spare")}, {15, 2, call.Answer{}}, {15, 1, call.Answer{}}}
	gives := []step{{35, 2, leaves}, {35, 1, call.LegEnd{Cause: call.Transferred}}, {35, 0, call.End{By: call.Caller, Cause: call.Transferred}}}
	takes := func(trunk string, c *call.Carried) []step {
		return []step{{34, 3, movedLeg(call.CallerLeg, call.Out, trunk)}, {35, 3, call.Answer{Carried: c}}, {35, 1, leaves}, {80, 3, call.LegEnd{Cause: call.Normal, HungUp: true}},
			{80, 2, call.LegEnd{Cause: call.Normal}}, {80, 0, ends}}
	}
	if toSecond {
		one = timeline(a, began, append(first, gives...)...)
		return one, timeline(b, began, append(second, takes("carrier", build(one).Carry(2))...)...)
	}
	two = timeline(b, began, append(second, gives...)...)
	return timeline(a, began, append(first, takes("spare", build(two).Carry(2))...)...), two
}

const (
	legsRetail  = "prefix,destination,price,first,next,connect_fee\n49,Germany,0.6,60,6,0.05\n"
	legsCarrier = "prefix,destination,price,first,next\n49,Germany,0.0123,1,1\n"
)

// Each second of talk of each leg is rated once, to whom it belongs, whichever call it is in: as if the leg had been one call.
func TestTransferredLegsAreRated(t *testing.T) {
	t.Parallel()
	ctx, began := context.Background(), time.Now().Add(-time.Hour).Truncate(time.Second)
	c := config(folder(t), database(t))
	c.Rating = tariffs(t)
	c.Rating.Trunks["spare"] = "wholesale"
	c.Rating.Runs = nil
	c.Rating.In = Parties{map[string]string{"bob": "wholesale"}, map[string]string{"default": "retail"}, map[string]string{"carrier": "wholesale"}}
	c.Rating.Internal = Parties{map[string]string{"bob": "wholesale"}, nil, nil}
	d := decks(t, c)
	imports(t, d, "retail", "EUR", legsRetail, began.Add(-time.Hour))
	imports(t, d, "carrier", "USD", legsCarrier, began.Add(-time.Hour))
	s := open(t, c)
	one, two := joined(began, true)
	three, four := joined(began.Add(2*time.Minute), false)

	// A carrier's call for bob, who hands it over to carol once he has asked her; and a number that alice hands over to bob blindly.
	a, b, x, y := idAt(began.Add(4*time.Minute)), idAt(began.Add(4*time.Minute+10*time.Second)), idAt(began.Add(6*time.Minute)), idAt(began.Add(7*time.Minute))
	in := timeline(a, began, step{0, 0, startOf(a, "", "carrier", "+4930102")}, step{0, 1, callerLeg("", "carrier")}, step{1, 2, calleeLeg("bob", "")}, step{2, 2, call.Answer{}}, step{2, 1, call.Answer{}},
		step{30.5, 1, leaves}, step{30.5, 2, call.LegEnd{Cause: call.Transferred}}, step{30.5, 0, call.End{By: call.Callee, Cause: call.Transferred}})
	asked := timeline(b, began, step{10, 0, startOf(b, "bob", "", "+4930103")}, step{10, 1, callerLeg("bob", "")}, step{11, 2, calleeLeg("carol", "")}, step{12, 2, call.Answer{}}, step{12, 1, call.Answer{}},
		step{30, 3, movedLeg(call.CallerLeg, call.In, "carrier")}, step{30.5, 3, call.Answer{Carried: build(in).Carry(1)}}, step{30.5, 1, leaves}, step{40.2, 0, ends})
	out := timeline(x, began, step{0, 0, startOf(x, "alice", "", "+4930111")}, step{0, 1, callerLeg("alice", "")}, step{1, 2, calleeLeg("", "carrier")}, step{2, 2, call.Answer{}}, step{2, 1, call.Answer{}},
		step{61, 2, leaves}, step{61, 0, call.End{By: call.Caller, Cause: call.Transferred}})
	handed := timeline(y, began, step{50, 0, startOf(y, "alice", "", "101")}, step{51, 2, calleeLeg("bob", "")}, step{60, 2, call.Answer{}}, step{60.5, 1, movedLeg(call.CallerLeg, call.Out, "carrier")},
		step{61, 1, call.Answer{Carried: build(out).Carry(2)}}, step{70, 0, ends})
	events := 0
	for _, e := range [][]call.Event{one, two, three, four, in, asked, out, handed} {
		commit(t, s, e...)
		events += len(e)
	}
	eventually(t, "the calls are in the database", func() bool { return s.Stats().Projected == uint64(events) })
	of := func(e []call.Event) (list []string) {
		t.Helper()
		rows, err := d.conn.Query(ctx, `SELECT concat_ws(' ', side, run, leg_no, account, number, bill_ms, rated_sec, connect_fee + 0.0, amount_rounded, house) FROM patchbay.rating_current WHERE call_id = $1
ORDER BY side DESC, run`, uuid.UUID(e[0].Call))
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			list = append(list, line)
		}
		return list
	}
	// Sold at 0.6 a minute, 60 and 6 s, fee 0.05, to the cent; bought by the second at 0.0123. 111 talks 30 s: 60 s at 0.60 and the fee are 0.65; then 45 more: 75 s
	// are 78, so 0.83 with one fee: 0.18 is the rest. 222 talks 65 s: 66 at 0.66 and 0.05.
	wants(t, "the call that the first number leaves", of(one), "sell  2 user:alice +4930111 30000 60 0.050000000 0.650000 EUR", "buy  2 trunk:carrier +4930111 30000 30 0.000000000 0.006150 EUR")
	wants(t, "the call that it goes to", of(two), "sell  2 user:alice +4989222 65000 66 0.050000000 0.710000 EUR", "sell /3 3 user:alice +4930111 45000 18 0.000000000 0.180000 EUR",
		"buy  2 trunk:spare +4989222 65000 65 0.000000000 0.013325 EUR", "buy /3 3 trunk:carrier +4930111 45000 45 0.000000000 0.009225 EUR")
	// The other way round: 75 s at once; 222 talks 20 s, 0.65, and 45 more: 0.71 less that.
	wants(t, "the call that the second number goes to", of(three), "sell  2 user:alice +4930111 75000 78 0.050000000 0.830000 EUR", "sell /3 3 user:alice +4989222 45000 6 0.000000000 0.060000 EUR",
		"buy  2 trunk:carrier +4930111 75000 75 0.000000000 0.015375 EUR", "buy /3 3 trunk:spare +4989222 45000 45 0.000000000 0.009225 EUR")
	wants(t, "the call that it leaves", of(four), "sell  2 user:alice +4989222 20000 60 0.050000000 0.650000 EUR", "buy  2 trunk:spare +4989222 20000 20 0.000000000 0.004100 EUR")
	// What comes in is 28.5 s with bob, 29 of a unit, and 9.7 with carol: 38.2, 39 units; bob pays for both, and for 18.5 s that he talked with her.
	wants(t, "a call that comes in", of(in), "sell in 1 user:bob +4930102 28500 29 0.000000000 0.005945 EUR", "buy in 1 trunk:carrier +4930102 28500 29 0.000000000 0.005945 EUR")
	wants(t, "a call that it goes to", of(asked), "sell in/3 3 user:bob +4930102 9700 10 0.000000000 0.002050 EUR", "sell internal 0 user:bob +4930103 18500 19 0.000000000 0.003895 EUR",
		"buy in/3 3 trunk:carrier +4930102 9700 10 0.000000000 0.002050 EUR")
	wants(t, "a number that is handed over", of(out), "sell  2 user:alice +4930111 59000 60 0.050000000 0.650000 EUR", "buy  2 trunk:carrier +4930111 59000 59 0.000000000 0.012095 EUR")
	wants(t, "the call with whom it was handed to", of(handed), "sell /1 1 user:alice +4930111 9000 12 0.000000000 0.120000 EUR", "buy /1 1 trunk:carrier +4930111 9000 9 0.000000000 0.001845 EUR")

	// Rated again by the rows nothing differs; and each leg counts at its trunk, tried once.
	if sum, err := d.Rerate(ctx, c.Rating, Selection{From: began.Add(-time.Hour), To: time.Now().Add(time.Hour)}, true, func(x Delta) error { t.Errorf("%+v", x); return nil }); err != nil || sum.Ratings != 21 {
		t.Errorf("%+v %v", sum, err)
	}
	for _, source := range []string{"auto", "calls"} {
		given := map[string]string{"by": "trunk", "order": "trunk", "source": source, "from": began.Truncate(time.Hour).Format(time.RFC3339), "to": began.Add(2 * time.Hour).Truncate(time.Hour).Format(time.RFC3339)}
		get := func(name string) (string, bool) { v, ok := given[name]; return v, ok }
		q, err := report.Parse(report.Money, get, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		r, err := d.Report(ctx, q, nil)
		if err != nil {
			t.Fatal(err)
		}
		var rows []string
		for _, row := range r.Rows {
			rows = append(rows, fmt.Sprint(row[0], row[1:7]))
		}
		// 30 + 45 + 75 + 59 + 9 s of 111, 38.2 s of what came in; 65 + 20 + 45 s of 222. Bought in USD, 0.9 each.
		wants(t, "money by trunk, of "+source, rows, "carrier[7 4 4.27 EUR 2.4371955 0.0474165]", "spare[3 2 2.167 EUR 1.42 0.023985]")
	}
}

// A house that has another currency from now on: what was rated before and what is rated since are never added up, by no report, dimension or source, until the
// earlier calls are rated again.
func TestHouseChangesItsCurrency(t *testing.T) {
	t.Parallel()
	ctx, began := context.Background(), time.Now().UTC().Truncate(time.Hour).Add(-3*time.Hour)
	c := config(folder(t), database(t))
	c.Rating = tariffs(t)
	c.Rating.Trunks["spare"], c.Rating.Runs = "wholesale", nil
	d := decks(t, c)
	imports(t, d, "retail", "EUR", legsRetail, began.Add(-time.Hour))
	imports(t, d, "carrier", "USD", legsCarrier, began.Add(-time.Hour))
	rates := func(at time.Time) call.ID {
		t.Helper()
		s := open(t, c)
		up(t, s)
		one, two := joined(at, true)
		commit(t, s, one...)
		commit(t, s, two...)
		shut(t, s)
		return one[0].Call
	}
	first := rates(began)
	c.Rating.Currency = "CHF"
	c.Rating.FX = map[string]decimal.Decimal{"EUR": decimal.RequireFromString("0.95"), "USD": decimal.RequireFromString("0.8")}
	rates(began.Add(time.Hour))
	d.cfg.Rating = c.Rating
	says := func(name, by, source string) (list []string) {
		t.Helper()
		given := map[string]string{"by": by, "order": "calls", "source": source, "from": began.Format(time.RFC3339), "to": began.Add(2 * time.Hour).Format(time.RFC3339)}
		q, err := report.Parse(name, func(name string) (string, bool) { v, ok := given[name]; return v, ok }, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		r, err := d.Report(ctx, q, nil)
		if err != nil {
			t.Fatal(err)
		}
		at := func(name string) int {
			return slices.IndexFunc(r.Columns, func(c report.Column) bool { return c.Name == name })
		}
		for _, row := range append(r.Rows, r.Total) {
			line := fmt.Sprintf("%v %v %v %v %v %v", row[:at("calls")], row[at("calls")], row[at("currency")], row[at("sell")], row[at("buy")], row[at("margin")])
			list = append(list, line)
		}
		slices.Sort(list[:len(list)-1])
		return list
	}
	// Sold for 0.65 + 0.71 + 0.18 EUR, bought for 0.00615 + 0.013325 + 0.009225 USD: 1.54 and 0.9 of 0.0287, or 0.95 and 0.8 of them.
	const euros, francs = "EUR 1.54 0.02583 1.51417", "CHF 1.463 0.02296 1.44004"
	for _, source := range []string{"auto", "calls"} {
		for _, name := range []string{report.Money, report.Destinations} {
			wants(t, name+" of "+source, says(name, "house", source), "[CHF] 2 "+francs, "[EUR] 2 "+euros, "[<nil>] 4 CHF+EUR <nil> <nil> <nil>")
			wants(t, name+" of "+source, says(name, "", source), "[] 4 CHF+EUR <nil> <nil> <nil>", "[] 4 CHF+EUR <nil> <nil> <nil>")
		}
		wants(t, "by hour of "+source, says(report.Money, "hour", source), fmt.Sprintf("[%v] 2 %s", began, euros), fmt.Sprintf("[%v] 2 %s", began.Add(time.Hour), francs), "[<nil>] 4 CHF+EUR <nil> <nil> <nil>")
		wants(t, "by account of "+source, says(report.Money, "account", source), "[user:alice] 4 CHF+EUR <nil> <nil> <nil>", "[<nil>] 4 CHF+EUR <nil> <nil> <nil>")
	}
	// One call with two currencies: what it was sold for was rated again, what it was bought for was not.
	sel := Selection{From: began.Add(-time.Hour), To: began.Add(time.Hour), Account: "user:alice"}
	again := func() {
		t.Helper()
		if _, err := d.Rerate(ctx, c.Rating, sel, false, func(Delta) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	again()
	for _, source := range []string{"auto", "calls"} {
		wants(t, "half of it rated again, of "+source, says(report.Money, "hour,house", source), fmt.Sprintf("[%v CHF+EUR] 2 CHF+EUR <nil> <nil> <nil>", began),
			fmt.Sprintf("[%v CHF] 2 %s", began.Add(time.Hour), francs), "[<nil> <nil>] 4 CHF+EUR <nil> <nil> <nil>")
	}
	sel.Account = ""
	again()
	wants(t, "ratings", ratingsOf(t, d, first), "sell  0 0.650000 EUR 1.000000000", "sell  1 0.650000 EUR 0.950000000", "buy  0 0.006150 USD 0.900000000", "buy  1 0.006150 USD 0.800000000")
	for _, source := range []string{"auto", "calls"} {
		wants(t, "all rated again, of "+source, says(report.Money, "", source), "[] 4 CHF 2.926 0.04592 2.88008", "[] 4 CHF 2.926 0.04592 2.88008")
	}
	if sum, err := d.Rerate(ctx, c.Rating, sel, true, func(Delta) error { return nil }); err != nil || sum.Changed != 0 {
		t.Errorf("a second time: %+v %v", sum, err)
	}
}
