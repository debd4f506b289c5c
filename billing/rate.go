package billing

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/patchbay/patchbay/billing/rating"
	"github.com/patchbay/patchbay/gateway/call"
)

// Sides of a rating.
const (
	SideSell   = "sell"
	SideBuy    = "buy"
	SideCustom = "custom"
)

// job is one rating that a call needs.
type job struct{ side, run, tariff, account string }

// Rated is one rating of a call.
type Rated struct {
	Call    call.ID       `json:"call"`
	Side    string        `json:"side"`
	Run     string        `json:"run,omitempty"`
	Account string        `json:"account"`
	Tariff  string        `json:"tariff"`
	Problem string        `json:"problem,omitempty"` // why there is no price
	Result  rating.Result `json:"result"`

	revision int // 0 = the first
}

// Runs of the sides sell and buy. A call that came in and was forwarded out has ratings of both parts.
const (
	runIn       = "in"       // that the call came in from a trunk
	runInternal = "internal" // that it was between parties of the house
)

// jobs are the ratings of an ended call that was answered.
func (r *Rating) jobs(c *call.Call) (out []job) {
	if c.AnsweredAt == nil || c.EndedAt == nil {
		return nil
	}
	from, to, callee := "", "", ""
	for _, l := range c.Legs {
		switch {
		case l.Role == call.CallerLeg:
			from = l.Trunk
		case l.AnsweredAt != nil:
			to, callee = cmp.Or(l.Trunk, to), cmp.Or(l.User, callee)
		}
	}
	one := func(side, run, account, tariff string) bool {
		if tariff != "" {
			out = append(out, job{side, run, tariff, account})
		}
		return tariff != ""
	}
	if to != "" {
		_ = c.Payer != "" && one(SideSell, "", "user:"+c.Payer, r.Users[c.Payer]) ||
			c.Payer == "" && from != "" && one(SideSell, "", "trunk:"+from, r.Sources[from]) ||
			one(SideSell, "", "tenant:"+c.Tenant, r.Tenants[c.Tenant])
		one(SideBuy, "", "trunk:"+to, r.Trunks[to])
		for _, run := range r.Runs {
			if (run.Tenant == "" || run.Tenant == c.Tenant) && (run.Trunk == "" || run.Trunk == to) {
				one(SideCustom, run.Name, "tenant:"+c.Tenant, run.Tariff)
			}
		}
	}
	switch taker := cmp.Or(callee, c.Payer); {
	case from != "" && (to == "" || taker != ""): // a user took it, or had it forwarded
		_ = taker != "" && one(SideSell, runIn, "user:"+taker, r.In.Users[taker]) || one(SideSell, runIn, "tenant:"+c.Tenant, r.In.Tenants[c.Tenant])
		one(SideBuy, runIn, "trunk:"+from, r.In.Trunks[from])
	case from == "" && to == "":
		_ = c.Payer != "" && one(SideSell, runInternal, "user:"+c.Payer, r.Internal.Users[c.Payer]) ||
			one(SideSell, runInternal, "tenant:"+c.Tenant, r.Internal.Tenants[c.Tenant])
	}
	return out
}

// outside tells whether a call was answered through a trunk.
func outside(c *call.Call) bool {
	return slices.ContainsFunc(c.Legs, func(l *call.Leg) bool { return l.Role == call.CalleeLeg && l.Trunk != "" && l.AnsweredAt != nil })
}

// rate does a job by the decks of a book.
func (r *Rating) rate(b *book, c *call.Call, j job) Rated {
	out := Rated{Call: c.ID, Side: j.side, Run: j.run, Account: j.account, Tariff: j.tariff}
	number := c.Dialled()
	if j.run == runIn && outside(c) { // not where it was forwarded to
		number = c.To
	}
	out.Result = rating.Result{Tariff: j.tariff, Number: number, At: *c.AnsweredAt, TalkMS: c.Bill, Currency: r.Currency, Segments: []rating.Segment{}}
	t := r.tariff(j.tariff)
	if t == nil {
		out.Problem = "there is no tariff " + j.tariff
		return out
	}
	out.Result.Deck = t.Deck
	d := b.at(t.Deck, *c.AnsweredAt)
	if d == nil {
		out.Problem = fmt.Sprintf("no version of deck %s held when the call was answered", t.Deck)
		return out
	}
	res, err := t.Rate(d, rating.Call{Number: number, At: *c.AnsweredAt, Answered: true, Talk: time.Duration(c.Bill) * time.Millisecond})
	if errors.Is(err, rating.ErrNoRate) {
		out.Problem = fmt.Sprintf("deck %s version %d has no prefix of %s", d.Name, d.Version, number)
	}
	out.Result = res
	return out
}

