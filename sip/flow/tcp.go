package flow

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// TCP is a listener and the connections it accepted.
type TCP struct {
	ln    net.Listener
	local netip.AddrPort
	tls   *tls.Config // nil: plain TCP
	h     Handler
	lim   Limits
	work  sync.WaitGroup

	mu     sync.Mutex
	flows  map[*Flow]struct{}
	source map[netip.Addr]int
	closed bool
}

// ListenTCP opens a listener and starts to accept. Port 0 takes a free port.
func ListenTCP(addr netip.AddrPort, h Handler, lim Limits) (*TCP, error) {
	return listen(addr, nil, h, lim)
}

func listen(addr netip.AddrPort, cfg *tls.Config, h Handler, lim Limits) (*TCP, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // such sockets take no DSCP for IPv6, and no carrier has asked for them
	ln, err := lc.Listen(context.Background(), network("tcp", addr.Addr()), addr.String())
	if err != nil {
		return nil, fmt.Errorf("flow: listen on tcp %s: %w", addr, err)
	}
	t := &TCP{ln: ln, local: addrPort(ln.Addr()), tls: cfg, h: h, lim: lim, flows: map[*Flow]struct{}{}, source: map[netip.Addr]int{}}
	t.work.Go(t.accept)
	return t, nil
}

// Addr is the address as bound.
func (t *TCP) Addr() netip.AddrPort { return t.local }

// Connections counts the accepted connections that are open.
func (t *TCP) Connections() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.flows)
}

// Close closes the listener and all it accepted, and awaits them.
func (t *TCP) Close() error {
	t.mu.Lock()
	first := !t.closed
	t.closed = true
	for f := range t.flows {
		f.shut()
	}
	t.mu.Unlock()
	var err error
	if first {
		err = t.ln.Close()
	}
	t.work.Wait()
	return err
}

func (t *TCP) accept() {
	for {
		c, err := t.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			t.h.Dropped(DropReadError)
			time.Sleep(50 * time.Millisecond) // such as: out of file descriptors
			continue
		}
		f := newConn(c, true)
		if t.tls != nil {
			f = newTLS(tls.Server(c, t.tls), c, true)
		}
		if reason := t.admit(f); reason != "" {
			t.h.Dropped(reason)
			f.shut()
			continue
		}
		t.work.Go(func() {
			defer t.remove(f)
			if t.tls != nil && !t.secure(f) {
				return
			}
			t.work.Go(func() { f.write(t.h, 0) })
			f.read(t.h, t.lim)
		})
	}
}

func (t *TCP) admit(f *Flow) (reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from := f.remote.Addr()
	switch {
	case t.closed:
		return DropTotal
	case t.source[from] >= t.lim.PerSource:
		return DropSource
	case len(t.flows) >= t.lim.Connections && !t.push():
		return DropTotal
	}
	t.flows[f] = struct{}{}
	t.source[from]++
	return ""
}

// push has a connection that isn't welcome make room for a newer one, so that strangers who fill the listener keep nobody out
// for longer than a moment; whichever, for they are all alike. t.mu is held.
func (t *TCP) push() bool {
	for f := range t.flows {
		if !f.Welcomed() {
			t.forget(f)
			f.shut()
			t.h.Dropped(DropPushed)
			return true
		}
	}
	return false
}

func (t *TCP) remove(f *Flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(f)
}

// forget uncounts a connection; t.mu is held.
func (t *TCP) forget(f *Flow) {
	if _, held := t.flows[f]; !held {
		return
	}
	delete(t.flows, f)
	from := f.remote.Addr()
	if t.source[from]--; t.source[from] <= 0 {
		delete(t.source, from)
	}
}

// Dialer opens TCP connections and keeps them for reuse, by the peer's address, and connections over WebSocket. It never holds a connection that a
// peer opened.
type Dialer struct {
	h     Handler
	lim   Limits
	local netip.Addr // bind address, may be invalid
	max   int
	ctx   context.Context // ends with Close: attempts give up
	stop  context.CancelFunc
	work  sync.WaitGroup
	count atomic.Int64

	// TLS is asked, before a connection over TLS is opened, for its settings: roots, client certificate; ServerName overrides
	// the name that the server must prove. nil, or a nil result: the system's roots, no certificate.
	TLS func() *tls.Config

	// DSCP marks what connections send (RFC 2474), 0 to 63; 0 leaves it as it is.
	DSCP int

	// Local, if set, picks the address that a connection leaves from, where NewDialer was given none; an invalid one leaves it
	// to the system.
	Local func(to netip.Addr) netip.Addr

	mu     sync.Mutex
	flows  map[server]*Flow
	webs   map[*Flow]struct{} // over WebSocket
	dials  map[server]*dial
	closed bool
}

