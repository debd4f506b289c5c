package webrtc

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
)

// PortConfig is the settings of a Port. Net and Bind are needed.
type PortConfig struct {
	Net *udp.Net
	// Bind are the sockets, one per address: IPv4 and IPv6. Port 0 is any free one. A machine with several addresses of a
	// family binds each, for a peer drops an answer that comes from another than it asked; wildcards of both families on
	// one port need Net's V6Only.
	Bind []netip.AddrPort
	// Advertise are the addresses in candidates, best first, where they aren't the sockets' own: behind NAT that maps each
	// port to the same port. nil = the sockets', of a wildcard all of the machine's.
	Advertise []netip.Addr
	// Streams are the sockets of TCP, for peers to whom UDP is barred (RFC 6544); nil = none. Endpoints with full ICE have them.
	Streams []netip.AddrPort
	// RSA has certificates with RSA keys made from the start, in the background, rather than from when one is first asked for.
	RSA bool
	// Endpoints is how many there may be at once; 0 = 10,000.
	Endpoints int
	// Handshakes is how many DTLS handshakes run at once, half of them of one source; at the limit the oldest makes room once
	// it has had 2 s, and until then those that are new wait for their peers' next try. 0 = 64.
	Handshakes int
	// Report is the mean time between two RTCP reports of an endpoint; 0 = 5 s (RFC 3550 6.2).
	Report time.Duration
	// Check has every check answered by one of ours, until the peer answers it: clients made of pion's library are connected
	// in 2 ms rather than 200, browsers no sooner. SDP then doesn't say ice-lite.
	Check bool
	// Profiles of SRTP by their IANA names, best first; nil = AEAD_AES_128_GCM, SRTP_AES128_CM_HMAC_SHA1_80.
	Profiles []string
	Log      *slog.Logger

	linger  time.Duration // from keys to the end of DTLS; 0 = 3 s
	consent time.Duration // 0 = consentTime
	shaking time.Duration // until a handshake is over; 0 = handshakeTime
	young   time.Duration // 0 = youngTime
	rest    int           // between two RSA keys, times as long as making one took; 0 = restRSA, below 0 none
}

const (
	consentTime = 30 * time.Second // without a check; then we send no more (RFC 7675 5.1)
	lingerTime  = 3 * time.Second  // in which the peer may ask for our last flight again
	rounds      = 10               // of the ticker in a second
)

// ErrFull is New's error when a port has as many endpoints as it takes.
var ErrFull = errors.New("webrtc: the port has no room for another endpoint")

func (c *PortConfig) complete() error {
	if c.Net == nil || len(c.Bind) == 0 {
		return errors.New("webrtc: Net and Bind are needed")
	}
	if c.Endpoints == 0 {
		c.Endpoints = 10_000
	}
	if c.Handshakes == 0 {
		c.Handshakes = 64
	}
	if c.Endpoints < 0 || c.Handshakes < 0 || c.Report < 0 {
		return fmt.Errorf("webrtc: Endpoints is %d, Handshakes %d, Report %s: expected none below 0", c.Endpoints, c.Handshakes, c.Report)
	}
	if c.Report == 0 {
		c.Report = 5 * time.Second
	}
	if c.Profiles == nil {
		c.Profiles = []string{"AEAD_AES_128_GCM", "SRTP_AES128_CM_HMAC_SHA1_80"}
	}
	if _, err := profiles(c.Profiles); err != nil {
		return err
	}
	if c.linger == 0 {
		c.linger = lingerTime
	}
	if c.consent == 0 {
		c.consent = consentTime
	}
	if c.shaking == 0 {
		c.shaking = handshakeTime
	}
	if c.young == 0 {
		c.young = youngTime
	}
	if c.rest == 0 {
		c.rest = restRSA
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Port is the UDP port that all endpoints of a process share, with certificates made ahead. Its methods may be called from any
// goroutine.
type Port struct {
	cfg       PortConfig
	sockets   []*socket
	addresses []netip.AddrPort // as in candidates, best first

	streamAddresses []netip.AddrPort // and those of TCP

	identities identities
	streams    streams
	handshakes handshakes
	work       sync.WaitGroup

	mu     sync.RWMutex
	users  map[string]*user // by our ufrag
	asked  map[[12]byte]asker
	ends   map[*Endpoint]struct{}
	rounds [rounds]map[*Endpoint]struct{} // whom the ticker serves when
	round  int
	closed bool

	stop  chan struct{}
	done  chan struct{}
	close sync.Once
	err   error

	drops struct{ stun, strangers, other, limited, taken, queued atomic.Uint64 }
}

// NewPort opens the sockets. The caller closes the port, after its endpoints and before Net.
func NewPort(cfg PortConfig) (*Port, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	p := &Port{
		cfg: cfg, users: map[string]*user{}, asked: map[[12]byte]asker{}, ends: map[*Endpoint]struct{}{},
		handshakes: handshakes{most: cfg.Handshakes, young: cfg.young, log: cfg.Log}, stop: make(chan struct{}), done: make(chan struct{}),
	}
	for i := range p.rounds {
		p.rounds[i] = map[*Endpoint]struct{}{}
	}
	if err := p.identities.init(&cfg); err != nil {
		return nil, err
	}
	var err error
	for _, at := range cfg.Bind {
		s := newSocket(p)
		if s.udp, err = cfg.Net.OpenShared(at, s); err != nil {
			return nil, errors.Join(fmt.Errorf("webrtc: %w", err), p.shut())
		}
		close(s.ready)
		p.sockets = append(p.sockets, s)
	}
	if p.addresses, err = p.advertised(); err != nil {
		return nil, errors.Join(err, p.shut())
	}
	if err = p.listen(); err != nil {
		return nil, errors.Join(err, p.shut())
	}
	for _, a := range p.addresses {
		if n := p.streamPort(a.Addr()); n != 0 {
			p.streamAddresses = append(p.streamAddresses, netip.AddrPortFrom(a.Addr(), n))
		}
	}
	p.work.Go(func() { p.identities.run(p.stop) })
	go p.run()
	return p, nil
}

func (p *Port) shut() error {
	errs := []error{p.hush()}
	for _, s := range p.sockets {
		errs = append(errs, s.udp.Close())
	}
	return errors.Join(errs...)
}

// Close closes the sockets; twice is as good as once. When it returns nothing runs any more.
func (p *Port) Close() error {
	p.close.Do(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		close(p.stop)
		<-p.done
		p.err = p.shut()
		p.work.Wait()
	})
	return p.err
}

// Addresses are those in candidates, best first.
func (p *Port) Addresses() []netip.AddrPort { return slices.Clone(p.addresses) }

// Room is how many endpoints there are, and how many there may be.
func (p *Port) Room() (taken, all int) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.ends), p.cfg.Endpoints
}

