//go:build linux

// Command bench measures the product against floors and peers, in ratios.
//
//	go run ./test/bench [relay|webrtc|opus|setup|rpc|offer|b2bua|records|reports|rating] [flags]
//
// It prints tables, then each goal and whether it was met, and fails if one wasn't; with -goal=false it doesn't. Without a name it
// runs all, also those after one that failed.
//
// relay compares the CPU time that relaying an RTP packet costs with that of
// the smallest C program that does it (c/relay.c, mode epoll), under the load of c/rtpgen.c.
//
// webrtc bridges browsers to plain RTP: the product, rtpengine in user space, and pion's PeerConnection, under the load of
// PeerConnections that talk to phones which send back what they get. opus does the same between Opus and PCMU, with speech.
//
// setup is how long Chromium waits for its connection, from its offer on, when the product's page calls the demo carrier.
//
// rpc is how long a program waits for the reply to a JSON-RPC request, beside a bare WebSocket echo of the same bytes.
//
// offer is how long the program waits for the answer to a browser's offer, and what it costs.
//
// b2bua compares a call, signalling alone and through the gateway with and without its records, with one through Kamailio as a stateful
// proxy.
//
// records is how many whole calls a second get to Postgres, which shares one core with the keeper of records.
//
// reports is how long a month's report takes, from the rollups and call by call.
//
// rating is how long it takes to find the price of a number among 300,000, and to rate a call.
//
// What is measured runs on core 0 and the load on core 1; the programs take turns, round after round, so that what the machine
// does beside hits all of them. Microseconds differ between machines and days; the ratio doesn't.
//
// As root it runs in a network namespace of its own, at the highest priority. It needs gcc, rtpengine, Chromium and two cores.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		stop()
		os.Exit(1)
	}
}

// part is one benchmark.
type part struct {
	name string
	run  func(context.Context, []string) error
}

func parts() []part {
	return []part{{"relay", relay}, {"webrtc", webrtcContest().run}, {"opus", opusContest().run}, {"setup", setup}, {"rpc", roundTrips}, {"offer", offers}, {"b2bua", b2bua}, {"records", records}, {"reports", reports}, {"rating", prices}}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") { // all, each with the same flags
		return all(ctx, parts(), args)
	}
	switch args[0] { // what the others start; not for people
	case "serve":
		return serve(ctx, args[1:])
	case "gateway":
		return gateway(ctx, args[1:])
	case "load":
		return load(ctx, args[1:])
	case "calls":
		return serveCalls(ctx, args[1:])
	case signalling:
		return serveSignalling(ctx, args[1:])
	}
	var names []string
	for _, p := range parts() {
		if p.name == args[0] {
			return p.run(ctx, args[1:])
		}
		names = append(names, p.name)
	}
	return fmt.Errorf("unknown benchmark %q; usage: bench [%s] [flags]", args[0], strings.Join(names, "|"))
}

// all runs one benchmark after the other and returns what failed, with its name.
func all(ctx context.Context, list []part, args []string) error {
	var errs []error
	for _, p := range list {
		err := p.run(ctx, args)
		if ctx.Err() != nil || errors.Is(err, flag.ErrHelp) {
			return errors.Join(append(errs, err)...)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
		}
	}
	return errors.Join(errs...)
}
