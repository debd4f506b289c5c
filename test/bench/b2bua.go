//go:build linux

package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed kamailio/proxy.cfg
var kamailioProxy []byte

// The proxy that a call through us is compared with, and what of us takes part.
const (
	kamailio   = "kamailio"   // transaction-stateful, record-routing, one worker
	signalling = "signalling" // both dialogs of a call, by package sip alone
	ported     = "ports"      // the gateway: media ports, SDP and routes too, and a journal that keeps nothing
	journaled  = "journal"    // and a journal on disk
	recorded   = "records"    // and its projection into Postgres, whose own time isn't counted
)

// What a call may cost beside the proxy's.
const (
	mostSignalling = 0.7
	mostRecorded   = 2.0
)

// callers is where the calls come from.
var callers = netip.AddrFrom4([4]byte{127, 77, 0, 3})

// calls is a load of calls, the same for all.
type calls struct {
	rounds, seconds int
	rate, whole     int // calls per second: of signalling alone, and of whole calls
	goal            bool
	dir             string
}

// served is one run: CPU time per call, and where it went.
type served struct {
	us     float64
	shares map[string]float64 // us; only of a run with a profile
}

// b2bua compares the CPU time of a call through the gateway with that of a stateful proxy.
func b2bua(ctx context.Context, args []string) error {
	c := calls{}
	f := flag.NewFlagSet("bench b2bua", flag.ContinueOnError)
	f.IntVar(&c.rounds, "rounds", 5, "how often each is measured, 1 to 100")
	f.IntVar(&c.rate, "rate", 1000, "calls per second where only signalling is compared, 10 to 2000")
	f.IntVar(&c.whole, "whole", 400, "calls per second where whole calls are compared, 10 to 2000")
	f.IntVar(&c.seconds, "seconds", 4, "how long a run lasts, 1 to 60")
	goalFlag(f, &c.goal)
	if err := f.Parse(args); err != nil {
		return err
	}
	if c.rounds < 1 || c.rounds > 100 || c.rate < 10 || c.rate > 2000 || c.whole < 10 || c.whole > 2000 || c.seconds < 1 || c.seconds > 60 {
		return fmt.Errorf("-rounds %d, -rate %d, -whole %d, -seconds %d: expected 1 to 100, 10 to 2000, 10 to 2000, 1 to 60", c.rounds, c.rate, c.whole, c.seconds)
	}
	for _, name := range []string{"sipp", "kamailio"} {
		if _, err := exec.LookPath(name); err != nil {
			return err
		}
	}
	if moved, err := isolate(ctx, append([]string{"b2bua"}, args...)); moved || err != nil {
		return err
	}
	if err := raiseLimits(); err != nil {
		return err
	}
	var err error
	if c.dir, err = os.MkdirTemp("", "patchbay-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(c.dir)
	if err := os.Chmod(c.dir, 0o755); err != nil { // Postgres runs as another user
		return err
	}
	return c.compare(ctx)
}

// contestants are programs that are measured at the same pace: Kamailio first.
type contestants struct {
	rate int // calls per second
	who  []string
	runs map[string][]served
}

// compare measures signalling alone and whole calls, each beside Kamailio at a pace that leaves all of them time to spare.
func (c *calls) compare(ctx context.Context) error {
	groups := []contestants{{rate: c.rate, who: []string{kamailio, signalling}}, {rate: c.whole, who: []string{kamailio, ported, journaled, recorded}}}
	for i := range groups {
		groups[i].runs = map[string][]served{}
	}
	for round := range c.rounds {
		for _, g := range groups {
			for _, who := range g.who {
				r, err := c.once(ctx, who, "", g.rate)
				if err != nil {
					return fmt.Errorf("%s: %w", who, err)
				}
				g.runs[who] = append(g.runs[who], r)
				fmt.Fprintf(os.Stderr, "b2bua, round %d of %d, %4d calls/s: %-10s %6.0f us/call\n", round+1, c.rounds, g.rate, who, r.us)
			}
		}
	}
	fmt.Printf("\nb2bua: %d rounds of %d s\n", c.rounds, c.seconds)
	for _, g := range groups {
		g.print(os.Stdout)
	}
	for _, g := range groups {
		who := g.who[len(g.who)-1]
		r, err := c.once(ctx, who, filepath.Join(c.dir, "cpu.pprof"), g.rate)
		if err != nil {
			return err
		}
		printParts(os.Stdout, who, r)
	}
	fmt.Println()
	goals := []goal{
		{"CPU per call, signalling only", groups[0].ratio(signalling).median, mostSignalling, 2, "times " + kamailio},
		{"CPU per call, durable records too", groups[1].ratio(recorded).median, mostRecorded, 2, "times " + kamailio},
	}
	if missed := judge(os.Stdout, goals); missed > 0 && c.goal {
		return fmt.Errorf("%d of %d goals were missed", missed, len(goals))
	}
	return nil
}

// ratio is what a call cost beside Kamailio's of the same round.
func (g *contestants) ratio(who string) span {
	var v []float64
	for i, r := range g.runs[who] {
		v = append(v, r.us/g.runs[kamailio][i].us)
	}
	return spanOf(v)
}

func (g *contestants) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(tw, "%d calls/s\tCPU us/call [min..max]\tto %s [min..max]\n", g.rate, kamailio)
	for _, who := range g.who {
		var v []float64
		for _, r := range g.runs[who] {
			v = append(v, r.us)
		}
		us, to := spanOf(v), g.ratio(who)
		fmt.Fprintf(tw, "%s\t%.0f [%.0f..%.0f]\t%.2f [%.2f..%.2f]\n", who, us.median, us.min, us.max, to.median, to.min, to.max)
	}
	tw.Flush()
}

