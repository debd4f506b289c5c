package billing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a running postmaster, our child or not.
type server struct {
	pid    int
	exited chan struct{}
	err    error // valid when exited is closed
	log    *slog.Logger
}

// spawn starts a postmaster that ends when this process does, however it ends.
func (p *private) spawn(settings []string) (*server, error) {
	args := []string{"-D", p.data, "-k", p.sock}
	for _, s := range append([]string{"listen_addresses=", "port=5432", "unix_socket_permissions=0700", "timezone=UTC", "log_timezone=UTC",
		"logging_collector=off", "log_destination=stderr", "log_line_prefix=", "max_connections=20", "shared_buffers=64MB",
		"fsync=on", "full_page_writes=on", "synchronous_commit=on", "max_wal_size=512MB", "log_checkpoints=off", "jit=off"}, settings...) {
		args = append(args, "-c", s)
	}
	cmd := p.user.command(context.Background(), p.program("postgres"), args...)
	cmd.Stderr = &lineLog{log: p.log}
	cmd.WaitDelay = 5 * time.Second // backends keep the pipe open a little longer than a postmaster that was killed
	cmd.SysProcAttr.Setpgid = true  // a Ctrl-C in our terminal is ours to handle
	dieWithParent(cmd.SysProcAttr)  // SIGINT: fast shutdown
	s := &server{exited: make(chan struct{}), log: p.log}
	started := make(chan error, 1)
	go func() {
		// The parent that the kernel watches is the thread that started the process: it must live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(s.exited)
		err := cmd.Start()
		if err == nil {
			s.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			s.err = cmd.Wait()
		}
		if s.err == nil {
			s.err = errors.New("postgres has ended")
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	return s, nil
}

// stop asks for a fast shutdown and, if that doesn't help, for an immediate one; it returns when the server is gone.
func (s *server) stop(patience time.Duration) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		if err := syscall.Kill(s.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			s.log.Warn("signal postgres", "pid", s.pid, "signal", sig, "err", err)
		}
		select {
		case <-s.exited:
			return
		case <-time.After(patience):
			s.log.Warn("postgres doesn't stop", "pid", s.pid, "signal", sig)
		}
	}
	<-s.exited
}

// postmaster is what the file postmaster.pid says.
type postmaster struct {
	pid    int
	sock   string
	status string // starting, stopping, ready, standby
}

func readPostmaster(data string) (postmaster, error) {
	b, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return postmaster{}, err
	}
	lines := strings.Split(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 0 {
		return postmaster{}, fmt.Errorf("%s: %q, expected a process id", filepath.Join(data, "postmaster.pid"), lines[0])
	}
	p := postmaster{pid: pid}
	if len(lines) > 4 {
		p.sock = lines[4]
	}
	if len(lines) > 7 {
		p.status = strings.TrimSpace(lines[7])
	}
	return p, nil
}

const (
	adoptGrace  = 500 * time.Millisecond // a server whose parent has just died needs less to take notice
	zombiePause = 30 * time.Second
)

// adopt looks for a postmaster that an earlier process has left on our data. It waits for one that's going down,
// clears a lock file without one, and returns one that stays.
func (p *private) adopt(ctx context.Context) (*server, error) {
	began := time.Now()
	for {
		m, err := readPostmaster(p.data)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		switch state := processState(m.pid, p.data); {
		case state == processOther:
			// The number belongs to another program by now; Postgres itself would refuse to start.
			p.log.Info("a lock file of a dead Postgres is removed", "pid", m.pid)
			if err := os.Remove(filepath.Join(p.data, "postmaster.pid")); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			return nil, nil
		case state == processGone:
			return nil, nil // Postgres clears its lock file by itself
		case state == processZombie && time.Since(began) > zombiePause:
			return nil, fmt.Errorf("postgres process %d is dead but nobody has reaped it: run patchbay under an init (in a container: --init)", m.pid)
		case state == processAlive && (m.status == "ready" || m.status == "starting") && time.Since(began) > adoptGrace:
			if m.sock != p.sock {
				return nil, fmt.Errorf("postgres process %d runs on %s with its socket in %s, expected %s: stop it", m.pid, p.data, m.sock, p.sock)
			}
			p.log.Info("a Postgres that runs on our data is taken over", "pid", m.pid)
			return watch(m.pid, p.data, p.log), nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// watch makes a server of a process that isn't our child.
func watch(pid int, data string, log *slog.Logger) *server {
	s := &server{pid: pid, exited: make(chan struct{}), log: log}
	go func() {
		for processState(pid, data) == processAlive {
			time.Sleep(100 * time.Millisecond)
		}
		s.err = fmt.Errorf("postgres process %d has ended", pid)
		close(s.exited)
	}()
	return s
}

type process int

const (
	processGone process = iota
	processAlive
	processZombie
	processOther // somebody else's
)

// processState says what the process with that number is, seen from the data folder whose lock file names it.
func processState(pid int, data string) process {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return processGone
	}
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		if _, self := os.Stat("/proc/self"); self == nil {
			return processGone // it went in between
		}
		return processAlive // no /proc here: believe the lock file
	}
	if i := bytes.LastIndexByte(stat, ')'); i >= 0 && len(stat) > i+2 && (stat[i+2] == 'Z' || stat[i+2] == 'X') {
		return processZombie
	}
	line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err == nil && len(line) > 0 {
		words := strings.FieldsFunc(string(line), func(r rune) bool { return r == 0 || r == ' ' })
		for i, w := range words {
			if w == "-D" && i+1 < len(words) && filepath.Clean(words[i+1]) == data {
				return processAlive
			}
		}
		return processOther
	}
	return processAlive
}

// lineLog writes a server's output to our log, line by line.
type lineLog struct {
	log  *slog.Logger
	line []byte
}

const maxLine = 4 << 10

func (l *lineLog) Write(b []byte) (int, error) {
	n := len(b)
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			if len(l.line) < maxLine {
				l.line = append(l.line, b...)
			}
			return n, nil
		}
		l.print(append(l.line, b[:i]...))
		l.line, b = l.line[:0], b[i+1:]
	}
}

func (l *lineLog) print(line []byte) {
	if len(line) > maxLine {
		line = line[:maxLine]
	}
	level := slog.LevelDebug
	kind, text, _ := strings.Cut(string(line), ":")
	switch kind {
	case "WARNING", "ERROR":
		level = slog.LevelWarn
	case "FATAL":
		level = slog.LevelInfo // of a session: it was starting up or shutting down
	case "PANIC":
		level = slog.LevelError
	}
	l.log.Log(context.Background(), level, "postgres", "kind", kind, "text", strings.TrimSpace(text))
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if strings.Contains(lines[i], "error:") || strings.Contains(lines[i], "fatal") {
			return lines[i]
		}
	}
	return lines[len(lines)-1]
}
