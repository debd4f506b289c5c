package report

import (
	"context"
	"fmt"
	"time"

	"github.com/shopspring/decimal"
)

// long is how long before From all calls are looked at. What began earlier can only be seen if it goes on, or has lasted that long: of
// those there is an index (migration 41).
const long = 48 * time.Hour

// seen are the calls that may be seen in a curve. $1 is so long before its beginning.
const seen = `(SELECT * FROM patchbay.call WHERE started_at >= $1 UNION ALL SELECT * FROM patchbay.call WHERE started_at < $1 AND (state IN ('open', 'partial') OR duration_ms >= 172800000)) c`

// curve sweeps over beginnings and ends of calls, or of a trunk's legs. A call that runs still goes on until now.
func (r *Report) curve(ctx context.Context, db Querier, progress Progress) error {
	q := &r.Query
	from, began, ended := seen, "c.setup_at", "COALESCE(c.setup_at + c.duration_ms * interval '1 ms', now())"
	if q.Trunk != nil {
		from, began, ended = seen+" JOIN patchbay.leg l ON l.call_id = c.call_id AND l.started_at = c.started_at", "l.invite_at", "COALESCE(l.ended_at, c.ended_at, now())"
	} else {
		ended = "CASE WHEN c.ended_at IS NULL THEN now() ELSE c.setup_at + c.duration_ms * interval '1 ms' END"
	}
	p := part{q: q}
	p.args = append(p.args, q.From.Add(-long))
	p.filter("c.started_at < ?", q.To.Add(time.Minute)) // the time in the id and the record's may differ a little
	p.curveFilters()
	p.args = append(p.args, q.From, q.To)
	n := len(p.args)
	rows, err := db.Query(ctx, fmt.Sprintf(`WITH span AS (SELECT %s AS b, GREATEST(%s, %s) AS e FROM %s WHERE %s)
SELECT GREATEST(b, $%d), 1::bigint, b >= $%d FROM span WHERE b < $%d AND e > $%d UNION ALL SELECT e, -1, false FROM span WHERE b < $%d AND e > $%d AND e < $%d ORDER BY 1, 2`,
		began, ended, began, from, p.where, n-1, n-1, n, n-1, n, n-1, n), p.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	s := newSweep(q)
	for told := 0; rows.Next(); {
		var at time.Time
		var step int64
		var fresh bool
		if err := rows.Scan(&at, &step, &fresh); err != nil {
			return err
		}
		s.move(at, step, fresh)
		if len(s.rows) > told+len(s.rows)/20 && len(s.rows) > told {
			told = len(s.rows)
			progress(told, s.slots)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	s.pass(q.To)
	r.Rows = s.rows
	progress(s.slots, s.slots)
	return nil
}

func (p *part) curveFilters() {
	q := p.q
	if q.Tenant != nil {
		p.filter("c.tenant = ?", *q.Tenant)
	}
	if q.Account != nil {
		// A call that runs still is counted nowhere yet.
		p.filter("COALESCE((SELECT n.account FROM patchbay.counted n WHERE n.call_id = c.call_id AND n.started_at = c.started_at AND n.leg_no = 0), 'user:' || c.account, 'tenant:' || c.tenant) = ?", *q.Account)
	}
	switch {
	case q.Trunk != nil:
		p.filter("l.trunk_id = ?", *q.Trunk)
		if q.Direction != nil {
			p.filter("l.direction = ?", *q.Direction)
		}
	case q.Direction != nil:
		p.filter("c.direction = ?", *q.Direction)
	}
}

// sweep goes along a time axis.
type sweep struct {
	q     *Query
	slots int
	at    time.Time // beginning of the step at hand
	moved time.Time // up to which area is summed
	now   int64     // calls at a time

	peak, began, rate int64
	second, inSecond  int64 // at hand, and what began in it
	area              time.Duration
	rows              [][]any
}

func newSweep(q *Query) *sweep {
	return &sweep{q: q, slots: int((q.To.Sub(q.From) + q.Step - 1) / q.Step), at: q.From, moved: q.From}
}

// move is a call's beginning (1) or end (-1).
func (s *sweep) move(at time.Time, step int64, fresh bool) {
	s.pass(at)
	s.area += time.Duration(s.now) * at.Sub(s.moved)
	s.moved = at
	s.now += step
	s.peak = max(s.peak, s.now)
	if !fresh {
		return
	}
	s.began++
	if at.Unix() != s.second {
		s.second, s.inSecond = at.Unix(), 0
	}
	s.inSecond++
	s.rate = max(s.rate, s.inSecond)
}

// pass ends the steps before a time.
func (s *sweep) pass(to time.Time) {
	for len(s.rows) < s.slots {
		end := s.at.Add(s.q.Step)
		if end.After(s.q.To) {
			end = s.q.To
		}
		if end.After(to) {
			return
		}
		s.area += time.Duration(s.now) * end.Sub(s.moved)
		mean := decimal.NewFromInt(int64(s.area)).DivRound(decimal.NewFromInt(int64(end.Sub(s.at))), 3)
		s.rows = append(s.rows, []any{s.at.In(s.q.Zone), s.peak, number(mean), s.began, s.rate})
		s.at, s.moved = end, end
		s.peak, s.began, s.rate, s.area, s.inSecond = s.now, 0, 0, 0, 0
	}
}
