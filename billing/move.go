package billing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"
)

// relay copies from one database to another that has been made ready, table by table.
func relay(ctx context.Context, from pgx.Tx, to *pgx.Conn, m *Manifest, force bool) error {
	return fillFrom(ctx, to, m, force, func(t CopiedTable) (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(send(ctx, from, t, w)) }()
		return r, nil
	})
}

// ErrMoved says that a database was closed for writing since its records are elsewhere.
var ErrMoved = errors.New("records have moved from here already; if they shall stay after all: DROP FUNCTION patchbay.moved CASCADE")

// MoveTo copies all records to the database of a URL, and closes this one for writing once what arrived there is what was sent. Gateways that
// run may go on: from the beginning on their events wait in their journals, and nothing is refused; once their settings name
// the new database and they are started again, they go on where the copy ends.
func (r *Reader) MoveTo(ctx context.Context, url string, force bool) (*Manifest, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.needs(); err != nil {
		return nil, err
	}
	cfg, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	to, err := connect(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("the new database: %w", err)
	}
	defer func() { _ = to.Close(context.WithoutCancel(ctx)) }()
	if err := distinct(ctx, r.conn, to); err != nil {
		return nil, err
	}
	var m *Manifest
	for try := 1; ; try++ {
		err := pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error {
			m, err = r.move(ctx, tx, to, fmt.Sprintf("%s/%s", cfg.Host, cfg.Database), force)
			return err
		})
		if sqlState(err) != "40P01" || try == 5 { // who writes now and we have waited for each other
			return m, err
		}
	}
}

