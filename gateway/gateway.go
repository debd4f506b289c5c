// Package gateway joins calls: it authenticates who calls, routes, dials, bridges and writes down what happens. One
// goroutine per call owns all of the call's state.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/gateway/numbering"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/sip"
)

// Gateway is the whole: users, trunks, routes and the calls between them.
type Gateway struct {
	cfg      Config
	log      *slog.Logger
	router   Router
	plan     *numbering.Plan // how users dial
	heard    heardSoFar
	instance string // this process, in the marks of calls that it lets through
	ports    []mediaPorts
	clock    monotonic

	users     *sip.UA
	registrar *sip.Registrar
	userByID  map[string]*User
	apps      map[string]*App
	groups    map[string]*Group
	trunks    map[string]*trunk
	order     []*trunk

	mu       sync.Mutex
	calls    map[call.ID]*Call
	legs     map[*sip.Dialog]*sipLeg
	rates    map[string]*bucket   // calls a second, by the same keys and their direction: "trunk:ID/in"
	busy     map[string]int       // calls by user, trunk and application: "user:ID", "trunk:ID", "app:ID"
	desks    map[deskKey][]*desk  // who listens for an application's calls
	offered  map[call.ID]*AppCall // calls that wait for an application to take them
	admitted int                  // of calls, those that aren't refused at once
	load     atomic.Int64         // the same, for who mustn't wait
	draining bool
	closed   bool
	watchers []*watcher    // replaced, never changed
	idle     chan struct{} // closed when draining and no call is left
	quiet    bool          // idle is closed

	ready    chan struct{}   // closed when New is done: calls that come earlier wait
	ctx      context.Context // ends when nobody may be waited for any more
	stop     context.CancelFunc
	wg       sync.WaitGroup // calls, their legs, and what runs beside them
	stats    counters
	tally    tally
	accounts map[string]*account // who pays: "user:ID", "tenant:ID"
	keeping  sync.Mutex          // of the file of locks
}

type counters struct {
	begun, answered, failed, refused atomic.Uint64
	results                          sync.Map // status class text -> *atomic.Uint64
}

// New makes a gateway and its user agents. Nothing is sent before Run; calls come in at once.
func New(cfg Config) (*Gateway, error) {
	g, err := sketch(cfg)
	if err != nil {
		return nil, err
	}
	cfg = g.cfg
	g.ctx, g.stop = context.WithCancel(context.Background())
	if err := g.openAccounts(); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	if len(cfg.Media.Addrs) == 0 {
		return nil, errors.Join(errors.New("media has no address: expected at least one"), g.Close())
	}
	for _, a := range cfg.Media.Addrs {
		mp, err := newMediaPorts(a, cfg.Media)
		if err != nil {
			return nil, errors.Join(err, g.Close())
		}
		g.ports = append(g.ports, mp)
	}
	// Trunks before users: a carrier's address is more exact than "anybody who can prove to be a user".
	for _, t := range cfg.Trunks {
		if err := g.addTrunk(t); err != nil {
			return nil, errors.Join(err, g.Close())
		}
	}
	if err := g.addUsers(); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	close(g.ready)
	return g, nil
}

// sketch is a gateway that knows its settings and has neither sockets nor trunks.
func sketch(cfg Config) (*Gateway, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{cfg: cfg, log: cfg.Log, router: cfg.Router, clock: newMonotonic(), heard: newHeard(),
		userByID: map[string]*User{}, trunks: map[string]*trunk{}, calls: map[call.ID]*Call{},
		legs: map[*sip.Dialog]*sipLeg{}, busy: map[string]int{}, rates: map[string]*bucket{}, ready: make(chan struct{}),
		apps: map[string]*App{}, groups: map[string]*Group{}, accounts: map[string]*account{}, desks: map[deskKey][]*desk{}, offered: map[call.ID]*AppCall{}, instance: newInstance()}
	var err error
	if g.plan, err = numbering.New(numbering.Config{Country: cfg.Country}); err != nil {
		return nil, err
	}
	for i := range cfg.Users {
		g.userByID[cfg.Users[i].ID] = &cfg.Users[i]
	}
	for i := range cfg.Groups {
		g.groups[cfg.Groups[i].ID] = &cfg.Groups[i]
	}
	for _, a := range cfg.Apps {
		if a.MaxCalls == 0 {
			a.MaxCalls = cfg.Limits.Calls
		}
		g.apps[a.ID] = &a
	}
	if g.router == nil {
		r, err := newRoutes(cfg.Users, cfg.Routes)
		if err != nil {
			return nil, err
		}
		r.longest, r.rates = cfg.Longest, cfg.Rates
		for i := range cfg.Groups {
			for _, n := range cfg.Groups[i].Numbers {
				r.groups[cfg.Groups[i].Tenant+"\x00"+n] = &cfg.Groups[i]
			}
		}
		g.router = r
	}
	return g, nil
}