// fx is the units of the house's currency for one of another; nil: not known.
func (r *Rating) fx(currency string) any {
	if currency == r.Currency {
		return "1"
	}
	if f, ok := r.FX[currency]; ok {
		return f.String()
	}
	return nil
}

const insertRating = `INSERT INTO patchbay.rating (call_id, started_at, side, run, revision, supersedes, account, tariff, currency, deck, deck_version, number, prefix,
destination, rate, inc_first, inc_next, bill_ms, rated_sec, connect_fee, amount, amount_rounded, fx, problem, calc)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25) ON CONFLICT DO NOTHING`

// args are those of insertRating.
func (r *Rating) args(v Rated) ([]any, error) {
	calc, err := json.Marshal(v.Result)
	if err != nil {
		return nil, err
	}
	var supersedes any
	if v.revision > 0 {
		supersedes = v.revision - 1
	}
	x := v.Result
	return []any{uuid.UUID(v.Call), v.Call.Started(), v.Side, v.Run, v.revision, supersedes, clean(v.Account), clean(v.Tariff), x.Currency, clean(x.Deck), x.Version,
		clean(x.Number), x.Prefix, clean(x.Destination), x.Price.String(), x.First, x.Next, x.TalkMS, x.Rated, x.Fee.String(), x.Amount.String(), x.Rounded.String(),
		r.fx(x.Currency), text(v.Problem), string(cleanJSON(calc))}, nil
}

// event tells of ratings, as the event that follows an ended call's last.
func (r *Rating) event(c *call.Call, list []Rated) call.Event {
	var d call.Rated
	for _, v := range list {
		x := v.Result
		told := call.Rating{Side: v.Side, Run: v.Run, Account: v.Account, Tariff: v.Tariff, Deck: x.Deck, Version: x.Version, Prefix: x.Prefix, Destination: x.Destination,
			Seconds: x.Rated, Amount: amount(v), Currency: x.Currency, Problem: v.Problem, Revision: v.revision}
		if v.Problem == "" {
			told.Price, told.First, told.Next = x.Price.String(), x.First, x.Next
			if x.Fee.IsPositive() {
				told.Fee = x.Fee.String()
			}
			if h, known := r.house(x.Rounded, x.Currency); known {
				told.House, told.HouseIn = h.String(), r.Currency
			}
		}
		d.Ratings = append(d.Ratings, told)
	}
	return call.Event{Call: c.ID, Seq: c.Version + 1, At: *c.EndedAt, Data: d}
}

func amount(v Rated) string {
	if v.Problem != "" {
		return ""
	}
	return fixed(v.Result.Rounded, v.Result.Decimals)
}

func fixed(d decimal.Decimal, digits int) string { return d.StringFixed(int32(digits)) }

// ratings are the statements that rate an ended call, in the transaction that holds its end.
// The event tells of them.
func (p *projector) ratings(t *touched) ([]statement, *call.Event) {
	if p.prices == nil || p.prices.book.Load() == nil {
		return nil, nil
	}
	jobs := p.prices.cfg.jobs(t.call)
	if len(jobs) == 0 {
		return nil, nil
	}
	id, b := uuid.UUID(t.call.ID), p.prices.book.Load()
	var out []statement
	var list []Rated
	for _, j := range jobs {
		v := p.prices.cfg.rate(b, t.call, j)
		args, err := p.prices.cfg.args(v)
		if err != nil { // a result is always JSON
			p.log.Error("rating", "call", t.call.ID, "err", err)
			continue
		}
		if v.Problem != "" {
			p.log.Warn("a call has no price", "call", t.call.ID, "side", j.side, "account", j.account, "problem", v.Problem)
		}
		list = append(list, v)
		out = append(out, statement{t.lsn, "rating " + j.side + j.run, id, insertRating, args, v})
	}
	e := p.prices.cfg.event(t.call, list)
	data, err := json.Marshal(e.Data)
	if err != nil {
		p.log.Error("rating", "call", t.call.ID, "err", err)
		return out, nil
	}
	row := eventRow{t.lsn, e, cleanJSON(data)}
	return append(out, statement{t.lsn, "event rated", id, insertEvents, eventArgs([]eventRow{row}), row.e}), &e
}

// priced reads the decks that the batch's ended calls need.
func (w *work) priced() (oldest time.Time, needed bool) {
	for _, t := range w.calls {
		if a := t.call.AnsweredAt; a != nil && t.call.EndedAt != nil && (!needed || a.Before(oldest)) {
			oldest, needed = *a, true
		}
	}
	return oldest, needed
}
