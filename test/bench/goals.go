//go:build linux

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// What the product is held to. Latency is from the sender to the receiver's kernel, so all of it is the relay's and the
// loopback's.
const (
	mostRatio  = 1.2   // of CPU per packet, to the floor
	mostAllocs = 0.001 // a packet: none, and what the runtime and the counting itself allocate beside
	mostP50    = 100.0 // us, while calls are set up beside
	mostP99    = 2000.0

	product      = "bridge" // the design that is held to ratio and allocations
	setUpsAt     = 500      // calls at which latency is measured while calls are set up
	setUpsBeside = 20       // a second
)

// goal is one figure that was measured, and the most that it may be.
type goal struct {
	what      string
	got, most float64
	digits    int
	unit      string
}

func (g goal) met() bool { return g.got <= g.most }

// goals are what the table has goals for.
func (t *table) goals(calls int) (list []goal) {
	for _, r := range t.rows {
		at := fmt.Sprintf(", %d calls", calls)
		if r.design.setups > 0 {
			at += fmt.Sprintf(", %d set up a second beside", r.design.setups)
			list = append(list,
				goal{"latency p50" + at, r.p50().median, mostP50, 0, "us"},
				goal{"latency p99" + at, r.p99().median, mostP99, 0, "us"})
			continue
		}
		if r.design.name != product || r == t.rows[0] {
			continue
		}
		list = append(list,
			goal{"CPU per packet" + at, t.ratios(r).median, mostRatio, 2, "times " + t.rows[0].design.name},
			goal{"allocations per packet" + at, max(r.allocs().median, 0), mostAllocs, 3, ""})
	}
	return list
}

// judge prints the goals and reports how many were missed.
func judge(w io.Writer, list []goal) (missed int) {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	defer tw.Flush()
	for _, g := range list {
		verdict := "met"
		if !g.met() {
			verdict = "MISSED"
			missed++
		}
		fmt.Fprintf(tw, "%s\t%.*f %s\tgoal %.*f at most\t%s\n", g.what, g.digits, g.got, g.unit, g.digits, g.most, verdict)
	}
	return missed
}
