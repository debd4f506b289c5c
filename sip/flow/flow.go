// Package flow moves SIP messages as bytes: UDP sockets, TCP listeners and connections with their framing and
// limits, connections over WebSocket, and queues that keep the messages of one key in order. It knows nothing of what
// a message says.
//
// A Flow is one way to and from one peer (RFC 5626 3.1). Connections that peers opened are only reachable through
// their Flow; connections that we open live in the Dialer that opened them. So a message for one peer can't leave on
// the connection of another.
package flow

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of flows and framing.
var (
	ErrClosed   = errors.New("flow: closed")
	ErrSlow     = errors.New("flow: the peer reads too slowly")
	ErrTooLarge = errors.New("flow: message too large")
	ErrFrame    = errors.New("flow: message boundary lost")
	ErrLimit    = errors.New("flow: too many connections")
)

// Reasons for Handler.Dropped.
const (
	DropShort     = "short"                  // too few bytes to be a message
	DropSource    = "connections_per_source" // one address opened too many connections
	DropTotal     = "connections"            // too many connections in all
	DropTimeout   = "connection_timeout"     // no welcome message, or none that ended, in time
	DropSlow      = "connection_slow"        // the peer doesn't read
	DropReadError = "read_error"
	DropTLS       = "tls_handshake" // one that failed, or took too long

	// Of WebSocket.
	DropSubprotocol = "websocket_subprotocol" // a handshake that doesn't offer sip
	DropHandshake   = "websocket_handshake"   // another one that failed
	DropTooLarge    = "message_too_large"
	DropPushed      = "connection_pushed" // it wasn't trusted and made room for a newer one
)

// Handler takes what comes in. Its methods are called on reader goroutines and must not block.
type Handler interface {
	// Message is one message, without surrounding line ends; data is valid during the call. If err is set
	// (ErrTooLarge, ErrFrame), data is the head of a message that won't be whole; a connection closes afterwards.
	Message(f *Flow, data []byte, err error)
	// Closed tells that a connection has ended. UDP flows never end.
	Closed(f *Flow)
	// Dropped counts something that went no further.
	Dropped(reason string)
}

// Limits bound what peers can make us hold; all are required.
type Limits struct {
	MessageBytes int
	Connections  int           // accepted, per listener
	PerSource    int           // of them, per address
	FirstMessage time.Duration // until Welcome, after accept, whatever comes
	Partial      time.Duration // until a begun message is whole
	Idle         time.Duration // without a byte
	// Ping is how often a connection over TCP or TLS that we opened is kept alive (RFC 5626 4.4.1), up to a fifth earlier; 0 = never.
	Ping time.Duration
}

// Queue lengths of one connection. What a peer that doesn't read can make us hold is bounded by maxQueued.
const (
	queueLength  = 256
	maxQueued    = 1 << 20
	writeTimeout = 10 * time.Second
)

// Flow is one way to and from one peer.
type Flow struct {
	network  string
	local    netip.AddrPort
	remote   netip.AddrPort
	accepted bool
	to       server // of a connection that we opened
	chains   [][]*x509.Certificate

	udp *UDP

	conn    net.Conn
	raw     net.Conn           // below TLS; nil without
	put     func([]byte) error // writes one message
	web     *web               // over WebSocket
	out     chan []byte
	queued  atomic.Int64
	done    chan struct{}
	once    sync.Once
	clock   clock
	met     atomic.Bool
	welcome atomic.Bool
	trusted atomic.Bool
	left    atomic.Bool
	flush   atomic.Bool
	pulse   pulse // of a connection that we opened
}

// Network is "udp", "tcp", "tls", "ws" or, over TLS, "wss".
func (f *Flow) Network() string { return f.network }

// Reliable tells whether the transport retransmits by itself.
func (f *Flow) Reliable() bool { return f.network != "udp" }

// Web tells whether it is a connection over WebSocket: there is no other way to its peer.
func (f *Flow) Web() bool { return f.web != nil }

// Local is our address, as bound (UDP) or as connected (TCP).
func (f *Flow) Local() netip.AddrPort { return f.local }

// Remote is the peer's address.
func (f *Flow) Remote() netip.AddrPort { return f.remote }

// Accepted tells whether the peer opened the connection.
func (f *Flow) Accepted() bool { return f.accepted }

// String names the flow in logs.
func (f *Flow) String() string { return f.network + " " + f.remote.String() }

// Meet notes that a message of the connection was for us; Met tells whether one was.
func (f *Flow) Meet() { f.met.Store(true) }

// Met tells whether Meet was called.
func (f *Flow) Met() bool { return f.met.Load() }

// Welcomed tells whether Welcome was called.
func (f *Flow) Welcomed() bool { return f.welcome.Load() }

// Welcome lets an accepted connection stay beyond Limits.FirstMessage: its peer is who we wait for.
func (f *Flow) Welcome() {
	if f.welcome.CompareAndSwap(false, true) {
		f.clock.welcome()
	}
}

// Trust keeps an accepted connection when others need its place, and welcomes it: its peer has proved who it is.
func (f *Flow) Trust() {
	f.trusted.Store(true)
	f.Welcome()
}

