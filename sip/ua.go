package sip

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/flow"
)

// dialedConnections bounds the TCP connections that one UA opens.
const dialedConnections = 512

// UA is one SIP user agent: its identity, credentials, connections and dialogs.
type UA struct {
	front      *Front
	cfg        Config
	log        *slog.Logger
	timers     Timers
	maxDialogs int
	bound      []*socket // its own sockets
	dialer     *flow.Dialer
	auth       *auth.Client
	users      *auth.Server // challenges inbound requests; nil: nobody is challenged
	dialogs    atomic.Int64
	count      uaCounters
	learned    atomic.Pointer[netip.AddrPort] // how the registrar sees us over UDP

	ctx  context.Context
	stop context.CancelFunc
	once sync.Once
	work sync.WaitGroup
	mu   sync.Mutex // guards closed against work
	shut bool

	faces faces
}

type uaCounters struct {
	requestsIn, requestsOut, responsesIn, responsesOut counters
	challenged, refused, eventsLost                    atomic.Uint64
}

// NewUA adds a user agent to the Front.
func (f *Front) NewUA(cfg Config) (*UA, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	u := &UA{front: f, cfg: cfg, timers: cfg.Timers, maxDialogs: cfg.MaxDialogs, users: cfg.Authenticate}
	u.log = f.log.With("ua", cfg.Name)
	if u.timers == (Timers{}) {
		u.timers = f.cfg.Timers
	}
	u.timers = u.timers.withDefaults()
	if err := u.timers.check(); err != nil {
		return nil, err
	}
	if u.maxDialogs == 0 {
		u.maxDialogs = f.cfg.Limits.Dialogs
	}
	if u.cfg.UserAgent == "" {
		u.cfg.UserAgent = "Patchbay"
	}
	if cfg.Registrar != nil {
		u.cfg.Symmetric = true
		if u.users == nil {
			u.users = cfg.Registrar.cfg.Auth // REGISTER is never admitted without
		}
	}
	if !cfg.Credentials.IsZero() {
		u.auth = auth.NewClient(cfg.Credentials)
	}
	u.ctx, u.stop = context.WithCancel(context.Background())
	if err := u.bind(); err != nil {
		u.stop()
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		u.stop()
		return nil, ErrClosed
	}
	for _, other := range f.uas {
		if other.cfg.Name == cfg.Name {
			u.stop()
			return nil, fmt.Errorf("sip: Config.Name %q: a UA of that name exists", cfg.Name)
		}
	}
	f.uas = append(append([]*UA(nil), f.uas...), u)
	return u, nil
}

// bind opens the UA's own sockets, or finds the Front's at that address.
func (u *UA) bind() error {
	var local netip.Addr
	if b := u.cfg.Bind; b != nil {
		local = b.Addr.Addr()
		networks := []string{b.Network}
		if b.Network == "" {
			networks = []string{"udp", "tcp"}
		}
		port := b.Addr.Port()
		for _, n := range networks {
			if s := u.front.listening(n, b.Addr); s != nil {
				continue // the Front's socket will be picked by its address
			}
			s, err := u.front.open(Listen{Network: n, Addr: netip.AddrPortFrom(local, port), Advertise: b.Advertise}, u)
			if err != nil {
				for _, mine := range u.bound {
					u.front.forget(mine)
				}
				return err
			}
			port = s.listen.Addr.Port()
			u.bound = append(u.bound, s)
		}
	}
	u.dialer = flow.NewDialer(local, dialedConnections, &inlet{front: u.front, owner: u, opened: true}, u.front.limits())
	return nil
}

