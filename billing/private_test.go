package billing

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childPostgres runs a private cluster until it's killed.
func childPostgres() {
	s, err := Open(context.Background(), config(os.Getenv("DIR"), Auto))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for !s.Stats().Connected {
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Println("up")
	select {}
}

func pid(t testing.TB, dir string) int {
	t.Helper()
	m, err := readPostmaster(filepath.Join(dir, "postgres", "data"))
	if err != nil {
		t.Fatal(err)
	}
	return m.pid
}

func kill(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }

func up(t testing.TB, s *Store) {
	t.Helper()
	eventually(t, "the database is connected", func() bool { return s.Stats().Connected })
}

func TestPrivatePostgres(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := open(t, config(dir, Auto))
	up(t, s)
	e := story(time.Now(), 1)
	commit(t, s, e[:8]...)
	eventually(t, "the call is in the database", func() bool { return s.Stats().Projected == 8 })

	st, err := os.Stat(s.private.sock)
	if err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the socket's folder: %v %v, expected mode 0700", st, err)
	}
	cfg, err := s.private.config(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := connect(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"listen_addresses": "", "data_checksums": "on", "server_encoding": "UTF8", "TimeZone": "UTC", "fsync": "on", "lc_collate": "C.UTF-8"} {
		var got string
		if name == "lc_collate" {
			err = conn.QueryRow(context.Background(), "SELECT datcollate FROM pg_database WHERE datname = current_database()").Scan(&got)
		} else {
			err = conn.QueryRow(context.Background(), "SELECT current_setting($1)", name).Scan(&got)
		}
		if err != nil || got != want {
			t.Errorf("%s is %q (%v), expected %q", name, got, err, want)
		}
	}
	if err := conn.Close(context.Background()); err != nil {
		t.Error(err)
	}

	// Killed, it's started again and nothing is lost.
	old := pid(t, dir)
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	commit(t, s, e[8:]...)
	eventually(t, "postgres is back and has the rest", func() bool { return s.Stats().Projected == 12 })
	now := pid(t, dir)
	if now == old {
		t.Error("the postmaster is the one that was killed")
	}
	shut(t, s)
	if processState(now, s.private.data) == processAlive {
		t.Error("postgres runs on after Close")
	}
}

func TestPostgresOfKilledGateway(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), child+"=postgres", "DIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	old := pid(t, dir)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	s := open(t, config(dir, Auto))
	up(t, s)
	if processState(old, s.private.data) == processAlive {
		t.Error("the old postmaster outlived its gateway")
	}
}

func TestPostgresIsAdopted(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	ctx := context.Background()
	p, err := newPrivate(dir, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.prepare(ctx); err != nil {
		t.Fatal(err)
	}
	first, err := p.start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	second, err := p.start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if second.pid != first.pid {
		t.Errorf("a second postmaster %d was started beside %d", second.pid, first.pid)
	}
	second.stop(stopTime)
	<-first.exited

	// A lock file whose number belongs to another program now.
	lock := filepath.Join(p.data, "postmaster.pid")
	if err := os.WriteFile(lock, fmt.Appendf(nil, "%d\n%s\n0\n5432\n%s\n\n\nready\n", os.Getpid(), p.data, p.sock), 0o600); err != nil {
		t.Fatal(err)
	}
	third, err := p.start(ctx)
	if err != nil {
		t.Fatal("behind a stale lock file: ", err)
	}
	third.stop(stopTime)

	// Data of another version are not touched.
	if err := os.WriteFile(filepath.Join(p.data, "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, config(dir, Auto))
	commit(t, s, story(time.Now(), 1)...)
	if s.private != nil {
		t.Error("a cluster runs on data of another version")
	}
	shut(t, s)
	if _, err := newPrivate(dir, quiet()); err == nil || !strings.Contains(err.Error(), "postgresql-9") || !strings.Contains(err.Error(), "patchbay db upgrade") {
		t.Errorf("%v, expected how to upgrade", err)
	}
}

func TestFindBinaries(t *testing.T) {
	if _, err := findBinaries(nil, 0, "d"); err == nil || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("no binaries: %v, expected what to install", err)
	}
	found := map[int]string{13: "/13", 15: "/15"}
	for data, want := range map[int]string{0: "/15", 13: "/13", 15: "/15"} {
		if bin, err := findBinaries(found, data, "d"); err != nil || bin != want {
			t.Errorf("for data of %d: %q %v, expected %q", data, bin, err, want)
		}
	}
}

func TestSocketPathFits(t *testing.T) {
	long := "/" + strings.Repeat("long/", 30)
	if dir := socketDir(long); len(dir) > 80 || dir == socketDir(long+"x") {
		t.Errorf("socket folder %q", dir)
	}
	if dir := socketDir("/var/lib/patchbay/postgres"); dir != "/var/lib/patchbay/postgres/run" {
		t.Errorf("socket folder %q, expected below the data", dir)
	}
}

func TestOwnRefusesTraps(t *testing.T) {
	dir := folder(t)
	a, err := runAs(dir + "/none")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(dir, "run")); err != nil {
		t.Fatal(err)
	}
	if err := a.own(filepath.Join(dir, "run"), 0o700); err == nil {
		t.Error("a link to elsewhere was taken for our folder")
	}
	if err := a.own(filepath.Join(dir, "ours"), 0o700); err != nil {
		t.Error(err)
	}
	var pathErr *os.PathError
	if err := a.own("/proc/nothing/here", 0o700); !errors.As(err, &pathErr) {
		t.Errorf("%v, expected a path's error", err)
	}
}
