//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// contest is gateways that take turns under the same load; the product is the first of them.
type contest struct {
	name     string
	kind     string   // of the load
	gateways []string // kinds of gateways of ours, or rtpengine
	legs     int
	rounds   int
	seconds  int
	unit     string // what is done with CPU time
	goals    func(*standing) []goal

	goal bool
}

// standing are the outcomes of a contest, by gateway, in the order of rounds.
type standing struct {
	*contest
	outcomes map[string][]outcome
}

func webrtcContest() *contest {
	return &contest{name: "webrtc", kind: kindWebRTC, gateways: []string{kindWebRTC, rtpengineGateway, kindPeerConnection},
		legs: 400, rounds: 5, seconds: 3, unit: "forward", goals: webrtcGoals}
}

func opusContest() *contest {
	return &contest{name: "opus", kind: kindOpus, gateways: []string{kindOpus, rtpengineGateway},
		legs: 20, rounds: 5, seconds: 3, unit: "frame pair", goals: opusGoals}
}

func (c *contest) parse(args []string) error {
	f := flag.NewFlagSet("bench "+c.name, flag.ContinueOnError)
	f.IntVar(&c.rounds, "rounds", c.rounds, "how often each gateway runs, 1 to 100")
	f.IntVar(&c.seconds, "seconds", c.seconds, "how long a run is measured, 1 to 60")
	f.IntVar(&c.legs, "legs", c.legs, "how many calls, 1 to 1000")
	names := f.String("gateways", strings.Join(c.gateways, ","), "which gateways take turns; goals need all")
	goalFlag(f, &c.goal)
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%s takes flags only, got %q", c.name, f.Arg(0))
	}
	for _, n := range []struct {
		flag          string
		is, most, low int
	}{{"rounds", c.rounds, 100, 1}, {"seconds", c.seconds, 60, 1}, {"legs", c.legs, 1000, 1}} {
		if n.is < n.low || n.is > n.most {
			return fmt.Errorf("-%s is %d, expected %d to %d", n.flag, n.is, n.low, n.most)
		}
	}
	var chosen []string
	for name := range strings.SplitSeq(*names, ",") {
		if !slices.Contains(c.gateways, name) {
			return fmt.Errorf("-gateways has %q, expected some of %s", name, strings.Join(c.gateways, ", "))
		}
		chosen = append(chosen, name)
	}
	c.gateways = chosen
	return nil
}

