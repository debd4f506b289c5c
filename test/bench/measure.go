//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// design is a program to measure.
type design struct {
	name string
	c    string // mode of c/relay.c
	// serve is the relay that this program runs itself; set if c isn't.
	serve string
	// program is another build of this program that runs it; "" is this one.
	program string
	// setups is how many calls a second are set up and torn down beside.
	setups int
}

// designs has the floor first.
func designs() []design {
	return []design{
		{name: "c-epoll", c: "epoll"},
		{name: "udp", serve: "udp"},
		{name: product, serve: "bridge"},
		{name: product + "+setups", serve: "bridge", setups: setUpsBeside},
	}
}

func designNames() []string {
	var names []string
	for _, d := range designs() {
		names = append(names, d.name)
	}
	return names
}

func designOf(name string) (design, bool) {
	for _, d := range designs() {
		if d.name == name {
			return d, true
		}
	}
	return design{}, false
}

// maxCalls is bounded by the generator's ports: two from 20000 up for each call.
const maxCalls = 2500

// measurement is one run's outcome.
type measurement struct {
	cpu      float64 // us of the relay's CPU time per packet
	p50, p99 float64 // us from the sender to the receiver's kernel
	loss     float64 // percent
	allocs   float64 // heap allocations per packet; -1 where there is no heap to count
	sent     float64 // packets
	busy     float64 // percent of the generator's core: near 100 it is the one measured
}

// measure runs one design once.
func measure(ctx context.Context, d design, dir string, calls, seconds int) (m measurement, err error) {
	var notes bytes.Buffer
	ports := filepath.Join(dir, "ports")
	server, err := d.start(ctx, dir, ports, calls, &notes)
	if err != nil {
		return m, err
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	stop := func() error {
		_ = server.Process.Signal(syscall.SIGTERM) // it may have ended, which Wait tells
		select {
		case err := <-ended:
			return err
		case <-time.After(10 * time.Second):
			return errors.Join(errors.New("the relay didn't stop within 10 s"), server.Process.Kill(), <-ended)
		}
	}
	out, err := d.load(ctx, server, dir, ports, calls, seconds)
	if err := errors.Join(err, stop()); err != nil {
		return m, fmt.Errorf("%w\n%s", err, notes.Bytes())
	}
	return parseRun(out, notes.String())
}

// start starts the relay and waits until it listens.
func (d design) start(ctx context.Context, dir, ports string, calls int, notes *bytes.Buffer) (*exec.Cmd, error) {
	if d.c != "" {
		cmd := exec.CommandContext(ctx, filepath.Join(dir, "relay"), d.c, strconv.Itoa(calls))
		cmd.Stderr = notes
		if err := startOn(serverCore, cmd); err != nil {
			return nil, err
		}
		return cmd, waitPort(ctx, cmd, 20000+2*calls-1)
	}
	self, err := d.program, error(nil)
	if self == "" {
		self, err = os.Executable()
	}
	if err != nil {
		return nil, err
	}
	if err := os.Remove(ports); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "serve", "-relay", d.serve, "-calls", strconv.Itoa(calls), "-setups", strconv.Itoa(d.setups), "-ports", ports)
	cmd.Stderr = notes
	if err := startOn(serverCore, cmd); err != nil {
		return nil, err
	}
	return cmd, waitFile(ctx, cmd, ports)
}

// load runs the generator and gives its line. One second of traffic goes by
// before it measures; there the relay is told to count its allocations from.
func (d design) load(ctx context.Context, server *exec.Cmd, dir, ports string, calls, seconds int) (string, error) {
	args := []string{"-n", strconv.Itoa(calls), "-t", strconv.Itoa(seconds), "-p", strconv.Itoa(server.Process.Pid)}
	if d.c == "" {
		args = append(args, "-f", ports)
	}
	gen := exec.CommandContext(ctx, filepath.Join(dir, "rtpgen"), args...)
	var out, problems bytes.Buffer
	gen.Stdout, gen.Stderr = &out, &problems
	if err := startOn(generatorCore, gen); err != nil {
		return "", err
	}
	if d.c == "" {
		_ = pause(ctx, time.Second)
		_ = server.Process.Signal(syscall.SIGUSR1) // if it has ended, its Wait tells
	}
	if err := gen.Wait(); err != nil {
		return "", fmt.Errorf("load generator: %w\n%s", err, problems.Bytes())
	}
	return out.String(), nil
}

const startTime = 20 * time.Second

// waitPort waits until the relay has a port of its address.
func waitPort(ctx context.Context, cmd *exec.Cmd, port int) error {
	return wait(ctx, cmd, func() bool {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 77, 0, 1), Port: port})
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.EADDRINUSE)
	})
}

func waitFile(ctx context.Context, cmd *exec.Cmd, name string) error {
	return wait(ctx, cmd, func() bool {
		_, err := os.Stat(name)
		return err == nil
	})
}

func wait(ctx context.Context, cmd *exec.Cmd, ready func() bool) error {
	for end := time.Now().Add(startTime); ; {
		if ready() {
			return nil
		}
		if time.Now().After(end) {
			return errors.Join(fmt.Errorf("%s isn't ready after %s", cmd.Path, startTime), cmd.Process.Kill(), cmd.Wait())
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return errors.Join(err, cmd.Process.Kill(), cmd.Wait())
		}
	}
}

// parseRun reads the generator's line and what the relay said at its end.
func parseRun(line, notes string) (m measurement, err error) {
	for _, f := range []struct {
		key  string
		into *float64
	}{{"cpu_us_per_pkt", &m.cpu}, {"p50", &m.p50}, {"p99", &m.p99}, {"loss", &m.loss}, {"gen_core", &m.busy}, {"sent", &m.sent}} {
		v, ok := value(line, f.key)
		if !ok {
			return m, fmt.Errorf("the load generator gave no %s: %q", f.key, line)
		}
		*f.into = v
	}
	if got, ok := value(line, "rcvd"); !ok || got == 0 || m.cpu == 0 {
		return m, fmt.Errorf("nothing was relayed: %q %q", line, notes)
	}
	m.allocs = -1
	if v, ok := value(notes, "allocs/pkt"); ok {
		m.allocs = v
	}
	return m, nil
}

// value finds " key=1.5%" in a line.
func value(line, key string) (float64, bool) {
	for f := range strings.FieldsSeq(line) {
		if k, v, ok := strings.Cut(f, "="); ok && k == key {
			n, err := strconv.ParseFloat(strings.TrimSuffix(v, "%"), 64)
			return n, err == nil
		}
	}
	return 0, false
}
