// Package gateway joins calls: it authenticates who calls, routes, dials, bridges and writes down what happens. One
// goroutine per call owns all of the call's state.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/auth"
)

// Config of a Gateway. Users, trunks and routes are complete: every default is filled in.
type Config struct {
	Node     string
	Journal  Journal
	Router   Router  // nil: Routes, behind the users' own numbers
	Charger  Charger // nil: every call is allowed, none is charged
	Front    *sip.Front
	Media    Media
	Domain   string // of our users
	Realm    string
	Agent    string // User-Agent and Server
	Users    []User
	Trunks   []Trunk
	Routes   []Route
	Limits   Limits
	Digits   bool // DTMF digits stand in records as they are; false masks them
	Register Register
	Log      *slog.Logger
}

// Register bounds the registrations of users.
type Register struct{ Min, Max time.Duration }

// Limits of a node.
type Limits struct {
	Calls    int           // at a time; the next gets 503
	Duration time.Duration // from the answer
	Response time.Duration // a hop that gives no response at all
}

// Media is what all endpoints of the gateway share.
type Media struct {
	Net      *udp.Net
	Registry *media.Registry
	Clock    *media.Clock
	Addrs    []MediaAddr // the first is the default
	MinPort  uint16
	MaxPort  uint16
	Timeout  time.Duration // of silence; 0 = never
}

// MediaAddr is a local address for RTP and what SDP says instead.
type MediaAddr struct{ Bind, Advertise netip.Addr }

// Journal keeps events; billing's is on disk.
type Journal interface {
	// Commit returns once the events, and all noted before, are durable. It is called before the first INVITE leaves,
	// before a 200 is relayed and before an end is confirmed.
	Commit(ctx context.Context, e ...call.Event) error
	// Note takes an event in order; it is durable with the next Commit or 50 ms later. It never blocks on the disk.
	Note(e call.Event)
	// Stalled tells whether commits are too slow, or impossible, to take on calls, and why.
	Stalled() (stalled bool, why string)
	// Epoch counts the starts of this node.
	Epoch() uint64
}

// Router says where a call goes: hops in the order of trying. Errors that hold a *Refusal tell the caller why not.
type Router interface {
	Route(ctx context.Context, c *call.Call) (Plan, error)
}

// Plan is a router's answer.
type Plan struct {
	Route  string // id of the route taken
	Number string // the number to dial, rewritten
	Hops   []Hop
	Why    string // for the record
}

// Hop is one way to a callee: a trunk or a user.
type Hop struct {
	Trunk    string
	User     string
	Ring     time.Duration
	Failover Failover
}

// Failover says which outcomes of a hop go on to the next.
type Failover struct {
	Retry  bool  // those of class call.Retry
	Status []int // and these SIP statuses
}

// Next reports whether the cause goes on to the next hop.
func (f Failover) Next(c call.Cause) bool {
	if f.Retry && c.Class() == call.Retry {
		return true
	}
	for _, s := range f.Status {
		if c.SIP == s {
			return true
		}
	}
	return false
}

// Refusal is an error that ends a call with a cause of its own.
type Refusal struct{ Cause call.Cause }

func (r *Refusal) Error() string { return r.Cause.String() }

// Charger is asked for leave and told of use.
type Charger interface {
	Authorize(ctx context.Context, c *call.Call) (Grant, error)
	Extend(ctx context.Context, g Grant) (Grant, error)
	Settle(g Grant, u Used)
}

// Grant is leave to talk.
type Grant struct {
	ID    string
	For   time.Duration // 0 = without end
	Final bool          // nothing comes after it
}

// Used is what a call took of its grants.
type Used struct {
	Talk  time.Duration
	Cause call.Cause
}

// Gateway is the whole: users, trunks, routes and the calls between them.
type Gateway struct {
	cfg    Config
	log    *slog.Logger
	router Router
	ports  []mediaPorts
	clock  monotonic

	users     *sip.UA
	registrar *sip.Registrar
	userByID  map[string]*User
	trunks    map[string]*trunk
	order     []*trunk

	mu       sync.Mutex
	calls    map[call.ID]*Call
	legs     map[*sip.Dialog]*sipLeg
	busy     map[string]int // calls by user and trunk: "user:ID", "trunk:ID"
	draining bool
	idle     chan struct{} // closed when draining and no call is left

	wg    sync.WaitGroup
	stats counters
}

