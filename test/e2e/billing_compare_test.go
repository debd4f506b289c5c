//go:build e2e

package e2e

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

// onRecordOnce holds sets against each other: each call of the phones' and the carriers' logs is a leg on record, once, and there is
// no leg that no log knows, but of an attempt that was on record when a kill kept it from being made.
func onRecordOnce(t *testing.T, g *gateway, phoned, carried []peers.Call) {
	t.Helper()
	type key struct{ role, id string }
	logged := map[key]string{}
	for _, c := range phoned {
		if further(c) {
			logged[key{"caller", c.ID}] = c.Number
		} else {
			logged[key{"caller", c.ID}] = "" // it never got past the challenge, or nobody knows
		}
	}
	for _, c := range carried {
		logged[key{"callee", c.ID}] = c.Number
	}
	missing, double, strange := 0, 0, 0
	onRecord := map[key]int{}
	for _, l := range g.db.Query(t, "select l.role, l.sip_call_id, count(*) as n, count(distinct l.call_id) as calls, bool_and(c.state = 'recovered' and l.progress_at is null) as unmade from patchbay.leg l join patchbay.call c using (call_id, started_at) group by 1, 2") {
		k := key{fmt.Sprint(l["role"]), fmt.Sprint(l["sip_call_id"])}
		onRecord[k] = number(l["n"])
		if number(l["n"]) != 1 {
			double++
			t.Errorf("the %s's Call-ID %s is on record %v times, in %v calls", k.role, k.id, l["n"], l["calls"])
		}
		if _, known := logged[k]; !known && l["unmade"] != true {
			strange++
			t.Errorf("the %s's Call-ID %s is on record, and in nobody's log", k.role, k.id)
		}
	}
	for k, called := range logged {
		if onRecord[k] == 0 && called != "" {
			missing++
			t.Errorf("the %s's Call-ID %s to %s isn't on record", k.role, k.id, called)
		}
	}
	t.Logf("%d calls in the callers' logs, %d in the callees', %d legs on record: %d missing, %d double, %d in no log", len(phoned), len(carried), len(onRecord), missing, double, strange)
}

func number(v any) int {
	n, _ := strconv.Atoi(fmt.Sprint(v))
	return n
}

// byCaller are the calls on record by the Call-ID of their callers.
func byCaller(t *testing.T, g *gateway) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	for _, r := range g.db.Query(t, "select c.*, l.sip_call_id from patchbay.call c join patchbay.leg l using (call_id, started_at) where l.role = 'caller'") {
		out[fmt.Sprint(r["sip_call_id"])] = r
	}
	return out
}

// asPromised holds the outcome of each call against what the scenarios promise, in the log and on record, and sums up.
func asPromised(t *testing.T, g *gateway, phoned []peers.Call) {
	t.Helper()
	want, rows := map[string]outcome{}, byCaller(t, g)
	for _, o := range expected() {
		want[o.number] = o
	}
	logged, onRecord := map[int]int{}, map[int]int{}
	for _, c := range phoned {
		o := want[c.Number]
		logged[c.Status]++
		if c.Status != o.status {
			t.Errorf("to %s: the phone saw status %d, expected %d", c.Number, c.Status, o.status)
		}
		party := string(c.HungUp)
		if c.HungUp == peers.Nobody {
			party = "callee" // who refuses, ends the call
		}
		row := rows[c.ID]
		if got := recordOf(row); got.status != c.Status || got.endParty != party || o.cause != 0 && got.cause != o.cause {
			t.Errorf("to %s: the record says %+v, the log status %d, ended by %s, and cause %d is expected", c.Number, got, c.Status, party, o.cause)
		}
		if (row["answered_at"] != nil) != !c.Answered.IsZero() {
			t.Errorf("to %s: the record says answered %v, the log %v", c.Number, row["answered_at"], c.Answered)
		}
	}
	for _, r := range g.db.Query(t, "select sip_code, count(*) as n from patchbay.call group by 1") {
		onRecord[number(r["sip_code"])] = number(r["n"])
	}
	if fmt.Sprint(logged) != fmt.Sprint(onRecord) {
		t.Errorf("calls by status: %v on record, %v in the phone's log", onRecord, logged)
	}
}

// durations holds how long calls lasted on record, by the monotonic clock, against the logs: from the 200 that the callee sent to
// the BYE of whoever hung up. Recovered calls are left out.
func durations(t *testing.T, g *gateway, phoned, carried []peers.Call, most time.Duration) {
	t.Helper()
	callees, rows := map[string]peers.Call{}, byCaller(t, g)
	for _, c := range carried {
		callees[c.ID] = c
	}
	answeredBy := map[string]string{}
	for _, l := range g.db.Query(t, "select call_id, sip_call_id from patchbay.leg where role = 'callee' and answered_at is not null") {
		answeredBy[fmt.Sprint(l["call_id"])] = fmt.Sprint(l["sip_call_id"])
	}
	var off []time.Duration
	var logged, onRecord time.Duration
	for _, c := range phoned {
		row := rows[c.ID]
		if c.Answered.IsZero() || c.Bye.IsZero() || row == nil || row["state"] != "closed" {
			continue
		}
		callee := callees[answeredBy[fmt.Sprint(row["call_id"])]]
		bye := c.Bye
		if c.HungUp == peers.Callee {
			bye = callee.Bye
		}
		if callee.Answered.IsZero() || bye.IsZero() {
			t.Errorf("call %s to %s: the carrier's log says answered %v, BYE %v", c.ID, c.Number, callee.Answered, bye)
			continue
		}
		lasted, told := bye.Sub(callee.Answered), time.Duration(number(row["bill_ms"]))*time.Millisecond
		logged, onRecord = logged+lasted, onRecord+told
		off = append(off, (told - lasted).Abs())
	}
	if len(off) == 0 {
		t.Fatal("no durations to compare")
	}
	slices.Sort(off)
	p95 := off[len(off)*95/100]
	t.Logf("%d durations: off by p50 %v, p95 %v, most %v; in all %v on record, %v in the logs", len(off), off[len(off)/2], p95, off[len(off)-1], onRecord, logged)
	if p95 > most {
		t.Errorf("durations are off by %v at p95, expected %v at most", p95, most)
	}
	if mean := (onRecord - logged).Abs() / time.Duration(len(off)); mean > most {
		t.Errorf("the sum of durations is off by %v a call, expected %v at most", mean, most)
	}
}

