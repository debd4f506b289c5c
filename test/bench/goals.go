//go:build linux

package main

import (
	"flag"
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

// What WebRTC and Opus are held to.
const (
	mostOfRTPEngine      = 0.75 // CPU per forward of a WebRTC-to-RTP bridge
	mostOfPeerConnection = 0.45
	mostSetUp            = 1.2  // ms of CPU per leg
	mostRSS              = 60   // kB per leg, once DTLS is asleep
	mostGoroutines       = 0.02 // per leg: none, and what the runtime has beside
	mostOfTranscoder     = 0.3  // CPU per frame pair, to rtpengine's
)

// compared reports whether the product and all of these were measured.
func (s *standing) compared(with ...string) bool {
	for _, g := range with {
		if len(s.outcomes[g]) == 0 {
			return false
		}
	}
	return true
}

func webrtcGoals(s *standing) []goal {
	if !s.compared(kindWebRTC, rtpengineGateway, kindPeerConnection) {
		return nil
	}
	at := fmt.Sprintf(", %d WebRTC legs", s.legs)
	of := func(figure func(outcome) float64) float64 { return s.span(kindWebRTC, figure).median }
	return []goal{
		{"CPU per forward" + at, s.ratio(rtpengineGateway).median, mostOfRTPEngine, 2, "times rtpengine"},
		{"CPU per forward" + at, s.ratio(kindPeerConnection).median, mostOfPeerConnection, 2, "times PeerConnection"},
		{"CPU of set-up per leg" + at, of(func(o outcome) float64 { return o.SetUp }), mostSetUp, 2, "ms"},
		{"RSS per leg" + at, of(func(o outcome) float64 { return o.RSS }), mostRSS, 0, "kB"},
		{"goroutines per leg, asleep" + at, of(func(o outcome) float64 { return o.Goroutines }), mostGoroutines, 2, ""},
	}
}

func opusGoals(s *standing) []goal {
	if !s.compared(kindOpus, rtpengineGateway) {
		return nil
	}
	return []goal{{fmt.Sprintf("CPU per frame pair Opus and PCMU, %d calls", s.legs), s.ratio(rtpengineGateway).median, mostOfTranscoder, 2, "times rtpengine"}}
}

// goalFlag is the flag that all benchmarks have alike.
func goalFlag(f *flag.FlagSet, goal *bool) {
	f.BoolVar(goal, "goal", true, "fail if a goal is missed; -goal=false only prints it")
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
