package flow

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func TestWebSocketBothEnds(t *testing.T) {
	a, b := newSink(), newSink()
	w := NewWebSocket(a, limits(), WebSocketConfig{})
	s := httptest.NewServer(w)
	defer s.Close()
	d := NewDialer(netip.Addr{}, 1, b, limits())
	url := strings.Replace(s.URL, "http", "ws", 1)
	f, err := d.DialWebSocket(context.Background(), WebSocketDial{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	if !f.Web() || !f.Reliable() || f.Accepted() || f.Network() != "ws" || d.Connections() != 1 {
		t.Errorf("flow %v", f)
	}
	if _, err := d.DialWebSocket(context.Background(), WebSocketDial{URL: url}); !errors.Is(err, ErrLimit) {
		t.Errorf("beyond the limit: %v", err)
	}
	f.Send([]byte(text("1")))
	f.Send([]byte("OPTIONS that is no UTF-8: \xff\xfe"))
	g := a.next(t)
	if g.data != text("1") || !g.flow.Accepted() || !g.flow.Web() || w.Connections() != 1 {
		t.Errorf("%+v", g)
	}
	if m := a.next(t); !strings.HasSuffix(m.data, "\xff\xfe") {
		t.Errorf("%q", m.data)
	}
	g.flow.Welcome()
	g.flow.Send([]byte(text("last")))
	g.flow.Finish()
	if m := b.next(t); m.data != text("last") || m.flow != f {
		t.Errorf("%+v", m)
	}
	<-a.closed
	if c := <-b.closed; !c.Left() {
		t.Error("the goodbye wasn't noted")
	}
	if f.Alive() || !errors.Is(f.Send([]byte("x")), ErrClosed) {
		t.Error("alive after the end")
	}
	w.Close()
	w.Close()
	d.Close()
	if _, err := d.DialWebSocket(context.Background(), WebSocketDial{URL: url}); err == nil {
		t.Error("a dial after Close")
	}
}

func TestWebSocketDialRefused(t *testing.T) {
	d := NewDialer(netip.Addr{}, 8, newSink(), limits())
	defer d.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/sip" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		u := websocket.Upgrader{} // without subprotocol
		if c, err := u.Upgrade(w, r, nil); err == nil {
			c.Close()
		}
	}))
	defer s.Close()
	url := strings.Replace(s.URL, "http", "ws", 1)
	for path, want := range map[string]string{"/sip": "expected sip", "/other": "403 Forbidden"} {
		if _, err := d.DialWebSocket(context.Background(), WebSocketDial{URL: url + path}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %q", path, err, want)
		}
	}
	if _, err := d.DialWebSocket(context.Background(), WebSocketDial{URL: "http://127.0.0.1"}); err == nil {
		t.Error("a URL that isn't ws")
	}
}

// Whoever can't open a WebSocket asks by a plain request, and is told when to come again only while it would be refused.
func TestWebSocketTellsThatItIsFull(t *testing.T) {
	w := NewWebSocket(newSink(), limits(), WebSocketConfig{PerSource: 2})
	defer w.Close()
	s := httptest.NewServer(w)
	defer s.Close()
	d := NewDialer(netip.Addr{}, 8, newSink(), limits())
	defer d.Close()
	asked := func(what string, status int, after string) {
		t.Helper()
		r, err := http.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != status || r.Header.Get("Retry-After") != after {
			t.Errorf("%s: %s, Retry-After %q; expected %d and %q", what, r.Status, r.Header.Get("Retry-After"), status, after)
		}
	}
	asked("nobody is there", http.StatusUpgradeRequired, "")
	dial := WebSocketDial{URL: strings.Replace(s.URL, "http", "ws", 1)}
	for i := range 2 {
		if _, err := d.DialWebSocket(context.Background(), dial); err != nil {
			t.Fatal(err)
		}
		for trusted := 0; trusted <= i; { // the client may be through sooner than the server
			w.mu.Lock()
			trusted = len(w.flows)
			for f := range w.flows {
				f.Trust()
			}
			w.mu.Unlock()
		}
	}
	asked("two are there, and trusted", http.StatusServiceUnavailable, "10")
	if _, err := d.DialWebSocket(context.Background(), dial); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a third connection: %v, expected 503", err)
	}
}