// distinct refuses to copy a database to itself.
func distinct(ctx context.Context, a, b *pgx.Conn) error {
	var ids [2]string
	for i, c := range [...]*pgx.Conn{a, b} {
		err := c.QueryRow(ctx, `SELECT concat_ws(' ', pg_postmaster_start_time(), current_database(), inet_server_port(), current_setting('data_checksums'), (SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&ids[i])
		if err != nil {
			return err
		}
	}
	if ids[0] == ids[1] {
		return errors.New("the new database is the old one: expected another")
	}
	return nil
}

func (r *Reader) move(ctx context.Context, tx pgx.Tx, to *pgx.Conn, name string, force bool) (*Manifest, error) {
	var moved bool
	if err := tx.QueryRow(ctx, `SELECT to_regprocedure('patchbay.moved()') IS NOT NULL`).Scan(&moved); err != nil {
		return nil, err
	}
	if moved {
		return nil, ErrMoved
	}
	list, err := listTables(ctx, tx)
	if err != nil {
		return nil, err
	}
	// A batch begins with its events: who is kept from them holds nothing that we wait for.
	slices.SortStableFunc(list, func(a, b CopiedTable) int {
		switch {
		case a.Name == "call_event" && b.Name != "call_event":
			return -1
		case b.Name == "call_event" && a.Name != "call_event":
			return 1
		}
		return 0
	})
	for _, t := range list {
		if _, err := tx.Exec(ctx, fmt.Sprintf("LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE", pgx.Identifier{"patchbay", t.Name}.Sanitize())); err != nil {
			return nil, fmt.Errorf("hold table %s still: %w", t.Name, err)
		}
	}
	m, err := survey(ctx, tx)
	if err != nil {
		return nil, err
	}
	if err := relay(ctx, tx, to, m, force); err != nil {
		return nil, fmt.Errorf("the new database: %w", err)
	}
	_, err = tx.Exec(ctx, fmt.Sprintf(`CREATE OR REPLACE FUNCTION patchbay.moved() RETURNS trigger LANGUAGE plpgsql AS $moved$
BEGIN RAISE EXCEPTION USING MESSAGE = 'records have moved to ' || %s || ': set billing.database and start the gateway again'; END $moved$`, literal(name)))
	for _, t := range list {
		if err == nil {
			_, err = tx.Exec(ctx, fmt.Sprintf("CREATE TRIGGER moved BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH STATEMENT EXECUTE FUNCTION patchbay.moved()", pgx.Identifier{"patchbay", t.Name}.Sanitize()))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("close the old database: %w", err)
	}
	return m, nil
}

// literal quotes a text for SQL that takes no parameters.
func literal(s string) string {
	out := "'"
	for _, r := range clean(s) {
		if r == '\'' || r == '\\' || r < ' ' {
			r = '_'
		}
		out += string(r)
	}
	return out + "'"
}

// Upgrade copies a private cluster that an older Postgres wrote into one of the newest that is installed, and puts that in its place once what
// arrived is what was sent. The old one stays beside it, under the name that is returned. Both versions must be installed, and no
// gateway may run. to is the new version; it is 0 if there was nothing to do.
func Upgrade(ctx context.Context, cfg Config) (m *Manifest, kept string, to int, err error) {
	if cfg, err = cfg.defaults(); err != nil {
		return nil, "", 0, err
	}
	return upgrade(ctx, cfg, binaryFolders())
}

func upgrade(ctx context.Context, cfg Config, found map[int]string) (m *Manifest, kept string, to int, err error) {
	if cfg.Database != Auto {
		return nil, "", 0, errors.New("billing.database isn't auto: who runs that database upgrades it")
	}
	for n := range found {
		to = max(to, n)
	}
	data := filepath.Join(cfg.Dir, "postgres", "data")
	had, err := dataMajor(data)
	switch {
	case err != nil:
		return nil, "", 0, err
	case had == 0:
		return nil, "", 0, fmt.Errorf("%s: there is no private cluster yet", data)
	case to == 0:
		return nil, "", 0, errors.New("there is no Postgres on this machine: apt-get install postgresql")
	case had == to:
		return nil, "", 0, nil
	case had > to:
		return nil, "", 0, fmt.Errorf("%s was written by Postgres %d, and the newest installed is %d: apt-get install postgresql-%d", data, had, to, had)
	case found[had] == "":
		return nil, "", 0, fmt.Errorf("%s was written by Postgres %d, which must be installed to read it: apt-get install postgresql-%d", data, had, had)
	}
	lock, err := lockDir(ctx, cfg.Dir, roleServer, 0)
	if err != nil {
		return nil, "", 0, fmt.Errorf("stop the gateway first: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	fresh := data + ".upgrade"
	if err := os.RemoveAll(fresh); err != nil { // of an upgrade that was interrupted
		return nil, "", 0, err
	}
	if m, err = between(ctx, cfg, clusterAt(cfg, data, found[had]), clusterAt(cfg, fresh, found[to])); err != nil {
		return nil, "", 0, errors.Join(fmt.Errorf("upgrade; the data of Postgres %d are untouched: %w", had, err), os.RemoveAll(fresh))
	}
	// At every instant one of them is in its place, whole.
	if err := unix.Renameat2(unix.AT_FDCWD, fresh, unix.AT_FDCWD, data, unix.RENAME_EXCHANGE); err != nil {
		return nil, "", 0, fmt.Errorf("put %s in the place of %s: %w", fresh, data, err)
	}
	kept = fmt.Sprintf("%s.%d", data, had)
	if err := os.Rename(fresh, kept); err != nil {
		kept = fresh
	}
	return m, kept, to, syncDir(filepath.Dir(data))
}

// clusterAt is a private cluster with binaries that were chosen; its socket is in a folder of its own.
func clusterAt(cfg Config, data, bin string) *private {
	root := filepath.Join(cfg.Dir, "postgres")
	return &private{log: cfg.Log, root: root, data: data, bin: bin, sock: socketDir(root) + "-" + filepath.Base(data)}
}

// between starts two clusters, copies the first's records to the second, and stops both.
func between(ctx context.Context, cfg Config, from, to *private) (m *Manifest, err error) {
	var conns [2]*pgx.Conn
	for i, p := range [...]*private{from, to} {
		if p.user, err = runAs(from.data); err != nil {
			return nil, err
		}
		if err := p.prepare(ctx); err != nil {
			return nil, err
		}
		s, err := p.start(ctx)
		if err != nil {
			return nil, err
		}
		defer func() {
			s.stop(stopTime)
			_ = os.RemoveAll(p.sock)
		}()
		c, err := p.address(privateDatabase)
		if err != nil {
			return nil, err
		}
		if conns[i], err = connect(ctx, c); err != nil {
			return nil, err
		}
		defer func() { _ = conns[i].Close(context.WithoutCancel(ctx)) }()
	}
	err = pgx.BeginTxFunc(ctx, conns[0], pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if m, err = survey(ctx, tx); err != nil {
			return err
		}
		return relay(ctx, tx, conns[1], m, false)
	})
	return m, err
}
