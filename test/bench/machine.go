//go:build linux

package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

//go:embed c/*.c
var sources embed.FS

// Where the two sides of a measurement run.
const (
	serverCore    = 0
	generatorCore = 1
)

// needs says what the machine lacks.
func needs() error {
	if _, err := exec.LookPath("gcc"); err != nil {
		return fmt.Errorf("gcc is needed to build the floor and the load generator: %w", err)
	}
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return fmt.Errorf("read the allowed cores: %w", err)
	}
	if !set.IsSet(serverCore) || !set.IsSet(generatorCore) {
		return fmt.Errorf("cores %d and %d are needed, one for each side; %d cores may be used", serverCore, generatorCore, set.Count())
	}
	return nil
}

// build compiles the C programs into dir.
func build(ctx context.Context, dir string) error {
	for _, name := range []string{"relay", "rtpgen"} {
		src, err := sources.ReadFile("c/" + name + ".c")
		if err != nil {
			return err
		}
		file := filepath.Join(dir, name+".c")
		if err := os.WriteFile(file, src, 0o600); err != nil {
			return err
		}
		out, err := exec.CommandContext(ctx, "gcc", "-O2", "-w", "-o", filepath.Join(dir, name), file).CombinedOutput()
		if err != nil {
			return fmt.Errorf("compile %s.c: %w\n%s", name, err, out)
		}
	}
	return nil
}

// inside tells the process in the namespace that it is there.
const inside = "PATCHBAY_BENCH_NAMESPACE"

// isolate runs the benchmark again in a network namespace of its own, whose
// loopback nobody else uses, and reports that it did. Without the right to
// make one it does nothing.
func isolate(ctx context.Context, args []string) (moved bool, err error) {
	if os.Getenv(inside) != "" {
		return false, loopbackUp()
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "bench: not root, so other programs' traffic on the loopback counts in")
		return false, nil
	}
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	if errors.Is(err, syscall.EPERM) {
		fmt.Fprintln(os.Stderr, "bench: no network namespace allowed, so other programs' traffic on the loopback counts in")
		return false, nil
	}
	return true, err
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("set the namespace's loopback up: %w", err)
	}
	return nil
}

// raiseLimits allows the C programs as many sockets as the hard limit does;
// Go raises its own limit, but hands the old one to its children.
func raiseLimits() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("raise the limit of open files to %d: %w", l.Max, err)
	}
	return nil
}

// urgent is the nice value of both sides of a measurement, where it is allowed: what else runs on the machine takes little from
// them. A side that starves works off its backlog in batches, which is cheaper per packet and so flatters it.
const urgent = -20

// startOn starts cmd on one core, in a session of its own: a new process inherits the cores and the priority of the thread that
// starts it, but where the kernel groups processes by session (sched(7), autogroup) it is the session's priority that counts.
func startOn(core int, cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("read the thread's cores: %w", err)
	}
	one.Set(core)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("move to core %d: %w", core, err)
	}
	if unix.Setpriority(unix.PRIO_PROCESS, 0, urgent) == nil { // for this thread alone
		defer func() { _ = unix.Setpriority(unix.PRIO_PROCESS, 0, 0) }()
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	err := cmd.Start()
	if err == nil {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", cmd.Process.Pid), fmt.Append(nil, urgent), 0) // where there is one, and it is allowed
	}
	return errors.Join(err, unix.SchedSetaffinity(0, &before))
}
