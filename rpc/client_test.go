package rpc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchbay/patchbay/rpc"
)

const patience = 10 * time.Second // for what should take milliseconds

// served is a rig whose space is served over HTTP.
type served struct {
	*rig
	server *rpc.Server
	http   *httptest.Server
	dials  int
	narrow atomic.Bool // the system's send buffers are small
}

// serve lets principals come by name: the path /NAME; others are "local".
func serve(t testing.TB, cfg rpc.ServerConfig, principals ...rpc.Principal) *served {
	t.Helper()
	r := newRig(t, rpc.Config{})
	return serveRig(t, r, cfg, principals...)
}

func serveRig(t testing.TB, r *rig, cfg rpc.ServerConfig, principals ...rpc.Principal) *served {
	t.Helper()
	s := &served{rig: r}
	cfg.Authenticate = func(r *http.Request) (rpc.Principal, error) {
		name := strings.Trim(r.URL.Path, "/")
		for _, p := range principals {
			if p.Name == name {
				return p, nil
			}
		}
		if name != "" {
			return rpc.Principal{}, fmt.Errorf("nobody is %s", name)
		}
		return rpc.Principal{Name: "local", Tenant: "a", Roles: rpc.AllRoles}, nil
	}
	s.server = s.space.Serve(cfg)
	s.http = httptest.NewUnstartedServer(s.server)
	s.http.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if s.narrow.Load() {
			_ = c.(*net.TCPConn).SetWriteBuffer(4096)
		}
		return ctx
	}
	s.http.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.server.Close(ctx); err != nil {
			t.Error(err)
		}
		s.http.Close()
	})
	return s
}

// client is an application's connection.
type client struct {
	t    testing.TB
	ws   *websocket.Conn
	next int

	mu      sync.Mutex
	replies map[string]reply
	events  []event
	changed chan struct{} // of one
	ended   error
}

type reply struct {
	ID     json.RawMessage `json:"id"`
	Result map[string]json.RawMessage
	Error  *rpc.WireError
	text   string
}

type event struct {
	Object, Type string
	Data         map[string]json.RawMessage
}

func (s *served) dial(t testing.TB, name string) *client {
	t.Helper()
	ws, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.http.URL, "http")+"/"+name, nil)
	if err != nil {
		t.Fatalf("dial: %v %v", err, resp)
	}
	s.dials++ // ids of two clients in one session are to differ
	c := &client{t: t, ws: ws, next: 1000 * s.dials, replies: map[string]reply{}, changed: make(chan struct{}, 1)}
	done := make(chan struct{})
	go func() { defer close(done); c.read() }()
	t.Cleanup(func() { _ = ws.Close(); <-done })
	return c
}

func (c *client) read() {
	for {
		kind, b, err := c.ws.ReadMessage()
		c.mu.Lock()
		if err != nil {
			c.ended = err
		} else {
			c.take(kind, b)
		}
		c.mu.Unlock()
		select {
		case c.changed <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (c *client) take(kind int, b []byte) {
	var m struct {
		reply
		Version string `json:"jsonrpc"`
		Method  string
		Params  struct{ Value event }
	}
	if err := json.Unmarshal(b, &m); err != nil || kind != websocket.TextMessage || m.Version != "2.0" {
		c.t.Errorf("server sent %s: %v", b, err)
	}
	if m.Method == "onEvent" {
		c.events = append(c.events, m.Params.Value)
		return
	}
	m.reply.text = string(b)
	c.replies[string(m.ID)] = m.reply
}

// wait waits until what it looks for is there.
func (c *client) wait(what string, there func() bool) {
	c.t.Helper()
	deadline := time.After(patience)
	for {
		c.mu.Lock()
		ok, ended := there(), c.ended
		c.mu.Unlock()
		if ok {
			return
		}
		if ended != nil {
			c.t.Fatalf("%s: %v", what, ended)
		}
		select {
		case <-c.changed:
		case <-deadline:
			c.t.Fatalf("no %s within %s", what, patience)
		}
	}
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// answer waits for the reply to an id, as it was written.
func (c *client) answer(id string) (r reply) {
	c.t.Helper()
	c.wait("reply to "+id, func() (ok bool) { r, ok = c.replies[id]; delete(c.replies, id); return ok })
	return r
}

// ask makes a request. params may leave out its braces.
func (c *client) ask(method, params string) reply {
	c.t.Helper()
	c.next++
	c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%s}}`, c.next, method, params))
	return c.answer(fmt.Sprint(c.next))
}

// do is ask for what must succeed; it returns the result's value.
func (c *client) do(method, params string) string {
	c.t.Helper()
	r := c.ask(method, params)
	if r.Error != nil {
		c.t.Fatalf("%s {%s}: %+v", method, params, r.Error)
	}
	var s string
	if json.Unmarshal(r.Result["value"], &s) == nil {
		return s
	}
	return string(r.Result["value"])
}

// refused is ask for what must fail, with a code and words.
func (c *client) refused(code rpc.Code, words, method, params string) {
	c.t.Helper()
	r := c.ask(method, params)
	if r.Error == nil || r.Error.Code != code || !strings.Contains(r.Error.Message, words) {
		c.t.Fatalf("%s {%s} = %s, want error %d with %q", method, params, r.text, code, words)
	}
	if r.Error.Code.String() != "" && (r.Error.Data == nil || r.Error.Data.Type != r.Error.Code.String()) {
		c.t.Fatalf("%s {%s} = %s, want data with type %s", method, params, r.text, r.Error.Code)
	}
}

// heard waits for n events and takes all there are.
func (c *client) heard(n int) (out []event) {
	c.t.Helper()
	c.wait(fmt.Sprintf("%d events", n), func() bool { return len(c.events) >= n })
	c.mu.Lock()
	defer c.mu.Unlock()
	out, c.events = c.events, nil
	return out
}

func (c *client) pipeline() string { return c.do("create", `"type":"MediaPipeline"`) }
func (c *client) volume(pipe string) string {
	return c.do("create", `"type":"Volume","constructorParams":{"mediaPipeline":"`+pipe+`"}`)
}

// hangUp ends the connection and waits until the server has noticed.
func (s *served) hangUp(c *client) {
	s.Helper()
	before := s.server.Stats().Connections
	_ = c.ws.Close()
	eventually(s, "the server notices the end of a connection", func() bool { return s.server.Stats().Connections < before })
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain: %s", patience, what)
		}
	}
}
