package billing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/patchbay/patchbay/billing/rating"
	"github.com/patchbay/patchbay/billing/webhook"
	"github.com/patchbay/patchbay/gateway/call"
)

const (
	retailCSV  = "prefix,destination,price,first,next,connect_fee,blocked\n49,Germany,0.06,60,1,0.05,\n49900,Premium,2,60,60,,yes\n"
	carrierCSV = "prefix,destination,price,first,next\n4930,Berlin,0.0123,1,1\n"
)

func tariffs(t testing.TB) Rating {
	t.Helper()
	r := Rating{Users: map[string]string{"alice": "retail"}, Tenants: map[string]string{}, Trunks: map[string]string{"carrier": "wholesale"},
		Runs: []Run{{Name: "agent", Tariff: "retail", Tenant: "default"}}, Currency: "EUR", FX: map[string]decimal.Decimal{"USD": decimal.RequireFromString("0.9")}}
	for _, c := range []rating.Config{{ID: "retail", Deck: "retail", Decimals: 2, Rounding: rating.HalfEven}, {ID: "wholesale", Deck: "carrier", Decimals: 6}} {
		tr, err := rating.NewTariff(c)
		if err != nil {
			t.Fatal(err)
		}
		r.Tariffs = append(r.Tariffs, tr)
	}
	return r
}