// Run registers at carriers and watches trunks until ctx ends; then it takes no new calls, waits for the running ones
// as long as drain allows, hangs up what is left, and unregisters.
func (g *Gateway) Run(ctx context.Context, drain time.Duration) error {
	for _, t := range g.order {
		if err := t.start(); err != nil {
			return fmt.Errorf("trunk %s: %w", t.ID, err)
		}
	}
	var watch sync.WaitGroup
	watch.Go(func() { g.watchNames(ctx) })
	for _, t := range g.order {
		if t.Options > 0 {
			watch.Go(func() { t.watch(ctx) })
		}
	}
	<-ctx.Done()
	watch.Wait()
	g.log.Info("draining", "calls", g.Active(), "deadline", drain)
	idle := g.drain()
	timer := time.NewTimer(drain)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
		g.log.Warn("drain deadline passed, hanging up", "calls", g.Active())
		g.each(func(c *Call) { c.order(command{kind: cmdHangup, cause: call.ShuttingDown, by: call.System}) })
		select {
		case <-idle:
		case <-time.After(hangupTime):
			g.log.Error("peers did not confirm the end of their calls", "calls", g.Active())
		}
	}
	var wg sync.WaitGroup
	for _, t := range g.order {
		wg.Go(t.stop)
	}
	wg.Wait()
	return nil
}

// drain refuses new calls from now on; the channel closes when none is left.
func (g *Gateway) drain() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.draining {
		g.draining, g.idle = true, make(chan struct{})
		g.rest()
	}
	return g.idle
}

// rest tells that the last call has left a gateway that drains. The caller holds the lock.
func (g *Gateway) rest() {
	if g.draining && !g.quiet && len(g.calls) == 0 {
		g.quiet = true
		close(g.idle)
	}
}

// hangupTime is how long peers have to confirm that calls are over when the gateway stops.
const hangupTime = 10 * time.Second

// Close ends the calls that still run, closes their records and ends the user agents. Peers get their BYE, but nobody
// waits long for a confirmation: Run does that.
func (g *Gateway) Close() error {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.each(func(c *Call) { c.cancel() })
	patience := time.AfterFunc(closeTime, g.stop)
	g.wg.Wait()
	patience.Stop()
	g.stop()
	var errs []error
	for _, t := range g.order {
		errs = append(errs, t.close())
	}
	if g.users != nil {
		errs = append(errs, g.users.Close())
	}
	if g.registrar != nil {
		errs = append(errs, g.registrar.Close())
	}
	return errors.Join(errs...)
}

// closeTime is how long Close waits for peers that don't answer.
const closeTime = 2 * time.Second

// Active is the number of calls.
func (g *Gateway) Active() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.calls)
}

// each runs f for every call, without the lock.
func (g *Gateway) each(f func(*Call)) {
	g.mu.Lock()
	list := make([]*Call, 0, len(g.calls))
	for _, c := range g.calls {
		list = append(list, c)
	}
	g.mu.Unlock()
	for _, c := range list {
		f(c)
	}
}

// monotonic relates wall times with CLOCK_MONOTONIC, which records and media share.
type monotonic struct {
	wall time.Time
	mono int64
}

func newMonotonic() monotonic { return monotonic{time.Now(), udp.Now()} }

// at is CLOCK_MONOTONIC at a time that Go's own clock read.
func (m monotonic) at(t time.Time) int64 { return m.mono + int64(t.Sub(m.wall)) }