func (p *Port) main() netip.AddrPort { return p.addresses[0] }

// Stats counts what came to the port and was for nobody, and what there is now.
func (p *Port) Stats(s *media.Snapshot) {
	p.mu.RLock()
	s.Note("webrtc.endpoints", float64(len(p.ends)))
	p.mu.RUnlock()
	s.Note("webrtc.handshakes", float64(p.handshakes.len()))
	s.Note("webrtc.handshakes.refused", float64(p.handshakes.refused.Load()))
	s.Note("webrtc.handshakes.pushed", float64(p.handshakes.pushed.Load()))
	s.Note("webrtc.port.stun", float64(p.drops.stun.Load()))
	s.Note("webrtc.port.strangers", float64(p.drops.strangers.Load()))
	s.Note("webrtc.port.other", float64(p.drops.other.Load()))
	s.Note("webrtc.port.limited", float64(p.drops.limited.Load()))
	s.Note("webrtc.port.taken", float64(p.drops.taken.Load()))
	s.Note("webrtc.port.queued", float64(p.drops.queued.Load()))
	p.streams.mu.Lock()
	s.Note("webrtc.streams", float64(len(p.streams.conns)))
	p.streams.mu.Unlock()
}

// advertised are the addresses for candidates.
func (p *Port) advertised() ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	for _, a := range p.cfg.Advertise {
		a = a.Unmap()
		i := slices.IndexFunc(p.sockets, func(s *socket) bool { return s.takes(a) })
		if i < 0 || a.IsUnspecified() || a.IsMulticast() {
			return nil, fmt.Errorf("webrtc: Advertise has %s, expected a unicast address of a family in Bind", a)
		}
		out = append(out, netip.AddrPortFrom(a, p.sockets[i].udp.LocalAddr().Port()))
	}
	if len(out) > 0 {
		return out, nil
	}
	for _, s := range p.sockets {
		at := s.udp.LocalAddr()
		if !at.Addr().IsUnspecified() {
			out = append(out, at)
			continue
		}
		own, err := ownAddresses(at.Addr().Is6())
		if err != nil {
			return nil, err
		}
		for _, a := range own {
			out = append(out, netip.AddrPortFrom(a, at.Port()))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("webrtc: Bind is %v: the machine has no such address", p.cfg.Bind)
	}
	return out, nil
}

// ownAddresses are the machine's that others can send to; loopback ones if there are no others. A wildcard IPv6 socket may
// take IPv4 too, but what has both has an IPv4 one in Bind.
func ownAddresses(six bool) ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("webrtc: list addresses: %w", err)
	}
	var out, loopback []netip.Addr
	for _, n := range list {
		prefix, err := netip.ParsePrefix(n.String())
		a := prefix.Addr().Unmap()
		switch {
		case err != nil || a.Is6() != six || a.IsLinkLocalUnicast():
		case a.IsLoopback():
			loopback = append(loopback, a)
		default:
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		out = loopback
	}
	return out[:min(len(out), 16)], nil
}

// enter has an endpoint served by the ticker.
func (p *Port) enter(e *Endpoint) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return fmt.Errorf("webrtc: the port is closed: %w", net.ErrClosed)
	case len(p.ends) >= p.cfg.Endpoints:
		return fmt.Errorf("%w: %d are there", ErrFull, len(p.ends))
	}
	p.ends[e] = struct{}{}
	p.rounds[p.round][e] = struct{}{}
	p.round = (p.round + 1) % rounds
	return nil
}

func (p *Port) leave(e *Endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.ends, e)
	for i := range p.rounds {
		delete(p.rounds[i], e)
	}
}

// run is the ticker: each endpoint's turn comes once a second.
func (p *Port) run() {
	defer close(p.done)
	t := time.NewTicker(time.Second / rounds)
	defer t.Stop()
	var due []*Endpoint
	for i := 0; ; i = (i + 1) % rounds {
		select {
		case <-p.stop:
			return
		case <-t.C:
		}
		p.mu.RLock()
		due = due[:0]
		for e := range p.rounds[i] {
			due = append(due, e)
		}
		p.mu.RUnlock()
		now := udp.Now()
		for _, e := range due {
			e.tick(now)
		}
		clear(due)
	}
}
