//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Parts of a call's CPU time, by the code that a sample of the profile was in, or was called from: the innermost that is listed.
var shares = []struct{ name, prefix string }{
	{"garbage collector", "runtime.gcBgMarkWorker"},
	{"garbage collector", "runtime.gcAssistAlloc"},
	{"garbage collector", "runtime.bgsweep"},
	{"garbage collector", "runtime.bgscavenge"},
	{"log", "log/slog."},
	{"records: events", "github.com/patchbay/patchbay/gateway/call."},
	{"records: journal", "github.com/patchbay/patchbay/billing.(*journal)"},
	{"records: journal", "github.com/patchbay/patchbay/billing.encode"},
	{"records: journal", "github.com/patchbay/patchbay/billing.prepare"},
	{"records: journal", "github.com/patchbay/patchbay/billing.(*Store)"},
	{"records: Postgres", "github.com/patchbay/patchbay/billing."},
	{"records: Postgres", "github.com/jackc/"},
	{"SIP: messages", "github.com/patchbay/patchbay/sip/wire."},
	{"SIP: sockets", "github.com/patchbay/patchbay/sip/flow.(*UDP)"},
	{"SIP: transactions and dialogs", "github.com/patchbay/patchbay/sip."},
	{"SIP: transactions and dialogs", "github.com/patchbay/patchbay/sip/flow."},
	{"media: SDP", "github.com/patchbay/patchbay/media/sdp."},
	{"media: ports", "github.com/patchbay/patchbay/media/udp."},
	{"media: endpoints and pipeline", "github.com/patchbay/patchbay/media"},
	{"gateway", "github.com/patchbay/patchbay/gateway"},
	{"scheduler", "runtime."},
}

const otherPart = "other"

// shareNames are all parts, in the order of their list, once.
func shareNames() []string {
	var names []string
	for _, p := range shares {
		names = append(names, p.name)
	}
	return append(slices.Compact(names), otherPart)
}

// sharesOf reads a CPU profile: us per call of each part.
func sharesOf(ctx context.Context, file string, calls int) (map[string]float64, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "pprof", "-traces", file)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("read the profile: %w\n%s", err, problems.Bytes())
	}
	sums := map[string]float64{}
	for stack := range strings.SplitSeq(out.String(), "-----------+-------------------------------------------------------\n") {
		first, rest, _ := strings.Cut(strings.TrimSpace(stack), "\n")
		value, leaf, _ := strings.Cut(strings.TrimSpace(first), " ")
		d, err := time.ParseDuration(value)
		if err != nil {
			continue // the head
		}
		sums[shareOf(append([]string{leaf}, strings.Split(rest, "\n")...))] += d.Seconds() * 1e6 / float64(calls)
	}
	return sums, nil
}

// shareOf finds whose a stack is, innermost frame first. The runtime's own work counts as whose it was done for, if it was for anybody.
func shareOf(stack []string) string {
	runtimes := otherPart
	for _, frame := range stack {
		frame = strings.TrimSpace(frame)
		for _, p := range shares {
			if !strings.HasPrefix(frame, p.prefix) {
				continue
			}
			if p.name != "scheduler" {
				return p.name
			}
			runtimes = p.name
			break
		}
	}
	return runtimes
}
