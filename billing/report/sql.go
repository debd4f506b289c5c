package report

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

const (
	quarter = 15 * time.Minute
	utcDay  = 24 * time.Hour
)

// planned is how sums are come by: the source, and the parts that are asked for one after the other.
type planned struct {
	source string
	parts  []part
}

// part is one question: sums, and if need be delays, by the dimensions.
type part struct {
	q     *Query
	table string // rollup, counted
	where string
	args  []any
	used  [whole]bool
	money [numeric]bool
	delay bool
}

// plan chooses the source. The rollups hold one dimension at a time, in quarters of an hour and UTC days: what else is asked for
// is counted, a day at a time, so that it can be told how far it has come.
func plan(q *Query, list []measure) planned {
	cube, one := q.cube()
	aligned := q.From.Unix()%900 == 0 && q.To.Unix()%900 == 0 && q.From.Nanosecond() == 0 && q.To.Nanosecond() == 0
	base := part{q: q}
	base.used[sCalls] = true
	for _, m := range list {
		base.delay = base.delay || m.delay
		for _, i := range m.n {
			base.used[i] = true
		}
		for _, i := range m.money {
			base.money[i] = true
		}
	}
	if !q.Calls && one && aligned {
		p := base
		p.table = "rollup"
		p.filter("cube = ?", cube)
		p.slots()
		p.filters(cube)
		return planned{FromRollups, []part{p}}
	}
	out := planned{source: FromCalls}
	for from := q.From; from.Before(q.To); {
		to := from.Truncate(utcDay).Add(utcDay)
		if to.After(q.To) {
			to = q.To
		}
		p := base
		p.table = "counted"
		p.filter("started_at >= ?", from)
		p.filter("started_at < ?", to)
		if q.uses("trunk") {
			p.filter("leg_no > ?", 0)
		} else {
			p.filter("leg_no = ?", 0)
		}
		p.filters("")
		out.parts = append(out.parts, p)
		from = to
	}
	return out
}

// uses tells whether a dimension matters to the query.
func (q *Query) uses(name string) bool {
	if slices.Contains(q.By, name) {
		return true
	}
	return slices.ContainsFunc(q.filters(), func(f filter) bool { return f.name == name && *f.value != nil })
}

// cube is the dimension of the rollups that holds the answer, if one does.
func (q *Query) cube() (string, bool) {
	cube := ""
	for _, d := range dimensions {
		if !d.cube || !q.uses(d.name) {
			continue
		}
		if cube != "" {
			return "", false
		}
		cube = d.name
	}
	if cube == "" {
		cube = "codec" // any will do: each has all calls; this has the fewest values
	}
	return cube, true
}

func (p *part) filter(condition string, v any) {
	p.args = append(p.args, v)
	if p.where != "" {
		p.where += " AND "
	}
	p.where += strings.ReplaceAll(condition, "?", fmt.Sprintf("$%d", len(p.args)))
}

// slots chooses the rollups' rows: whole UTC days, and quarters of an hour before and behind them; quarters alone where days
// or hours of the zone are told apart.
func (p *part) slots() {
	from, to := p.q.From.UTC(), p.q.To.UTC()
	first, last := from.Truncate(utcDay), to.Truncate(utcDay)
	if first.Before(from) {
		first = first.Add(utcDay)
	}
	if slices.ContainsFunc(p.q.By, isTime) && !p.q.utcDays() || !first.Before(last) {
		p.filter("grain = ?", "q")
		p.filter("slot >= ?", from)
		p.filter("slot < ?", to)
		return
	}
	p.args = append(p.args, from, first, last, to)
	n := len(p.args)
	p.where += fmt.Sprintf(" AND (grain = 'd' AND slot >= $%d AND slot < $%d OR grain = 'q' AND slot >= $%d AND slot < $%d OR grain = 'q' AND slot >= $%d AND slot < $%d)",
		n-2, n-1, n-3, n-2, n-1, n)
}

// utcDays tells whether no dimension of time is finer than a UTC day.
func (q *Query) utcDays() bool {
	return q.Zone == time.UTC && !slices.Contains(q.By, "hour") && !slices.Contains(q.By, "hour_of_day")
}

// filters adds the query's. The rollups' dimension is their key.
func (p *part) filters(cube string) {
	for _, f := range p.q.filters() {
		v := *f.value
		if v == nil {
			continue
		}
		name := f.name
		if name == cube {
			name = "key"
		}
		if f.name == "cause" && !strings.Contains(*v, "/") {
			p.filter("split_part("+name+", '/', 1) = ?", *v)
			continue
		}
		p.filter(name+" = ?", *v)
	}
}

