package billing

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/billing/report"
	"github.com/patchbay/patchbay/gateway/call"
)

// outcome is how a try of a callee ends; answered calls have no cause yet.
type outcome struct {
	cause   call.Cause
	rings   bool
	answers bool
}

var outcomes = []outcome{
	{call.Normal, true, true}, {call.Normal, false, true}, {call.Cause{Q850: 17, SIP: 486}, true, false}, {call.Cause{Q850: 19, SIP: 480}, true, false}, {call.Cause{Q850: 18, SIP: 480}, false, false},
	{call.Cancelled, true, false}, {call.Cancelled, false, false}, {call.Cause{Q850: 21, SIP: 603}, false, false}, {call.Cause{Q850: 21, SIP: 403}, false, false},
	{call.Cause{Q850: 1, SIP: 404}, false, false}, {call.Cause{Q850: 41, SIP: 503}, false, false},
}

// mixedStory is a call of random outcome, talk and way: refused at once, or with one to three tries of a user and trunks.
func mixedStory(rnd *rand.Rand, began time.Time) []call.Event {
	id := idAt(began)
	mono, seq := int64(0), uint64(0)
	var out []call.Event
	add := func(leg int, after time.Duration, d call.Data) {
		mono += int64(after)
		seq++
		out = append(out, call.Event{Call: id, Seq: seq, At: began.Add(time.Duration(mono)).UTC().Truncate(time.Microsecond), Mono: mono, Leg: leg, Data: d})
	}
	ms := func(n int64) time.Duration { return time.Duration(rnd.Int64N(n)) * time.Millisecond }
	pick := func(s ...string) string { return s[rnd.IntN(len(s))] }
	user, to := pick("alice", "bob"), pick("+4930", "+4989", "+43", "+1212")+fmt.Sprint(1000000+rnd.IntN(1000000))
	in := rnd.IntN(4) == 0
	start := call.Start{Tenant: pick("default", "other"), LinkedID: id, Node: "n1", Epoch: 1, Origin: "sip", Direction: call.Out, User: user, From: "100", To: to, ToN: to}
	caller := call.LegNew{Role: call.CallerLeg, Medium: "sip", Direction: call.In, User: user}
	if in {
		start.User, start.Trunk, start.Direction, caller.User, caller.Trunk = "", "transit", call.In, "", "transit"
	}
	add(0, 0, start)
	add(1, 0, caller)
	o := outcomes[rnd.IntN(len(outcomes))]
	leg, home := 1, rnd.IntN(3) == 0 // to a user, who may have it forwarded
	tries := rnd.IntN(4)
	if home && tries > 0 {
		leg++
		add(leg, ms(100), call.LegNew{Attempt: 1, Role: call.CalleeLeg, Medium: "sip", Direction: call.Out, User: pick("alice", "bob")})
		if tries--; tries > 0 {
			add(0, 0, call.Forward{User: out[len(out)-1].Data.(call.LegNew).User})
		}
	}
	for range tries {
		if leg++; leg > 2 {
			add(leg-1, ms(500), call.LegEnd{Cause: call.Cause{Q850: 41, SIP: 503}})
		}
		add(leg, ms(100), call.LegNew{Attempt: leg - 1, Role: call.CalleeLeg, Medium: "sip", Direction: call.Out, Trunk: pick("carrier", "spare")})
	}
	if leg == 1 {
		o = outcome{cause: call.NoRoute}
	}
	if o.rings {
		add(leg, ms(9000), call.Progress{Status: 180})
	}
	if o.answers {
		add(leg, ms(200), call.Negotiated{Media: call.Media{Codec: pick("PCMA/8000", "PCMU/8000"), Ptime: 20}})
		add(leg, ms(9000), call.Answer{})
		add(1, ms(3), call.Answer{})
		whole := call.Bucket{Leg: leg, Stream: call.StreamIn, SpanMS: 1000, Packets: rnd.Uint64N(5000), Lost: ptr(rnd.Int64N(50)), JitterAvg: ptr(float64(rnd.IntN(300)) / 10), MOSCQ: ptr(float64(100+rnd.IntN(340)) / 100), Modelled: []string{}}
		ten := whole
		ten.No = 1
		add(0, ms(200_000), call.Measured{Buckets: []call.Bucket{ten}})
		add(0, 0, call.Measured{Buckets: []call.Bucket{whole}})
	}
	if leg > 1 {
		add(leg, ms(50), call.LegEnd{Cause: o.cause, HungUp: o.answers})
	}
	add(1, ms(5), call.LegEnd{Cause: o.cause})
	add(0, 0, call.End{By: call.Callee, Cause: o.cause})
	return out
}

