package peers

import (
	"cmp"
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

// Folder is the test's own folder for logs, recordings and captures: under
// PATCHBAY_E2E_OUT, where it stays, or else a temporary one.
func Folder(t testing.TB) string {
	t.Helper()
	root := os.Getenv("PATCHBAY_E2E_OUT")
	if root == "" {
		return t.TempDir()
	}
	dir := filepath.Join(root, strings.ReplaceAll(t.Name(), "/", "_"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatalf("peers: folder: %v", err)
	}
	return dir
}

func subfolder(t testing.TB, dir, name string) string {
	t.Helper()
	d := filepath.Join(dir, name)
	if err := os.MkdirAll(d, 0o755); err != nil {
		t.Fatalf("peers: folder: %v", err)
	}
	return d
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatalf("peers: write: %v", err)
	}
}

// Process is a program that a test started, leader of its own process group.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // valid once done is closed
}

type command struct {
	name   string // in messages, and of the log file
	dir    string // where the log is
	work   string // working directory; empty: dir
	path   string
	args   []string
	cores  string   // that it may use, as taskset takes them; then it goes before what else runs, where that is allowed. Empty: all
	env    []string // added to ours
	uid    *syscall.Credential
	stdin  *os.File
	stdout string // file that takes standard output instead of the log
}

// start runs the command; it is stopped when the test ends, and its log's end
// is printed if the test failed.
func start(t testing.TB, c command) *Process {
	t.Helper()
	p := &Process{name: c.name, log: filepath.Join(c.dir, c.name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatalf("peers: %s: %v", c.name, err)
	}
	defer out.Close() // the program has its own copy
	if c.cores != "" {
		c.args = append([]string{"-c", c.cores, "nice", "-n", "-20", c.path}, c.args...)
		c.path = "taskset"
	}
	p.cmd = exec.Command(c.path, c.args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = cmp.Or(c.work, c.dir), out, out
	if c.stdin != nil {
		p.cmd.Stdin = c.stdin
	}
	p.cmd.Env = append(append(os.Environ(), "TZ=UTC", "LC_ALL=C.UTF-8", "TERM=dumb"), c.env...)
	if c.stdout != "" {
		f, err := os.Create(c.stdout)
		if err != nil {
			t.Fatalf("peers: %s: %v", c.name, err)
		}
		defer f.Close()
		p.cmd.Stdout = f
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: c.uid}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("peers: start %s: %v", c.name, err)
	}
	if c.cores != "" { // where the kernel groups processes by session (sched(7), autogroup), it is the session's priority that counts
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", p.PID()), []byte("-20"), 0)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Stop(syscall.SIGTERM, 3*time.Second)
		if t.Failed() {
			t.Logf("--- end of %s\n%s", p.log, p.Tail(60))
		}
	})
	return p
}

// PID is the program's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Running tells whether the program has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends s to the program alone.
func (p *Process) Signal(s syscall.Signal) {
	if p.Running() {
		_ = p.cmd.Process.Signal(s)
	}
}

// Wait waits until the program ended by itself and returns its exit code,
// -1 if a signal ended it. ok is false when it still runs after timeout.
func (p *Process) Wait(timeout time.Duration) (code int, ok bool) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), true
	case <-time.After(timeout):
		return 0, false
	}
}

// Stop sends s to the program, and after grace kills its whole group.
func (p *Process) Stop(s syscall.Signal, grace time.Duration) {
	p.Signal(s)
	select {
	case <-p.done:
	case <-time.After(grace):
	}
	if err := syscall.Kill(-p.PID(), syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		fmt.Fprintf(os.Stderr, "peers: kill group of %s: %v\n", p.name, err)
	}
	<-p.done
}

// Tail is the last lines of the program's log.
func (p *Process) Tail(lines int) string {
	b, _ := os.ReadFile(p.log)
	const most = 64 << 10
	if len(b) > most {
		b = b[len(b)-most:]
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Logged are the lines of the program's log that hold a text.
func (p *Process) Logged(text string) []string {
	b, _ := os.ReadFile(p.log)
	var out []string
	for line := range strings.SplitSeq(string(b), "\n") {
		if strings.Contains(line, text) {
			out = append(out, line)
		}
	}
	return out
}

// ready waits until done says yes; the program's death ends the wait.
func (p *Process) ready(t testing.TB, timeout time.Duration, done func() bool) {
	t.Helper()
	ok := poll(timeout, func() bool { return !p.Running() || done() })
	if !p.Running() {
		t.Fatalf("peers: %s ended while starting: %v\n%s", p.name, p.err, p.Tail(40))
	}
	if !ok {
		t.Fatalf("peers: %s isn't ready after %v\n%s", p.name, timeout, p.Tail(40))
	}
}