// command is the program that is measured.
func (c *calls) command(ctx context.Context, who, profile string) (*exec.Cmd, error) {
	if who == kamailio {
		file := filepath.Join(c.dir, "kamailio.cfg")
		if err := os.WriteFile(file, kamailioProxy, 0o600); err != nil {
			return nil, err
		}
		return exec.CommandContext(ctx, "kamailio", "-DD", "-E", "-f", file, "-Y", c.dir, "-P", filepath.Join(c.dir, "kamailio.pid"), "-m", "512"), nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if who == signalling {
		return exec.CommandContext(ctx, self, signalling, "-dir", filepath.Join(c.dir, "data"), "-profile", profile), nil
	}
	return exec.CommandContext(ctx, self, "calls", "-records", who, "-dir", filepath.Join(c.dir, "data"), "-profile", profile), nil
}

// once runs one program, in a fresh process, under the load.
func (c *calls) once(ctx context.Context, who, profile string, rate int) (r served, err error) {
	if err := os.RemoveAll(filepath.Join(c.dir, "data")); err != nil {
		return r, err
	}
	var notes strings.Builder
	cmd, err := c.command(ctx, who, profile)
	if err != nil {
		return r, err
	}
	cmd.Stdout, cmd.Stderr = &notes, &notes
	callee := exec.CommandContext(ctx, "sipp", "-sn", "uas", "-i", theirs.String(), "-p", "5070", "-nostdin", "-timer_resol", "1", "-buff_size", "4000000")
	if err := startOn(generatorCore, callee); err != nil {
		return r, err
	}
	defer func() { _ = callee.Process.Kill(); _ = callee.Wait() }()
	if err := startOn(serverCore, cmd); err != nil {
		return r, err
	}
	ended := make(chan error, 1)
	defer func() {
		if serr := stop(cmd, ended, who == kamailio); serr != nil || err != nil {
			err = errors.Join(err, serr, errors.New(notes.String()))
		}
	}()
	err = wait(ctx, cmd, func() bool { return listens(ours.String() + ":5060") })
	go func() { ended <- cmd.Wait() }()
	if err != nil {
		return r, err
	}
	if who == recorded { // its Postgres is beside
		err = spare(ctx, cmd.Process.Pid)
	}
	if err != nil {
		return r, err
	}
	if r.us, err = makeCalls(ctx, cmd.Process.Pid, who == kamailio, rate, 1); err != nil { // names, pools and prepared statements are there
		return r, err
	}
	if r.us, err = makeCalls(ctx, cmd.Process.Pid, who == kamailio, rate, c.seconds); err == nil && profile != "" {
		serr := stop(cmd, ended, false)
		ended <- nil
		if serr != nil {
			return r, serr
		}
		r.shares, err = sharesOf(ctx, profile, rate*(c.seconds+1))
	}
	return r, err
}

// makeCalls makes calls and returns what the program used for one. Half a second after the last one counts too: records come later.
func makeCalls(ctx context.Context, pid int, tree bool, rate, seconds int) (us float64, err error) {
	n := rate * seconds
	from, err := used(pid, tree)
	if err != nil {
		return 0, err
	}
	caller := exec.CommandContext(ctx, "sipp", "-sn", "uac", ours.String()+":5060", "-i", callers.String(), "-p", "5061", "-r", strconv.Itoa(rate), "-m", strconv.Itoa(n),
		"-l", "20000", "-d", "0", "-nostdin", "-timer_resol", "1", "-buff_size", "4000000", "-timeout", strconv.Itoa(seconds+20)+"s")
	if err := startOn(generatorCore, caller); err != nil {
		return 0, err
	}
	if err := caller.Wait(); err != nil {
		return 0, fmt.Errorf("sipp: some of %d calls failed: %w", n, err)
	}
	if err := pause(ctx, 500*time.Millisecond); err != nil {
		return 0, err
	}
	to, err := used(pid, tree)
	return (to - from).Seconds() * 1e6 / float64(n), err
}

// used is the CPU time of a process, and of its children.
func used(pid int, tree bool) (time.Duration, error) {
	sum, err := cpuTime(pid)
	if err != nil || !tree {
		return sum, err
	}
	for _, child := range descendants(pid) {
		if t, err := cpuTime(child); err == nil {
			sum += t
		}
	}
	return sum, nil
}

// descendants of a process.
func descendants(pid int) (list []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for _, w := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(w); err == nil {
				list = append(append(list, n), descendants(n)...)
			}
		}
	}
	return list
}