// server is whom a connection is to. Over TLS one address may stand for several names, which aren't mixed up.
type server struct {
	at   netip.AddrPort
	name string // "" = plain TCP
}

type dial struct {
	done chan struct{}
	flow *Flow
	err  error
}

// NewDialer makes a dialer whose connections leave from local, if that is valid, and that holds at most limit
// connections.
func NewDialer(local netip.Addr, limit int, h Handler, lim Limits) *Dialer {
	ctx, stop := context.WithCancel(context.Background())
	return &Dialer{
		h: h, lim: lim, local: local, max: limit, ctx: ctx, stop: stop,
		flows: map[server]*Flow{}, webs: map[*Flow]struct{}{}, dials: map[server]*dial{},
	}
}

// Dial returns the open connection to the peer, or opens one. Calls for the same peer share one attempt.
func (d *Dialer) Dial(ctx context.Context, remote netip.AddrPort) (*Flow, error) {
	return d.dial(ctx, server{at: remote})
}

// DialTLS is Dial over TLS: the peer must prove that it is name (RFC 5922), a domain or an address.
func (d *Dialer) DialTLS(ctx context.Context, remote netip.AddrPort, name string) (*Flow, error) {
	if name == "" {
		return nil, fmt.Errorf("flow: TLS to %s: expected the name that its certificate must show", remote)
	}
	return d.dial(ctx, server{remote, strings.ToLower(name)})
}

func (d *Dialer) dial(ctx context.Context, remote server) (*Flow, error) {
	remote.at = netip.AddrPortFrom(remote.at.Addr().Unmap(), remote.at.Port())
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil, ErrClosed
	}
	if f := d.flows[remote]; f != nil && f.Alive() {
		d.mu.Unlock()
		return f, nil
	}
	a := d.dials[remote]
	if a == nil {
		if len(d.flows)+len(d.dials) >= d.max {
			d.mu.Unlock()
			return nil, fmt.Errorf("flow: %d connections are open: %w", d.max, ErrLimit)
		}
		a = &dial{done: make(chan struct{})}
		d.dials[remote] = a
		d.work.Go(func() { d.open(a, remote) })
	}
	d.mu.Unlock()
	select {
	case <-a.done:
		return a.flow, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// From is the address that connections to a peer leave from; one that isn't valid, or unspecified, is the system's choice.
func (d *Dialer) From(to netip.Addr) netip.Addr {
	if d.Local != nil && (!d.local.IsValid() || d.local.IsUnspecified()) {
		return d.Local(to)
	}
	return d.local
}

// open connects on behalf of all who wait, whoever gives up meanwhile.
func (d *Dialer) open(a *dial, remote server) {
	nd := net.Dialer{Timeout: 10 * time.Second, Control: marking(d.DSCP)}
	local := d.From(remote.at.Addr())
	if local.IsValid() && !local.IsUnspecified() {
		nd.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	conn, err := nd.DialContext(d.ctx, "tcp", remote.at.String())
	raw := conn
	if err == nil && remote.name != "" {
		var cfg *tls.Config
		if d.TLS != nil {
			cfg = d.TLS()
		}
		conn, err = dialTLS(d.ctx, conn, remote.name, cfg)
	}
	d.mu.Lock()
	delete(d.dials, remote)
	switch {
	case err != nil:
		a.err = fmt.Errorf("flow: connect to tcp %s: %w", remote.at, err)
	case d.closed:
		conn.Close()
		a.err = ErrClosed
	default:
		f := newConn(conn, false)
		if c, ok := conn.(*tls.Conn); ok {
			f = newTLS(c, raw, false)
			f.learn()
		}
		f.to = remote
		a.flow, d.flows[remote] = f, f
		d.count.Add(1)
		d.work.Go(func() { f.write(d.h, sooner(d.lim.Ping)) })
		d.work.Go(func() {
			f.read(d.h, d.lim)
			d.remove(f)
		})
	}
	d.mu.Unlock()
	close(a.done)
}

func (d *Dialer) remove(f *Flow) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count.Add(-1)
	if d.flows[f.to] == f {
		delete(d.flows, f.to)
	}
}

// Connections counts the open connections.
func (d *Dialer) Connections() int { return int(d.count.Load()) }

// Close closes all connections, gives up attempts under way, and awaits both.
func (d *Dialer) Close() error {
	d.mu.Lock()
	d.closed = true
	d.stop()
	for _, f := range d.flows {
		f.shut()
	}
	for f := range d.webs {
		f.shut()
	}
	d.mu.Unlock()
	d.work.Wait()
	return nil
}
