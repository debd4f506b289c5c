package billing

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/patchbay/patchbay/gateway/call"
)

// Selection chooses calls to rate again.
type Selection struct {
	From, To time.Time // call began in [From, To)
	Trunk    string    // id of a trunk of the call; "" = any
	Account  string    // user:ID, tenant:ID or trunk:ID whose ratings; "" = any
}

// Delta is a rating that another takes the place of.
type Delta struct {
	Call     call.ID          `json:"call"`
	Began    time.Time        `json:"began"`
	Side     string           `json:"side"`
	Run      string           `json:"run,omitempty"`
	Account  string           `json:"account"`
	Number   string           `json:"number"`
	Old      *decimal.Decimal `json:"old,omitempty"` // rounded; nil: there was no price
	New      *decimal.Decimal `json:"new,omitempty"` // likewise
	Currency string           `json:"currency"`
	Was      string           `json:"was,omitempty"`       // currency of the old one, where it differs
	WasOf    string           `json:"wasOf,omitempty"`     // account of the old one, where it differs
	Exchange bool             `json:"fxIsKnown,omitempty"` // the rate of exchange is known now, and wasn't: it counted as nothing
	Problem  string           `json:"problem,omitempty"`

	rated Rated
	old   *superseded // nil: there was none
}

// Rerated sums up.
type Rerated struct {
	Calls   int                        `json:"calls"`   // looked at
	Ratings int                        `json:"ratings"` // likewise
	Changed int                        `json:"changed"`
	Left    int                        `json:"left"` // that are on record of parts of calls for which nobody has a tariff any more: they stay
	Sum     map[string]decimal.Decimal `json:"sum"`  // new less old, by side and currency: "sell EUR"
}

const (
	rerateChunk = 500
	rerateLock  = 0x70617463687272 // one at a time
)

// kept is a rating in the database.
type kept struct {
	revision          int
	account, currency string
	amount            decimal.Decimal
	problem, exchange bool   // exchange: the rate of exchange was known
	house             string // currency that it leads to
}

// says tells whether it is what a rating says now. What only comes from another rate of exchange is no difference: that of the day counts; but another currency of the
// house is one.
func (k kept) says(v Rated, exchange bool, house string) bool {
	return k.account == clean(v.Account) && k.currency == v.Result.Currency && k.problem == (v.Problem != "") && k.amount.Equal(v.Result.Rounded) &&
		(k.exchange || !exchange || k.problem) && (k.house == "" || k.house == house)
}

// Rerate rates the chosen calls again, by the decks that are active now and held when they were answered, and by the tariffs given.
// What differs is told to each, the newest call first; unless dry it is kept as a new rating beside the old one.
func (r *Reader) Rerate(ctx context.Context, cfg Rating, sel Selection, dry bool, each func(Delta) error) (Rerated, error) {
	out := Rerated{Sum: map[string]decimal.Decimal{}}
	p := newPrices(cfg)
	if p == nil {
		return out, fmt.Errorf("calls can't be rated: the settings have no tariffs")
	}
	if err := p.refresh(ctx, r.conn, sel.From); err != nil {
		return out, err
	}
	if !dry {
		if _, err := r.conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(rerateLock)); err != nil {
			return out, err
		}
		defer func() {
			_, _ = r.conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(rerateLock))
		}()
	}
	f := Filter{From: sel.From, To: sel.To, Trunk: sel.Trunk, Limit: rerateChunk}
	seen := map[call.ID]bool{}
	for {
		calls, err := r.query(ctx, f)
		if err != nil {
			return out, err
		}
		var fresh []*call.Call
		for _, c := range calls {
			if !seen[c.ID] {
				fresh = append(fresh, c)
			}
		}
		if len(fresh) == 0 {
			return out, nil
		}
		deltas, err := r.compare(ctx, p, sel, fresh, &out)
		if err != nil {
			return out, err
		}
		if !dry {
			if err := r.supersede(ctx, p, fresh, deltas); err != nil {
				return out, err
			}
		}
		for _, d := range deltas {
			if err := each(d); err != nil {
				return out, err
			}
		}
		// The next page begins with the millisecond in which this one ends.
		last := fresh[len(fresh)-1].ID.Started()
		f.To = last.Add(time.Millisecond)
		clear(seen)
		for _, c := range calls {
			if c.ID.Started().Equal(last) {
				seen[c.ID] = true
			}
		}
	}
}

