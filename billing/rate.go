package billing

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
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

// job is one rating that a call needs, and of what.
type job struct {
	side, run, tariff, account string
	of                         call.Talked
}

// String is what the job is, without of what.
func (j job) String() string {
	return "{" + strings.Join([]string{j.side, j.run, j.tariff, j.account}, " ") + "}"
}

// leg is the number of the leg that it is of; 0 = none.
func (j job) leg() int {
	if j.of.Leg == nil {
		return 0
	}
	return j.of.Leg.No
}

// Rated is one rating of a call.
type Rated struct {
	Call    call.ID       `json:"call"`
	Side    string        `json:"side"`
	Run     string        `json:"run,omitempty"`
	Account string        `json:"account"`
	Tariff  string        `json:"tariff"`
	Problem string        `json:"problem,omitempty"` // why there is no price
	Result  rating.Result `json:"result"`

	leg      int // at a trunk, that it is of; 0 = talk within the house
	revision int // 0 = the first
}

// Runs of the sides sell and buy. A call that came in and was forwarded out has ratings of both parts. One of a leg that came from another
// call has the number of the leg behind a stroke, as in "/3" or "in/3".
const (
	runIn       = "in"       // that the call came in from a trunk
	runInternal = "internal" // that it was between parties of the house
)

// jobs are the ratings of an ended call that was answered: of each leg at a trunk what it is sold and bought for, and of talk within the
// house.
func (r *Rating) jobs(c *call.Call) (out []job) {
	if c.AnsweredAt == nil || c.EndedAt == nil {
		return nil
	}
	taken := map[string]bool{} // runs
	for _, t := range c.Talks() {
		name := ""
		if t.In {
			name = runIn
		}
		of := func(run string) string {
			if t.Leg.Carried != nil || taken[name] {
				return fmt.Sprint(run, "/", t.Leg.No)
			}
			return run
		}
		list := r.sold(t, of(name))
		if t.In {
			list = with(list, SideBuy, of(name), "trunk:"+t.Leg.Trunk, r.In.Trunks[t.Leg.Trunk], t)
		} else {
			list = with(list, SideBuy, of(name), "trunk:"+t.Leg.Trunk, r.Trunks[t.Leg.Trunk], t)
			for _, run := range r.Runs {
				if (run.Tenant == "" || run.Tenant == t.Tenant) && (run.Trunk == "" || run.Trunk == t.Leg.Trunk) {
					list = with(list, SideCustom, of(run.Name), "tenant:"+t.Tenant, run.Tariff, t)
				}
			}
		}
		taken[name] = taken[name] || t.Leg.Carried == nil
		out = append(out, list...)
	}
	if t, ok := c.House(); ok {
		list := r.soldBy(r.Internal, t, runInternal)
		out = append(out, list...)
	}
	return out
}

// sold is who pays for a leg at a trunk.
func (r *Rating) sold(t call.Talked, run string) []job {
	if t.In {
		return r.soldBy(r.In, t, run)
	}
	if t.User == "" && t.Trunk != "" && r.Sources[t.Trunk] != "" {
		return with(nil, SideSell, run, "trunk:"+t.Trunk, r.Sources[t.Trunk], t)
	}
	return r.soldBy(Parties{Users: r.Users, Tenants: r.Tenants}, t, run)
}

// soldBy is a sale by the tariff of a user, else of the tenant; nil: neither has one.
func (r *Rating) soldBy(p Parties, t call.Talked, run string) []job {
	if list := with(nil, SideSell, run, "user:"+t.User, p.Users[t.User], t); t.User != "" && list != nil {
		return list
	}
	return with(nil, SideSell, run, "tenant:"+t.Tenant, p.Tenants[t.Tenant], t)
}

func with(list []job, side, run, account, tariff string, of call.Talked) []job {
	if tariff == "" {
		return list
	}
	return append(list, job{side, run, tariff, account, of})
}

// rate does a job by the decks of a book.
func (r *Rating) rate(b *book, c *call.Call, j job) Rated {
	out := Rated{Call: c.ID, Side: j.side, Run: j.run, Account: j.account, Tariff: j.tariff, leg: j.leg()}
	of := rating.Call{Number: j.of.Number, At: j.of.At, Answered: true, Talk: time.Duration(j.of.Talk) * time.Millisecond}
	out.Result = rating.Result{Tariff: j.tariff, Number: of.Number, At: of.At, TalkMS: j.of.Talk, Currency: r.Currency, Segments: []rating.Segment{}}
	t := r.tariff(j.tariff)
	if t == nil {
		out.Problem = "there is no tariff " + j.tariff
		return out
	}
	out.Result.Deck = t.Deck
	d := b.at(t.Deck, of.At)
	if d == nil {
		out.Problem = fmt.Sprintf("no version of deck %s held when the call was answered", t.Deck)
		return out
	}
	res, err := t.Rest(d, of, time.Duration(j.of.TalkMS)*time.Millisecond)
	if errors.Is(err, rating.ErrNoRate) {
		res.TalkMS = j.of.Talk
		out.Problem = fmt.Sprintf("deck %s version %d has no prefix of %s", d.Name, d.Version, of.Number)
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
destination, rate, inc_first, inc_next, bill_ms, rated_sec, connect_fee, amount, amount_rounded, fx, problem, calc, leg_no, house)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27) ON CONFLICT DO NOTHING`

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
		r.fx(x.Currency), text(v.Problem), string(cleanJSON(calc)), v.leg, r.Currency}, nil
}

// event tells of ratings, as the event that follows an ended call's last.
func (r *Rating) event(c *call.Call, list []Rated) call.Event {
	var d call.Rated
	for _, v := range list {
		x := v.Result
		told := call.Rating{Side: v.Side, Run: v.Run, Leg: v.leg, Account: v.Account, Tariff: v.Tariff, Deck: x.Deck, Version: x.Version, Prefix: x.Prefix, Destination: x.Destination,
			Seconds: x.Rated, Amount: amount(v), Currency: x.Currency, Problem: v.Problem, Revision: v.revision}
		if x.Before != nil {
			told.Before = x.Before.Rated
		}
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

// priced is since when the decks are needed by which the batch's ended calls are rated.
func (w *work) priced() (oldest time.Time, needed bool) {
	for _, t := range w.calls {
		if a, ok := answeredSince(t.call); ok && (!needed || a.Before(oldest)) {
			oldest, needed = a, true
		}
	}
	return oldest, needed
}

// answeredSince is the first answer of a leg that an ended call is rated by; false if it isn't.
func answeredSince(c *call.Call) (oldest time.Time, needed bool) {
	if c.AnsweredAt == nil || c.EndedAt == nil {
		return oldest, false
	}
	oldest = *c.AnsweredAt
	for _, l := range c.Legs {
		if l.Carried != nil && l.Carried.At.Before(oldest) {
			oldest = l.Carried.At
		}
	}
	return oldest, true
}
