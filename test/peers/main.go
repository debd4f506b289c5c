package peers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// MainConfig says what a test binary needs before its tests run.
type MainConfig struct {
	// Package is the Go package of Patchbay's binary (such as ../../cmd/patchbay);
	// it is built once, unless the environment's PATCHBAY_BIN names a binary. Empty:
	// no test starts Patchbay.
	Package string
}

const (
	insideKey = "PATCHBAY_TEST_NAMESPACE"
	binaryKey = "PATCHBAY_BIN"
)

// Main runs the tests of m in a network namespace of their own and exits. It
// fails the run if a goroutine is left, and kills whatever process the tests
// left behind. Without root it uses a user namespace.
func Main(m *testing.M, cfg MainConfig) {
	if os.Getenv(insideKey) != "" {
		os.Exit(inside(m))
	}
	code, err := outside(cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		code = 1
	}
	os.Exit(code)
}

func inside(m *testing.M) int {
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "peers: ip link set lo up: %v: %s\n", err, out)
		return 1
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "peers: goroutines left:", err)
			return 1
		}
	}
	return code
}

// outside runs this binary again in a namespace and adopts what that run leaves.
func outside(cfg MainConfig) (int, error) {
	// The kernel kills the child when the thread that started it dies.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("become subreaper: %w", err)
	}
	env := append(os.Environ(), insideKey+"=1")
	if cfg.Package != "" && os.Getenv(binaryKey) == "" {
		dir, err := os.MkdirTemp("", "patchbay-bin")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(dir)
		bin, err := build(cfg.Package, dir)
		if err != nil {
			return 0, err
		}
		env = append(env, binaryKey+"="+bin)
	}
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = os.Stdin, os.Stdout, os.Stderr, env
	cmd.SysProcAttr = namespace()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start in a network namespace: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s)
		case err := <-ended:
			sweep()
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				return max(exit.ExitCode(), 1), nil
			}
			return 0, err
		}
	}
}

func namespace() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		attr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}
	}
	return attr
}

func build(pkg, dir string) (string, error) {
	bin := filepath.Join(dir, "patchbay")
	cmd := exec.Command("go", "build", "-o", bin, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w: %s", pkg, err, out)
	}
	return bin, nil
}

// sweep kills and reaps the processes that became ours when their parent, the
// test run, ended. All of them descend from it.
func sweep() {
	for range 100 {
		left := children(os.Getpid())
		if len(left) == 0 {
			return
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			_, _ = syscall.Wait4(pid, nil, 0, nil)
		}
	}
}

func children(parent int) []int {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	var out []int
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		// pid (name) state ppid …: the name may hold anything, so look from its end.
		_, rest, _ := strings.Cut(string(b), ") ")
		if i := strings.LastIndex(string(b), ") "); i >= 0 {
			rest = string(b)[i+2:]
		}
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
			out = append(out, pid)
		}
	}
	return out
}