func (f *Front) listening(network string, at netip.AddrPort) *socket {
	if at.Port() == 0 {
		return nil
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, s := range f.sockets {
		if s.owner == nil && s.listen.Network == network && s.listen.Addr == at {
			return s
		}
	}
	return nil
}

func (f *Front) forget(s *socket) {
	f.mu.Lock()
	var rest []*socket
	for _, o := range f.sockets {
		if o != s {
			rest = append(rest, o)
		}
	}
	f.sockets = rest
	f.mu.Unlock()
	s.close()
}

// Name is the configured name.
func (u *UA) Name() string { return u.cfg.Name }

// Addrs are the sockets the UA sends from and receives on: its own, or the Front's.
func (u *UA) Addrs() []Listen {
	if len(u.bound) == 0 {
		return u.front.Addrs()
	}
	var out []Listen
	for _, s := range u.bound {
		out = append(out, s.listen)
	}
	return out
}

// Close ends the UA: its dialogs end without a message to the peer (Hangup first for that), its registrations stop
// without unregistering. It awaits all goroutines; what still runs in Invite must return.
func (u *UA) Close() error {
	u.once.Do(func() {
		f := u.front
		f.mu.Lock()
		var rest []*UA
		for _, o := range f.uas {
			if o != u {
				rest = append(rest, o)
			}
		}
		f.uas = rest
		var dialogs []*Dialog
		for _, d := range f.dialogs {
			if d.ua == u {
				dialogs = append(dialogs, d)
			}
		}
		var clients []*clientTx
		for _, t := range f.clients {
			if t.ua == u {
				clients = append(clients, t)
			}
		}
		var servers []*serverTx
		for _, t := range f.servers {
			if t.ua == u {
				servers = append(servers, t)
			}
		}
		f.mu.Unlock()
		u.mu.Lock()
		u.shut = true
		u.mu.Unlock()
		u.stop()
		for _, d := range dialogs {
			d.abort()
		}
		for _, t := range clients {
			t.fail(ErrClosed)
		}
		for _, t := range servers {
			t.tx.Terminate()
		}
		if r := u.cfg.Registrar; r != nil {
			r.close()
		}
		u.dialer.Close()
		for _, s := range u.bound {
			f.forget(s)
		}
	})
	u.work.Wait()
	return nil
}

// spawn runs fn on a goroutine that Close awaits; false if the UA is closed.
func (u *UA) spawn(fn func()) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.shut {
		return false
	}
	u.work.Go(fn)
	return true
}

// Stats are a UA's counters since its start, and gauges.
type Stats struct {
	RequestsIn, RequestsOut   map[string]uint64 // by method; unknown methods are OTHER
	ResponsesIn, ResponsesOut map[string]uint64 // by class, "1xx" to "6xx"
	Dialogs                   int               // not ended
	Connections               int               // opened by us
	Challenged                uint64            // requests answered 401 or 407
	Refused                   uint64            // of them with wrong credentials
	EventsLost                uint64            // events that nobody read in time
}

// Stats reads the counters.
func (u *UA) Stats() Stats {
	return Stats{
		RequestsIn: u.count.requestsIn.snapshot(), RequestsOut: u.count.requestsOut.snapshot(),
		ResponsesIn: u.count.responsesIn.snapshot(), ResponsesOut: u.count.responsesOut.snapshot(),
		Dialogs: int(u.dialogs.Load()), Connections: u.dialer.Connections(),
		Challenged: u.count.challenged.Load(), Refused: u.count.refused.Load(), EventsLost: u.count.eventsLost.Load(),
	}
}

// flowTo finds the way to a destination: a UDP socket of our own or the Front's, or a connection that this UA opens
// or has opened. Never a connection that a peer opened, unless the destination is that peer's registered contact.
func (u *UA) flowTo(ctx context.Context, d Destination) (*flow.Flow, error) {
	if d.peer != nil && d.peer.Alive() {
		return d.peer, nil
	}
	to := d.Addr
	if !to.IsValid() {
		addrs, err := u.front.names.resolve(ctx, d.Host)
		if err != nil {
			return nil, err
		}
		port := d.Port
		if port == 0 {
			port = 5060
		}
		to = netip.AddrPortFrom(addrs[0], port)
		for _, a := range addrs {
			if u.socketFor("udp", a) != nil || d.Network == "tcp" {
				to = netip.AddrPortFrom(a, port)
				break
			}
		}
	}
	if to.Port() == 0 {
		to = netip.AddrPortFrom(to.Addr(), 5060)
	}
	switch d.Network {
	case "tcp":
		return u.dialer.Dial(ctx, to)
	case "udp", "":
		s := u.socketFor("udp", to.Addr())
		if s == nil {
			if d.Network == "" && u.socketFor("tcp", to.Addr()) != nil {
				return u.dialer.Dial(ctx, to)
			}
			return nil, fmt.Errorf("sip: no UDP socket of %s reaches %s", u.cfg.Name, to)
		}
		return s.udp.Flow(to), nil
	}
	return nil, fmt.Errorf("sip: Destination.Network %q: expected udp or tcp", d.Network)
}

