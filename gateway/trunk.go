package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/gateway/numbering"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/sip"
)

// Trunk is a carrier that we exchange calls with.
type Trunk struct {
	ID, Tenant string
	Register   bool         // we register there
	Registrar  sip.HostPort // where, with Register
	Bulk       bool         // we register all numbers of the account at once (RFC 6140)
	Proxy      sip.HostPort // where requests go
	Outbound   sip.HostPort // through which they go there, REGISTER too; zero: none
	Network    string       // udp, tcp, tls
	Domain     string       // host of From, To and request-URI
	User       string       // our account
	Creds      sip.Credentials
	Expires    time.Duration
	Addresses  []netip.Prefix // whose calls are this trunk's
	Bind       netip.AddrPort
	Advertise  sip.HostPort
	Media      []MediaAddr // of its RTP, at most one of a family; none = those of all
	Ptime      int         // ms of packets of G.711; 0 = as the carrier asks, else 20
	Codecs     []string
	DTMF       string     // rfc4733, info, inband, none
	SRTP       media.SRTP // keys in SDP (RFC 4568)
	From       string     // caller, account, fixed
	FromNumber string
	Trusted    bool // the callers that it names are believed, and those who want to be private are told to it (RFC 3325)
	CalledInTo bool // whom its calls are for stands in P-Called-Party-ID or To, not in the request-URI
	Numbers    numbering.Config
	Caller     Caller
	Headers    HeaderPolicy
	Passing    bool // media is never converted: sides that share no codec aren't joined
	MaxCalls   int
	In, Out    Bounds        // of calls from the carrier, and to it
	Full       int           // what a call beyond a bound of the trunk gets: 503 or 486; 0 = 503
	Duration   time.Duration // of one call, from its answer; 0 = Limits.Duration
	Redirects  bool          // its 3xx are followed, to numbers of its own
	Refer      bool          // its parties are transferred by REFER where it takes that
	Transfers  bool          // the carrier's REFER, and INVITE with Replaces, count: it may transfer our parties at our expense
	Overload   bool          // calls are held back as either side asks the other (RFC 7339)
	Options    time.Duration // how often the carrier is asked whether it is there; 0 = never

	Reliable sip.Reliability
	// Preconditions says what becomes of preconditions of quality of service (RFC 3312); they need Reliable.
	Preconditions sip.Preconditions

	Session sip.SessionTimer
	// TLS are the settings of connections to the carrier; nil: the system's roots, no certificate.
	TLS func() *tls.Config
	// Clients are the names in certificates that calls of the carrier's come with, vouched for by a root that Trusts.
	Clients []string
	Trusts  func(root *x509.Certificate) bool
}

// Bounds of the calls of one direction.
type Bounds struct {
	Calls int     // at a time; 0 = as many as both together
	Rate  float64 // that begin per second; 0 = any
}

// trunk is a Trunk at work.
type trunk struct {
	Trunk
	g    *Gateway
	ua   *sip.UA
	plan *numbering.Plan
	reg  atomic.Pointer[sip.Registration] // nil until it is started

	pulse    pulse
	examined atomic.Bool // the doctor is there

	mu      sync.Mutex
	sources map[netip.Addr]bool     // what the names of Proxy and Registrar resolve to
	servers map[netip.AddrPort]bool // the same with their ports

	asideUntil time.Time // calls pass it by until then
	asideWhy   string
}

func (g *Gateway) newTrunk(cfg Trunk) (*trunk, error) {
	plan, err := numbering.New(cfg.Numbers)
	if err != nil {
		return nil, fmt.Errorf("trunk %s: numbers: %w", cfg.ID, err)
	}
	return &trunk{Trunk: cfg, g: g, plan: plan}, nil
}

func (g *Gateway) addTrunk(cfg Trunk) error {
	t, err := g.newTrunk(cfg)
	if err != nil {
		return err
	}
	t.sources, t.servers = t.fixed() // names are resolved once the gateway runs
	uc := t.agent(g.cfg.Agent)
	uc.Match, uc.Knows, uc.Ending, uc.Replaces = t.match, t.knows, g.ending, t.Transfers
	uc.Invite = func(d *sip.Dialog) { g.inbound(d, inboundSource(d, nil, t)) }
	if t.Overload {
		uc.Overload = sip.OverloadConfig{Heed: true, Reduce: g.reduction}
	}
	ua, err := g.cfg.Front.NewUA(uc)
	if err != nil {
		return fmt.Errorf("trunk %s: %w", t.ID, err)
	}
	t.ua = ua
	g.trunks[t.ID] = t
	g.order = append(g.order, t)
	return nil
}

// nameLife is how often the names of carriers are resolved anew.
const nameLife = time.Minute

