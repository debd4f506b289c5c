package udp

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// MaxDatagram is the longest datagram that reaches a handler, in bytes.
	// Longer ones are counted (Stats.Oversize) and dropped.
	MaxDatagram = 2048
	// Room is how many bytes a handler may write behind the datagram it is
	// given: cap(p)-len(p) is at least Room, enough for an SRTP or SRTCP
	// trailer (RFC 3711 3.1, 3.4; RFC 7714).
	Room = 64

	defaultReadBuffer = 256 << 10
	maxLoops          = 256
)

var (
	// ErrInHandler is Net.Close's refusal to wait for the handler that called it.
	ErrInHandler = errors.New("udp: called from inside a handler")
	// ErrFull is a datagram that the kernel had no room for at this moment;
	// it is dropped and counted, never waited for.
	ErrFull = errors.New("udp: send buffer full")
)

// Handler receives what happens on a socket. All calls for one socket, and for
// both sockets of a pair, come one after another. They come on the goroutine
// that reads, together with other sockets' calls: a handler must not block.
// The first call may come before Open has returned, so a handler that needs its
// Socket must be ready not to have it yet.
type Handler interface {
	// Datagram has a datagram of 0 to MaxDatagram bytes. p belongs to the
	// handler until it returns, with Room bytes behind it. now is the time
	// of Now, read once per wake-up.
	Datagram(p []byte, from Addr, now int64)
	// Tick comes about once per Config.Tick, with traffic or without.
	Tick(now int64)
}

// Config is the settings of a Net; the zero value is useful.
type Config struct {
	// Loops is the number of goroutines that read, 1 to 256; 0 is one per
	// core (GOMAXPROCS). It means nothing where each socket has its own.
	Loops int
	// Log gets what no caller can be told; nil discards it.
	Log *slog.Logger
	// ReadBuffer is the kernel's receive buffer per socket in bytes, up to
	// what the system allows (net.core.rmem_max); 0 is 256 KiB.
	ReadBuffer int
	// Tick is the time between two Ticks of a socket, at least 16 ms; 0 is
	// one second.
	Tick time.Duration
	// DSCP marks what is sent (RFC 2474), 0 to 63; voice is 46, EF.
	DSCP int
	// V6Only keeps a socket on the IPv6 wildcard address from taking IPv4
	// too. Sockets on any other address have one family anyway.
	V6Only bool
}

func (c *Config) complete() error {
	if c.Loops == 0 {
		c.Loops = min(runtime.GOMAXPROCS(0), maxLoops)
	}
	if c.Loops < 1 || c.Loops > maxLoops {
		return fmt.Errorf("udp: Loops is %d, expected 0 to %d", c.Loops, maxLoops)
	}
	if c.ReadBuffer == 0 {
		c.ReadBuffer = defaultReadBuffer
	}
	if c.ReadBuffer < 0 || c.ReadBuffer > 1<<30 {
		return fmt.Errorf("udp: ReadBuffer is %d, expected 0 to %d bytes", c.ReadBuffer, 1<<30)
	}
	if c.Tick == 0 {
		c.Tick = time.Second
	}
	if c.Tick < 16*time.Millisecond || c.Tick > time.Hour {
		return fmt.Errorf("udp: Tick is %s, expected 16ms to 1h, or 0 for 1s", c.Tick)
	}
	if c.DSCP < 0 || c.DSCP > 63 {
		return fmt.Errorf("udp: DSCP is %d, expected 0 to 63", c.DSCP)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Net owns sockets and the goroutines that read them. Its methods may be called
// from any goroutine.
type Net struct {
	cfg     Config
	engine  engine
	members members

	queues // of shared sockets

	mu     sync.Mutex
	closed bool
	all    map[*Socket]struct{}
}

// engine is how datagrams are read: the epoll loops or a goroutine per socket.
type engine interface {
	// bind opens s at local and fills in s.local; nothing is read yet.
	bind(s *Socket, local netip.AddrPort) error
	// start begins to read sockets bound before, all on one goroutine or as if.
	start(ss ...*Socket) error
	// stop ends the goroutines, whose sockets are all closed, and awaits them.
	stop() error
}

// New starts the loops. The caller closes the Net.
func New(cfg Config) (*Net, error) { return newNet(cfg, newEngine) }

func newNet(cfg Config, start func(*Net) (engine, error)) (*Net, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	n := &Net{cfg: cfg, all: map[*Socket]struct{}{}}
	e, err := start(n)
	if err != nil {
		return nil, fmt.Errorf("udp: start loops: %w", err)
	}
	n.engine = e
	return n, nil
}

// Close closes all sockets, ends the loops and awaits them; twice is as good as
// once. Called from inside a handler it does nothing and returns ErrInHandler.
func (n *Net) Close() error {
	if n.members.inside() {
		return ErrInHandler
	}
	n.mu.Lock()
	n.closed = true
	left := make([]*Socket, 0, len(n.all))
	for s := range n.all {
		left = append(left, s)
	}
	n.mu.Unlock()
	var errs []error
	for _, s := range left {
		errs = append(errs, s.Close())
	}
	errs = append(errs, n.engine.stop())
	return errors.Join(errs...)
}

// Sockets is how many sockets are open.
func (n *Net) Sockets() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.all)
}

