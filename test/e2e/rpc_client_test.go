//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// rpcClient is a program without an SDK: it sends JSON-RPC in text frames. Its methods may be called from several goroutines.
type rpcClient struct {
	conn *websocket.Conn
	done chan struct{} // closed when the connection has ended

	mu      sync.Mutex // guards what follows, and writing
	next    int
	session string
	waiting map[int]chan rpcReply
	events  []rpcEvent
	strays  []rpcReply // replies without an id
}

type rpcReply struct {
	ID      *int            `json:"id"`
	Version string          `json:"jsonrpc"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   *rpcError       `json:"error"`
}

type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    struct {
		Type string `json:"type"`
	} `json:"data"`
}

func (e *rpcError) Error() string { return fmt.Sprintf("%d %s: %s", e.Code, e.Data.Type, e.Message) }

// rpcEvent is what a subscribed object says.
type rpcEvent struct {
	Object string         `json:"object"`
	Type   string         `json:"type"`
	Data   map[string]any `json:"data"`
	At     time.Time      `json:"-"`
}

// o is a JSON object.
type o = map[string]any

// dialRPC opens a connection; r is the answer to the handshake where it was refused.
func dialRPC(url string, header http.Header) (c *rpcClient, r *http.Response, err error) {
	dialer := websocket.Dialer{HandshakeTimeout: 10 * time.Second}
	conn, r, err := dialer.Dial(url, header)
	if err != nil {
		return nil, r, err
	}
	c = &rpcClient{conn: conn, done: make(chan struct{}), waiting: map[int]chan rpcReply{}}
	go c.read()
	return c, r, nil
}

// openRPC opens a connection that ends with the test.
func openRPC(t *testing.T, url string) *rpcClient {
	t.Helper()
	c, _, err := dialRPC(url, nil)
	if err != nil {
		t.Fatalf("open %s: %v", url, err)
	}
	t.Cleanup(c.Close)
	return c
}

// Close drops the connection and returns when the reader has ended. The session stays.
func (c *rpcClient) Close() { _ = c.conn.Close(); <-c.done }

func (c *rpcClient) read() {
	defer close(c.done)
	for {
		_, text, err := c.conn.ReadMessage()
		if err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			for id, w := range c.waiting {
				close(w)
				delete(c.waiting, id)
			}
			return
		}
		var m rpcReply
		if json.Unmarshal(text, &m) != nil {
			continue
		}
		c.mu.Lock()
		switch {
		case m.Method == "onEvent":
			var p struct{ Value rpcEvent }
			if json.Unmarshal(m.Params, &p) == nil {
				p.Value.At = time.Now()
				c.events = append(c.events, p.Value)
			}
		case m.ID == nil:
			c.strays = append(c.strays, m)
		case c.waiting[*m.ID] != nil:
			c.waiting[*m.ID] <- m
			delete(c.waiting, *m.ID)
		}
		c.mu.Unlock()
	}
}

// rpcPatience is how long a reply may take on a busy machine.
const rpcPatience = 20 * time.Second

// call sends a request with the session, once there is one, and returns the result; an error of the server is a *rpcError.
func (c *rpcClient) call(method string, params o) (json.RawMessage, error) {
	c.mu.Lock()
	if c.session != "" && params["sessionId"] == nil {
		with := o{"sessionId": c.session}
		for k, v := range params {
			with[k] = v
		}
		params = with
	}
	id := c.next
	c.next++
	wait := make(chan rpcReply, 1)
	c.waiting[id] = wait
	err := c.conn.WriteJSON(o{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(rpcPatience)
	defer timer.Stop()
	select {
	case m, ok := <-wait:
		switch {
		case !ok:
			return nil, fmt.Errorf("%s: the connection has ended", method)
		case m.Error != nil:
			return nil, m.Error
		}
		var r struct{ SessionID string }
		if json.Unmarshal(m.Result, &r) == nil && r.SessionID != "" {
			c.mu.Lock()
			c.session = r.SessionID
			c.mu.Unlock()
		}
		return m.Result, nil
	case <-timer.C:
		return nil, fmt.Errorf("%s: no reply in %v", method, rpcPatience)
	}
}

// value calls and returns the result's value, or fails the test.
func (c *rpcClient) value(t testing.TB, method string, params o) json.RawMessage {
	t.Helper()
	result, err := c.call(method, params)
	if err != nil {
		t.Fatalf("%s %v: %v", method, params, err)
	}
	var r struct{ Value json.RawMessage }
	if err := json.Unmarshal(result, &r); err != nil {
		t.Fatalf("%s %v: %v: %s", method, params, err, result)
	}
	return r.Value
}

func (c *rpcClient) text(t testing.TB, method string, params o) string {
	t.Helper()
	var s string
	if v := c.value(t, method, params); json.Unmarshal(v, &s) != nil {
		t.Fatalf("%s %v: the value is %s, expected a string", method, params, v)
	}
	return s
}

// create makes an object and returns its id.
func (c *rpcClient) create(t testing.TB, class string, constructor o) string {
	t.Helper()
	return c.text(t, "create", o{"type": class, "constructorParams": constructor})
}

// invoke calls an operation and returns its value.
func (c *rpcClient) invoke(t testing.TB, object, operation string, params o) json.RawMessage {
	t.Helper()
	return c.value(t, "invoke", o{"object": object, "operation": operation, "operationParams": params})
}

// refused calls and wants an error of the code, and returns it.
func (c *rpcClient) refused(t testing.TB, code int, method string, params o) *rpcError {
	t.Helper()
	result, err := c.call(method, params)
	e, ok := err.(*rpcError)
	if !ok {
		t.Errorf("%s %v: %s, %v; expected error %d", method, params, result, err, code)
		return &rpcError{}
	}
	if e.Code != code {
		t.Errorf("%s %v: %v; expected %d", method, params, e, code)
	}
	return e
}

// expect waits for an event of an object that no expect took before.
func (c *rpcClient) expect(t testing.TB, object, kind string, timeout time.Duration) rpcEvent {
	t.Helper()
	var e rpcEvent
	if !eventually(timeout, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for i, have := range c.events {
			if have.Object == object && have.Type == kind {
				e = have
				c.events = append(c.events[:i:i], c.events[i+1:]...)
				return true
			}
		}
		return false
	}) {
		c.mu.Lock()
		defer c.mu.Unlock()
		t.Fatalf("no %s of %s in %v; events: %+v", kind, object, timeout, c.events)
	}
	return e
}

// raw sends a document as it is, as text or binary.
func (c *rpcClient) raw(kind int, document []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn.WriteMessage(kind, document)
}
