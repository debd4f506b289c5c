//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"time"

	"github.com/patchbay/patchbay/billing"
	pgateway "github.com/patchbay/patchbay/gateway"
	pcall "github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/sip"
)

// callsGC is the collector's pace of `patchbay serve`.
const callsGC = 400

// serveCalls is the gateway between two trunks, put together as the product is: other programs start it.
func serveCalls(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("bench calls", flag.ContinueOnError)
	records := f.String("records", ported, "ports, journal or records")
	dir := f.String("dir", "", "folder for the log and the records")
	file := f.String("profile", "", "file for a CPU profile")
	if err := f.Parse(args); err != nil {
		return err
	}
	calm()
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(*dir, "log"))
	if err != nil {
		return err
	}
	defer out.Close()
	log := slog.New(slog.NewTextHandler(out, nil))
	journal, done, err := openJournal(ctx, *records, filepath.Join(*dir, "billing"), log)
	if err != nil {
		return err
	}
	defer done()
	g, end, err := newCalls(journal, log)
	if err != nil {
		return err
	}
	defer end()
	return profiled(*file, func() error { return g.Run(ctx, 0) })
}

// calm sets the collector's pace as `patchbay serve` does, but for the bound at half of the memory, which no run comes near.
func calm() { debug.SetGCPercent(callsGC) }

// profiled runs fn, and writes a profile of it if there is a file for one.
func profiled(file string, fn func() error) error {
	if file == "" {
		return fn()
	}
	p, err := os.Create(file)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := pprof.StartCPUProfile(p); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return fn()
}

// openJournal opens what keeps the records.
func openJournal(ctx context.Context, records, dir string, log *slog.Logger) (pgateway.Journal, func(), error) {
	cfg := billing.Config{Dir: dir, Node: "bench", Log: log, CommitWarn: 10 * time.Second, Reserve: 1 << 20, MinFree: 1 << 20}
	switch records {
	case ported:
		return noJournal{}, func() {}, nil
	case journaled:
		cfg.Database = billing.None
	case recorded:
		cfg.Database = billing.Auto
	default:
		return nil, nil, fmt.Errorf("-records is %q, expected %s, %s or %s", records, ported, journaled, recorded)
	}
	s, err := billing.Open(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	return s, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Close(ctx)
	}, nil
}

// newCalls is a gateway that passes the calls of one trunk on to another.
func newCalls(journal pgateway.Journal, log *slog.Logger) (*pgateway.Gateway, func(), error) {
	net, err := udp.New(udp.Config{Log: log})
	if err != nil {
		return nil, nil, err
	}
	front, err := sip.NewFront(sip.FrontConfig{Log: log, Listen: []sip.Listen{{Network: "udp", Addr: netip.AddrPortFrom(ours, 5060)}}})
	if err != nil {
		return nil, nil, errors.Join(err, net.Close())
	}
	clock, registry := media.NewClock(), media.NewRegistry()
	registry.Register(g711.Conversions()...)
	trunk := func(id string, at netip.Addr, port uint16) pgateway.Trunk {
		return pgateway.Trunk{ID: id, Tenant: "default", Network: "udp", Domain: at.String(), Proxy: sip.HostPort{Host: at.String(), Port: port},
			Addresses: []netip.Prefix{netip.PrefixFrom(at, 32)}, Codecs: []string{"PCMU", "PCMA"}, DTMF: "rfc4733", From: "caller", MaxCalls: 10000,
			Session: sip.SessionTimer{Interval: -1}}
	}
	g, err := pgateway.New(pgateway.Config{Node: "bench", Journal: journal, Front: front, Domain: "bench.test", Realm: "bench.test", Log: log,
		Media:  pgateway.Media{Net: net, Registry: registry, Clock: clock, Addrs: []pgateway.MediaAddr{{Bind: ours, Advertise: ours}}, MinPort: 20000, MaxPort: 29999},
		Trunks: []pgateway.Trunk{trunk("in", callers, 5061), trunk("out", theirs, 5070)},
		Routes: []pgateway.Route{{ID: "through", Tenant: "default", Source: []string{"trunk:in"}, Number: []string{"*"}, Hops: []pgateway.Hop{{Trunk: "out", Ring: time.Minute}}}},
		Limits: pgateway.Limits{Calls: 10000, Duration: time.Hour, Response: 10 * time.Second}})
	if err != nil {
		return nil, nil, errors.Join(err, front.Close(), net.Close())
	}
	return g, func() {
		_ = errors.Join(g.Close(), front.Close(), registry.Close(), net.Close())
		clock.Close()
	}, nil
}

// noJournal keeps nothing, so that what records cost can be seen.
type noJournal struct{}

func (noJournal) Commit(context.Context, ...pcall.Event) error { return nil }
func (noJournal) Note(pcall.Event)                             {}
func (noJournal) Stalled() (bool, string)                      { return false, "" }
func (noJournal) Epoch() uint64                                { return 1 }
