package billing

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	versionTable  = "patchbay.schema_version"
	partitionLock = 0x7061746368626179 // "patchbay": an advisory lock of the database
)

// Names of connections, unless the database's URL has one.
const (
	readerName = "patchbay"
	writerName = "patchbay gateway"
)

// databaseSource tells where the database is. It may wait until that is known.
type databaseSource func(context.Context) (*pgx.ConnConfig, error)

// errNoDatabase ends the projection: there is no database and there will be none.
var errNoDatabase = errors.New("no database")

func urlSource(url string) databaseSource {
	return func(context.Context) (*pgx.ConnConfig, error) { return parseURL(url) }
}

// parseURL reads a database's URL; an error doesn't repeat it, since it may hold a password.
func parseURL(url string) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("billing: database: %w; expected auto, none or postgres://user@host/database", err)
	}
	return tune(c), nil
}

func tune(c *pgx.ConnConfig) *pgx.ConnConfig {
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = readerName
	}
	c.RuntimeParams["timezone"] = "UTC"
	return c
}

// connect opens a connection whose COMMIT is durable.
func connect(ctx context.Context, c *pgx.ConnConfig) (*pgx.Conn, error) {
	c = c.Copy()
	if c.RuntimeParams["application_name"] == readerName {
		c.RuntimeParams["application_name"] = writerName
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	takeArrays(conn.TypeMap())
	_, err = conn.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`)
	if err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return conn, nil
}

// migrate brings the schema to this program's version. Several nodes may do so at once.
func migrate(ctx context.Context, c *pgx.ConnConfig, conn *pgx.Conn) error {
	return migrateTo(ctx, c, conn, 0)
}

// migrateTo does it up to a version; 0 is the newest.
func migrateTo(ctx context.Context, c *pgx.ConnConfig, conn *pgx.Conn, version int64) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return migrateBy(ctx, c, conn, files, version)
}

// migrateBy runs those of the files that the database hasn't seen, by number. One that is less than others it has seen runs too: it came
// to the program later, from another branch.
func migrateBy(ctx context.Context, c *pgx.ConnConfig, conn *pgx.Conn, files fs.FS, version int64) error {
	var there bool
	if err := conn.QueryRow(ctx, `SELECT to_regnamespace('patchbay') IS NOT NULL`).Scan(&there); err != nil {
		return err
	}
	if !there {
		_, err := conn.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS patchbay`)
		if err != nil && sqlState(err) != "23505" { // another node was faster
			return fmt.Errorf("create schema patchbay: %w", err)
		}
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60)) // seconds, tries
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*c)
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithTableName(versionTable), goose.WithSessionLocker(locker),
		goose.WithDisableGlobalRegistry(true), goose.WithAllowOutofOrder(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return errors.Join(err, db.Close())
	}
	if version == 0 {
		_, err = p.Up(ctx)
	} else {
		_, err = p.UpTo(ctx, version)
	}
	if err == nil && version == 0 {
		var current, known int64
		if current, known, err = p.GetVersions(ctx); err == nil && current > known {
			err = fmt.Errorf("the database's schema has version %d, this program knows %d: run a newer patchbay", current, known)
		}
	}
	if err = errors.Join(err, p.Close()); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	return nil
}

func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// poisonous reports whether the error lies in the row, so that trying again would give it again.
func poisonous(conn *pgx.Conn, err error) bool {
	if conn.IsClosed() || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	switch code := sqlState(err); {
	case code == "": // the client could not encode the row
		return true
	default:
		switch code[:2] {
		case "21", "22", "23", "54":
			return true
		}
	}
	return false
}