// names are the hosts of the carrier that have to be resolved.
func (t *trunk) names() []string {
	var out []string
	for _, hp := range t.hosts() {
		if _, err := netip.ParseAddr(hp.Host); err != nil && hp.Host != "" {
			out = append(out, hp.Host)
		}
	}
	return out
}

// fixed are the carrier's servers that are known by address.
func (t *trunk) fixed() (map[netip.Addr]bool, map[netip.AddrPort]bool) {
	addrs, servers := map[netip.Addr]bool{}, map[netip.AddrPort]bool{}
	for _, hp := range t.hosts() {
		if a, err := netip.ParseAddr(hp.Host); err == nil {
			addrs[a.Unmap()] = true
			servers[netip.AddrPortFrom(a.Unmap(), t.port(hp))] = true
		}
	}
	return addrs, servers
}

// learn finds the addresses of the carrier's hosts: calls from there are the trunk's. Where a name can't be resolved now,
// what it was before stands.
func (t *trunk) learn(ctx context.Context) {
	addrs, servers := t.fixed()
	failed := false
	for _, hp := range t.hosts() {
		if hp.Host == "" {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		found, err := t.ua.Servers(ctx, t.at(hp))
		cancel()
		if failed = failed || err != nil; err != nil {
			t.g.log.Warn("trunk's host can't be resolved", "trunk", t.ID, "host", hp.Host, "err", err)
		}
		for _, s := range found {
			addrs[s.Addr().Unmap()] = true
			servers[netip.AddrPortFrom(s.Addr().Unmap(), s.Port())] = true
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if failed {
		for a := range t.sources {
			addrs[a] = true
		}
		for s := range t.servers {
			servers[s] = true
		}
	}
	t.sources, t.servers = addrs, servers
}

// watchNames keeps the addresses of carriers that are known by name, until ctx ends.
func (g *Gateway) watchNames(ctx context.Context) {
	var named []*trunk
	for _, t := range g.order {
		if len(t.names()) > 0 {
			named = append(named, t)
		}
	}
	if len(named) == 0 {
		return
	}
	tick := time.NewTicker(nameLife)
	defer tick.Stop()
	for {
		var wg sync.WaitGroup
		for _, t := range named {
			wg.Go(func() { t.learn(ctx) })
		}
		wg.Wait()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (t *trunk) start() error {
	if !t.Register {
		return nil
	}
	uri, err := sip.NewURI("", t.Domain, 0)
	if err != nil {
		return err
	}
	aor, err := sip.NewURI(t.User, t.Domain, 0)
	if err != nil {
		return err
	}
	reg, err := t.ua.Register(sip.RegisterConfig{Registrar: uri, AOR: sip.NameAddr{URI: aor}, Credentials: t.Creds,
		Bulk: t.Bulk, Expires: t.Expires, Route: t.preloaded(), Destination: t.at(t.next(t.Registrar)), Changed: func(s sip.RegistrationStatus) {
			log := t.g.log.With("trunk", t.ID, "state", s.State)
			switch {
			case s.Err != nil:
				log.Warn("trunk registration", "status", s.Status, "err", s.Err, "next", s.Next.UTC().Format(time.RFC3339))
			default:
				log.Info("trunk registration", "granted", s.Granted)
			}
			ts := TrunkStatus{ID: t.ID, Tenant: t.Tenant}
			ts.registration(s)
			t.beating(&ts)
			t.g.changed(Change{Tenant: t.Tenant, Trunk: &ts})
		}})
	if err != nil {
		return err
	}
	t.reg.Store(reg)
	return nil
}

func (t *Trunk) at(hp sip.HostPort) sip.Destination {
	if a, err := netip.ParseAddr(hp.Host); err == nil {
		return sip.Destination{Network: t.Network, Addr: netip.AddrPortFrom(a, t.port(hp))}
	}
	return sip.Destination{Network: t.Network, Host: hp.Host, Port: hp.Port}
}

func (t *Trunk) port(hp sip.HostPort) uint16 {
	switch {
	case hp.Port != 0:
		return hp.Port
	case t.Network == "tls":
		return 5061
	}
	return 5060
}

// stop unregisters.
func (t *trunk) stop() {
	reg := t.reg.Load()
	if reg == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	if err := reg.Unregister(ctx); err != nil {
		t.g.log.Warn("trunk could not be unregistered", "trunk", t.ID, "err", err)
	}
}

func (t *trunk) close() error {
	if reg := t.reg.Load(); reg != nil {
		reg.Close()
	}
	return t.ua.Close()
}

// up tells whether calls can go out.
func (t *trunk) up() bool {
	if dead, _ := t.pulse.dead(); dead {
		return false
	}
	reg := t.reg.Load()
	return !t.Register || reg != nil && reg.Status().State == sip.Registered
}