func decks(t testing.TB, c Config) *Reader {
	t.Helper()
	r, err := OpenDecks(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func imports(t testing.TB, r *Reader, name, currency, csv string, from time.Time) Deck {
	t.Helper()
	d, err := r.Import(context.Background(), name, currency, name+".csv", []byte(csv))
	if err != nil {
		t.Fatal(err)
	}
	if from.IsZero() {
		return d
	}
	if d, err = r.Activate(context.Background(), d, from); err != nil {
		t.Fatal(err)
	}
	return d
}

// ratingsOf reads the ratings of a call, oldest revision first, as "side run revision amount currency problem".
func ratingsOf(t testing.TB, r *Reader, id call.ID) (out []string) {
	t.Helper()
	rows, err := r.conn.Query(context.Background(), `SELECT concat_ws(' ', side, run, revision, amount_rounded, currency, fx, problem) FROM patchbay.rating WHERE call_id = $1 ORDER BY side DESC, run, revision`, uuid.UUID(id))
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

func wants(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\n%s\nexpected:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestRatedWithItsEnd: the call's end and its ratings are one transaction; another price is another revision.
func TestRatedWithItsEnd(t *testing.T) {
	t.Parallel()
	ctx, began := context.Background(), time.Now().Add(-time.Hour)
	c := config(folder(t), database(t))
	c.Rating = tariffs(t)
	d := decks(t, c)
	imports(t, d, "retail", "EUR", retailCSV, began.Add(-time.Hour))
	imports(t, d, "carrier", "USD", carrierCSV, began.Add(-time.Hour))
	s := open(t, c)
	e := story(began, 1)
	commit(t, s, e...)
	id := e[0].Call
	eventually(t, "the call is in the database", func() bool { return s.Stats().Projected == 12 })
	// 4 s: 60 s at 0.06 and the fee; 4 s at 0.0123.
	rated := []string{"sell  0 0.110000 EUR 1.000000000", "custom agent 0 0.110000 EUR 1.000000000", "buy  0 0.000820 USD 0.900000000"}
	wants(t, "ratings", ratingsOf(t, d, id), rated...)
	got, events, err := d.Show(ctx, id.String())
	if err != nil || len(events) != 13 || got.Payer != "alice" {
		t.Fatalf("%d events of %+v (%v), expected 13", len(events), got, err)
	}
	last, ok := events[12].Data.(call.Rated)
	if !ok || len(last.Ratings) != 3 || last.Ratings[0].Amount != "0.11" || last.Ratings[1].Account != "trunk:carrier" || last.Ratings[1].Amount != "0.000820" ||
		last.Ratings[0].Price != "0.06" || last.Ratings[0].Fee != "0.05" || last.Ratings[0].First != 60 || last.Ratings[0].Next != 1 || last.Ratings[1].House != "0.000738" || last.Ratings[1].HouseIn != "EUR" {
		t.Errorf("last event %+v", events[12])
	}

	// A dearer version held when the call was answered: what it changes is shown, then kept.
	imports(t, d, "retail", "EUR", strings.Replace(retailCSV, "0.06", "0.12", 1), began.Add(-time.Minute))
	sel := Selection{From: began.Add(-time.Hour), To: time.Now().Add(time.Hour), Account: "user:alice"}
	var told []string
	tell := func(x Delta) error {
		told = append(told, fmt.Sprintf("%s %s %s to %s", x.Call, x.Side, x.Old, x.New))
		return nil
	}
	sum, err := d.Rerate(ctx, c.Rating, sel, true, tell)
	if err != nil || sum.Calls != 1 || sum.Changed != 1 || sum.Sum["sell EUR"].String() != "0.06" {
		t.Fatalf("%+v %v", sum, err)
	}
	wants(t, "differences", told, id.String()+" sell 0.11 to 0.17")
	wants(t, "ratings after a dry run", ratingsOf(t, d, id), rated...)
	if _, err = d.Rerate(ctx, c.Rating, sel, false, tell); err != nil {
		t.Fatal(err)
	}
	wants(t, "ratings", ratingsOf(t, d, id), rated[0], "sell  1 0.170000 EUR 1.000000000", rated[1], rated[2])
	if sum, err = d.Rerate(ctx, c.Rating, sel, false, tell); err != nil || sum.Changed != 0 {
		t.Errorf("a second time: %+v %v", sum, err)
	}
	if _, events, err = d.Show(ctx, id.String()); err != nil || len(events) != 14 || events[13].Data.Kind() != call.KindRerated {
		t.Errorf("%d events, %v", len(events), err)
	}
	var n int
	var total string
	if err := d.conn.QueryRow(ctx, `SELECT count(*), sum(amount_rounded)::text FROM patchbay.rating_current WHERE side = 'sell'`).Scan(&n, &total); err != nil || n != 1 || total != "0.170000" {
		t.Errorf("%d current ratings of %s (%v), expected one of 0.17", n, total, err)
	}
	for _, sql := range []string{`UPDATE patchbay.rating SET amount = 0`, `DELETE FROM patchbay.rating`, `UPDATE patchbay.rate SET price = 0`, `DELETE FROM patchbay.rate`,
		`UPDATE patchbay.deck SET effective_from = now()`, `DELETE FROM patchbay.deck`} {
		if _, err := d.conn.Exec(ctx, sql); err == nil || !strings.Contains(err.Error(), "never") {
			t.Errorf("%s: %v, expected a refusal", sql, err)
		}
	}
}

// A call that is rated again tells those who want to know of ratings, who can tell the new from the old; a dry run tells nobody. Who rates again
// needs no secret of theirs.
func TestRatedAgainIsTold(t *testing.T) {
	t.Parallel()
	ctx, url, began := context.Background(), database(t), time.Now().Add(-time.Hour)
	var mu sync.Mutex
	var got []message
	refused := map[string]bool{}
	_, at := listen(t, func(m message) int {
		mu.Lock()
		defer mu.Unlock()
		if !refused[m.ID] { // each once
			refused[m.ID] = true
			return 503
		}
		got = append(got, m)
		return 200
	})
	deaf, deafAt := listen(t, well)
	crm, other, starts := hook("crm", at), hook("other", deafAt), hook("starts", deafAt)
	crm.Kinds, other.Tenant, starts.Kinds = []string{TellRated}, "other", []string{TellStart}
	for _, h := range []*Hook{&crm, &other, &starts} {
		h.Target.Timeout = time.Minute
	}
	c := telling(t, url, crm, other, starts)
	c.Rating = tariffs(t)
	blind := c
	blind.Hooks = nil
	for _, h := range c.Hooks {
		h.Target = webhook.Target{}
		blind.Hooks = append(blind.Hooks, h)
	}
	d := decks(t, blind)
	imports(t, d, "retail", "EUR", retailCSV, began.Add(-time.Hour))
	s := open(t, c)
	up(t, s)
	e := story(began, 1)
	commit(t, s, e...)
	id := e[0].Call
	heard := func(n int) []message {
		t.Helper()
		long(t, fmt.Sprint(n, " messages"), func() bool { mu.Lock(); defer mu.Unlock(); return len(got) == n })
		long(t, "nothing is left", func() bool { return untold(t, url) == 0 })
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}
	if m := heard(1)[0]; m.ID != id.String()+":13" || len(m.Ratings) != 3 || m.Superseded != nil {
		t.Errorf("at the call's end: %+v", m)
	}
	imports(t, d, "retail", "EUR", strings.Replace(retailCSV, "0.06", "0.12", 1), began.Add(-time.Minute))
	sel := Selection{From: began.Add(-time.Hour), To: time.Now().Add(time.Hour), Account: "user:alice"}
	again := func(dry bool) {
		t.Helper()
		if _, err := d.Rerate(ctx, c.Rating, sel, dry, func(Delta) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	again(true)
	if n := untold(t, url); n != 0 {
		t.Errorf("a dry run leaves %d messages", n)
	}
	again(false)
	m := heard(2)[1]
	if m.Type != TellRated || m.ID != id.String()+":14" || m.Call.ID != id || len(m.Ratings) != 1 || m.Ratings[0].Amount != "0.17" || m.Ratings[0].Revision != 1 ||
		len(m.Superseded) != 1 || m.Superseded[0] != (superseded{Side: SideSell, Amount: "0.11", Currency: "EUR"}) {
		t.Errorf("rated again: %+v", m)
	}
	again(false) // nothing differs

	// A call whose events are gone has numbers that none of its messages had.
	if _, err := d.conn.Exec(ctx, `DELETE FROM patchbay.call_event`); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{m.ID: true, id.String() + ":13": true}
	for n, price := range []string{"0.18", "0.24"} {
		imports(t, d, "retail", "EUR", strings.Replace(retailCSV, "0.06", price, 1), began.Add(time.Duration(n-30)*time.Second))
		again(false)
		m = heard(3 + n)[2+n]
		if seen[m.ID] || m.Ratings[0].Revision != n+2 || m.Superseded[0].Revision != n+1 {
			t.Errorf("without events: %+v", m)
		}
		seen[m.ID] = true
	}
	if told := deaf.of(id); told != TellStart {
		t.Errorf("others were told %q", told)
	}
}

// TestRatedOnce: a journal that is projected again, by a process with other tariffs, rates nothing twice.
func TestRatedOnce(t *testing.T) {
	t.Parallel()
	c := config(folder(t), database(t))
	c.Rating = tariffs(t)
	d := decks(t, c)
	imports(t, d, "retail", "EUR", retailCSV, time.Now().Add(-time.Hour))
	s := open(t, c)
	e := story(time.Now(), 1)
	commit(t, s, e...)
	eventually(t, "the call is in the database", func() bool { return s.Stats().Projected == 12 })
	id := e[0].Call
	want := []string{"sell  0 0.110000 EUR 1.000000000", "custom agent 0 0.110000 EUR 1.000000000",
		"buy  0 0.000000 EUR 1.000000000 no version of deck carrier held when the call was answered"}
	wants(t, "ratings", ratingsOf(t, d, id), want...)
	crash(t, s)
	if _, err := d.conn.Exec(context.Background(), `UPDATE patchbay.ingest SET last_lsn = 0`); err != nil {
		t.Fatal(err)
	}
	c.Rating.Users["alice"] = "wholesale"
	s = open(t, c)
	commit(t, s, story(time.Now(), 2)...)
	eventually(t, "all is in the database again", func() bool { return s.Stats().Projected == 24 })
	wants(t, "ratings", ratingsOf(t, d, id), want...)

	// A deck that is activated is used without a restart, also before calls.
	imports(t, d, "carrier", "USD", carrierCSV, time.Now().Add(-time.Minute))
	eventually(t, "the price is known", func() bool { q, ok := s.Buy("carrier", "+49301234"); return ok && q.PerMinute.String() == "0.0123" })
	e = story(time.Now(), 2)
	commit(t, s, e...)
	eventually(t, "the third call is in the database", func() bool { return s.Stats().Projected == 36 })
	wants(t, "ratings", ratingsOf(t, d, e[0].Call), "sell  0 0.000820 USD 0.900000000", "custom agent 0 0.110000 EUR 1.000000000", "buy  0 0.000820 USD 0.900000000")
	c.Rating.Users["alice"] = "retail"
	for number, blocked := range map[string]bool{"+4990012": true, "+4930": false} {
		if q, ok := s.Sell(Payer{User: "alice", Tenant: "default"}, number); !ok && number != "+4930" || q.Blocked && !blocked {
			t.Errorf("%s: %+v %v", number, q, ok)
		}
	}
}

func TestCallsWithoutAPrice(t *testing.T) {
	r := tariffs(t)
	answered := time.Now()
	c := &call.Call{AnsweredAt: &answered, EndedAt: &answered, Payer: "alice", Tenant: "default", To: "+33123"}
	if got := r.jobs(c); got != nil {
		t.Errorf("a call through no trunk: %v", got)
	}
	c.Legs = []*call.Leg{{No: 2, Role: call.CalleeLeg, Trunk: "busy"}, {No: 3, Role: call.CalleeLeg, Trunk: "carrier", AnsweredAt: &answered}}
	if got := r.jobs(c); len(got) != 3 || got[0].String() != "{sell  retail user:alice}" || got[1].String() != "{buy  wholesale trunk:carrier}" || got[1].leg() != 3 {
		t.Errorf("%v", got)
	}
	r.Tenants["default"], c.Payer = "wholesale", "bob"
	if got := r.jobs(c); got[0].String() != "{sell  wholesale tenant:default}" {
		t.Errorf("of a user without a tariff: %v", got)
	}
	c.AnsweredAt = nil
	if got := r.jobs(c); got != nil {
		t.Errorf("not answered: %v", got)
	}
	if got := (&Rating{}).jobs(c); got != nil {
		t.Errorf("without tariffs: %v", got)
	}
	c.AnsweredAt = &answered
	rows, err := rating.ReadCSV(strings.NewReader(carrierCSV))
	if err != nil {
		t.Fatal(err)
	}
	deck, err := rating.NewDeck("carrier", 7, "USD", rows)
	if err != nil {
		t.Fatal(err)
	}
	b := &book{decks: map[string][]validity{"carrier": {{1, answered, deck}}}}
	rates := func(tariff string) Rated {
		return r.rate(b, c, job{side: SideBuy, tariff: tariff, of: c.Talks()[0]})
	}
	if v := rates("wholesale"); v.Problem != "deck carrier version 7 has no prefix of +33123" {
		t.Errorf("%+v", v)
	}
	before := answered.Add(-time.Nanosecond)
	c.AnsweredAt = &before
	if v := rates("wholesale"); !strings.Contains(v.Problem, "no version of deck carrier held") {
		t.Errorf("%+v", v)
	}
	if v := rates("gone"); v.Problem != "there is no tariff gone" {
		t.Errorf("%+v", v)
	}
}

// Calls that come in, go through, are forwarded out and stay in the house: who pays for what.
func TestWhoPays(t *testing.T) {
	at := time.Now()
	r := &Rating{Users: map[string]string{"bob": "out"}, Tenants: map[string]string{"default": "all-out"}, Trunks: map[string]string{"carrier": "buys"},
		Sources:  map[string]string{"customer": "transit"},
		In:       Parties{map[string]string{"bob": "bob-in"}, map[string]string{"default": "all-in"}, map[string]string{"carrier": "freephone"}},
		Internal: Parties{map[string]string{"bob": "bob-at-home"}, map[string]string{"default": "at-home"}, nil}}
	caller := func(user, trunk string) *call.Leg {
		return &call.Leg{No: 1, Role: call.CallerLeg, User: user, Trunk: trunk}
	}
	callee := func(user, trunk string) *call.Leg {
		return &call.Leg{No: 2, Role: call.CalleeLeg, User: user, Trunk: trunk, AnsweredAt: &at}
	}
	for _, v := range []struct {
		what, payer string
		legs        []*call.Leg
		want        string
	}{
		{"a user calls out", "bob", []*call.Leg{caller("bob", ""), callee("", "carrier")}, "[{sell  out user:bob} {buy  buys trunk:carrier}]"},
		{"a user without a tariff calls out", "eve", []*call.Leg{caller("eve", ""), callee("", "carrier")}, "[{sell  all-out tenant:default} {buy  buys trunk:carrier}]"},
		{"a customer's call goes through", "", []*call.Leg{caller("", "customer"), callee("", "carrier")}, "[{sell  transit trunk:customer} {buy  buys trunk:carrier}]"},
		{"another trunk's call goes through", "", []*call.Leg{caller("", "carrier"), callee("", "other")}, "[{sell  all-out tenant:default}]"},
		{"a call comes in", "", []*call.Leg{caller("", "carrier"), callee("bob", "")}, "[{sell in bob-in user:bob} {buy in freephone trunk:carrier}]"},
		{"to a user without a tariff", "", []*call.Leg{caller("", "carrier"), callee("eve", "")}, "[{sell in all-in tenant:default} {buy in freephone trunk:carrier}]"},
		{"to an application", "", []*call.Leg{caller("", "customer"), callee("", "")}, "[{sell in all-in tenant:default}]"},
		{"it is forwarded out", "bob", []*call.Leg{caller("", "carrier"), callee("", "carrier")},
			"[{sell  out user:bob} {buy  buys trunk:carrier} {sell in bob-in user:bob} {buy in freephone trunk:carrier}]"},
		{"users among themselves", "bob", []*call.Leg{caller("bob", ""), callee("eve", "")}, "[{sell internal bob-at-home user:bob}]"},
		{"without a tariff", "eve", []*call.Leg{caller("eve", ""), callee("bob", "")}, "[{sell internal at-home tenant:default}]"},
		{"a user's call is forwarded out", "bob", []*call.Leg{caller("eve", ""), callee("", "carrier")}, "[{sell  out user:bob} {buy  buys trunk:carrier}]"},
	} {
		c := &call.Call{Tenant: "default", Payer: v.payer, AnsweredAt: &at, EndedAt: &at, Legs: v.legs}
		if got := fmt.Sprint(r.jobs(c)); got != v.want {
			t.Errorf("%s: %s, expected %s", v.what, got, v.want)
		}
	}
	for _, v := range []struct {
		what, payer, from string
		direction         call.Direction
		last              *call.Leg
		want              string
	}{
		{"a user's call to a trunk", "bob", "", call.Out, callee("", "carrier"), "user:bob"},
		{"without a tariff", "eve", "", call.Out, callee("", "carrier"), "tenant:default"},
		{"a customer's call", "", "customer", call.Out, callee("", "carrier"), "trunk:customer"},
		{"for which nobody was called", "", "customer", call.Out, nil, "trunk:customer"},
		{"another trunk's", "", "carrier", call.Out, nil, "tenant:default"},
		{"a customer's call to a user", "", "customer", call.In, callee("bob", ""), "user:bob"},
		{"within the house", "bob", "", call.Internal, callee("eve", ""), "user:bob"},
	} {
		c := &call.Call{Tenant: "default", Payer: v.payer, Direction: v.direction, EndedAt: &at, Legs: []*call.Leg{caller("", v.from)}}
		if v.last != nil {
			v.last.AnsweredAt = nil
			c.Legs = append(c.Legs, v.last)
		}
		if got := r.sale(c).account; got != v.want || v.last != nil && v.last.AnsweredAt != nil || c.AnsweredAt != nil {
			t.Errorf("%s, not answered: %q would pay, expected %s", v.what, got, v.want)
		}
	}
	forwarded := &call.Call{To: "4930102", ToN: "+33123", AnsweredAt: &at, EndedAt: &at, Legs: []*call.Leg{caller("", "carrier"), callee("", "carrier")}}
	forwarded.Payer = "bob"
	var numbers []string
	for _, j := range r.jobs(forwarded) {
		numbers = append(numbers, j.run+" "+r.rate(&book{}, forwarded, j).Result.Number)
	}
	wants(t, "what a forwarded call is rated by", numbers, " +33123", " +33123", "in 4930102", "in 4930102")
}

func TestDecks(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := decks(t, config(folder(t), database(t)))
	if _, err := d.Deck(ctx, "retail", 0); !errors.Is(err, ErrNoDeck) {
		t.Errorf("%v", err)
	}
	if _, err := d.Import(ctx, "retail", "EUR", "bad.csv", []byte("prefix,price\nx,1\n")); err == nil || !strings.Contains(err.Error(), "bad.csv:\nline 2: prefix") {
		t.Errorf("%v", err)
	}
	now := time.Now()
	one := imports(t, d, "retail", "EUR", retailCSV, now.Add(-time.Hour))
	two := imports(t, d, "retail", "EUR", retailCSV, now.Add(time.Hour))
	three := imports(t, d, "retail", "EUR", carrierCSV, time.Time{})
	for version, want := range map[int]int{0: 1, -1: 3, 2: 2} {
		if got, err := d.Deck(ctx, "retail", version); err != nil || got.Version != want {
			t.Errorf("version %d: %+v %v", version, got, err)
		}
	}
	if _, err := d.Deck(ctx, "retail", 4); !errors.Is(err, ErrNoDeck) {
		t.Errorf("%v", err)
	}
	if _, err := d.Activate(ctx, one, now); !errors.Is(err, ErrActivated) {
		t.Errorf("%v", err)
	}
	if _, err := d.Activate(ctx, three, *two.EffectiveFrom); err == nil || !strings.Contains(err.Error(), "expected another instant") {
		t.Errorf("%v", err)
	}
	p := newPrices(tariffs(t))
	if err := p.refresh(ctx, d.conn, now); err != nil {
		t.Fatal(err)
	}
	b := p.book.Load()
	// Half-open: the instant at which a version begins is its own.
	for at, want := range map[time.Time]int{one.EffectiveFrom.Add(-time.Nanosecond): 0, *one.EffectiveFrom: 1, two.EffectiveFrom.Add(-time.Nanosecond): 1, *two.EffectiveFrom: 2} {
		got := 0
		if v := b.at("retail", at); v != nil {
			got = v.Version
		}
		if got != want {
			t.Errorf("at %s version %d holds, expected %d", at, got, want)
		}
	}
	rows, err := d.Rates(ctx, one)
	want, _ := rating.ReadCSV(strings.NewReader(retailCSV))
	if diff := rating.Diff(want, rows); err != nil || len(diff.Rows) != 0 || diff.Same != 2 {
		t.Errorf("what was kept differs: %+v %v", diff, err)
	}
}
