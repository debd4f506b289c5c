package billing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Manifest says what a copy of the records has: it is taken with it, and held against what arrived.
type Manifest struct {
	Format    int               `json:"format"` // 1
	MadeAt    time.Time         `json:"madeAt"`
	Schema    int64             `json:"schema"` // version
	Server    string            `json:"server"` // Postgres' version
	Tables    []CopiedTable     `json:"tables"`
	Months    []string          `json:"months"` // that have partitions
	Sequences map[string]int64  `json:"sequences"`
	Sums      map[string]string `json:"sums"` // of calls: bill_ms, and ratings by side and currency
}

// CopiedTable is one table of a Manifest.
type CopiedTable struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows"`
	Sum     string   `json:"sum"` // over all rows of 60 bits of MD5 each: equal if the rows are
}

const archiveFormat = 1

// Errors of copies.
var (
	ErrNotEmpty = errors.New("the database has records already")
	ErrDiffers  = errors.New("what arrived isn't what was sent")
)

// survey says what the database has. The caller sees to it that nothing changes meanwhile.
func survey(ctx context.Context, tx pgx.Tx) (*Manifest, error) {
	m := &Manifest{Format: archiveFormat, MadeAt: time.Now().UTC().Truncate(time.Second), Sequences: map[string]int64{}}
	err := tx.QueryRow(ctx, `SELECT (SELECT max(version_id) FROM patchbay.schema_version WHERE is_applied), current_setting('server_version')`).Scan(&m.Schema, &m.Server)
	if err != nil {
		return nil, fmt.Errorf("read the schema's version: %w", err)
	}
	if m.Tables, err = listTables(ctx, tx); err != nil {
		return nil, err
	}
	for i := range m.Tables {
		if err := weigh(ctx, tx, &m.Tables[i]); err != nil {
			return nil, err
		}
	}
	rows, err := tx.Query(ctx, `SELECT DISTINCT translate(right(c.relname, 7), '_', '-') FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE c.relnamespace = 'patchbay'::regnamespace AND c.relname ~ '_p[0-9]{4}_[0-9]{2}$' ORDER BY 1`)
	if err == nil {
		m.Months, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	rows, err = tx.Query(ctx, `SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'patchbay' AND last_value IS NOT NULL`)
	if err != nil {
		return nil, fmt.Errorf("list sequences: %w", err)
	}
	var name string
	var last int64
	if _, err = pgx.ForEachRow(rows, []any{&name, &last}, func() error { m.Sequences[name] = last; return nil }); err != nil {
		return nil, fmt.Errorf("list sequences: %w", err)
	}
	m.Sums, err = sums(ctx, tx)
	return m, err
}

// sums are figures that people know.
func sums(ctx context.Context, tx pgx.Tx) (map[string]string, error) {
	var rated bool // not by the first versions
	if err := tx.QueryRow(ctx, `SELECT to_regclass('patchbay.rating') IS NOT NULL`).Scan(&rated); err != nil {
		return nil, fmt.Errorf("sum records: %w", err)
	}
	q := `SELECT 'bill_ms', COALESCE(sum(bill_ms), 0)::text FROM patchbay.call`
	if rated {
		q += ` UNION ALL SELECT 'ratings ' || side || ' ' || currency, sum(amount_rounded)::text FROM patchbay.rating GROUP BY side, currency`
	}
	rows, err := tx.Query(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("sum records: %w", err)
	}
	out := map[string]string{}
	var k, v string
	if _, err = pgx.ForEachRow(rows, []any{&k, &v}, func() error { out[k] = v; return nil }); err != nil {
		return nil, fmt.Errorf("sum records: %w", err)
	}
	return out, nil
}

// listTables are those that hold something of ours, each behind those that it refers to.
func listTables(ctx context.Context, tx pgx.Tx) ([]CopiedTable, error) {
	rows, err := tx.Query(ctx, `SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum), COALESCE((SELECT array_agg(DISTINCT r.relname::text) FROM pg_constraint f
JOIN pg_class r ON r.oid = f.confrelid WHERE f.conrelid = c.oid AND f.contype = 'f' AND r.oid <> c.oid), '{}')
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE c.relnamespace = 'patchbay'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
AND c.relname <> 'schema_version' AND c.relname !~ '_p[0-9]{4}_[0-9]{2}$' GROUP BY c.oid, c.relname ORDER BY c.relname`)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	var found []CopiedTable
	needs := map[string][]string{}
	var t CopiedTable
	var refs []string
	if _, err := pgx.ForEachRow(rows, []any{&t.Name, &t.Columns, &refs}, func() error {
		found = append(found, CopiedTable{Name: t.Name, Columns: slices.Clone(t.Columns)})
		needs[t.Name] = slices.Clone(refs)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	var out []CopiedTable
	done := map[string]bool{}
	for len(out) < len(found) {
		before := len(out)
		for _, t := range found {
			if !done[t.Name] && !slices.ContainsFunc(needs[t.Name], func(r string) bool { return !done[r] }) {
				done[t.Name] = true
				out = append(out, t)
			}
		}
		if len(out) == before {
			return nil, errors.New("tables refer to each other in a circle")
		}
	}
	return out, nil
}

func quoted(columns []string) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = pgx.Identifier{c}.Sanitize()
	}
	return strings.Join(out, ", ")
}

// weigh counts a table's rows and sums them up.
func weigh(ctx context.Context, tx pgx.Tx, t *CopiedTable) error {
	err := tx.QueryRow(ctx, fmt.Sprintf(`SELECT count(*), COALESCE(sum(('x' || substr(md5(ROW(%s)::text), 1, 15))::bit(60)::bigint), 0)::text FROM %s`,
		quoted(t.Columns), pgx.Identifier{"patchbay", t.Name}.Sanitize())).Scan(&t.Rows, &t.Sum)
	if err != nil {
		return fmt.Errorf("count table %s: %w", t.Name, err)
	}
	return nil
}

// send writes a table's rows in the text form of COPY.
func send(ctx context.Context, tx pgx.Tx, t CopiedTable, w io.Writer) error {
	_, err := tx.Conn().PgConn().CopyTo(ctx, w, fmt.Sprintf("COPY (SELECT %s FROM %s) TO STDOUT", quoted(t.Columns), pgx.Identifier{"patchbay", t.Name}.Sanitize()))
	if err != nil {
		return fmt.Errorf("read table %s: %w", t.Name, err)
	}
	return nil
}

// accept fills a database whose schema is of the manifest's version, in one transaction that is committed only if all that arrived is
// what was sent. Triggers are silent: what they would do is among what is copied.
func accept(ctx context.Context, conn *pgx.Conn, m *Manifest, open func(CopiedTable) (io.ReadCloser, error)) error {
	var months []month
	for _, s := range m.Months {
		t, err := time.Parse("2006-01", s)
		if err != nil {
			return fmt.Errorf("month %q of the manifest: expected one such as 2026-03", s)
		}
		months = append(months, monthOf(t))
	}
	if err := makePartitions(ctx, conn, months); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		there, err := listTables(ctx, tx)
		if err != nil {
			return err
		}
		for _, t := range there { // what migrations have put there comes with the rest
			if _, err := tx.Exec(ctx, fmt.Sprintf("ALTER TABLE %[1]s DISABLE TRIGGER USER; TRUNCATE %[1]s CASCADE", pgx.Identifier{"patchbay", t.Name}.Sanitize())); err != nil {
				return fmt.Errorf("prepare table %s: %w", t.Name, err)
			}
		}
		for _, t := range m.Tables {
			if err := receive(ctx, tx, t, open); err != nil {
				return err
			}
		}
		for _, t := range there {
			if _, err := tx.Exec(ctx, fmt.Sprintf("ALTER TABLE %s ENABLE TRIGGER USER", pgx.Identifier{"patchbay", t.Name}.Sanitize())); err != nil {
				return fmt.Errorf("finish table %s: %w", t.Name, err)
			}
		}
		for name, last := range m.Sequences {
			if _, err := tx.Exec(ctx, `SELECT setval($1::regclass, $2)`, pgx.Identifier{"patchbay", name}.Sanitize(), last); err != nil {
				return fmt.Errorf("sequence %s: %w", name, err)
			}
		}
		got, err := sums(ctx, tx)
		if err != nil {
			return err
		}
		for k, want := range m.Sums {
			if got[k] != want {
				return fmt.Errorf("%w: the sum of %s is %q, expected %q", ErrDiffers, k, got[k], want)
			}
		}
		return nil
	})
}

