package sip

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/netip"
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

	begun  int // server transactions that began something; front.mu guards it
	faces  faces
	widths widths
	says   says
	aside  aside
	wishes wishes
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
	u.cfg.Session = cfg.Session.withDefaults()
	if err := u.cfg.Session.check(); err != nil {
		return nil, err
	}
	if u.maxDialogs == 0 {
		u.maxDialogs = f.cfg.Limits.Dialogs
	}
	if u.cfg.UserAgent == "" {
		u.cfg.UserAgent = "Patchbay"
	}
	if len(u.cfg.InfoTypes) == 0 {
		u.cfg.InfoTypes = []string{"application/dtmf-relay", "application/dtmf", "application/media_control+xml"}
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
	u.says = u.cfg.says()
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
	u.dialer.TLS, u.dialer.Local, u.dialer.DSCP = u.cfg.TLS, u.leaving, u.front.cfg.DSCP
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
		var servers []*answering
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
			t.terminate()
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
