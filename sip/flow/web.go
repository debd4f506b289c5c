package flow

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// web is what a Flow over WebSocket has beside its connection.
type web struct {
	conn *websocket.Conn
	ping time.Duration
}

func newWeb(c *websocket.Conn, name string, accepted bool, ping time.Duration) *Flow {
	raw := c.NetConn()
	f := &Flow{
		network: name, local: addrPort(raw.LocalAddr()), remote: addrPort(raw.RemoteAddr()), accepted: accepted,
		conn: raw, web: &web{c, ping}, out: make(chan []byte, queueLength), done: make(chan struct{}),
	}
	if t, ok := raw.(*tls.Conn); ok {
		f.conn = t.NetConn() // whose Close never waits; that of TLS writes first
	}
	f.put = f.web.put
	return f
}

// put writes one message as one frame of text, or of bytes if it is none (RFC 7118 4.2).
func (w *web) put(b []byte) error {
	kind := websocket.TextMessage
	if !utf8.Valid(b) {
		kind = websocket.BinaryMessage
	}
	w.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	return w.conn.WriteMessage(kind, b)
}

func (w *web) sign() error {
	return w.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(controlTimeout))
}

func (w *web) goodbye() {
	// If it can't be written the connection ends without.
	w.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""), time.Now().Add(controlTimeout))
}

// readFrames is the reader of a connection over WebSocket: a message is a frame.
func (f *Flow) readFrames(h Handler, lim Limits) {
	defer h.Closed(f)
	defer f.shut()
	c := f.web.conn
	c.SetReadLimit(int64(lim.MessageBytes))
	f.clock.start(f, c.SetReadDeadline, lim.FirstMessage)
	alive := func() { f.clock.alive(min(lim.Idle, 3*f.web.ping)) }
	c.SetPongHandler(func(string) error { alive(); return nil })
	pong := c.PingHandler()
	c.SetPingHandler(func(data string) error { alive(); return pong(data) })
	for !f.flush.Load() {
		alive()
		_, r, err := c.NextReader()
		if err == nil {
			f.clock.begun(time.Now().Add(lim.Partial))
			var data []byte
			if data, err = io.ReadAll(r); err == nil {
				f.clock.begun(time.Time{})
				f.frame(h, data)
				continue
			}
		}
		f.broken(h, err)
		return
	}
	f.drain()
}

// frame takes one message, or a keepalive (RFC 5626 3.5.1).
func (f *Flow) frame(h Handler, data []byte) {
	msg := trimLines(data)
	switch {
	case len(msg) >= 16:
		h.Message(f, msg, nil)
	case len(msg) > 0:
		h.Dropped(DropShort)
	case string(data) == "\r\n\r\n":
		f.Send(crlf)
	}
}

// broken counts why a connection ended, and notes a goodbye.
func (f *Flow) broken(h Handler, err error) {
	var ne net.Error
	var ce *websocket.CloseError
	switch {
	case errors.As(err, &ce):
		f.left.Store(ce.Code == websocket.CloseGoingAway)
	case errors.Is(err, websocket.ErrReadLimit):
		h.Dropped(DropTooLarge)
	case errors.As(err, &ne) && ne.Timeout():
		h.Dropped(DropTimeout)
	}
}

// WebSocketDial opens a connection to a server of SIP over WebSocket.
type WebSocketDial struct {
	URL    string      // ws: or wss:
	TLS    *tls.Config // nil: the system's roots
	Header http.Header // such as Origin
	Ping   time.Duration
}

// DialWebSocket opens a connection that lives as those of Dial do, but isn't found again by its address: who asked
// for it keeps the Flow.
func (d *Dialer) DialWebSocket(ctx context.Context, w WebSocketDial) (*Flow, error) {
	if d.Connections() >= d.max {
		return nil, fmt.Errorf("flow: %d connections are open: %w", d.max, ErrLimit)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	if w.Ping <= 0 {
		w.Ping = defaultPing
	}
	wd := websocket.Dialer{HandshakeTimeout: handshakeTimeout, TLSClientConfig: w.TLS, Subprotocols: []string{subprotocol}}
	c, res, err := wd.DialContext(ctx, w.URL, w.Header)
	switch {
	case err != nil && res != nil:
		return nil, fmt.Errorf("flow: %s answered %s: %w", w.URL, res.Status, err)
	case err != nil:
		return nil, fmt.Errorf("flow: connect to %s: %w", w.URL, err)
	case c.Subprotocol() != subprotocol:
		c.Close()
		return nil, fmt.Errorf("flow: %s speaks the subprotocol %q: expected %s", w.URL, c.Subprotocol(), subprotocol)
	}
	name := "ws"
	if _, secure := c.NetConn().(*tls.Conn); secure {
		name = "wss"
	}
	f := newWeb(c, name, false, w.Ping)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		f.shut()
		return nil, ErrClosed
	}
	d.webs[f] = struct{}{}
	d.count.Add(1)
	d.work.Go(func() { f.write(d.h, 0) })
	d.work.Go(func() {
		f.readFrames(d.h, d.lim)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.count.Add(-1)
		delete(d.webs, f)
	})
	return f, nil
}
