package report

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

// worst lists the legs with the least MOS. They are found in the order of migration 70's index, and what else is told of each is looked up then: OFFSET 0
// keeps the planner, which thinks little of keys of several columns, from joining whole months before it sorts them.
func (r *Report) worst(ctx context.Context, db Querier) error {
	q := &r.Query
	p := part{q: q}
	p.filter("q.started_at >= ?", q.From)
	p.filter("q.started_at < ?", q.To)
	for _, f := range q.filters() {
		v := *f.value
		switch {
		case v == nil:
		case f.name == "trunk":
			p.filter("l.trunk_id = ?", *v)
		case f.name == "codec":
			p.filter("q.codec = ?", *v)
		default:
			p.wherePart(f.name, *v)
		}
	}
	// Planned for these times each time: of times that it doesn't know the planner expects a few legs, and sorts all that there are.
	args := append([]any{pgx.QueryExecModeCacheDescribe}, p.args...)
	rows, err := db.Query(ctx, fmt.Sprintf(`SELECT q.call_id, c.setup_at, q.leg_no::bigint, q.stream, COALESCE('trunk:' || l.trunk_id, 'user:' || l.user_id, ''), c.b_raw, COALESCE(q.codec, ''),
COALESCE(q.mos_cq, q.mos_lq)::text, round(q.ppl::numeric, 2)::text, round(q.jitter_p95_ms::numeric, 1)::text, round(q.rtt_ms::numeric, 1)::text, COALESCE(q.xr_mos_cq, q.xr_mos_lq)::text, round(q.xr_discard::numeric, 2)::text, round(q.skew_ppm::numeric, 1)::text, q.one_way, q.no_media
FROM patchbay.leg_quality q
CROSS JOIN LATERAL (SELECT l.trunk_id, l.user_id FROM patchbay.leg l WHERE l.call_id = q.call_id AND l.started_at = q.started_at AND l.leg_no = q.leg_no OFFSET 0) l
CROSS JOIN LATERAL (SELECT c.setup_at, c.b_raw FROM patchbay.call c WHERE c.call_id = q.call_id AND c.started_at = q.started_at OFFSET 0) c
LEFT JOIN LATERAL (SELECT n.* FROM patchbay.counted n WHERE n.call_id = q.call_id AND n.started_at = q.started_at AND n.leg_no = 0 OFFSET 0) n ON true
WHERE q.bucket = 0 AND COALESCE(q.mos_cq, q.mos_lq) IS NOT NULL AND %s ORDER BY COALESCE(q.mos_cq, q.mos_lq), q.started_at, q.call_id, q.leg_no, q.stream LIMIT %d`, p.where, q.Limit+1), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var began time.Time
		var leg int64
		var stream, party, called, codec string
		var scores [7]*string
		var oneWay, noMedia bool
		if err := rows.Scan(&id, &began, &leg, &stream, &party, &called, &codec, &scores[0], &scores[1], &scores[2], &scores[3], &scores[4], &scores[5], &scores[6], &oneWay, &noMedia); err != nil {
			return err
		}
		row := []any{id.String(), began.In(q.Zone), leg, stream, party, called, codec}
		for _, s := range scores {
			if s == nil {
				row = append(row, nil)
				continue
			}
			d, err := decimal.NewFromString(*s)
			if err != nil {
				return err
			}
			row = append(row, number(d))
		}
		r.Rows = append(r.Rows, append(row, oneWay, noMedia))
	}
	return rows.Err()
}

// wherePart is a filter on what the call counts for.
func (p *part) wherePart(name, v string) {
	if name == "cause" {
		p.filter("(n.cause = ? OR split_part(n.cause, '/', 1) = ?)", v)
		return
	}
	p.filter("n."+name+" = ?", v)
}
