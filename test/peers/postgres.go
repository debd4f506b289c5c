package peers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgresConfig is one private cluster.
type PostgresConfig struct {
	Database string // created in it; empty: patchbay
	Cores    string // that it may use, as taskset takes them; empty: all
}

// Postgres is a private cluster on a unix socket.
type Postgres struct {
	*Process
	cfg    PostgresConfig
	logs   string // folder of the log
	dir    string // holds data and socket; short, for the socket's path
	bin    string
	uid    *syscall.Credential
	starts int
	slow   string // library that makes its disk slow; empty: it is as it is
}

// StartPostgres makes a cluster and starts it; as root it runs as the user
// postgres or nobody, since Postgres refuses root. Its files go with the test.
func StartPostgres(t testing.TB, cfg PostgresConfig) *Postgres {
	t.Helper()
	if cfg.Database == "" {
		cfg.Database = "patchbay"
	}
	p := &Postgres{cfg: cfg, logs: subfolder(t, Folder(t), "postgres")}
	// Debian keeps each major version in its own folder; numeric order, newest last.
	versions, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	slices.SortFunc(versions, func(a, b string) int { return len(a) - len(b) })
	if len(versions) == 0 {
		t.Fatal("peers: postgres: no /usr/lib/postgresql/*/bin/postgres: install postgresql")
	}
	p.bin = filepath.Dir(versions[len(versions)-1])
	dir, err := os.MkdirTemp("/tmp", "pbpg")
	if err != nil {
		t.Fatalf("peers: postgres: %v", err)
	}
	p.dir = dir
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Getuid() == 0 {
		p.uid = unprivileged(t)
		if err := os.Chown(dir, int(p.uid.Uid), int(p.uid.Gid)); err != nil {
			t.Fatalf("peers: postgres: %v", err)
		}
	}
	initdb := exec.Command(filepath.Join(p.bin, "initdb"), "-D", p.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.Dir = dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: p.uid, Pdeathsig: syscall.SIGKILL}
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("peers: postgres: initdb: %v: %s", err, out)
	}
	p.Start(t)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.dsn("postgres"))
	if err != nil {
		t.Fatalf("peers: postgres: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "create database "+pgx.Identifier{cfg.Database}.Sanitize()); err != nil {
		t.Fatalf("peers: postgres: %v", err)
	}
	return p
}

func unprivileged(t testing.TB) *syscall.Credential {
	t.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	t.Fatal("peers: postgres: neither a user postgres nor nobody, and it refuses root")
	return nil
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

func (p *Postgres) dsn(database string) string {
	return fmt.Sprintf("postgres://postgres@/%s?host=%s", database, p.dir)
}

// DSN is the URL of the test's database.
func (p *Postgres) DSN() string { return p.dsn(p.cfg.Database) }

// Start starts the cluster (again); it takes connections when Start returns.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	p.starts++
	c := command{
		name: fmt.Sprintf("postgres-%d", p.starts), dir: p.logs, work: p.dir, path: filepath.Join(p.bin, "postgres"), uid: p.uid, cores: p.cfg.Cores,
		args: []string{"-D", p.data(), "-c", "listen_addresses=", "-c", "unix_socket_directories=" + p.dir,
			"-c", "fsync=off", "-c", "timezone=UTC", "-c", "max_connections=50", "-c", "shared_buffers=32MB"},
	}
	if p.slow != "" {
		c.env, c.args = []string{"LD_PRELOAD=" + p.slow}, append(c.args, "-c", "fsync=on", "-c", "wal_sync_method=fdatasync")
	}
	p.Process = start(t, c)
	p.ready(t, 15*time.Second, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, p.dsn("postgres"))
		if err != nil {
			return false
		}
		_ = conn.Close(ctx)
		return true
	})
}

// slowSync makes each fdatasync, and so each commit, take longer.
const slowSync = `#include <unistd.h>
#include <sys/syscall.h>
int fdatasync(int fd) { usleep(%d); return syscall(SYS_fdatasync, fd); }
`

// Slow makes each commit take at least so long, from the next Start on; 0 = no longer. It needs gcc.
func (p *Postgres) Slow(t testing.TB, commit time.Duration) {
	t.Helper()
	p.slow = ""
	if commit == 0 {
		return
	}
	file := filepath.Join(p.dir, "slow.c")
	write(t, file, fmt.Sprintf(slowSync, commit.Microseconds()))
	p.slow = filepath.Join(p.dir, "slow.so")
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-w", "-o", p.slow, file).CombinedOutput(); err != nil {
		t.Fatalf("peers: postgres: gcc: %v: %s", err, out)
	}
}

// StopFast ends the cluster in an orderly way, its clients' transactions rolled back.
func (p *Postgres) StopFast() { p.Process.Stop(syscall.SIGINT, 10*time.Second) }

// StopImmediate ends it as a crash would.
func (p *Postgres) StopImmediate() { p.Process.Stop(syscall.SIGQUIT, 5*time.Second) }

// Query runs a query in the test's database and returns the rows as maps by column.
func (p *Postgres) Query(t testing.TB, sql string, args ...any) []map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.DSN())
	if err != nil {
		t.Fatalf("peers: postgres: %v", err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		t.Fatalf("peers: postgres: %s: %v", sql, err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToMap)
	if err != nil {
		t.Fatalf("peers: postgres: %s: %v", sql, err)
	}
	return out
}