// forwarded is a call that a trunk brings, for alice, who has it forwarded out: both ways are sold, and bought, in different currencies.
func forwarded(began time.Time) []call.Event {
	id := idAt(began)
	var out []call.Event
	for i, x := range []struct {
		leg int
		d   call.Data
	}{
		{0, call.Start{Tenant: "default", LinkedID: id, Node: "n1", Epoch: 1, Origin: "sip", Direction: call.In, Trunk: "transit", From: "100", To: "+49301234567", ToN: "+49301234567"}},
		{1, call.LegNew{Role: call.CallerLeg, Medium: "sip", Direction: call.In, Trunk: "transit"}},
		{0, call.Forward{User: "alice"}},
		{2, call.LegNew{Attempt: 1, Role: call.CalleeLeg, Medium: "sip", Direction: call.Out, Trunk: "spare"}},
		{2, call.Answer{}},
		{1, call.Answer{}},
		{2, call.LegEnd{Cause: call.Normal, HungUp: true}},
		{1, call.LegEnd{Cause: call.Normal}},
		{0, call.End{By: call.Callee, Cause: call.Normal}},
	} {
		out = append(out, call.Event{Call: id, Seq: uint64(i + 1), At: began.Add(time.Duration(i) * time.Second).UTC(), Mono: int64(i) * 1e9, Leg: x.leg, Data: x.d})
	}
	return out
}

// truth is what a test adds up by itself, of calls and ratings as they are kept.
type truth struct {
	calls, seizures, answered, effective, bill int64
	sell, buy                                  big.Rat
	unpriced                                   int64
	delays                                     []int64
}

type ratingRow struct {
	call               uuid.UUID
	side, run, account string
	amount, fx         string
	currency           string
	destination        string
	hasProblem         bool
}

func currentRatings(t *testing.T, r *Reader) map[uuid.UUID][]ratingRow {
	t.Helper()
	rows, err := r.conn.Query(context.Background(), `SELECT call_id, side, run, account, amount_rounded::text, COALESCE(fx::text, ''), currency, destination, problem IS NOT NULL FROM patchbay.rating_current WHERE side <> 'custom'
ORDER BY call_id, side, run`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[uuid.UUID][]ratingRow{}
	for rows.Next() {
		var x ratingRow
		if err := rows.Scan(&x.call, &x.side, &x.run, &x.account, &x.amount, &x.fx, &x.currency, &x.destination, &x.hasProblem); err != nil {
			t.Fatal(err)
		}
		out[x.call] = append(out[x.call], x)
	}
	return out
}

// reaches is NER's numerator.
func reaches(answered, rang bool, c call.Cause) bool {
	switch {
	case answered, c.SIP == 486, c.SIP == 603:
		return true
	case c.SIP == 480 || c.SIP == 487:
		return rang
	}
	return false
}

func rat(t *testing.T, s string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("%q is no number", s)
	}
	return r
}

