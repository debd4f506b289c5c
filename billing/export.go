package billing

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"
)

const (
	exportPerRow = time.Millisecond // at most, beside careTimeout: 10 million rows may take three hours, and do take minutes
	exportCheck  = 8 << 20          // bytes between two looks at the room that is left
	exportSuffix = ".ndjson.gz"
)

// errExport keeps a month that can't be exported in the database.
var errExport = errors.New("its rows can't be exported")

// exported is what a partition's comment says of its export. It goes with the partition: one that is made anew for late events is
// another, and gets a file of its own.
type exported struct {
	File string    `json:"exported"` // in the folder of exports
	Rows int64     `json:"rows"`
	At   time.Time `json:"at"`
}

// export writes a partition's rows to a file, a line of JSON each, unless that has been done already. The file appears whole, and with as
// many lines as there are rows, or not at all.
func (k *keeper) export(ctx context.Context, conn *pgx.Conn, name string) error {
	dir := k.cfg.exportDir()
	if dir == "" {
		return nil
	}
	if err := k.exportTo(ctx, conn, dir, name); err != nil {
		return fmt.Errorf("%w to %s: %w", errExport, dir, err)
	}
	return nil
}

func (k *keeper) exportTo(ctx context.Context, conn *pgx.Conn, dir, name string) error {
	var e exported
	var path string
	err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var rows int64
		var said string
		err := tx.QueryRow(ctx, fmt.Sprintf(`SELECT count(*), COALESCE(obj_description('patchbay.%[1]s'::regclass, 'pg_class'), '') FROM patchbay.%[1]s`, name)).Scan(&rows, &said)
		if err != nil {
			return err
		}
		if json.Unmarshal([]byte(said), &e) == nil && e.File != "" && e.Rows == rows && there(filepath.Join(dir, e.File)) || rows == 0 {
			return nil
		}
		limited, cancel := context.WithTimeout(ctx, careTimeout+time.Duration(rows)*exportPerRow)
		defer cancel()
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if e.File == "" || !there(filepath.Join(dir, e.File)) {
			e.File = free(dir, name)
		}
		e.Rows, e.At, path = rows, time.Now().UTC().Truncate(time.Second), filepath.Join(dir, e.File)
		return k.writeRows(limited, tx, name, path, rows)
	})
	if err != nil || path == "" {
		return err
	}
	said, err := json.Marshal(e)
	if err != nil {
		return err
	}
	k.log.Info("records that are too old are exported", "file", path, "rows", e.Rows)
	_, err = conn.Exec(ctx, fmt.Sprintf("COMMENT ON TABLE patchbay.%s IS '%s'", name, strings.ReplaceAll(string(said), "'", "''")))
	return err
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// free is a file's name that nothing has yet.
func free(dir, name string) string {
	file := name + exportSuffix
	for n := 2; there(filepath.Join(dir, file)); n++ {
		file = fmt.Sprintf("%s_%d%s", name, n, exportSuffix)
	}
	return file
}

// writeRows writes the rows to a file, reads that again, and gives it its name if it has them all.
func (k *keeper) writeRows(ctx context.Context, tx pgx.Tx, name, path string, rows int64) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = k.copyRows(ctx, tx, name, f)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = hasLines(f, rows)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return syncDir(filepath.Dir(path))
}

// selectRows makes objects of a table's rows. Decimals are strings, as money is everywhere.
func selectRows(ctx context.Context, tx pgx.Tx, name string) (string, error) {
	rows, err := tx.Query(ctx, `SELECT quote_ident(attname) || CASE WHEN atttypid = 'numeric'::regtype THEN '::text AS ' || quote_ident(attname) ELSE '' END
FROM pg_attribute WHERE attrelid = ('patchbay.' || $1)::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, name)
	if err != nil {
		return "", err
	}
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("SELECT row_to_json(x)::text FROM (SELECT %s FROM patchbay.%s) x", strings.Join(columns, ", "), name), nil
}

func (k *keeper) copyRows(ctx context.Context, tx pgx.Tx, name string, f *os.File) error {
	sql, err := selectRows(ctx, tx, name)
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(&roomy{f: f, least: k.cfg.MinFree}, gzip.BestSpeed)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(z, 64<<10)
	rows, err := tx.Query(ctx, sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		_, _ = w.Write(rows.RawValues()[0]) // errors stay with the writer
		if err := w.WriteByte('\n'); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return errors.Join(w.Flush(), z.Close())
}

// hasLines reads a file from its beginning: it has so many lines.
func hasLines(f *os.File, want int64) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	z, err := gzip.NewReader(bufio.NewReaderSize(f, 256<<10))
	if err != nil {
		return err
	}
	var got int64
	buffer := make([]byte, 256<<10)
	for {
		n, err := z.Read(buffer)
		for _, c := range buffer[:n] {
			if c == '\n' {
				got++
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if got != want {
		return fmt.Errorf("%w: the file has %d rows, expected %d", ErrDiffers, got, want)
	}
	return nil
}

// roomy is a file that leaves room on its disk: the journal may need it.
type roomy struct {
	f     *os.File
	least int64 // bytes that stay free
	since int   // that were written since it was looked at
	began bool
}

func (r *roomy) Write(b []byte) (int, error) {
	if r.since += len(b); !r.began || r.since >= exportCheck {
		r.began, r.since = true, 0
		var st unix.Statfs_t
		if err := unix.Fstatfs(int(r.f.Fd()), &st); err != nil {
			return 0, err
		}
		if free := int64(st.Bavail) * int64(st.Bsize); free < r.least {
			return 0, fmt.Errorf("little room is left on the disk: %d bytes, expected %d", free, r.least)
		}
	}
	return r.f.Write(b)
}