// spare moves the programs that a process started to the load's core.
func spare(ctx context.Context, pid int) error {
	var one unix.CPUSet
	one.Set(generatorCore)
	for end := time.Now().Add(startTime); ; {
		list := descendants(pid)
		for _, child := range list {
			if err := unix.SchedSetaffinity(child, &one); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("move process %d: %w", child, err)
			}
		}
		if len(list) > 2 { // the server and its helpers
			return nil
		}
		if time.Now().After(end) {
			return errors.New("no Postgres was started")
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// listens tells whether somebody has a UDP socket at an address.
func listens(at string) bool {
	host, port, _ := strings.Cut(at, ":")
	n, _ := strconv.Atoi(port)
	var a [4]byte
	_, _ = fmt.Sscanf(host, "%d.%d.%d.%d", &a[0], &a[1], &a[2], &a[3])
	b, err := os.ReadFile("/proc/net/udp")
	return err == nil && strings.Contains(string(b), fmt.Sprintf(" %02X%02X%02X%02X:%04X ", a[3], a[2], a[1], a[0], n))
}

// printParts shares what a call cost out as the profile does. The profile itself counts less: it looks at the clock's ticks, and much
// is done between two of them.
func printParts(w io.Writer, who string, r served) {
	var sum float64
	for _, v := range r.shares {
		sum += v
	}
	if sum == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s, parts of %.0f us/call (the profile saw %.0f):\n", who, r.us, sum)
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, p := range shareNames() {
		if v := r.shares[p]; v > 0 {
			fmt.Fprintf(tw, "  %s\t%.0f\n", p, v/sum*r.us)
		}
	}
	tw.Flush()
}