// addUp adds what a call counts for to the truths of the keys that its legs, or it itself, have.
func addUp(t *testing.T, into map[string]*truth, c *call.Call, ratings []ratingRow, key func(*call.Call, *call.Leg, []ratingRow) (string, bool), byTrunk bool) {
	t.Helper()
	at := func(l *call.Leg) *truth {
		k, ok := key(c, l, ratings)
		if !ok {
			return nil
		}
		if into[k] == nil {
			into[k] = &truth{}
		}
		return into[k]
	}
	money := func(x *truth, mine func(ratingRow) bool) {
		for _, r := range ratings {
			switch {
			case !mine(r) || x == nil:
			case r.hasProblem || r.fx == "":
				x.unpriced++
			default:
				sum := map[string]*big.Rat{SideSell: &x.sell, SideBuy: &x.buy}[r.side]
				sum.Add(sum, new(big.Rat).Mul(rat(t, r.amount), rat(t, r.fx)))
			}
		}
	}
	one := func(x *truth, seized, answered, effective bool, bill int64, pdd *int64) {
		if x == nil {
			return
		}
		x.calls++
		if seized {
			x.seizures++
		}
		if answered {
			x.answered++
			x.bill += bill
		}
		if effective {
			x.effective++
		}
		if pdd != nil {
			x.delays = append(x.delays, *pdd)
		}
	}
	if !byTrunk {
		x := at(nil)
		seized := c.Attempts > 0 || c.AnsweredAt != nil
		one(x, seized, c.AnsweredAt != nil, seized && reaches(c.AnsweredAt != nil, c.ProgressAt != nil, c.Cause), c.Bill, c.PDD)
		money(x, func(ratingRow) bool { return true })
		return
	}
	var sale *call.Leg
	for _, l := range c.Legs {
		if l.Trunk != "" && l.AnsweredAt != nil && l.Carried == nil {
			sale = l
		}
	}
	for _, l := range c.Legs {
		if l.Trunk == "" {
			continue
		}
		x := at(l)
		rang := l.ProgressAt != nil
		if l.Role == call.CallerLeg {
			rang = c.ProgressAt != nil
		}
		if l.Carried != nil { // it was tried in another call, and goes on
			if x != nil {
				x.calls++
				x.bill += l.Talk
			}
		} else {
			one(x, true, l.AnsweredAt != nil, reaches(l.AnsweredAt != nil, rang, l.Cause), c.Bill, l.PDD)
		}
		money(x, func(r ratingRow) bool { // what came in is of the trunk that it came from, what came from another call of its leg
			if _, no, ok := strings.Cut(r.run, "/"); ok {
				return no == fmt.Sprint(l.No)
			}
			return l.Carried == nil && (r.run == runIn && l.Role == call.CallerLeg || r.run == "" && l == sale)
		})
	}
}

// class is how exactly delays are known: to the millisecond up to 128, then to the middle of 64 equal parts of each doubling.
func class(ms int64) int64 {
	step := int64(1)
	for limit := int64(128); ms >= limit; limit *= 2 {
		step *= 2
	}
	return ms - ms%step + step/2
}

// line is a row as text: key, counts, exact money, exact delays.
func (x *truth) line(key string) string {
	slices.Sort(x.delays)
	p := func(percent int) string {
		if len(x.delays) == 0 {
			return "-"
		}
		return fmt.Sprint(class(x.delays[(len(x.delays)*percent+99)/100-1]))
	}
	return fmt.Sprintf("%s %d %d %d %d %s %s %s %d %s %s", key, x.calls, x.seizures, x.answered, x.effective, big.NewRat(x.bill, 60_000).FloatString(3), x.sell.FloatString(15), x.buy.FloatString(15),
		x.unpriced, p(50), p(95))
}

