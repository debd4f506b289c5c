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
	chosen  bool // the designs, not the default
	goal    bool
	before  string
}

func parse(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("bench relay", flag.ContinueOnError)
	f.IntVar(&o.rounds, "rounds", 5, "how often each program runs, 1 to 100")
	f.IntVar(&o.seconds, "seconds", 3, "how long a run is measured, 1 to 60")
	calls := f.String("calls", "100,500,1200", "numbers of calls, each 1 to 2500")
	names := f.String("designs", strings.Join(designNames(), ","), "programs to compare; the first is the floor")
	goalFlag(f, &o.goal)
	f.StringVar(&o.before, "before", "", "another build of this program: its bridge is measured beside")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	f.Visit(func(g *flag.Flag) { o.chosen = o.chosen || g.Name == "designs" })
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
		o.designs = slices.Insert(o.designs, 1, design{name: "before", serve: "bridge", program: o.before})
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
	var goals []goal
	for _, calls := range o.calls {
		table, err := compare(ctx, os.Stderr, o, dir, calls)
		if err != nil {
			return err
		}
		fmt.Printf("\n%d calls, %d packets/s relayed, %d rounds of %d s\n", calls, calls*100, o.rounds, o.seconds)
		table.print(os.Stdout)
		goals = append(goals, table.goals(calls)...)
	}
	if len(goals) == 0 {
		return nil
	}
	fmt.Println()
	if missed := judge(os.Stdout, goals); missed > 0 && o.goal {
		return fmt.Errorf("%d of %d goals were missed", missed, len(goals))
	}
	return nil
}

// designsAt are the designs to compare with so many calls. Unless they were chosen, set-ups beside are measured at one load.
func (o *options) designsAt(calls int) []design {
	if o.chosen {
		return o.designs
	}
	return slices.DeleteFunc(slices.Clone(o.designs), func(d design) bool { return d.setups > 0 && calls != setUpsAt })
}

// compare lets all designs take turns with one number of calls.
func compare(ctx context.Context, progress io.Writer, o *options, dir string, calls int) (*table, error) {
	designs := o.designsAt(calls)
	t := newTable(designs)
	for round := range o.rounds {
		for i, d := range designs {
			m, err := undisturbed(ctx, progress, d, dir, calls, o.seconds)
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

// undisturbed measures again, up to twice, where the machine had no time for the load generator: such a run says nothing.
// The last is taken as it is.
func undisturbed(ctx context.Context, progress io.Writer, d design, dir string, calls, seconds int) (m measurement, err error) {
	for try := 1; ; try++ {
		m, err = measure(ctx, d, dir, calls, seconds)
		if ctx.Err() != nil || try == 3 || err == nil && m.sent >= 0.95*float64(calls*100*seconds) {
			return m, err
		}
		fmt.Fprintf(progress, "%d calls, %s: disturbed, again\n", calls, d.name)
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
