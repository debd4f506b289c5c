package rpc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// run serves an upgraded connection. It returns when it has ended, or, after a request that took long, when that is done.
func (c *conn) run(ws *websocket.Conn) {
	c.ws, c.written = ws, make(chan struct{})
	go func() {
		defer close(c.written)
		c.write()
	}()
	c.read()
}

// read takes messages until the connection ends, and ends it. A request that takes long leaves that to another goroutine.
func (c *conn) read() {
	for {
		msg, err := c.next()
		if err != nil {
			c.over(err)
			return
		}
		if c.take(msg) {
			return
		}
	}
}

// over ends a connection that can't be read any more.
func (c *conn) over(err error) {
	c.out.shut()
	<-c.written
	var why goodbye
	if errors.As(err, &why) || c.out.code != 0 {
		linger(c.ws.NetConn())
	}
	_ = c.ws.Close()
	c.server.log.Debug("client disconnected", "source", c.ws.RemoteAddr(), "principal", c.who.Name, "err", err)
	c.server.dismiss(c)
}

// next reads a message. A message that has begun must be complete before long.
func (c *conn) next() ([]byte, error) {
	_, r, err := c.ws.NextReader()
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	c.expect(time.Now().Add(c.server.cfg.Patience))
	msg, err := readMessage(r, c.server.cfg.MaxMessage)
	if err != nil {
		var over goodbye
		if timedOut(err) {
			err = goodbye{websocket.ClosePolicyViolation, fmt.Sprintf("message isn't complete after %s", c.server.cfg.Patience)}
		}
		if errors.As(err, &over) {
			c.end(over.code, over.why)
		}
		return nil, err
	}
	c.expect(time.Time{})
	return msg, nil
}

// goodbye is why we end a connection.
type goodbye struct {
	code int
	why  string
}

func (g goodbye) Error() string { return g.why }

// expect sets how long the reader may wait. The writer has set a shorter time if the connection is ending: that stays, or a
// peer that says nothing would keep it, and the server from closing.
func (c *conn) expect(until time.Time) {
	_ = c.ws.SetReadDeadline(until)
	if c.out.ending() {
		_ = c.ws.SetReadDeadline(time.Now().Add(goodbyeTimeout))
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

// take handles one message. True: another goroutine reads on.
func (c *conn) take(msg []byte) (relieved bool) {
	if !utf8.Valid(msg) { // text frames must be (RFC 6455 5.6), and the id goes back in one
		c.fail(nil, Errorf(ParseFailed, "Parse error: not UTF-8"))
		return false
	}
	req, err := parseRequest(msg)
	if err != nil {
		c.server.stats.request("unknown")
		c.fail(nil, err)
		return false
	}
	c.server.stats.request(req.method)
	relieved, err = c.dispatch(req)
	if err != nil && !req.silent() {
		c.fail(req.id, err)
	}
	return relieved
}