// run lets the gateways take turns and prints the table and the goals.
func (c *contest) run(ctx context.Context, args []string) error {
	if err := c.parse(args); err != nil {
		return err
	}
	if err := needs(); err != nil {
		return err
	}
	if moved, err := isolate(ctx, append([]string{c.name}, args...)); moved || err != nil {
		return err
	}
	if err := raiseLimits(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "patchbay-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &standing{c, map[string][]outcome{}}
	for round := range c.rounds {
		for _, g := range c.gateways {
			o, err := c.undisturbed(ctx, os.Stderr, g, dir)
			if err != nil {
				return fmt.Errorf("%s: %w", g, err)
			}
			s.outcomes[g] = append(s.outcomes[g], o)
			fmt.Fprintf(os.Stderr, "%s, round %d of %d: %-14s %6.2f us/%s %s\n", c.name, round+1, c.rounds, g, o.Unit, c.unit, o.Note)
		}
	}
	fmt.Printf("\n%s: %d calls, %d rounds of %d s\n", c.name, c.legs, c.rounds, c.seconds)
	s.print(os.Stdout)
	goals := c.goals(s)
	if len(goals) == 0 {
		return nil
	}
	fmt.Println()
	if missed := judge(os.Stdout, goals); missed > 0 && c.goal {
		return fmt.Errorf("%d of %d goals were missed", missed, len(goals))
	}
	return nil
}

// Beyond this a run says nothing: the machine had no time for the load, or for the gateway.
const (
	mostSlow = 3.0 // percent
	mostLoss = 1.0
)

// undisturbed measures again, up to twice, where the machine disturbed. The last is taken as it is.
func (c *contest) undisturbed(ctx context.Context, progress io.Writer, gateway, dir string) (o outcome, err error) {
	for try := 1; ; try++ {
		o, err = c.once(ctx, gateway, dir)
		if ctx.Err() != nil || try == 3 || err == nil && o.Slow < mostSlow && o.Loss < mostLoss {
			return o, err
		}
		fmt.Fprintf(progress, "%s, %s: disturbed (load %.1f %% slow, %.2f %% lost, %v), again\n", c.name, gateway, o.Slow, o.Loss, err)
	}
}

// once runs one gateway, in a fresh process, under the load.
func (c *contest) once(ctx context.Context, gateway, dir string) (o outcome, err error) {
	self, err := os.Executable()
	if err != nil {
		return o, err
	}
	var notes bytes.Buffer
	at, cmd := filepath.Join(dir, "gateway"), (*exec.Cmd)(nil)
	if gateway == rtpengineGateway {
		at = rtpengineGateway
		if cmd, err = rtpengineCommand(ctx, dir); err != nil {
			return o, err
		}
	} else {
		_ = os.Remove(at) // of a run before that was killed
		cmd = exec.CommandContext(ctx, self, "gateway", "-kind", gateway, "-socket", at)
	}
	cmd.Stdout, cmd.Stderr = &notes, &notes
	ended := make(chan error, 1)
	if err := startOn(serverCore, cmd); err != nil {
		return o, err
	}
	defer func() {
		if serr := stop(cmd, ended, gateway == rtpengineGateway); serr != nil || err != nil {
			err = errors.Join(err, serr, errors.New(notes.String()))
		}
	}()
	err = ready(ctx, cmd, at)
	go func() { ended <- cmd.Wait() }()
	if err != nil {
		return o, err
	}
	l := exec.CommandContext(ctx, self, "load", "-kind", c.kind, "-gateway", at, "-pid", strconv.Itoa(cmd.Process.Pid),
		"-legs", strconv.Itoa(c.legs), "-seconds", strconv.Itoa(c.seconds))
	var out, problems bytes.Buffer
	l.Stdout, l.Stderr = &out, &problems
	if err := startOn(generatorCore, l); err != nil {
		return o, err
	}
	if err := l.Wait(); err != nil {
		return o, fmt.Errorf("load: %w\n%s", err, problems.Bytes())
	}
	return o, json.Unmarshal(out.Bytes(), &o)
}

func ready(ctx context.Context, cmd *exec.Cmd, at string) error {
	if at != rtpengineGateway {
		return waitFile(ctx, cmd, at)
	}
	r, err := dialRTPEngine("")
	if err != nil {
		return err
	}
	defer r.Close()
	return r.ready(ctx)
}

// stop ends a gateway. How a stranger says that it was told to isn't held against it.
func stop(cmd *exec.Cmd, ended <-chan error, stranger bool) error {
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended, which Wait tells
	select {
	case err := <-ended:
		if stranger {
			return nil
		}
		return err
	case <-time.After(10 * time.Second):
		err := cmd.Process.Kill()
		<-ended
		if stranger {
			return err
		}
		return errors.Join(errors.New("the gateway didn't stop within 10 s"), err)
	}
}

// span is of one gateway's figure.
func (s *standing) span(gateway string, figure func(outcome) float64) span {
	var v []float64
	for _, o := range s.outcomes[gateway] {
		v = append(v, figure(o))
	}
	return spanOf(v)
}

// ratio is the product's CPU time to another's, within rounds: the two runs of a round stand side by side in time.
func (s *standing) ratio(other string) span {
	var v []float64
	for i, o := range s.outcomes[s.gateways[0]] {
		v = append(v, o.Unit/s.outcomes[other][i].Unit)
	}
	return spanOf(v)
}

func (s *standing) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	defer tw.Flush()
	fmt.Fprintf(tw, "\tCPU us/%s [min..max]\t%s to it [min..max]\tset-up ms/leg\tRSS kB/leg\tgoroutines/leg\tround trip p50 us\tp99 us\tloss %%\tload busy %%\n", s.unit, s.gateways[0])
	for _, g := range s.gateways {
		unit, ratio := s.span(g, func(o outcome) float64 { return o.Unit }), s.ratio(g)
		median := func(format string, figure func(outcome) float64) string {
			m := s.span(g, figure)
			if m.max <= 0 && m.min < 0 {
				return "-"
			}
			return fmt.Sprintf(format, m.median)
		}
		fmt.Fprintf(tw, "%s\t%.2f [%.2f..%.2f]\t%.2f [%.2f..%.2f]\t%s\t%s\t%s\t%s\t%s\t%.3f\t%s\n", g, unit.median, unit.min, unit.max, ratio.median, ratio.min, ratio.max,
			median("%.2f", func(o outcome) float64 { return o.SetUp }), median("%.0f", func(o outcome) float64 { return o.RSS }),
			median("%.2f", func(o outcome) float64 { return o.Goroutines }), median("%.0f", func(o outcome) float64 { return o.P50 }),
			median("%.0f", func(o outcome) float64 { return o.P99 }), s.span(g, func(o outcome) float64 { return o.Loss }).max,
			median("%.0f", func(o outcome) float64 { return o.Busy }))
	}
}
