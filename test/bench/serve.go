//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/patchbay/patchbay/media/udp"
)

// relayer is the product, set up in this process: no signalling runs.
type relayer interface {
	// Call sets up a call and gives the RTP ports of its two legs.
	Call() (call, error)
	// Packets is how many packets were relayed so far, by all calls.
	Packets() uint64
}

type call interface {
	Ports() (a, b uint16)
	Close() error
}

// serve relays until it is stopped: the side that is measured.
func serve(ctx context.Context, args []string) (err error) {
	f := flag.NewFlagSet("bench serve", flag.ContinueOnError)
	name := f.String("relay", "", "what relays")
	calls := f.Int("calls", 0, "number of calls")
	setups := f.Int("setups", 0, "calls set up a second, beside")
	file := f.String("ports", "", "file that gets the ports, a line per call")
	if err := f.Parse(args); err != nil {
		return err
	}
	if name := os.Getenv("PATCHBAY_BENCH_PROFILE"); name != "" { // where the measured side spends its time
		out, err := os.Create(name)
		if err != nil {
			return err
		}
		defer out.Close()
		if err := pprof.StartCPUProfile(out); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	marks := make(chan os.Signal, 1)
	signal.Notify(marks, syscall.SIGUSR1)
	defer signal.Stop(marks)

	// Four ports a call, and room for the calls that come and go beside.
	ports, err := udp.NewPorts(udp.PortsConfig{Min: 30000, Max: 59999, Hold: time.Second})
	if err != nil {
		return err
	}
	network, err := udp.New(udp.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, network.Close()) }()
	r, err := newRelayer(*name, network, ports, netip.AddrFrom4([4]byte{127, 77, 0, 1}))
	if err != nil {
		return err
	}
	if err := setUp(r, *calls, *file); err != nil {
		return err
	}
	beside := make(chan error, 1)
	go func() { beside <- churn(ctx, r, *setups) }()
	var first, last tally
	for run := true; run; {
		select {
		case <-marks:
			first = count(r)
		case <-ctx.Done():
			run = false
		}
	}
	last = count(r)
	err = <-beside
	fmt.Fprintf(os.Stderr, "serve: packets=%d allocs/pkt=%.4f\n", last.packets, last.perPacket(first))
	return err
}

func newRelayer(name string, n *udp.Net, ports *udp.Ports, ip netip.Addr) (relayer, error) {
	switch name {
	case "udp":
		return &plain{net: n, ports: ports, ip: ip}, nil
	case "bridge":
		return newBridges(n, ports, ip)
	}
	return nil, fmt.Errorf("-relay is %q, expected udp or bridge", name)
}

// setUp makes the calls and then, at once, the file that says so.
func setUp(r relayer, calls int, file string) error {
	out, err := os.Create(file + ".new")
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	for range calls {
		c, err := r.Call()
		if err != nil {
			return errors.Join(err, out.Close())
		}
		a, b := c.Ports()
		fmt.Fprintln(w, a, b)
	}
	if err := errors.Join(w.Flush(), out.Close()); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// churn sets up perSecond calls a second, each for one second.
func churn(ctx context.Context, r relayer, perSecond int) error {
	if perSecond == 0 {
		return nil
	}
	t := time.NewTicker(time.Second / time.Duration(perSecond))
	defer t.Stop()
	open := make([]call, perSecond)
	for i := 0; ; i = (i + 1) % perSecond {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if c := open[i]; c != nil {
			if err := c.Close(); err != nil {
				return err
			}
		}
		c, err := r.Call()
		if err != nil {
			return err
		}
		open[i] = c
	}
}

// tally is what was done up to a moment.
type tally struct{ packets, mallocs uint64 }

func count(r relayer) tally {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return tally{r.Packets(), m.Mallocs}
}

func (t tally) perPacket(since tally) float64 {
	if t.packets == since.packets {
		return 0
	}
	return float64(t.mallocs-since.mallocs) / float64(t.packets-since.packets)
}