// Left tells whether the peer said that it goes away for good, as a browser does when a page is closed.
func (f *Flow) Left() bool { return f.left.Load() }

// Done is closed when the connection has ended; nil, which never is, for UDP.
func (f *Flow) Done() <-chan struct{} { return f.done }

// Alive tells whether something can still be sent.
func (f *Flow) Alive() bool {
	if f.udp != nil {
		return !f.udp.closed.Load()
	}
	select {
	case <-f.done:
		return false
	default:
		return true
	}
}

// Send sends one message. It never blocks: UDP hands it to the kernel, others queue it; a peer whose queue is full
// loses its connection. b may be reused at once.
func (f *Flow) Send(b []byte) error {
	if f.udp != nil {
		return f.udp.send(b, f.remote)
	}
	if !f.Alive() {
		return fmt.Errorf("%s: %w", f, ErrClosed)
	}
	if f.queued.Add(int64(len(b))) > maxQueued {
		f.shut()
		return fmt.Errorf("%s: %d bytes wait: %w", f, f.queued.Load(), ErrSlow)
	}
	select {
	case f.out <- append([]byte(nil), b...):
		return nil
	default:
		f.shut()
		return fmt.Errorf("%s: %d messages wait: %w", f, queueLength, ErrSlow)
	}
}

// Finish closes a connection once what was sent so far is written. On UDP it does nothing.
func (f *Flow) Finish() {
	if f.udp != nil {
		return
	}
	f.flush.Store(true)
	select {
	case f.out <- nil: // wakes the writer
	default:
		f.shut()
	}
}

// Close ends a connection at once. On UDP it does nothing.
func (f *Flow) Close() {
	if f.udp == nil {
		f.shut()
	}
}

func (f *Flow) shut() {
	f.once.Do(func() {
		close(f.done)
		if f.raw != nil {
			f.raw.Close()
			return
		}
		f.conn.Close()
	})
}

func newConn(c net.Conn, accepted bool) *Flow {
	f := &Flow{
		network: "tcp", local: addrPort(c.LocalAddr()), remote: addrPort(c.RemoteAddr()), accepted: accepted,
		conn: c, out: make(chan []byte, queueLength), done: make(chan struct{}),
	}
	f.put = func(b []byte) error {
		c.SetWriteDeadline(time.Now().Add(writeTimeout))
		_, err := c.Write(b)
		return err
	}
	return f
}

// newTLS is newConn for a connection over TLS. Closing goes around TLS's close_notify, which may block.
func newTLS(c *tls.Conn, raw net.Conn, accepted bool) *Flow {
	f := newConn(c, accepted)
	f.network, f.raw = "tls", raw
	return f
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// write is a connection's writer: it owns the wait for a peer that is slow.
func (f *Flow) write(h Handler, every time.Duration) {
	var ping <-chan time.Time
	if f.web != nil {
		every = f.web.ping
	}
	if every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		ping = t.C
	}
	for {
		select {
		case <-f.done:
			return
		case <-ping:
			if f.web != nil && f.web.sign() != nil || f.web == nil && f.ping() != nil {
				f.shut()
				return
			}
		case b := <-f.out:
			if len(b) > 0 {
				if err := f.put(b); err != nil {
					var ne net.Error
					if errors.As(err, &ne) && ne.Timeout() {
						h.Dropped(DropSlow)
					}
					f.shut()
					return
				}
				f.queued.Add(-int64(len(b)))
			}
			if f.flush.Load() && len(f.out) == 0 {
				if f.web != nil {
					f.web.goodbye()
				}
				f.shut()
				return
			}
		}
	}
}

// read is a connection's reader.
func (f *Flow) read(h Handler, lim Limits) {
	defer h.Closed(f)
	defer f.shut()
	fr := framer{max: lim.MessageBytes, pong: f.pulse.pong}
	f.clock.start(f, f.conn.SetReadDeadline, lim.FirstMessage)
	var partial time.Time
	for {
		switch {
		case !fr.pending():
			partial = time.Time{}
		case partial.IsZero():
			partial = time.Now().Add(lim.Partial)
		}
		f.clock.begun(partial)
		f.clock.alive(lim.Idle)
		n, err := f.conn.Read(fr.space())
		fr.wrote(n)
		for !f.flush.Load() {
			msg, pong, ferr := fr.next()
			if pong {
				f.Send(crlf)
			}
			if ferr != nil {
				h.Message(f, msg, ferr)
				f.Finish()
				break
			}
			if msg == nil {
				break
			}
			partial = time.Time{}
			h.Message(f, msg, nil)
		}
		if f.flush.Load() {
			f.drain()
			return
		}
		if err != nil {
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() && (fr.pending() || !f.welcome.Load()) {
				h.Dropped(DropTimeout)
			}
			return
		}
	}
}

// drain waits for the writer to end, so that a last answer leaves before the connection does.
func (f *Flow) drain() {
	select {
	case <-f.done:
	case <-time.After(writeTimeout):
	}
}
