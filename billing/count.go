package billing

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/patchbay/patchbay/gateway/call"
)

// countCalls counts calls anew for reports: the last statement of the transaction that changed their rows, or their ratings. See
// migration 30 for what it does.
const countCalls = `SELECT patchbay.count_calls($1::uuid[], $2::timestamptz[], $3::text[])`

// countArgs are those of countCalls.
func (p *prices) countArgs(calls []*call.Call) []any {
	ids, times, destinations := make([]pgtype.UUID, len(calls)), make([]time.Time, len(calls)), make([]string, len(calls))
	for i, c := range calls {
		ids[i], times[i], destinations[i] = pgtype.UUID{Bytes: c.ID, Valid: true}, c.ID.Started(), clean(p.destination(c))
	}
	return []any{ids, times, destinations}
}

// destination is the name that the deck of who pays has for the number that was called, as it was when the call began; "" if there is
// none. What an answered call costs names its destination itself: this is for those that weren't answered.
func (p *prices) destination(c *call.Call) string {
	if p == nil {
		return ""
	}
	b := p.book.Load()
	id := p.cfg.Users[c.Payer]
	if c.Payer == "" || id == "" {
		id = p.cfg.Tenants[c.Tenant]
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
