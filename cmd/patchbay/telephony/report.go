package telephony

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/patchbay/patchbay/billing/report"
	"github.com/patchbay/patchbay/rpc"
)

// ReportQuery says which calls a report is of, and how it tells them apart: the parameters of REST. Empty members have the report's own values.
type ReportQuery struct {
	From        string `rpc:"from,optional"` // the calls began at or after: a date, a date with a time, or RFC 3339
	To          string `rpc:"to,optional"`   // and before
	Zone        string `rpc:"zone,optional"` // IANA
	By          string `rpc:"by,optional"`   // dimensions, with commas between
	Direction   string `rpc:"direction,optional"`
	Trunk       string `rpc:"trunk,optional"`
	Account     string `rpc:"account,optional"` // user:ID, tenant:ID
	Destination string `rpc:"destination,optional"`
	Codec       string `rpc:"codec,optional"`
	Cause       string `rpc:"cause,optional"` // Q.850, or Q.850/SIP
	Order       string `rpc:"order,optional"` // a column, - before it: the greatest first
	Limit       int    `rpc:"limit,optional"` // rows
	Step        int    `rpc:"step,optional"`  // seconds, of a curve
	Source      string `rpc:"source,optional"`
}

// get gives the parameters of REST.
func (q *ReportQuery) get(tenant string) func(string) (string, bool) {
	given := map[string]string{"from": q.From, "to": q.To, "zone": q.Zone, "by": q.By, "direction": q.Direction, "trunk": q.Trunk, "account": q.Account,
		"destination": q.Destination, "codec": q.Codec, "cause": q.Cause, "order": q.Order, "source": q.Source, "tenant": tenant}
	for name, n := range map[string]int{"limit": q.Limit, "step": q.Step} {
		if n != 0 {
			given[name] = strconv.Itoa(n)
		}
	}
	return func(name string) (string, bool) { s := given[name]; return s, s != "" }
}

// ReportColumn is the register ReportColumn.
type ReportColumn struct {
	Name  string `rpc:"name"`
	Kind  string `rpc:"kind"` // text, time, count, seconds, minutes, ms, percent, score, number, money, flag
	Title string `rpc:"title"`
}

// ReportRow is the register ReportRow: values in the order of the columns.
type ReportRow struct {
	Values []string `rpc:"values"`
}

// ReportAnswer is the register Report.
type ReportAnswer struct {
	Report    string         `rpc:"report"`
	From      string         `rpc:"from"` // RFC 3339
	To        string         `rpc:"to"`
	Zone      string         `rpc:"zone"`
	Source    string         `rpc:"source"` // rollups, calls
	Columns   []ReportColumn `rpc:"columns"`
	Rows      []ReportRow    `rpc:"rows"`
	Total     []string       `rpc:"total"` // of all rows; empty where sums mean nothing
	Truncated bool           `rpc:"truncated"`
}

// Report tells what the tenant's calls came to.
func (m *Manager) Report(ctx context.Context, name string, query *ReportQuery) (*ReportAnswer, error) {
	if query == nil {
		query = &ReportQuery{}
	}
	who := tenant(ctx)
	if who == "" {
		return nil, rpc.Errorf(rpc.NotAllowed, "Records belong to a tenant, you have none")
	}
	q, err := report.Parse(name, query.get(who), time.Now())
	if err == nil && q.Limit > maxRecords {
		q.Limit = maxRecords
	}
	var r *report.Report
	if err == nil {
		r, err = m.t.cfg.Reports(ctx, q)
	}
	if bad := (*report.Error)(nil); errors.As(err, &bad) {
		return nil, rpc.Errorf(rpc.IllegalParam, "'%s' %s", bad.Field, bad.Text)
	}
	if err != nil {
		m.t.cfg.Log.Warn("a report can't be made", "report", name, "err", err)
		return nil, rpc.Errorf(rpc.Unexpected, "Reports can't be made now")
	}
	out := &ReportAnswer{Report: name, From: q.From.In(q.Zone).Format(time.RFC3339), To: q.To.In(q.Zone).Format(time.RFC3339), Zone: q.Zone.String(), Source: r.Source,
		Columns: []ReportColumn{}, Rows: []ReportRow{}, Total: []string{}, Truncated: r.Truncated}
	for _, c := range r.Columns {
		out.Columns = append(out.Columns, ReportColumn{c.Name, c.Kind, c.Title})
	}
	for _, row := range r.Rows {
		out.Rows = append(out.Rows, ReportRow{texts(row)})
	}
	if r.Total != nil {
		out.Total = texts(r.Total)
	}
	return out, nil
}

// texts are values as texts: money as it is, times as RFC 3339, "" what there is no value of.
func texts(row []any) []string {
	out := make([]string, len(row))
	for i, v := range row {
		switch x := v.(type) {
		case nil:
		case time.Time:
			out[i] = x.Format(time.RFC3339)
		default:
			out[i] = fmt.Sprint(x)
		}
	}
	return out
}
