package rpc

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// conn is a client's connection: a reader that parses and hands on, and a writer that alone sends messages.
type conn struct {
	server   *Server
	who      Principal
	standing *standing
	scope    Scope
	session  *session // that requests without a session id belong to; the reader's
	net      net.Conn // nil until it is upgraded; set before anything is sent
	out      outbox
}

func newConn(s *Server, who Principal, p *standing) *conn {
	c := &conn{server: s, who: who, standing: p, out: outbox{most: s.cfg.MaxQueued, all: &s.queued, wake: make(chan struct{}, 1)}}
	c.scope = s.space.Tenant(who.Tenant)
	if who.Roles.Grant(Admin) {
		c.scope = s.space.Admin(who.Tenant)
	}
	c.scope = c.scope.Only(who.Roles)
	c.scope.alien = who.Foreign
	c.scope.most = who.Quota.Objects
	return c
}

// run reads until the connection ends.
func (c *conn) run(ws *websocket.Conn) error {
	c.net = ws.NetConn()
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write(ws)
	}()
	err := c.read(ws)
	c.out.shut()
	<-written
	var over goodbye
	if errors.As(err, &over) || c.out.code != 0 {
		linger(ws.NetConn())
	}
	_ = ws.Close()
	return err
}

// goodbye is why we end a connection.
type goodbye struct {
	code int
	why  string
}

func (g goodbye) Error() string { return g.why }

func (c *conn) read(ws *websocket.Conn) error {
	for {
		_, r, err := ws.NextReader()
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		c.expect(ws, time.Now().Add(c.server.cfg.Patience))
		msg, err := readMessage(r, c.server.cfg.MaxMessage)
		if err != nil {
			var over goodbye
			if timedOut(err) {
				err = goodbye{websocket.ClosePolicyViolation, fmt.Sprintf("message isn't complete after %s", c.server.cfg.Patience)}
			}
			if errors.As(err, &over) {
				c.end(over.code, over.why)
			}
			return err
		}
		c.expect(ws, time.Time{})
		c.take(msg)
	}
}

// expect sets how long the reader may wait. The writer has set a shorter time if the connection is ending: that stays, or a
// peer that says nothing would keep it, and the server from closing.
func (c *conn) expect(ws *websocket.Conn, until time.Time) {
	_ = ws.SetReadDeadline(until)
	if c.out.ending() {
		_ = ws.SetReadDeadline(time.Now().Add(goodbyeTimeout))
	}
}

func timedOut(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// readMessage reads one message, however it is fragmented.
func readMessage(r io.Reader, most int) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(512)
	n, err := b.ReadFrom(io.LimitReader(r, int64(most)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read message: %w", err)
	case n > int64(most):
		return nil, goodbye{websocket.CloseMessageTooBig, fmt.Sprintf("message is larger than %d bytes", most)}
	}
	return b.Bytes(), nil
}

// take handles one message.
func (c *conn) take(msg []byte) {
	if !utf8.Valid(msg) { // text frames must be (RFC 6455 5.6), and the id goes back in one
		c.fail(nil, Errorf(ParseFailed, "Parse error: not UTF-8"))
		return
	}
	req, err := parseRequest(msg)
	if err != nil {
		c.server.stats.request("unknown")
		c.fail(nil, err)
		return
	}
	c.server.stats.request(req.method)
	if err := c.dispatch(req); err != nil {
		if !req.silent() {
			c.fail(req.id, err)
		}
	}
}

// fail answers with an error; nil is the id null.
func (c *conn) fail(id []byte, err error) {
	out := Outside(err)
	c.server.stats.failed(out.Code)
	c.send(appendError(nil, id, out))
}

// send queues a message. Who leaves too much unread is cut off.
func (c *conn) send(msg []byte) {
	if c.out.push(msg) {
		return
	}
	c.tooSlow()
}

// tooSlow cuts a client off; the writer may be stuck in the middle of a message.
func (c *conn) tooSlow() {
	if c.out.abandon() {
		c.server.stats.slow.Add(1)
		c.server.log.Warn("client can't keep up and is cut off", "principal", c.who.Name)
		cut(c.net)
	}
}

// end closes the connection once what is queued has been sent.
func (c *conn) end(code int, why string) { c.out.finish(code, why) }

// write owns the socket's sending side.
func (c *conn) write(ws *websocket.Conn) {
	defer c.out.leave()
	for {
		batch, state := c.out.take()
		if state == outLost {
			cut(ws.NetConn())
			return
		}
		for _, msg := range batch {
			_ = ws.SetWriteDeadline(time.Now().Add(c.server.cfg.Patience))
			if err := ws.WriteMessage(websocket.TextMessage, msg); err != nil {
				if timedOut(err) {
					c.tooSlow()
				}
				c.out.shut()
				cut(ws.NetConn())
				return
			}
		}
		if state == outOver {
			if c.out.code != 0 {
				frame := websocket.FormatCloseMessage(c.out.code, c.out.why)
				_ = ws.WriteControl(websocket.CloseMessage, frame, time.Now().Add(goodbyeTimeout))
				_ = ws.NetConn().SetReadDeadline(time.Now().Add(goodbyeTimeout)) // wakes the reader, soon
			}
			return
		}
	}
}

// cut ends a connection without waiting for what is still to be sent.
func cut(n net.Conn) {
	raw := n
	if t, ok := n.(*tls.Conn); ok {
		raw = t.NetConn() // whose Close never waits; that of TLS writes first
	}
	if t, ok := raw.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = raw.Close()
}

// linger lets the peer read why the connection ends: a close with input unread would reset it.
func linger(n net.Conn) {
	if h, ok := n.(interface{ CloseWrite() error }); ok {
		_ = n.SetWriteDeadline(time.Now().Add(goodbyeTimeout))
		_ = h.CloseWrite()
	}
	_ = n.SetReadDeadline(time.Now().Add(goodbyeTimeout))
	_, _ = io.CopyN(io.Discard, n, 64<<20)
}
