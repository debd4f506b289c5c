//go:build linux

package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/patchbay/patchbay/billing"
	pcall "github.com/patchbay/patchbay/gateway/call"
)

// leastCalls is how many whole calls a second one core keeps: their events, legs and quality, in Postgres.
const leastCalls = 600

// records measures how fast whole calls get to the private Postgres, which shares one core with the keeper of records.
func records(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("bench records", flag.ContinueOnError)
	n := f.Int("calls", 6000, "how many calls, 100 to 1000000")
	var strict bool
	goalFlag(f, &strict)
	if err := f.Parse(args); err != nil {
		return err
	}
	if *n < 100 || *n > 1_000_000 {
		return fmt.Errorf("-calls is %d, expected 100 to 1000000", *n)
	}
	dir, err := os.MkdirTemp("", "patchbay-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()     // best effort: it's below the system's temporary folder
	if err := os.Chmod(dir, 0o755); err != nil { // the user that Postgres runs as gets there
		return err
	}
	var one, before unix.CPUSet
	one.Set(0)
	pid := os.Getpid()
	if err := unix.SchedGetaffinity(pid, &before); err != nil {
		return err
	}
	if err := onEveryThread(&one); err != nil {
		return err
	}
	defer func() { _ = onEveryThread(&before) }()
	rate, err := keep(ctx, dir, *n)
	if err != nil {
		return err
	}
	fmt.Printf("\n%d whole calls on one core with Postgres: %.0f a second\n\n", *n, rate)
	goals := []goal{{"time of a whole call, durable in Postgres", 1e6 / rate, 1e6 / leastCalls, 0, "us"}}
	if missed := judge(os.Stdout, goals); missed > 0 && strict {
		return fmt.Errorf("%d of %d goals were missed", missed, len(goals))
	}
	return nil
}

// onEveryThread moves this process, and what it starts from now on, to some cores.
func onEveryThread(set *unix.CPUSet) error {
	list, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range list {
		var tid int
		if _, err := fmt.Sscan(t.Name(), &tid); err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, set); err != nil && err != unix.ESRCH {
			return err
		}
	}
	return nil
}

// keep writes so many calls and waits until Postgres has them; the result is in calls per second.
func keep(ctx context.Context, dir string, n int) (float64, error) {
	s, err := billing.Open(ctx, billing.Config{Dir: dir, Node: "bench", Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return 0, err
	}
	defer func() { _ = s.Close(ctx) }() // what isn't in Postgres was waited for
	for !s.Stats().Connected {
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	for i := range n {
		events := wholeCall(s.Epoch())
		if i%50 == 49 { // as many calls share one write to the disk as do under load
			err = s.Commit(ctx, events...)
		} else {
			for _, e := range events {
				s.Note(e)
			}
		}
		if err != nil {
			return 0, err
		}
	}
	for s.Stats().Outbox > 0 {
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return 0, err
		}
	}
	took := time.Since(began)
	if st := s.Stats(); st.Dropped > 0 || st.Dead > 0 {
		return 0, fmt.Errorf("%d events were dropped, %d are dead letters", st.Dropped, st.Dead)
	}
	return float64(n) / took.Seconds(), nil
}

// wholeCall is an answered call over a trunk with two legs, and the quality of its four streams.
func wholeCall(epoch uint64) []pcall.Event {
	id, at := pcall.NewID(), time.Now()
	dialog := json.RawMessage(`{"callId":"a84b4c76e66710@pc33.example.org","local":"sip:gw@192.0.2.1","remote":"sip:bob@192.0.2.4","cseq":314159}`)
	sig := netip.MustParseAddrPort("192.0.2.4:5060")
	media := pcall.Media{Codec: "PCMA/8000", Ptime: 20, DTMF: "rfc4733", Local: sig, Remote: sig}
	f, lost, mos := 1.25, int64(2), 4.36
	var buckets []pcall.Bucket
	for leg := 1; leg <= 2; leg++ {
		for _, stream := range []string{pcall.StreamIn, pcall.StreamOut} {
			buckets = append(buckets, pcall.Bucket{Leg: leg, Stream: stream, SpanMS: 8000, Codec: "PCMA/8000", Packets: 400, Bytes: 64_000, Lost: &lost, Bursts: &lost,
				Jitter: &f, JitterAvg: &f, JitterP95: &f, JitterMax: &f, RTT: &f, R: &f, MOSCQ: &mos, MOSLQ: &mos, Ie: &f, Bpl: &f, Ppl: &f, BurstR: &f, Delay: &f,
				Modelled: []string{"concealment", "delay"}})
		}
	}
	data := []struct {
		leg int
		d   pcall.Data
	}{
		{0, pcall.Start{Tenant: "default", LinkedID: id, Node: "bench", Epoch: epoch, Origin: "sip", Direction: pcall.Internal, User: "alice", From: "100", To: "0301234567"}},
		{1, pcall.LegNew{Role: pcall.CallerLeg, Medium: "sip", Direction: pcall.In, User: "alice", Transport: "udp", SIPCallID: id.String(), FromURI: "sip:100@example.org", ToURI: "sip:0301234567@example.org", Signalling: sig, Dialog: dialog}},
		{0, pcall.Decision{Route: "out", ToN: "+49301234567", FromN: "+4930100", To: pcall.Out, Text: "route out: trunk carrier"}},
		{2, pcall.LegNew{Attempt: 1, Role: pcall.CalleeLeg, Medium: "sip", Direction: pcall.Out, Trunk: "carrier", Transport: "udp", SIPCallID: id.String(), Signalling: sig, Dialog: dialog}},
		{2, pcall.Progress{Status: 180, Phrase: "Ringing", Tag: "c1"}},
		{2, pcall.Negotiated{Media: media}},
		{2, pcall.Answer{RemoteTag: "c1", Dialog: dialog}},
		{1, pcall.Negotiated{Media: media}},
		{1, pcall.Answer{Dialog: dialog}},
		{0, pcall.Measured{Buckets: buckets}},
		{2, pcall.LegEnd{Cause: pcall.Normal, HungUp: true, Quality: &pcall.Quality{Received: 400, Sent: 400}}},
		{1, pcall.LegEnd{Cause: pcall.Normal, Quality: &pcall.Quality{Received: 400, Sent: 400}}},
		{0, pcall.End{By: pcall.Callee, Cause: pcall.Normal}},
	}
	var out []pcall.Event
	for i, d := range data {
		out = append(out, pcall.Event{Call: id, Seq: uint64(i + 1), At: at, Mono: int64(i) * 1e9, Leg: d.leg, Data: d.d})
	}
	return out
}