// compare rates calls and holds the results against those that are kept.
func (r *Reader) compare(ctx context.Context, p *prices, sel Selection, calls []*call.Call, sum *Rerated) ([]Delta, error) {
	old, err := r.ratings(ctx, calls)
	if err != nil {
		return nil, err
	}
	for _, c := range calls { // a leg may have been answered long before its call began
		if at, ok := answeredSince(c); ok {
			if err := p.refresh(ctx, r.conn, at); err != nil {
				return nil, err
			}
		}
	}
	b := p.book.Load()
	var out []Delta
	for _, c := range calls {
		sum.Calls++
		for _, j := range p.cfg.jobs(c) {
			key := ratingKey{uuid.UUID(c.ID), j.side, j.run}
			was, known := old[key]
			delete(old, key)
			if sel.Account != "" && sel.Account != j.account && !(known && sel.Account == was.account) {
				continue
			}
			sum.Ratings++
			v := p.cfg.rate(b, c, j)
			exchange := p.cfg.fx(v.Result.Currency) != nil
			if known && was.says(v, exchange, p.cfg.Currency) {
				continue
			}
			d := Delta{Call: c.ID, Began: c.SetupAt, Side: j.side, Run: j.run, Account: j.account, Number: v.Result.Number, Currency: v.Result.Currency, Problem: v.Problem, rated: v}
			if known {
				d.rated.revision = was.revision + 1
				d.old = &superseded{Side: j.side, Run: j.run, Revision: was.revision, Currency: was.currency}
				if was.currency != d.Currency {
					d.Was = was.currency
				}
				if was.account != v.Account {
					d.WasOf = was.account
				}
				d.Exchange = exchange && !was.exchange && v.Problem == ""
				if !was.problem {
					d.Old = &was.amount
					d.old.Amount = was.amount.String()
					sum.add(j.side, was.currency, was.amount.Neg())
				}
			}
			if v.Problem == "" {
				d.New = &v.Result.Rounded
				sum.add(j.side, d.Currency, v.Result.Rounded)
			}
			sum.Changed++
			out = append(out, d)
		}
	}
	for _, was := range old {
		if !was.problem && (sel.Account == "" || sel.Account == was.account) {
			sum.Left++
		}
	}
	return out, nil
}

func (s *Rerated) add(side, currency string, amount decimal.Decimal) {
	key := side + " " + currency
	s.Sum[key] = s.Sum[key].Add(amount)
}

type ratingKey struct {
	call      uuid.UUID
	side, run string
}

// ratings are those of calls that hold now.
func (r *Reader) ratings(ctx context.Context, calls []*call.Call) (map[ratingKey]kept, error) {
	ids := make([]uuid.UUID, len(calls))
	from, to := calls[0].ID.Started(), calls[0].ID.Started()
	for i, c := range calls {
		ids[i] = uuid.UUID(c.ID)
		if t := c.ID.Started(); t.Before(from) {
			from = t
		} else if t.After(to) {
			to = t
		}
	}
	rows, err := r.conn.Query(ctx, `SELECT DISTINCT ON (call_id, side, run) call_id, side, run, revision, account, currency, amount_rounded::text, problem IS NOT NULL, fx IS NOT NULL, COALESCE(house, '') FROM patchbay.rating
WHERE call_id = ANY($1) AND started_at BETWEEN $2 AND $3 ORDER BY call_id, side, run, revision DESC`, ids, from, to)
	if err != nil {
		return nil, fmt.Errorf("read ratings: %w", err)
	}
	defer rows.Close()
	out := map[ratingKey]kept{}
	for rows.Next() {
		var k ratingKey
		var v kept
		var amount string
		if err := rows.Scan(&k.call, &k.side, &k.run, &v.revision, &v.account, &v.currency, &amount, &v.problem, &v.exchange, &v.house); err != nil {
			return nil, err
		}
		if v.amount, err = decimal.NewFromString(amount); err != nil {
			return nil, err
		}
		v.amount = trim(v.amount)
		out[k] = v
	}
	return out, rows.Err()
}

