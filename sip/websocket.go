package sip

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/sip/flow"
)

// defaultGrace is how long a dialog outlives its connection over WebSocket: a client whose network changed is back by
// then (JsSIP tries again after 2 s), and nobody is billed much longer for a page that crashed.
const defaultGrace = 10 * time.Second

// WebSocketConfig are the settings of SIP over WebSocket (RFC 7118). Zero values mean the defaults.
type WebSocketConfig struct {
	// Origin tells whether a page of the request's Origin may connect; nil: only pages of the same host and port.
	Origin func(*http.Request) bool
	// Connections are open at once; default Limits.Connections. Who hasn't authenticated makes room for the next.
	Connections int
	// PerSource of them come from one address, at most a quarter of them not authenticated; default 1024.
	PerSource int
	// Ping is how often a browser is asked for a sign of life; default 30 s. One that gives none three times is gone.
	Ping time.Duration
	// Grace is how long a dialog waits for its peer to connect again after a connection broke; default 10 s. One
	// whose page was closed doesn't wait.
	Grace time.Duration
}

// WebSocket is a handler that takes SIP over WebSocket for the Front's user agents, to be mounted at some path of an
// HTTP server; requests that came over TLS make flows "wss", others "ws". Limits are the Front's unless cfg has its
// own. The Front's Close ends the connections.
//
// A peer over WebSocket can be reached through its connection alone (RFC 7118 5): requests to its Contact take the
// connection it registered from, whatever the Contact says, and nothing is asked of DNS. When that connection ends its
// contacts are gone; its dialogs end too unless the peer comes back within Grace, by registering the same Contact on
// another connection or by sending a request within the dialog.
func (f *Front) WebSocket(cfg WebSocketConfig) http.Handler {
	if cfg.Grace <= 0 {
		cfg.Grace = defaultGrace
	}
	h := &inlet{front: f, grace: cfg.Grace}
	s := flow.NewWebSocket(h, f.limits(), flow.WebSocketConfig{
		Origin: cfg.Origin, Connections: cfg.Connections, PerSource: cfg.PerSource, Ping: cfg.Ping,
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		s.Close() // holds nothing yet
	}
	f.webs = append(f.webs, s)
	return s
}

// WebSocketDial opens a connection to a server of SIP over WebSocket.
type WebSocketDial struct {
	URL    string      // ws:// or wss://
	TLS    *tls.Config // of wss; nil: the system's roots
	Header http.Header // of the handshake, such as Origin
	Ping   time.Duration
}

// Connect opens a connection to a server of SIP over WebSocket and returns the Destination that leads over it, for
// Register and Dial. It ends with the UA. When it breaks, what used it fails with ErrTransport; Connect again.
func (u *UA) Connect(ctx context.Context, w WebSocketDial) (Destination, error) {
	f, err := u.dialer.DialWebSocket(ctx, flow.WebSocketDial{URL: w.URL, TLS: w.TLS, Header: w.Header, Ping: w.Ping})
	if err != nil {
		return Destination{}, fmt.Errorf("%w: %w", ErrTransport, err)
	}
	return Destination{Network: f.Network(), Addr: f.Remote(), peer: f}, nil
}

// web tells whether a URI can only be reached over the connection its owner opened: its transport is ws, or its host
// is of the kind that never exists (RFC 7118 5, RFC 2606).
func web(u URI) bool {
	t, _ := u.Param("transport")
	return isWeb(t) || u.Host == "invalid" || strings.HasSuffix(u.Host, ".invalid")
}

func isWeb(network string) bool {
	return strings.EqualFold(network, "ws") || strings.EqualFold(network, "wss")
}

// webFlow finds the connection over which that Contact is registered.
func (u *UA) webFlow(contact URI) (*flow.Flow, error) {
	if r := u.cfg.Registrar; r != nil {
		for _, user := range r.Users() {
			for _, c := range r.Contacts(user) {
				d := c.Destination()
				if d.peer != nil && d.peer.Alive() && c.URI.User == contact.User && c.URI.Host == contact.Host && c.URI.Port == contact.Port {
					return d.peer, nil
				}
			}
		}
	}
	return nil, fmt.Errorf("sip: %s: no connection leads there: %w", contact, ErrTransport)
}

// stranded tells the dialogs of a connection over WebSocket that it has ended.
func (f *Front) stranded(fl *flow.Flow, grace time.Duration) {
	f.mu.RLock()
	dialogs := make([]*Dialog, 0, len(f.dialogs))
	for _, d := range f.dialogs {
		dialogs = append(dialogs, d)
	}
	f.mu.RUnlock()
	for _, d := range dialogs {
		d.stranded(fl, grace)
	}
}

// stranded gives the peer a while to come back, if the dialog was on that connection.
func (d *Dialog) stranded(fl *flow.Flow, grace time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over || d.current() != fl {
		return
	}
	switch {
	case d.phase == confirmed && !fl.Left():
		d.after(grace, d.rescue)
	case d.phase == confirmed:
		d.after(0, d.strand)
	case d.inbound: // the answer to an INVITE goes back over its connection, or nowhere (RFC 3261 18.2.2)
		d.after(0, d.strand)
	default: // the INVITE's transaction fails by itself
	}
}

// current is the flow to the peer; d.mu is held.
func (d *Dialog) current() *flow.Flow {
	if d.winner != nil && d.winner.flow != nil {
		return d.winner.flow
	}
	return d.flow
}

// rescue ends a dialog whose peer didn't come back.
func (d *Dialog) rescue() {
	d.mu.Lock()
	l := d.winner
	over := d.over
	d.mu.Unlock()
	if over {
		return
	}
	if f, err := d.way(d.ua.ctx, l); err == nil && f.Alive() {
		return
	}
	d.strand()
}

func (d *Dialog) strand() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	e := Event{By: ByTransport, Err: fmt.Errorf("sip: the peer's connection closed: %w", ErrTransport)}
	if in := d.in; in != nil && d.phase != confirmed {
		e.Status = 487
		in.respond(487, "", nil, nil) // for the transaction: nobody hears it
		in.terminate()
	}
	d.end(e)
}

// follow takes the connection that a request within the dialog came over as the way to its peer; d.mu is held. Who
// knows the tags and comes over another connection has lost the one before, if we noticed it or not.
func (d *Dialog) follow(l *leg, f *flow.Flow) {
	if f.Web() && l.flow != f {
		l.flow, d.flow = f, f
	}
}

// closeWebs ends all connections over WebSocket and awaits them.
func (f *Front) closeWebs() {
	f.mu.Lock()
	webs := slices.Clone(f.webs)
	f.mu.Unlock()
	for _, s := range webs {
		s.Close()
	}
}