// A connection that a peer doesn't read costs its sender no time: Send refuses at the bound.
func TestWebSocketSendNeverWaits(t *testing.T) {
	a := newSink()
	w := NewWebSocket(a, limits(), WebSocketConfig{})
	server, client := net.Pipe()
	defer client.Close()
	upgrade(w, server, client)
	client.Write(frameOf([]byte(text("hello"))))
	f := a.next(t).flow
	begun := time.Now()
	var err error
	for range 2 * queueLength {
		if err = f.Send(make([]byte, 1000)); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrSlow) || f.Alive() {
		t.Errorf("%v, expected the connection to be given up", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	<-a.closed
	w.Close()
}

// upgrade hands one end of a pipe to the server as a request to upgrade, and takes the answer off the other.
func upgrade(w *WebSocket, server, client net.Conn) {
	r := httptest.NewRequest("GET", "/sip", nil)
	r.RemoteAddr = "127.0.0.1:1"
	for k, v := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Version": "13",
		"Sec-Websocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-Websocket-Protocol": "sip",
	} {
		r.Header.Set(k, v)
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		br := bufio.NewReader(client)
		for {
			line, err := br.ReadString('\n')
			if err != nil || line == "\r\n" {
				return
			}
		}
	}()
	w.ServeHTTP(&hijacked{ResponseRecorder: httptest.NewRecorder(), conn: server}, r)
	<-answered
}

type hijacked struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// frameOf is a text frame of a client whose mask is zero, so that a fuzzer sees through it.
func frameOf(b []byte) []byte {
	head := []byte{0x81, 0x80 | byte(len(b)), 0, 0, 0, 0}
	if len(b) > 125 {
		head = []byte{0x81, 0x80 | 126, byte(len(b) >> 8), byte(len(b)), 0, 0, 0, 0}
	}
	return append(head, b...)
}

// A message that is begun must be whole in time, also if its sender sends pings meanwhile.
func TestWebSocketPartialMessageTimesOut(t *testing.T) {
	for name, pings := range map[string]bool{"silent": false, "pinging": true} {
		t.Run(name, func(t *testing.T) {
			a, lim := newSink(), limits()
			lim.Partial, lim.FirstMessage, lim.Idle = 300*time.Millisecond, time.Hour, time.Hour
			w := NewWebSocket(a, lim, WebSocketConfig{Ping: time.Hour})
			defer w.Close()
			server, client := net.Pipe()
			defer client.Close()
			upgrade(w, server, client)
			go io.Copy(io.Discard, client)
			client.Write(frameOf([]byte(text("hello"))))
			a.next(t).flow.Welcome()
			client.Write([]byte{0x01, 0x82, 0, 0, 0, 0, 'I', 'N'}) // a text frame that isn't the last of its message
			stop := time.After(10 * time.Second)
			for {
				select {
				case <-a.closed:
					a.mu.Lock()
					defer a.mu.Unlock()
					if a.drops[DropTimeout] != 1 {
						t.Errorf("drops %v", a.drops)
					}
					return
				case <-stop:
					t.Fatal("half a message is still held")
				case <-time.After(20 * time.Millisecond):
					if pings {
						client.Write([]byte{0x89, 0x80, 0, 0, 0, 0})
					}
				}
			}
		})
	}
}

// Who isn't welcome in time has to go, whatever it sends; a welcome that comes while the reader waits counts.
func TestWebSocketWelcomeInTime(t *testing.T) {
	a, lim := newSink(), limits()
	lim.FirstMessage = 500 * time.Millisecond
	w := NewWebSocket(a, lim, WebSocketConfig{})
	defer w.Close()
	begin := func() (net.Conn, *Flow) {
		server, client := net.Pipe()
		t.Cleanup(func() { client.Close() })
		upgrade(w, server, client)
		go io.Copy(io.Discard, client)
		client.Write(frameOf([]byte(text("hello"))))
		return client, a.next(t).flow
	}
	_, guest := begin()
	guest.Trust()
	stranger, f := begin()
	stop := time.After(10 * time.Second)
	for open := true; open; {
		select {
		case c := <-a.closed:
			if c != f {
				t.Fatal("the guest had to go")
			}
			open = false
		case <-stop:
			t.Fatal("the stranger is still there")
		case <-time.After(20 * time.Millisecond):
			stranger.Write(frameOf([]byte(text("and again"))))
		}
	}
	if !guest.Alive() {
		t.Error("the guest had to go")
	}
}

type strict struct {
	t      *testing.T
	max    int
	closed chan struct{}
}

func (s *strict) Message(_ *Flow, data []byte, err error) {
	if len(data) < 16 || len(data) > s.max || err != nil {
		s.t.Errorf("message of %d bytes, %v", len(data), err)
	}
}
func (s *strict) Closed(*Flow)   { close(s.closed) }
func (s *strict) Dropped(string) {}

func FuzzWebSocket(f *testing.F) {
	hello := frameOf([]byte(text("hello")))
	f.Add(hello)
	f.Add(append(append([]byte(nil), hello...), frameOf([]byte("\r\n\r\n"))...))
	f.Add(frameOf(bytes.Repeat([]byte("x"), 3000)))
	f.Add([]byte{0x89, 0x80, 0, 0, 0, 0, 0x8a, 0x80, 0, 0, 0, 0})           // ping, pong
	f.Add([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9})                       // close: going away
	f.Add([]byte{0x01, 0x81, 0, 0, 0, 0, 'a', 0x80, 0x81, 0, 0, 0, 0, 'b'}) // two fragments
	f.Add([]byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, stream []byte) {
		lim := limits()
		lim.MessageBytes = 2000
		h := &strict{t: t, max: lim.MessageBytes, closed: make(chan struct{})}
		w := NewWebSocket(h, lim, WebSocketConfig{})
		server, client := net.Pipe()
		upgrade(w, server, client)
		go func() {
			buf := make([]byte, 4096)
			for {
				if _, err := client.Read(buf); err != nil {
					return
				}
			}
		}()
		client.SetWriteDeadline(time.Now().Add(5 * time.Second))
		client.Write(stream) // fails if the server has had enough before
		client.Close()
		select {
		case <-h.closed:
		case <-time.After(10 * time.Second):
			t.Fatal("the reader didn't end with its connection")
		}
		w.Close()
	})
}