type counters struct {
	begun, answered, failed, refused atomic.Uint64
	results                          sync.Map // status class text -> *atomic.Uint64
}

// New makes a gateway and its user agents. Nothing is sent before Run; calls come in at once.
func New(cfg Config) (*Gateway, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{cfg: cfg, log: cfg.Log, router: cfg.Router, clock: newMonotonic(),
		userByID: map[string]*User{}, trunks: map[string]*trunk{}, calls: map[call.ID]*Call{},
		legs: map[*sip.Dialog]*sipLeg{}, busy: map[string]int{}}
	for i := range cfg.Users {
		g.userByID[cfg.Users[i].ID] = &cfg.Users[i]
	}
	if g.router == nil {
		r, err := newRoutes(cfg.Users, cfg.Routes)
		if err != nil {
			return nil, err
		}
		g.router = r
	}
	for _, a := range cfg.Media.Addrs {
		mp, err := newMediaPorts(a, cfg.Media)
		if err != nil {
			return nil, err
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
	return g, nil
}

func (g *Gateway) addUsers() error {
	if len(g.cfg.Users) == 0 {
		return nil
	}
	byLogin := map[string]*User{}
	for _, u := range g.userByID {
		byLogin[u.Login] = u
	}
	server, err := auth.NewServer(auth.ServerConfig{Realm: g.cfg.Realm, Lookup: func(name, _ string) (auth.Credentials, bool) {
		u, ok := byLogin[name]
		if !ok {
			return auth.Credentials{}, false
		}
		return auth.Credentials{Username: u.Login, Password: u.Password, HA1: u.HA1, Realm: g.cfg.Realm}, true
	}})
	if err != nil {
		return fmt.Errorf("digest of users: %w", err)
	}
	g.registrar, err = sip.NewRegistrar(sip.RegistrarConfig{Auth: server, MinExpires: g.cfg.Register.Min,
		MaxExpires: g.cfg.Register.Max, Changed: func(user string, online bool) {
			g.log.Info("user registration", "user", byLogin[user].id(), "online", online)
		}})
	if err != nil {
		return fmt.Errorf("registrar: %w", err)
	}
	g.users, err = g.cfg.Front.NewUA(sip.Config{Name: "users", UserAgent: g.cfg.Agent, Registrar: g.registrar,
		Authenticate: server, Match: g.isUser, Ending: g.ending,
		Invite: func(d *sip.Dialog) {
			u := byLogin[d.Request().User]
			if u == nil { // authenticated, so it was there a moment ago
				_ = d.Reject(403, "Unknown user")
				return
			}
			g.inbound(d, source{user: u})
		}})
	if err != nil {
		return fmt.Errorf("users' user agent: %w", err)
	}
	return nil
}

// isUser tells whether a request may be a user's: a registration at one of our own hosts, which is then challenged, or
// anything from an address where a phone is registered. Everybody else is a stranger and gets no answer.
func (g *Gateway) isUser(in sip.Inbound) bool {
	if in.Method != "REGISTER" {
		return g.registrar.Knows(in.Source.Addr())
	}
	host := in.URI.Host
	if strings.EqualFold(host, g.cfg.Domain) || host == in.Local.Addr().Unmap().String() {
		return true
	}
	for _, l := range g.cfg.Front.Addrs() {
		if strings.EqualFold(host, l.Advertise.Host) || host == l.Addr.Addr().Unmap().String() {
			return true
		}
	}
	return false
}

// Run registers at carriers and watches trunks until ctx ends; then it takes no new calls, waits for the running ones
// as long as drain allows, hangs up what is left, and unregisters.
func (g *Gateway) Run(ctx context.Context, drain time.Duration) error {
	for _, t := range g.order {
		if err := t.start(); err != nil {
			return fmt.Errorf("trunk %s: %w", t.ID, err)
		}
	}
	<-ctx.Done()
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
		case <-time.After(10 * time.Second):
			g.log.Error("calls did not end", "calls", g.Active())
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
		if len(g.calls) == 0 {
			close(g.idle)
		}
	}
	return g.idle
}

// Close ends the user agents. Calls that still run end without being told; Run ends them politely before.
func (g *Gateway) Close() error {
	g.each(func(c *Call) { c.cancel() })
	g.wg.Wait()
	var errs []error
	for _, t := range g.order {
		errs = append(errs, t.close())
	}
	if g.users != nil {
		errs = append(errs, g.users.Close())
	}
	return errors.Join(errs...)
}

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
