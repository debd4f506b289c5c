package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

// Formats that a report is written in.
const (
	JSON   = "json"
	NDJSON = "ndjson" // a row a line
	CSV    = "csv"
	Table  = "table"
)

// Formats are all that there are.
func Formats() []string { return []string{JSON, NDJSON, CSV, Table} }

// ContentType of a format.
func ContentType(format string) string {
	switch format {
	case NDJSON:
		return "application/x-ndjson"
	case CSV:
		return "text/csv; charset=utf-8; header=present"
	case Table:
		return "text/plain; charset=utf-8"
	}
	return "application/json"
}

// Write writes the report.
func (r *Report) Write(w io.Writer, format string) error {
	switch format {
	case JSON:
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		_, err = w.Write(append(b, '\n'))
		return err
	case NDJSON:
		for _, row := range r.Rows {
			b, err := json.Marshal(object{r.Columns, row})
			if err != nil {
				return err
			}
			if _, err := w.Write(append(b, '\n')); err != nil {
				return err
			}
		}
		return nil
	case CSV:
		return r.csv(w)
	case Table:
		return r.table(w)
	}
	return wrong("format", "%q: expected %s", clip(format), strings.Join(Formats(), ", "))
}

// object is a row as JSON: values by columns, in their order.
type object struct {
	columns []Column
	row     []any
}

func (o object) MarshalJSON() ([]byte, error) {
	if o.row == nil {
		return []byte("null"), nil
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for i, c := range o.columns {
		if i > 0 {
			b.WriteByte(',')
		}
		v, err := json.Marshal(o.row[i]) // a decimal is a string
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", c.Name, v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// MarshalJSON writes rows as objects. Times are of the query's zone, money is strings.
func (r *Report) MarshalJSON() ([]byte, error) {
	rows := make([]object, len(r.Rows))
	for i, row := range r.Rows {
		rows[i] = object{r.Columns, row}
	}
	return json.Marshal(struct {
		Report    string    `json:"report"`
		From      time.Time `json:"from"`
		To        time.Time `json:"to"`
		Zone      string    `json:"zone"`
		By        []string  `json:"by"`
		Source    string    `json:"source"`
		Columns   []Column  `json:"columns"`
		Rows      []object  `json:"rows"`
		Total     object    `json:"total"`
		Truncated bool      `json:"truncated"`
	}{r.Query.Name, r.Query.From.In(r.Query.Zone), r.Query.To.In(r.Query.Zone), r.Query.Zone.String(), append([]string{}, r.Query.By...), r.Source, r.Columns, rows,
		object{r.Columns, r.Total}, r.Truncated})
}

func (r *Report) csv(w io.Writer) error {
	c := csv.NewWriter(w)
	if err := c.Write(columnNames(r.Columns)); err != nil {
		return err
	}
	for _, row := range r.Rows {
		cells := make([]string, len(row))
		for i, v := range row {
			cells[i] = text(v)
			if _, ok := v.(string); ok {
				cells[i] = inert(cells[i])
			}
		}
		if err := c.Write(cells); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// inert keeps a spreadsheet from taking a text for a formula: what begins like one, also in letters of full width, gets an apostrophe before it.
func inert(s string) string {
	if first, _ := utf8.DecodeRuneInString(s); s != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
		return "'" + s
	}
	return s
}

func text(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case time.Time:
		return x.Format(time.RFC3339)
	case decimal.Decimal:
		return x.String()
	}
	return fmt.Sprint(v)
}

func (r *Report) table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	line := func(cells []string) { fmt.Fprintln(t, strings.Join(cells, "\t")) }
	var head []string
	for _, c := range r.Columns {
		head = append(head, strings.ToUpper(c.Title))
	}
	line(head)
	rows := r.Rows
	if r.Total != nil && len(r.Query.By) > 0 {
		rows = append(append([][]any{}, rows...), r.Total)
	}
	for n, row := range rows {
		cells := make([]string, len(row))
		for i, v := range row {
			switch cells[i] = shown(v, r.Columns[i]); {
			case n == len(r.Rows) && i == 0:
				cells[i] = "total"
			case n == len(r.Rows) && i < len(r.Query.By):
				cells[i] = ""
			case cells[i] == "":
				cells[i] = "-"
			}
		}
		line(cells)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if r.Truncated {
		_, err := fmt.Fprintf(w, "only the first %d rows\n", len(r.Rows))
		return err
	}
	return nil
}

// shown is a value for people.
func shown(v any, c Column) string {
	if t, ok := v.(time.Time); ok {
		layout := "2006-01-02 15:04 MST"
		switch c.Name {
		case "day":
			layout = time.DateOnly
		case "month":
			layout = "2006-01"
		}
		return t.Format(layout)
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, text(v))
}
