package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

// Where an answer comes from.
const (
	FromRollups = "rollups"
	FromCalls   = "calls"
)

// Report is an answer.
type Report struct {
	Query     Query
	Source    string // FromRollups, FromCalls
	Columns   []Column
	Rows      [][]any // of the columns; nil = there is no such value
	Total     []any   // of all rows, also those beyond the limit; nil where sums mean nothing
	Truncated bool    // there are more rows than the limit
}

// Progress is told how far a long report has come: done of so many steps.
type Progress func(done, of int)

// Querier is what Run asks of a database connection.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Run answers a query that Parse has made. progress may be nil.
func Run(ctx context.Context, db Querier, q Query, progress Progress) (*Report, error) {
	def, ok := find(q.Name)
	if !ok {
		return nil, wrong("report", "%q: expected %s", clip(q.Name), strings.Join(Names(), ", "))
	}
	if err := q.check(def); err != nil {
		return nil, err
	}
	if progress == nil {
		progress = func(int, int) {}
	}
	r := &Report{Query: q, Source: FromCalls, Columns: q.columns(def), Rows: [][]any{}}
	var err error
	switch q.Name {
	case Worst:
		err = r.worst(ctx, db)
	case Concurrency:
		err = r.curve(ctx, db, progress)
	default:
		err = r.sum(ctx, db, def, progress)
	}
	if err != nil {
		return nil, fmt.Errorf("report %s: %w", q.Name, err)
	}
	if len(r.Rows) > q.Limit {
		r.Rows, r.Truncated = r.Rows[:q.Limit], true
	}
	return r, nil
}

// group is a row before its values are made.
type group struct {
	key  []any
	sums sums
}

// sum answers a report of sums.
func (r *Report) sum(ctx context.Context, db Querier, def definition, progress Progress) error {
	list := r.Query.measures(def)
	p := plan(&r.Query, list)
	r.Source = p.source
	groups := map[string]*group{}
	for i, part := range p.parts {
		if err := part.add(ctx, db, groups); err != nil {
			return err
		}
		progress(i+1, len(p.parts))
	}
	var total sums
	rows := make([]*group, 0, len(groups))
	for _, g := range groups {
		if g.sums.n[sCalls] == 0 {
			continue // what was counted there is counted elsewhere by now
		}
		total.add(&g.sums)
		rows = append(rows, g)
	}
	values := func(g *group) []any {
		g.sums.one()
		row := slices.Clone(g.key)
		for _, m := range list {
			row = append(row, r.Query.of(m, g))
		}
		return row
	}
	for _, g := range rows {
		r.Rows = append(r.Rows, values(g))
	}
	r.Total = values(&group{make([]any, len(r.Query.By)), total})
	r.sort()
	return nil
}

// sort brings rows in order: by a column, else by the dimensions.
func (r *Report) sort() {
	column, down := strings.CutPrefix(r.Query.Order, "-")
	at := slices.IndexFunc(r.Columns, func(c Column) bool { return c.Name == column })
	keys := len(r.Query.By)
	slices.SortStableFunc(r.Rows, func(a, b []any) int {
		c := 0
		if at >= 0 {
			switch {
			case a[at] == nil || b[at] == nil: // what has no value comes last
				c = cmp.Compare(isNil(a[at]), isNil(b[at]))
			case down:
				c = compare(b[at], a[at])
			default:
				c = compare(a[at], b[at])
			}
		}
		for i := 0; c == 0 && i < keys; i++ {
			c = compare(a[i], b[i])
		}
		return c
	})
}

func isNil(v any) int {
	if v == nil {
		return 1
	}
	return 0
}

// compare orders two values of one column.
func compare(a, b any) int {
	switch x := a.(type) {
	case int64:
		return cmp.Compare(x, b.(int64))
	case string:
		return cmp.Compare(x, b.(string))
	case time.Time:
		return x.Compare(b.(time.Time))
	case number:
		return decimal.Decimal(x).Cmp(decimal.Decimal(b.(number)))
	case decimal.Decimal:
		return x.Cmp(b.(decimal.Decimal))
	}
	return 0
}
