//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options is what the relay benchmark is asked for.
type options struct {
	rounds  int
	seconds int
	calls   []int
	designs []design
	goal    float64
	before  string
}

func parse(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("bench relay", flag.ContinueOnError)
	f.IntVar(&o.rounds, "rounds", 5, "how often each program runs, 1 to 100")
	f.IntVar(&o.seconds, "seconds", 3, "how long a run is measured, 1 to 60")
	calls := f.String("calls", "100,500,1200", "numbers of calls, each 1 to 2500")
	names := f.String("designs", strings.Join(designNames(), ","), "programs to compare; the first is the floor")
	f.Float64Var(&o.goal, "goal", 0, "fail if the last program costs more than this many times the floor; 0 doesn't")
	f.StringVar(&o.before, "before", "", "another build of this program: its bridge is measured beside")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("relay takes flags only, got %q", f.Arg(0))
	}
	if o.rounds < 1 || o.rounds > 100 {
		return nil, fmt.Errorf("-rounds is %d, expected 1 to 100", o.rounds)
	}
	if o.seconds < 1 || o.seconds > 60 {
		return nil, fmt.Errorf("-seconds is %d, expected 1 to 60", o.seconds)
	}
	for s := range strings.SplitSeq(*calls, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxCalls {
			return nil, fmt.Errorf("-calls has %q, expected numbers from 1 to %d", s, maxCalls)
		}
		o.calls = append(o.calls, n)
	}
	for s := range strings.SplitSeq(*names, ",") {
		d, ok := designOf(s)
		if !ok {
			return nil, fmt.Errorf("-designs has %q, expected some of %s", s, strings.Join(designNames(), ", "))
		}
		o.designs = append(o.designs, d)
	}
	if o.before != "" {
		at := max(len(o.designs)-1, 1)
		o.designs = slices.Insert(o.designs, at, design{name: "before", serve: "bridge", program: o.before})
	}
	return o, nil
}

// relay runs the benchmark and prints its tables.
func relay(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if err := needs(); err != nil {
		return err
	}
	if moved, err := isolate(ctx, append([]string{"relay"}, args...)); moved || err != nil {
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
	if err := build(ctx, dir); err != nil {
		return err
	}
	missed := false
	for _, calls := range o.calls {
		table, err := compare(ctx, os.Stderr, o, dir, calls)
		if err != nil {
			return err
		}
		fmt.Printf("\n%d calls, %d packets/s relayed, %d rounds of %d s\n", calls, calls*100, o.rounds, o.seconds)
		table.print(os.Stdout)
		if r := table.lastRatio(); o.goal > 0 && r > o.goal {
			fmt.Printf("goal missed: %s costs %.2f times %s, expected %.2f at most\n", table.rows[len(table.rows)-1].name, r, table.rows[0].name, o.goal)
			missed = true
		}
	}
	if missed {
		return fmt.Errorf("the goal of %.2f was missed", o.goal)
	}
	return nil
}

// compare lets all designs take turns with one number of calls.
func compare(ctx context.Context, progress io.Writer, o *options, dir string, calls int) (*table, error) {
	t := newTable(o.designs)
	for round := range o.rounds {
		for i, d := range o.designs {
			m, err := measure(ctx, d, dir, calls, o.seconds)
			if err != nil {
				return nil, fmt.Errorf("%s with %d calls: %w", d.name, calls, err)
			}
			t.rows[i].add(m)
			fmt.Fprintf(progress, "%d calls, round %d of %d: %-11s %6.2f us/packet\n", calls, round+1, o.rounds, d.name, m.cpu)
			if err := pause(ctx, 200*time.Millisecond); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
