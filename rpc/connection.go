package rpc

import (
	"crypto/tls"
	"io"
	"net"
	"time"

	"github.com/gorilla/websocket"
)

// conn is a client's connection: a reader that parses and executes what is short, and a writer of what can't be sent at once.
type conn struct {
	server   *Server
	who      Principal
	standing *standing
	scope    Scope
	session  *session        // that requests without a session id belong to; the reader's
	ws       *websocket.Conn // nil until it is upgraded; set before anything is sent
	written  chan struct{}   // closed when the writer is through
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
		cut(c.ws.NetConn())
	}
}

// answer sends what its caller has time to write: at once if nothing waits, which spares a switch to the writer.
func (c *conn) answer(msg []byte) {
	if c.ws == nil || !c.out.claim(len(msg)) {
		c.send(msg)
		return
	}
	c.put(msg)
	c.out.landed()
}

// put writes a message; false: that ended the connection.
func (c *conn) put(msg []byte) bool {
	_ = c.ws.SetWriteDeadline(time.Now().Add(c.server.cfg.Patience))
	err := c.ws.WriteMessage(websocket.TextMessage, msg)
	if err == nil {
		return true
	}
	if timedOut(err) {
		c.tooSlow()
	}
	c.out.shut()
	cut(c.ws.NetConn())
	return false
}

// end closes the connection once what is queued has been sent.
func (c *conn) end(code int, why string) { c.out.finish(code, why) }

// write sends what is queued. Messages are written by it, or by who claimed the outbox for one.
func (c *conn) write() {
	ws := c.ws
	defer c.out.leave()
	for {
		batch, state := c.out.take()
		if state == outLost {
			cut(ws.NetConn())
			return
		}
		for _, msg := range batch {
			if !c.put(msg) {
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