// flowFor finds the way to a URI. network is what to use if the URI doesn't say.
func (u *UA) flowFor(ctx context.Context, uri URI, network string) (*flow.Flow, error) {
	if uri.Scheme == "sips" {
		return nil, fmt.Errorf("sip: %s: TLS is not available", uri)
	}
	if uri.Scheme != "sip" {
		return nil, fmt.Errorf("sip: %s: expected a sip URI, or a Route or Destination", uri)
	}
	if t, ok := uri.Param("transport"); ok {
		network = strings.ToLower(t)
	}
	host := uri.Host
	if m, ok := uri.Param("maddr"); ok {
		host = strings.Trim(m, "[]")
	}
	return u.flowTo(ctx, Destination{Network: network, Host: host, Port: uri.Port})
}

// socketFor picks the socket that faces an address: same family, and among several the one bound to an address of
// the same kind.
func (u *UA) socketFor(network string, to netip.Addr) *socket {
	u.front.mu.RLock()
	defer u.front.mu.RUnlock()
	var best *socket
	rank := 0
	for _, s := range u.front.sockets {
		if s.listen.Network != network || (s.owner != nil && s.owner != u) {
			continue
		}
		if r := u.rank(s, to.Unmap()); r > rank {
			best, rank = s, r
		}
	}
	return best
}

func (u *UA) rank(s *socket, to netip.Addr) int {
	at := s.listen.Addr.Addr()
	r := 0
	switch {
	case at.IsUnspecified() && (at.Is4() == to.Is4() || at.Is6()):
		r = 1
	case at.IsUnspecified() || at.Is4() != to.Is4():
		return 0
	case at == to:
		r = 4
	case at.IsLoopback() == to.IsLoopback():
		r = 3
	default:
		r = 2
	}
	if s.owner == u {
		return r + 20
	}
	if b := u.cfg.Bind; b != nil && b.Addr == s.listen.Addr {
		return r + 10
	}
	return r
}

// sentBy is what Via and Contact say about us on a flow.
func (u *UA) sentBy(f *flow.Flow) HostPort {
	var out HostPort
	local := f.Local()
	port := local.Port()
	var advertise HostPort
	if s := u.socketFor(f.Network(), f.Remote().Addr()); s != nil {
		advertise = s.listen.Advertise
		if f.Network() == "tcp" {
			port = s.listen.Addr.Port()
		}
	}
	for _, a := range []HostPort{u.cfg.Advertise, advertise} {
		if out.Host == "" {
			out.Host = a.Host
		}
		if out.Port == 0 {
			out.Port = a.Port
		}
	}
	if l := u.learned.Load(); l != nil && out.IsZero() && f.Network() == "udp" {
		return HostPort{l.Addr().String(), l.Port()}
	}
	if out.Host == "" {
		if local.Addr().IsUnspecified() {
			out.Host = u.faces.facing(f.Remote()).String()
		} else {
			out.Host = local.Addr().WithZone("").String()
		}
	}
	if out.Port == 0 {
		out.Port = port
	}
	return out
}

// faces remembers which of our addresses faces a peer, for sockets bound to all of them.
type faces struct {
	mu sync.Mutex
	m  map[netip.Addr]netip.Addr
}

func (fc *faces) facing(remote netip.AddrPort) netip.Addr {
	fc.mu.Lock()
	defer fc.mu.Unlock()
	if a, ok := fc.m[remote.Addr()]; ok {
		return a
	}
	local := netip.IPv4Unspecified()
	// Connecting a UDP socket sends nothing: it asks the kernel for a route.
	if c, err := net.Dial("udp", remote.String()); err == nil {
		local = c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone("")
		c.Close()
	}
	if fc.m == nil || len(fc.m) > 1024 {
		fc.m = map[netip.Addr]netip.Addr{}
	}
	fc.m[remote.Addr()] = local
	return local
}

func newTag() string { return randomHex(8) }

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// later runs fn in the order of a Call-ID after a while, unless the UA closes first. If there is no room it is tried
// again: a timer that is lost would leave a call up.
func (u *UA) later(after time.Duration, callID string, fn func()) *time.Timer {
	return time.AfterFunc(after, func() {
		if !u.front.serial.Do(callID, fn) && u.ctx.Err() == nil {
			u.later(u.timers.T1, callID, fn)
		}
	})
}