// again is a call that is rated again.
type again struct {
	call  *call.Call
	rated []Rated
	old   []superseded
}

// supersede keeps new ratings, an event of each call that has one, and what hooks are to be told of it.
func (r *Reader) supersede(ctx context.Context, p *prices, calls []*call.Call, deltas []Delta) error {
	if len(deltas) == 0 {
		return nil
	}
	by := map[call.ID]*again{}
	months := map[month]bool{}
	var b pgx.Batch
	for _, d := range deltas {
		args, err := p.cfg.args(d.rated)
		if err != nil {
			return err
		}
		b.Queue(insertRating, args...)
		x := by[d.Call]
		if x == nil {
			x = &again{}
			by[d.Call] = x
		}
		x.rated = append(x.rated, d.rated)
		if d.old != nil {
			x.old = append(x.old, *d.old)
		}
		months[monthOf(d.Call.Started())] = true
	}
	var list []*again
	var changed []*call.Call
	for _, c := range calls {
		if x := by[c.ID]; x != nil {
			x.call = c
			list, changed = append(list, x), append(changed, c)
		}
	}
	var missing []month
	for m := range months {
		missing = append(missing, m)
	}
	if err := makePartitions(ctx, r.conn, missing); err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error {
		if err := r.tellAgain(ctx, tx, p, list, &b); err != nil {
			return err
		}
		b.Queue(countCalls, p.countArgs(changed)...)
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return fmt.Errorf("write ratings: %w", err)
	}
	return nil
}

// selectLast is the number of a call's last event, and whether any is kept still. Of a call whose events are gone it's one that none of them had:
// each time that it was rated it got at least one rating, and at most one event.
const selectLast = `SELECT a.call_id, e.seq IS NOT NULL, COALESCE(e.seq, a.version + (SELECT count(*) FROM patchbay.rating r WHERE r.call_id = a.call_id AND r.started_at = a.started_at))
FROM unnest($1::uuid[], $2::timestamptz[], $3::bigint[]) AS a (call_id, started_at, version)
LEFT JOIN LATERAL (SELECT max(seq) AS seq FROM patchbay.call_event x WHERE x.call_id = a.call_id AND x.started_at = a.started_at) e ON true`

// tellAgain adds to a batch the event of each call that is rated again, unless its events are gone, and the messages to hooks, which have
// the event's number.
func (r *Reader) tellAgain(ctx context.Context, tx pgx.Tx, p *prices, list []*again, b *pgx.Batch) error {
	ids, times, versions := make([]uuid.UUID, len(list)), make([]time.Time, len(list)), make([]int64, len(list))
	by := map[uuid.UUID]*again{}
	for i, x := range list {
		ids[i], times[i], versions[i] = uuid.UUID(x.call.ID), x.call.ID.Started(), int64(x.call.Version)
		by[ids[i]] = x
	}
	rows, err := tx.Query(ctx, selectLast, ids, times, versions)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	var id uuid.UUID
	var kept bool
	var last int64
	_, err = pgx.ForEachRow(rows, []any{&id, &kept, &last}, func() error {
		x := by[id]
		e := p.cfg.event(x.call, x.rated)
		d := e.Data.(call.Rated)
		e.Seq, e.At, e.Data = uint64(last)+1, now, call.Rerated(d)
		if kept {
			data, err := json.Marshal(e.Data)
			if err != nil {
				return err
			}
			b.Queue(`INSERT INTO patchbay.call_event (call_id, seq, started_at, at, mono_ns, leg_no, kind, data) VALUES ($1, $2, $3, $4, 0, 0, $5, $6::jsonb)`,
				id, e.Seq, x.call.ID.Started(), e.At, string(call.KindRerated), string(cleanJSON(data)))
		}
		n, err := note(TellRated, e, x.call, d.Ratings, x.old...)
		if err != nil {
			return err
		}
		var to []string
		for _, h := range r.cfg.Hooks {
			if h.wants(TellRated, x.call.Tenant) {
				to = append(to, h.ID)
			}
		}
		if len(to) > 0 {
			b.Queue(insertDelivery, to, id, n.seq, n.kind, string(n.body))
		}
		return nil
	})
	return err
}