// gapless wants calls of which no event is missing, all ended, in one of the states.
func gapless(t *testing.T, g *gateway, states ...string) {
	t.Helper()
	for _, r := range g.db.Query(t, `select c.call_id, c.state, c.incomplete, c.version, e.n, e.last, e.ends from patchbay.call c left join
		(select call_id, count(*) as n, max(seq) as last, count(*) filter (where kind in ('call.end', 'recovered')) as ends from patchbay.call_event where kind not in ('rated', 'rerated') group by 1) e using (call_id)`) {
		if !slices.Contains(states, fmt.Sprint(r["state"])) || r["incomplete"] != (r["state"] == "recovered") {
			t.Errorf("call %v is %v, incomplete %v, expected %v, and incomplete only what was recovered", r["call_id"], r["state"], r["incomplete"], states)
		}
		if number(r["n"]) != number(r["last"]) || number(r["version"]) != number(r["last"]) || number(r["ends"]) != 1 {
			t.Errorf("call %v has %v events, the last is number %v, %v of them end it, and its version is %v", r["call_id"], r["n"], r["last"], r["ends"], r["version"])
		}
	}
	if n := len(g.db.Query(t, "select distinct call_id from patchbay.call_event except select call_id from patchbay.call")); n != 0 {
		t.Errorf("%d calls have events and no row", n)
	}
}

// costs rates the calls on record once more, in fractions, and compares both sides' sums.
func costs(t *testing.T, g *gateway) {
	t.Helper()
	sums, answered := map[string]*big.Rat{"sell": new(big.Rat), "buy": new(big.Rat)}, 0
	for _, r := range g.db.Query(t, "select b_raw, bill_ms from patchbay.call where answered_at is not null") {
		answered++
		seconds := (number(r["bill_ms"]) + 999) / 1000
		price, fee, first, next := "0.0601", "0.0007", 1, 1
		if r["b_raw"] == "4930555201" {
			price, fee, first, next = "0.6", "0", 60, 30
		}
		sums["sell"].Add(sums["sell"], fraction(t, seconds, price, fee, first, next, 4))
		sums["buy"].Add(sums["buy"], fraction(t, seconds, "0.0123", "0", 6, 6, 6))
	}
	for side, want := range sums {
		row := g.db.Query(t, "select count(*) as n, coalesce(sum(amount_rounded), 0)::text as sum, count(problem) as problems from patchbay.rating where side = $1", side)[0]
		got, ok := new(big.Rat).SetString(fmt.Sprint(row["sum"]))
		if !ok || got.Cmp(want) != 0 || number(row["n"]) != answered || number(row["problems"]) != 0 {
			t.Errorf("%s: %v ratings of %v calls come to %v, %v without a price; expected one each, and %s", side, row["n"], answered, row["sum"], row["problems"], want.FloatString(6))
		}
		t.Logf("%s: %v ratings, %v EUR", side, row["n"], row["sum"])
	}
}

// fraction is what a call costs, rounded half up.
func fraction(t *testing.T, seconds int, price, fee string, first, next, decimals int) *big.Rat {
	t.Helper()
	if seconds == 0 {
		return new(big.Rat)
	}
	units := first
	for units < seconds {
		units += next
	}
	p, ok1 := new(big.Rat).SetString(price)
	f, ok2 := new(big.Rat).SetString(fee)
	if !ok1 || !ok2 {
		t.Fatalf("price %s or fee %s is no number", price, fee)
	}
	p.Mul(p, big.NewRat(int64(units), 60)).Add(p, f)
	rounded, _ := new(big.Rat).SetString(p.FloatString(decimals)) // half away from zero
	return rounded
}

// watchLateness begins to measure how late a process is woken here; the function tells what 95 of 100 times were within.
func watchLateness() func() time.Duration {
	stop, told := make(chan struct{}), make(chan time.Duration)
	go func() {
		var late []time.Duration
		for {
			began := time.Now()
			select {
			case <-stop:
				slices.Sort(late)
				told <- late[len(late)*95/100]
				return
			case <-time.After(5 * time.Millisecond):
				late = append(late, time.Since(began)-5*time.Millisecond)
			}
		}
	}()
	return func() time.Duration { close(stop); return <-told }
}