// keys are the dimensions as SQL.
func (p *part) keys() []string {
	cube, _ := p.q.cube()
	at := "slot"
	if p.table == "counted" {
		at = "started_at"
	}
	var out []string
	for _, name := range p.q.By {
		d := dimensionOf(name)
		switch {
		case d.unit == "of_day":
			out = append(out, fmt.Sprintf("extract(hour FROM %s AT TIME ZONE '%s')::bigint", at, p.q.Zone))
		case d.unit != "":
			out = append(out, fmt.Sprintf("date_trunc('%s', %s, '%s')", d.unit, at, p.q.Zone))
		case p.table == "rollup" && name == cube:
			out = append(out, "key")
		default:
			out = append(out, name)
		}
	}
	return out
}

// add asks, and adds what it is told to the groups.
func (p *part) add(ctx context.Context, db Querier, groups map[string]*group) error {
	keys := p.keys()
	selected := slices.Clone(keys)
	apart := p.money[sSell] || p.money[sBuy]
	by := len(keys)
	if apart {
		selected = append(selected, "house")
		by++
	}
	column := 0
	if p.table == "counted" {
		column = 1
	}
	for i, c := range wholeColumns {
		if p.used[i] {
			selected = append(selected, "sum("+c[column]+")::bigint")
		}
	}
	for i, c := range numericColumns {
		if p.money[i] {
			selected = append(selected, "COALESCE(sum("+c[column]+"), 0)::text")
		}
	}
	err := p.ask(ctx, db, p.table, selected, by, groups, func(g *group, v []any) error {
		var s sums
		house := ""
		if apart {
			house, v = v[0].(string), v[1:]
		}
		for i := range wholeColumns {
			if p.used[i] {
				s.n[i], v = v[0].(int64), v[1:]
			}
		}
		for i := range numericColumns {
			if p.money[i] {
				d, err := decimal.NewFromString(v[0].(string))
				if err != nil {
					return err
				}
				s.money[i], v = d, v[1:]
			}
		}
		if apart {
			switch nothing := s.money[sSell].IsZero() && s.money[sBuy].IsZero(); {
			case s.n[sCalls] == 0: // what was counted there is counted elsewhere by now
			case house == "" && !nothing: // it wasn't known when it was counted
				s.inHouse(p.q.House, s.money[sSell], s.money[sBuy])
			case house != "":
				s.inHouse(house, s.money[sSell], s.money[sBuy])
			}
			s.money[sSell], s.money[sBuy] = decimal.Decimal{}, decimal.Decimal{}
		}
		g.sums.add(&s)
		return nil
	})
	if err != nil || !p.delay {
		return err
	}
	return p.delays(ctx, db, keys, groups)
}

// ungrouped asks for rows as they are.
const ungrouped = -1

// ask selects from a table, grouped by so many of the first columns, and hands the values behind the dimensions to each.
func (p *part) ask(ctx context.Context, db Querier, table string, selected []string, by int, groups map[string]*group, each func(*group, []any) error) error {
	sql := fmt.Sprintf("SELECT %s FROM patchbay.%s WHERE %s", strings.Join(selected, ", "), table, p.where)
	switch {
	case by == ungrouped:
	case by > 0:
		numbers := make([]string, by)
		for i := range numbers {
			numbers[i] = fmt.Sprint(i + 1)
		}
		sql += " GROUP BY " + strings.Join(numbers, ", ")
	default:
		sql += " HAVING count(*) > 0"
	}
	rows, err := db.Query(ctx, sql, p.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	keys := len(p.q.By)
	for rows.Next() {
		v, err := rows.Values()
		if err != nil {
			return err
		}
		for i, k := range v[:keys] {
			if t, ok := k.(time.Time); ok {
				v[i] = t.In(p.q.Zone)
			}
		}
		id := fmt.Sprintf("%q", v[:keys])
		g := groups[id]
		if g == nil {
			g = &group{key: v[:keys:keys]}
			groups[id] = g
		}
		if err := each(g, v[keys:]); err != nil {
			return err
		}
		if len(groups) > MaxRows {
			return wrong("by", "makes more than %d rows: choose fewer calls or dimensions", MaxRows)
		}
	}
	return rows.Err()
}
