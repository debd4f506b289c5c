package billing

import (
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/patchbay/patchbay/gateway/call"
)

// countCalls counts calls anew for reports: the last statement of the transaction that changed their rows, or their ratings. See
// migrations 30 and 40 for what it does.
const countCalls = `SELECT patchbay.count_calls($1::uuid[], $2::timestamptz[], $3::text[], $4::text[])`

// countArgs are those of countCalls.
func (p *prices) countArgs(calls []*call.Call) []any {
	ids, times := make([]pgtype.UUID, len(calls)), make([]time.Time, len(calls))
	destinations, payers := make([]string, len(calls)), make([]string, len(calls))
	for i, c := range calls {
		ids[i], times[i] = pgtype.UUID{Bytes: c.ID, Valid: true}, c.ID.Started()
		if p != nil {
			would := p.cfg.sale(c)
			destinations[i], payers[i] = clean(p.destination(c, would)), clean(would.account)
		}
	}
	return []any{ids, times, destinations, payers}
}

// sale is the first rating by which a call is sold, or would have been, had the last that was tried answered; none: it isn't sold. What
// an answered call was sold by says itself who pays: this is for the others.
func (r *Rating) sale(c *call.Call) job {
	if c.AnsweredAt == nil && c.EndedAt != nil {
		x := *c
		x.AnsweredAt, x.Legs = c.EndedAt, slices.Clone(c.Legs)
		last := call.Leg{Role: call.CalleeLeg}
		if n := len(x.Legs); n > 0 && x.Legs[n-1].Role == call.CalleeLeg {
			last, x.Legs = *x.Legs[n-1], x.Legs[:n-1]
		} else if c.Direction == call.Out {
			last.Trunk = "none was tried"
		}
		last.AnsweredAt = c.EndedAt
		x.Legs = append(x.Legs, &last)
		c = &x
	}
	for _, j := range r.jobs(c) {
		if j.side == SideSell {
			return j
		}
	}
	return job{}
}

// destination is the name that the deck of who pays has for the number that was called, as it was when the call began; "" if there is
// none. What an answered call costs names its destination itself: this is for those that weren't answered.
func (p *prices) destination(c *call.Call, would job) string {
	b := p.book.Load()
	id := would.tariff
	if would.run != "" || id == "" { // the number is none that is sold
		if id = p.cfg.Users[c.Payer]; c.Payer == "" || id == "" {
			id = p.cfg.Tenants[c.Tenant]
		}
	}
	t := p.cfg.tariff(id)
	if b == nil || t == nil {
		return ""
	}
	d := b.at(t.Deck, c.SetupAt)
	if d == nil {
		return ""
	}
	if r, ok := d.Match(c.Dialled()); ok {
		return r.Destination
	}
	return ""
}

// counts counts the batch's calls that have ended.
func (p *projector) counts(w *work) []statement {
	var ended []*call.Call
	for _, t := range w.calls {
		if t.call.EndedAt != nil {
			ended = append(ended, t.call)
		}
	}
	if len(ended) == 0 {
		return nil
	}
	return []statement{{w.last, "reports", uuid.UUID(ended[0].ID), countCalls, p.prices.countArgs(ended), ended}}
}