// told is the same of two reports.
func told(t *testing.T, r *Reader, ask map[string]string) []string {
	t.Helper()
	get := func(name string) (string, bool) { s, ok := ask[name]; return s, ok }
	rows := map[string][]string{}
	for _, name := range []string{report.Traffic, report.Money} {
		q, err := report.Parse(name, get, time.Date(2026, 10, 27, 0, 0, 0, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Report(context.Background(), q, nil)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := got.Write(&b, report.NDJSON); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(strings.TrimSpace(b.String()), "\n") {
			if line == "" {
				continue
			}
			var row map[string]any
			d := json.NewDecoder(strings.NewReader(line))
			d.UseNumber()
			if err := d.Decode(&row); err != nil {
				t.Fatal(err)
			}
			var key []string
			for _, by := range q.By {
				key = append(key, fmt.Sprint(row[by]))
			}
			k := strings.Join(key, "|")
			cell := func(name string) string {
				switch v := row[name].(type) {
				case nil:
					return "-"
				case string:
					return rat(t, v).FloatString(15)
				default:
					return fmt.Sprint(v)
				}
			}
			if name == report.Traffic {
				rows[k] = []string{k, cell("calls"), cell("seizures"), cell("answered"), cell("effective"), rat(t, cell("minutes")).FloatString(3), "", "", "", cell("pdd_p50"), cell("pdd_p95")}
			} else {
				copy(rows[k][6:], []string{cell("sell"), cell("buy"), cell("unpriced")})
			}
		}
	}
	var out []string
	for _, row := range rows {
		out = append(out, strings.Join(row, " "))
	}
	slices.Sort(out)
	return out
}

// question is one that the reports and the test answer each for themselves.
type question struct {
	ask   map[string]string
	key   func(*call.Call, *call.Leg, []ratingRow) (string, bool)
	trunk bool
}

func questions(t *testing.T) []question {
	t.Helper()
	zone := func(name string) *time.Location {
		z, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	berlin, nepal := zone("Europe/Berlin"), zone("Asia/Kathmandu")
	within := func(c *call.Call, from, to time.Time) bool {
		return !c.ID.Started().Before(from) && c.ID.Started().Before(to)
	}
	day := func(z *time.Location, d int) time.Time { return time.Date(2026, 10, d, 0, 0, 0, 0, z) }
	return []question{
		{map[string]string{"from": "2026-10-24", "to": "2026-10-27", "by": ""}, func(c *call.Call, _ *call.Leg, _ []ratingRow) (string, bool) {
			return "", within(c, day(time.UTC, 24), day(time.UTC, 27))
		}, false},
		{map[string]string{"from": "2026-10-24", "to": "2026-10-27", "zone": "Europe/Berlin", "by": "day,direction"}, func(c *call.Call, _ *call.Leg, _ []ratingRow) (string, bool) {
			at := c.ID.Started().In(berlin)
			return day(berlin, at.Day()).Format(time.RFC3339) + "|" + string(c.Direction), within(c, day(berlin, 24), day(berlin, 27))
		}, false},
		{map[string]string{"from": "2026-10-25", "to": "2026-10-26", "zone": "Europe/Berlin", "by": "hour"}, func(c *call.Call, _ *call.Leg, _ []ratingRow) (string, bool) {
			return c.ID.Started().Truncate(time.Hour).In(berlin).Format(time.RFC3339), within(c, day(berlin, 25), day(berlin, 26)) // 25 hours, one of them twice
		}, false},
		{map[string]string{"from": "2026-10-24", "to": "2026-10-27", "zone": "Asia/Kathmandu", "by": "trunk"}, func(c *call.Call, l *call.Leg, _ []ratingRow) (string, bool) {
			return l.Trunk, within(c, day(nepal, 24), day(nepal, 27))
		}, true},
		{map[string]string{"from": "2026-10-24T03:15", "to": "2026-10-26T21:45", "by": "account"}, func(c *call.Call, _ *call.Leg, ratings []ratingRow) (string, bool) {
			return payerOf(c, ratings), within(c, day(time.UTC, 24).Add(3*time.Hour+15*time.Minute), day(time.UTC, 26).Add(21*time.Hour+45*time.Minute))
		}, false},
		{map[string]string{"from": "2026-10-24T03:15:07", "to": "2026-10-26", "by": "cause"}, func(c *call.Call, _ *call.Leg, _ []ratingRow) (string, bool) { // no quarter of an hour
			return fmt.Sprintf("%d/%d", c.Cause.Q850, c.Cause.SIP), within(c, day(time.UTC, 24).Add(3*time.Hour+15*time.Minute+7*time.Second), day(time.UTC, 26))
		}, false},
		{map[string]string{"from": "2026-10-24", "to": "2026-10-27", "by": "codec,tenant"}, func(c *call.Call, _ *call.Leg, _ []ratingRow) (string, bool) {
			codec := ""
			for _, l := range c.Legs {
				if l.AnsweredAt != nil && l.Role == call.CalleeLeg {
					codec = l.Media.Codec
				}
			}
			return codec + "|" + c.Tenant, within(c, day(time.UTC, 24), day(time.UTC, 27))
		}, false},
		{map[string]string{"from": "2026-10-24", "to": "2026-10-27", "by": "account,direction", "trunk": "carrier", "direction": "out"}, func(c *call.Call, l *call.Leg, ratings []ratingRow) (string, bool) { // two dimensions
			return payerOf(c, ratings) + "|" + string(l.Direction), l.Trunk == "carrier" && within(c, day(time.UTC, 24), day(time.UTC, 27))
		}, true},
		{map[string]string{"from": "2026-10-24", "to": "2026-10-27", "by": "destination"}, func(c *call.Call, _ *call.Leg, ratings []ratingRow) (string, bool) {
			return destinationOf(c, ratings), within(c, day(time.UTC, 24), day(time.UTC, 27))
		}, false},
	}
}

// payerOf is who pays for a call, by the account that it was sold to first, or would, by the tariffs of the test: alice has one for each way, transit
// for what goes out, the tenant other for what others take and for calls within the house.
func payerOf(c *call.Call, ratings []ratingRow) string {
	for _, run := range []string{"", runInternal, runIn} {
		for _, r := range ratings {
			if r.side == SideSell && r.run == run {
				return r.account
			}
		}
	}
	var last *call.Leg
	for _, l := range c.Legs {
		if l.Role == call.CalleeLeg {
			last = l
		}
	}
	from := c.Legs[0].Trunk
	out := last != nil && last.Trunk != "" || last == nil && c.Direction == call.Out
	taker := c.Payer
	if last != nil && last.User != "" {
		taker = last.User
	}
	switch {
	case out && c.Payer == "":
		return "trunk:transit"
	case out && c.Payer == "alice", !out && from != "" && taker == "alice", !out && from == "" && c.Payer == "alice":
		return "user:alice"
	case c.Tenant == "other" && (!out || from != ""):
		return "tenant:other"
	case c.Payer != "":
		return "user:" + c.Payer
	}
	return "tenant:" + c.Tenant
}

// destinationOf is by the decks of the test: what is sold to alice has Germany, what carrier sells Berlin.
func destinationOf(c *call.Call, ratings []ratingRow) string {
	for _, side := range []string{SideSell, SideBuy} {
		for _, r := range ratings {
			if r.side == side && r.run == "" && r.destination != "" {
				return r.destination
			}
		}
	}
	switch {
	case (c.Payer == "alice" || payerOf(c, ratings) == "trunk:transit") && strings.HasPrefix(c.To, "+49"):
		return "Germany"
	case strings.HasPrefix(c.To, "+1"):
		return "+1"
	}
	return c.To[:3]
}

// Reports, from the rollups and from calls, have the sums that calls and ratings have, to the last digit: behind random calls, behind a
// replay of all of them, and behind a re-rating. Days and hours are those of the zone, on the night that has an hour twice.
func TestReportsAddUp(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := config(folder(t), database(t))
	c.Rating = tariffs(t)
	c.Rating.Trunks["spare"] = "retail"
	c.Rating.Sources = map[string]string{"transit": "retail"}
	c.Rating.In = Parties{map[string]string{"alice": "wholesale"}, map[string]string{"other": "retail"}, map[string]string{"transit": "wholesale"}}
	c.Rating.Internal = Parties{map[string]string{"alice": "retail"}, map[string]string{"other": "wholesale"}, nil}
	delete(c.Rating.FX, "USD") // no rate of exchange: what is bought has no price in the house's currency
	began := time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC)
	d := decks(t, c)
	imports(t, d, "retail", "EUR", retailCSV, began.Add(-time.Hour))
	imports(t, d, "carrier", "USD", carrierCSV, began.Add(-time.Hour))
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	s := open(t, c)
	var last []call.Event
	for range 400 {
		last = mixedStory(rnd, began.Add(time.Duration(rnd.Int64N(int64(72*time.Hour))).Truncate(time.Millisecond)))
		for _, e := range last[:len(last)-1] {
			s.Note(e)
		}
		if rnd.IntN(20) == 0 {
			commit(t, s, last[len(last)-1])
		} else {
			s.Note(last[len(last)-1])
		}
	}
	commit(t, s, forwarded(began.Add(30*time.Hour))...)
	for i := range 6 {
		one, two := joined(began.Add(time.Duration(i)*11*time.Hour), i%2 == 0)
		commit(t, s, one...)
		commit(t, s, two...)
	}
	commit(t, s, mixedStory(rnd, began)...)
	projected := func() {
		eventually(t, "projected", func() bool { st := s.Stats(); return st.Outbox == 0 && st.Connected })
	}
	projected()
	compareAll(t, d, "calls")

	crash(t, s)
	if _, err := d.conn.Exec(ctx, `DELETE FROM patchbay.ingest`); err != nil {
		t.Fatal(err)
	}
	s = open(t, c)
	projected()
	compareAll(t, d, "a replay")

	// What is bought has a price now, and what is sold another.
	c.Rating.FX["USD"] = tariffs(t).FX["USD"]
	imports(t, d, "retail", "EUR", strings.Replace(retailCSV, "0.06", "0.1234567", 1), began.Add(20*time.Hour))
	imports(t, d, "carrier", "USD", strings.Replace(carrierCSV, "0.0123", "0.02", 1), began.Add(30*time.Hour))
	if sum, err := d.Rerate(ctx, c.Rating, Selection{From: began, To: began.Add(80 * time.Hour)}, false, func(Delta) error { return nil }); err != nil || sum.Changed == 0 {
		t.Fatalf("%+v %v", sum, err)
	}
	compareAll(t, d, "a re-rating")
	ownCurrencies(t, d)
	shut(t, s)
	recounted(t, d)
}

// ownCurrencies: what was sold, and bought, in each currency is what ratings sum up to; of calls with two nothing is added up, and no sum
// is of several.
func ownCurrencies(t *testing.T, d *Reader) {
	t.Helper()
	for _, side := range []string{SideSell, SideBuy} {
		sums, want := map[string]*big.Rat{}, []string(nil)
		for _, list := range currentRatings(t, d) {
			var of []string
			for _, r := range list {
				if r.side == side && !slices.Contains(of, r.currency) {
					of = append(of, r.currency)
				}
			}
			slices.Sort(of)
			code := strings.Join(of, "+")
			if sums[code] == nil {
				sums[code] = new(big.Rat)
			}
			for _, r := range list {
				if r.side == side && len(of) == 1 && !r.hasProblem {
					sums[code].Add(sums[code], rat(t, r.amount))
				}
			}
		}
		for code, sum := range sums {
			if text := sum.FloatString(9); strings.Contains(code, "+") {
				want = append(want, code+" none")
			} else if code != "" {
				want = append(want, code+" "+text)
			}
		}
		if slices.Sort(want); !slices.Contains(want, "EUR+USD none") {
			t.Errorf("%s: %v, expected calls with both currencies", side, want)
		}
		for _, source := range []string{"auto", "calls"} {
			q, err := report.Parse(report.Money, func(name string) (string, bool) {
				v, ok := map[string]string{"from": "2026-10-24", "to": "2026-10-28", "by": side + "_currency", "source": source}[name]
				return v, ok
			}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			r, err := d.Report(context.Background(), q, nil)
			if err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(r.Columns, func(c report.Column) bool { return c.Name == side+"_amount" })
			var got []string
			for _, row := range r.Rows {
				if row[0] == "" {
					continue
				}
				text := "none"
				if row[at] != nil {
					text = rat(t, fmt.Sprint(row[at])).FloatString(9)
				}
				got = append(got, fmt.Sprint(row[0])+" "+text)
			}
			slices.Sort(got)
			wants(t, side+" in their own currencies, of "+source, got, want...)
			if r.Total[at] != nil {
				t.Errorf("the sum of several currencies is told: %v", r.Total[at])
			}
			if house := slices.IndexFunc(r.Columns, func(c report.Column) bool { return c.Name == "currency" }); house < 0 || r.Rows[0][house] != "EUR" || r.Total[house] != "EUR" {
				t.Errorf("the currency of the house isn't told: %v", r.Rows[0])
			}
		}
	}
}

func compareAll(t *testing.T, d *Reader, behind string) {
	t.Helper()
	calls, err := d.List(context.Background(), Filter{Limit: maxLimit})
	if err != nil {
		t.Fatal(err)
	}
	ratings := currentRatings(t, d)
	for _, x := range questions(t) {
		want := map[string]*truth{}
		for _, c := range calls {
			addUp(t, want, c, ratings[uuid.UUID(c.ID)], x.key, x.trunk)
		}
		var lines []string
		for k, v := range want {
			lines = append(lines, v.line(k))
		}
		slices.Sort(lines)
		if len(lines) == 0 {
			t.Errorf("behind %s: nothing fits %v", behind, x.ask)
		}
		for _, source := range []string{"auto", "calls"} {
			x.ask["source"] = source
			wants(t, fmt.Sprintf("behind %s, %v", behind, x.ask), told(t, d, x.ask), lines...)
		}
	}
}
