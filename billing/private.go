package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// private is a Postgres of our own: the distribution's binaries, data below the store's folder, reachable over a Unix
// socket in a folder that only its user may enter, no TCP port and no password.
type private struct {
	log  *slog.Logger
	root string // folder of all that follows
	data string
	sock string // folder of the socket
	user *account

	fresh  bool        // there were no data of it
	failed atomic.Bool // it didn't come up when it was asked to, at least once

	mu    sync.Mutex
	bin   string        // folder of the binaries
	ready chan struct{} // closed while Postgres takes connections
	up    bool
	fatal chan struct{} // closed when it never will
	err   error         // why
}

const (
	privateUser     = "patchbay"
	privateDatabase = "patchbay"
	stopTime        = 30 * time.Second
)

// newPrivate finds out how Postgres can be run, without running anything. The error is for people: it says what to do.
func newPrivate(dir string, log *slog.Logger) (*private, error) {
	p := &private{log: log, root: filepath.Join(dir, "postgres"), ready: make(chan struct{}), fatal: make(chan struct{})}
	p.data, p.sock = filepath.Join(p.root, "data"), socketDir(p.root)
	major, err := dataMajor(p.data)
	if err != nil {
		return nil, err
	}
	p.fresh = major == 0
	if p.bin, err = findBinaries(binaryFolders(), major, p.data); err != nil {
		return nil, err
	}
	p.user, err = runAs(p.data)
	return p, err
}

// config returns how to connect, as soon as Postgres is up.
func (p *private) config(ctx context.Context) (*pgx.ConnConfig, error) {
	p.mu.Lock()
	ready := p.ready
	p.mu.Unlock()
	select {
	case <-ready:
		return p.address(privateDatabase)
	case <-p.fatal:
		return nil, fmt.Errorf("%w: %w", errNoDatabase, p.err)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *private) address(database string) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(fmt.Sprintf("host='%s' port=5432 user=%s dbname=%s sslmode=disable", p.sock, privateUser, database))
	if err != nil {
		return nil, err
	}
	return tune(c), nil
}

// run keeps Postgres running until ctx ends, and then stops it.
func (p *private) run(ctx context.Context) {
	if err := p.prepare(ctx); err != nil {
		if ctx.Err() == nil {
			p.err = err
			p.failed.Store(true)
			close(p.fatal)
		}
		return
	}
	for wait := 100 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, 10*time.Second) {
		began := time.Now()
		err := p.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		p.failed.Store(true)
		if time.Since(began) > time.Minute {
			wait = 100 * time.Millisecond
		}
		p.log.Error("the private Postgres is down; it's started again", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(wait + rand.N(wait)):
		}
	}
}

// serve runs Postgres once, until it dies or ctx ends.
func (p *private) serve(ctx context.Context) error {
	s, err := p.start(ctx)
	if err != nil {
		return err
	}
	p.setUp(true)
	defer p.setUp(false)
	select {
	case <-s.exited:
		return s.err
	case <-ctx.Done():
		s.stop(stopTime)
		return nil
	}
}

func (p *private) setUp(up bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case up && !p.up:
		close(p.ready)
	case !up && p.up:
		p.ready = make(chan struct{})
	}
	p.up = up
}

// start starts Postgres, or takes over one that runs on our data already, and returns when it takes connections.
func (p *private) start(ctx context.Context, settings ...string) (*server, error) {
	s, err := p.adopt(ctx)
	if err != nil {
		return nil, err
	}
	if s == nil {
		if s, err = p.spawn(settings); err != nil {
			return nil, err
		}
	}
	if err := p.await(ctx, s); err != nil {
		s.stop(stopTime)
		return nil, err
	}
	return s, nil
}

// await returns when the server takes connections and our database is there.
func (p *private) await(ctx context.Context, s *server) error {
	for {
		err := p.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("postgres ended while it started: %w", s.err)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (p *private) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cfg, err := p.address("postgres")
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	var there, readOnly bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1), current_setting('default_transaction_read_only')::bool`,
		privateDatabase).Scan(&there, &readOnly)
	if err == nil && !there && !readOnly {
		_, err = conn.Exec(ctx, `CREATE DATABASE `+privateDatabase)
	}
	return errors.Join(err, conn.Close(ctx))
}

// prepare makes the folders and, the first time, the data.
func (p *private) prepare(ctx context.Context) error {
	if err := p.user.own(p.root, 0o700); err != nil {
		return err
	}
	if err := p.user.own(p.sock, 0o700); err != nil {
		return err
	}
	if err := p.user.mayReach(p.root); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(p.data, "PG_VERSION")); err == nil {
		return nil
	}
	if _, err := os.Stat(p.data); err == nil {
		return fmt.Errorf("%s is there but holds no Postgres data: move it away", p.data)
	}
	// Made under another name, so that an interrupted initdb is never taken for data.
	fresh := p.data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	cmd := p.user.command(ctx, p.program("initdb"), "-D", fresh, "-U", privateUser, "--auth-local=trust", "--auth-host=reject",
		"--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLine(out))
	}
	if err := os.Rename(fresh, p.data); err != nil {
		return err
	}
	return syncDir(p.root)
}

// program is the path of one of Postgres' binaries.
func (p *private) program(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return filepath.Join(p.bin, name)
}