// receive fills one table, and counts what arrived.
func receive(ctx context.Context, tx pgx.Tx, t CopiedTable, open func(CopiedTable) (io.ReadCloser, error)) error {
	r, err := open(t)
	if err != nil {
		return fmt.Errorf("table %s: %w", t.Name, err)
	}
	_, err = tx.Conn().PgConn().CopyFrom(ctx, r, fmt.Sprintf("COPY %s (%s) FROM STDIN", pgx.Identifier{"patchbay", t.Name}.Sanitize(), quoted(t.Columns)))
	if err = errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("write table %s: %w", t.Name, err)
	}
	got := t
	if err := weigh(ctx, tx, &got); err != nil {
		return err
	}
	if got.Rows != t.Rows || got.Sum != t.Sum {
		return fmt.Errorf("%w: table %s has %d rows of sum %s, expected %d of %s", ErrDiffers, t.Name, got.Rows, got.Sum, t.Rows, t.Sum)
	}
	return nil
}

// vacate makes a place for a copy: a schema of that version, empty. With force what is there is put aside; undo brings it back, done
// removes it.
func vacate(ctx context.Context, conn *pgx.Conn, version int64, force bool) (undo, done func(context.Context) error, err error) {
	nothing := func(context.Context) error { return nil }
	full, err := hasRecords(ctx, conn)
	if err != nil {
		return nil, nil, err
	}
	if full && !force {
		return nil, nil, ErrNotEmpty
	}
	aside := ""
	var there bool
	if err := conn.QueryRow(ctx, `SELECT to_regnamespace('patchbay') IS NOT NULL`).Scan(&there); err != nil {
		return nil, nil, err
	}
	if there {
		aside = fmt.Sprintf("patchbay_before_%d", time.Now().UnixNano())
		if _, err := conn.Exec(ctx, "ALTER SCHEMA patchbay RENAME TO "+aside); err != nil {
			return nil, nil, fmt.Errorf("put aside what is there: %w", err)
		}
	}
	undo, done = nothing, nothing
	undo = func(ctx context.Context) error {
		_, err := conn.Exec(ctx, "DROP SCHEMA IF EXISTS patchbay CASCADE")
		if err == nil && aside != "" {
			_, err = conn.Exec(ctx, "ALTER SCHEMA "+aside+" RENAME TO patchbay")
		}
		return err
	}
	if aside != "" {
		done = func(ctx context.Context) error {
			_, err := conn.Exec(ctx, "DROP SCHEMA "+aside+" CASCADE")
			return err
		}
	}
	if err := migrateTo(ctx, conn.Config(), conn, version); err != nil {
		return nil, nil, errors.Join(err, undo(context.WithoutCancel(ctx)))
	}
	return undo, done, nil
}

// hasRecords reports whether there is anything that would be lost.
func hasRecords(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var there bool
	if err := conn.QueryRow(ctx, `SELECT to_regnamespace('patchbay') IS NOT NULL`).Scan(&there); err != nil || !there {
		return false, err
	}
	full := false
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		list, err := listTables(ctx, tx)
		if err != nil {
			return err
		}
		for _, t := range list {
			if err := tx.QueryRow(ctx, fmt.Sprintf("SELECT EXISTS (SELECT FROM %s)", pgx.Identifier{"patchbay", t.Name}.Sanitize())).Scan(&full); err != nil || full {
				return err
			}
		}
		return nil
	})
	return full, err
}
