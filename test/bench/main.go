//go:build linux

// Command bench measures the product against floors, in ratios.
//
//	go run ./test/bench [relay] [flags]
//
// It prints a table for each number of calls, then each goal and whether it was met; -goal makes it fail if one wasn't.
//
// relay compares the CPU time that relaying an RTP packet costs with that of
// the smallest C program that does it (c/relay.c, mode epoll). Each program
// runs on core 0 and the load generator (c/rtpgen.c) on core 1; the programs
// take turns, round after round, so that what the machine does beside hits all
// of them. Microseconds differ between machines and days; the ratio doesn't.
//
// As root it runs in a network namespace of its own. It needs gcc and two cores.
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

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return relay(ctx, args)
	}
	switch args[0] {
	case "relay":
		return relay(ctx, args[1:])
	case "serve": // what relay starts on core 0; not for people
		return serve(ctx, args[1:])
	}
	return fmt.Errorf("unknown benchmark %q; usage: bench [relay] [flags]", args[0])
}