// Open binds a socket to local, port 0 meaning any free one, and lets h have
// what arrives. The address may be IPv4 or IPv6, or a wildcard of either.
func (n *Net) Open(local netip.AddrPort, h Handler) (*Socket, error) {
	s, err := n.bind(local, h, nil)
	if err != nil {
		return nil, err
	}
	if err := n.start(s); err != nil {
		return nil, err
	}
	return s, nil
}

// OpenShared is Open for a socket that very many peers share. On Linux its
// datagrams are read and sent in vectors, and its kernel buffers hold what they
// send at once. A datagram that is written while a loop is awake leaves when
// that loop has done what woke it, a fraction of a millisecond later.
func (n *Net) OpenShared(local netip.AddrPort, h Handler) (*Socket, error) {
	s, err := n.bind(local, h, nil)
	if err != nil {
		return nil, err
	}
	n.share(s)
	if err := n.start(s); err != nil {
		return nil, err
	}
	return s, nil
}

// pairTries bounds how many pairs OpenPair tries that other programs turn out
// to hold.
const pairTries = 128

// OpenPair binds an even port for RTP and the odd one above it for RTCP
// (RFC 3550 11), taken from ports, at ip. The calls of both handlers come one
// after another. When both sockets are closed the pair goes back to ports. The
// error names the range that is exhausted and satisfies errors.Is(err,
// ErrExhausted).
func (n *Net) OpenPair(ip netip.Addr, ports *Ports, rtp, rtcp Handler) (*Socket, *Socket, error) {
	foreign := 0
	for range pairTries {
		port, err := ports.take(Now())
		if err != nil {
			return nil, nil, fmt.Errorf("udp: open pair on %s: %w%s", ip, err, foreignNote(foreign))
		}
		a, b, err := n.openPair(ip, ports, port, rtp, rtcp)
		if err == nil {
			return a, b, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, nil, err
		}
		foreign++
	}
	return nil, nil, fmt.Errorf("udp: open pair on %s: %w: range %s%s", ip, ErrExhausted, ports, foreignNote(foreign))
}

func foreignNote(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d tried pairs are in use by other sockets", n)
}

func (n *Net) openPair(ip netip.Addr, ports *Ports, port uint16, rtp, rtcp Handler) (*Socket, *Socket, error) {
	p := &pair{ports: ports, port: port}
	a, err := n.bind(netip.AddrPortFrom(ip, port), rtp, p)
	if err != nil {
		p.abandon(err)
		return nil, nil, err
	}
	b, err := n.bind(netip.AddrPortFrom(ip, port+1), rtcp, p)
	if err != nil {
		p.taken = errors.Is(err, syscall.EADDRINUSE)
		a.discard()
		return nil, nil, err
	}
	if err := n.start(a, b); err != nil {
		return nil, nil, err
	}
	return a, b, nil
}

func (n *Net) bind(local netip.AddrPort, h Handler, p *pair) (*Socket, error) {
	if h == nil {
		return nil, fmt.Errorf("udp: open %s: handler is nil", local)
	}
	if !local.IsValid() {
		return nil, errors.New("udp: open: local address is the zero value, expected an IP address and a port")
	}
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	s := &Socket{hot: hot{handler: h}, cold: cold{net: n}}
	s.warm, _ = h.(Warmer)
	if err := n.engine.bind(s, local); err != nil {
		return nil, fmt.Errorf("udp: open %s: %w", local, err)
	}
	if p != nil {
		s.pair = p
		p.open.Add(1)
	}
	n.mu.Lock()
	closed := n.closed
	if !closed {
		n.all[s] = struct{}{}
	}
	n.mu.Unlock()
	if closed {
		s.discard()
		return nil, fmt.Errorf("udp: open %s: %w", local, net.ErrClosed)
	}
	return s, nil
}

// start hands bound sockets to the engine; if that fails they are closed.
func (n *Net) start(ss ...*Socket) error {
	if err := n.engine.start(ss...); err != nil {
		for _, s := range ss {
			s.discard()
		}
		return fmt.Errorf("udp: read %s: %w", ss[0].local, err)
	}
	return nil
}

func (n *Net) forget(s *Socket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.all, s)
}
