package sip_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/siptest"
)

// site is a UA with a registrar, for browsers.
type site struct {
	*bench
	reg     *sip.Registrar
	changes chan string
	url     string // where it takes SIP over WebSocket
	config  *tls.Config
	lookups atomic.Int64 // of host names
	cseq    int          // of the last REGISTER
}

func newSite(t *testing.T, secure bool, cfg sip.WebSocketConfig) *site {
	t.Helper()
	s := &site{changes: make(chan string, 64)}
	var err error
	s.reg, err = sip.NewRegistrar(sip.RegistrarConfig{
		Auth: users(t, map[string]string{"alice": "a-pass", "bob": "b-pass"}),
		Changed: func(user string, online bool) {
			if online {
				s.changes <- user + " on"
			} else {
				s.changes <- user + " off"
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.bench = newBench(t, func(f *sip.FrontConfig, c *sip.Config) {
		c.Registrar = s.reg
		f.Resolve = func(context.Context, string) ([]netip.Addr, error) {
			s.lookups.Add(1)
			return nil, errors.New("there are no names here")
		}
	})
	h := httptest.NewUnstartedServer(s.front.WebSocket(cfg))
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	if secure {
		h.StartTLS()
		s.config = h.Client().Transport.(*http.Transport).TLSClientConfig
		s.config.NextProtos = []string{"http/1.1"}
	} else {
		h.Start()
	}
	t.Cleanup(h.Close)
	s.url = strings.Replace(h.URL, "http", "ws", 1)
	return s
}

func TestWebPhoneRegistersAndCalls(t *testing.T) {
	for _, network := range []string{"ws", "wss"} {
		t.Run(network, func(t *testing.T) {
			b := newSite(t, network == "wss", sip.WebSocketConfig{})
			p := siptest.NewPhone(t, siptest.PhoneConfig{User: "alice", Password: "a-pass", Domain: "127.0.0.1", Server: b.addr, URL: b.url, TLS: b.config})
			r := p.Register()
			change(t, b.changes, "alice on")
			contacts := b.reg.Contacts("alice")
			if len(contacts) != 1 || contacts[0].Network != network || contacts[0].URI.String()[:10] != "sip:alice@" {
				t.Fatalf("contacts %+v", contacts)
			}
			if tr, _ := contacts[0].URI.Param("transport"); tr != "ws" {
				t.Errorf("Contact %s, expected transport=ws", contacts[0].URI)
			}
			call := p.Dial("123")
			d := b.inbound()
			if q := d.Request(); q.User != "alice" || q.Network != network {
				t.Errorf("user %q over %q", q.User, q.Network)
			}
			d.Answer([]byte(siptest.SDP))
			call.Wait(sip.KindAnswered)
			expect(t, d, sip.KindAcked)
			call.Bye()
			ended(t, d, sip.ByPeer, 0)

			out := b.ring(contacts[0])
			in := p.Incoming()
			in.Accept()
			for expectAny(t, out).Kind != sip.KindAnswered {
			}
			if err := out.Hangup(soon(t), sip.Reason{}, 0); err != nil {
				t.Fatal(err)
			}
			in.Wait(sip.KindEnded)
			if err := r.Unregister(soon(t)); err != nil {
				t.Fatal(err)
			}
			change(t, b.changes, "alice off")
			p.Close()
			eventually(t, "connection gone", func() bool { return b.front.Stats().Connections == 0 })
		})
	}
}

// ring calls a registered contact.
func (b *bench) ring(c sip.Contact) *sip.Dialog {
	b.Helper()
	d, err := b.ua.Dial(soon(b.T), sip.Invite{
		Target: c.URI, Destination: c.Destination(), From: sip.NameAddr{URI: mustURI("sip:123@127.0.0.1")}, Body: []byte(siptest.SDP),
	})
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// browser is a peer that registers alice over WebSocket as browsers do.
func (s *site) browser(t *testing.T) *siptest.Peer {
	t.Helper()
	p := siptest.NewWebPeer(t, s.url, s.config)
	m := register(t, p, "alice", "a-pass", &s.cseq, p.Contact()+`;reg-id=1;+sip.instance="<urn:uuid:6d3f1c5e-0000-4000-8000-000000000001>"`)
	if m.Status() != 200 {
		t.Fatalf("REGISTER: %s", m.Start)
	}
	return p
}

// call is a call from the gateway to a browser, answered.
func (s *site) call(t *testing.T, p *siptest.Peer) (*sip.Dialog, siptest.Message) {
	t.Helper()
	d := s.ring(s.reg.Contacts("alice")[0])
	inv := p.Request("INVITE")
	p.Reply(inv, 200, "peer", siptest.SDP, p.Contact())
	expect(t, d, sip.KindAnswered)
	p.Request("ACK")
	return d, inv
}

func TestWebRequestsStayOnTheContactsConnection(t *testing.T) {
	b := newSite(t, true, sip.WebSocketConfig{})
	p := b.browser(t)
	bystander := siptest.NewWebPeer(t, b.url, b.config)
	d, inv := b.call(t, p)
	if !strings.HasPrefix(inv.Start, "INVITE sip:peer@peer.invalid;transport=ws ") {
		t.Errorf("request line %q", inv.Start)
	}
	if v := inv.Headers.Get("Via"); !strings.HasPrefix(v, "SIP/2.0/WSS 127.0.0.1:") {
		t.Errorf("Via %q", v)
	}
	if c := inv.Headers.Get("Contact"); !strings.Contains(c, ";transport=ws>") {
		t.Errorf("Contact %q", c)
	}
	if b.lookups.Load() != 0 {
		t.Error("a name was looked up")
	}
	if s := d.State(); s.Network != "wss" {
		t.Errorf("network %q", s.Network)
	}
	done := make(chan error, 1)
	ctx := soon(t)
	go func() { done <- d.Hangup(ctx, sip.Reason{}, 0) }()
	p.Reply(p.Request("BYE"), 200, "", "")
	if err := <-done; err != nil {
		t.Error(err)
	}
	bystander.Silence(50 * time.Millisecond)
}

func TestWebContactIsGoneWithItsConnection(t *testing.T) {
	b := newSite(t, true, sip.WebSocketConfig{})
	p := b.browser(t)
	change(t, b.changes, "alice on")
	old := b.reg.Contacts("alice")[0]
	ringing := b.ring(old)
	p.Reply(p.Request("INVITE"), 180, "peer", "", p.Contact())
	for expectAny(t, ringing).Kind != sip.KindProgress {
	}
	p.Close()
	change(t, b.changes, "alice off")
	ended(t, ringing, sip.ByTransport, 503)
	if e := ended(t, b.ring(old), sip.ByTransport, 503); !strings.Contains(e.Err.Error(), "is gone") {
		t.Errorf("calling a gone contact: %v", e.Err)
	}
	late, err := b.ua.Dial(soon(t), sip.Invite{Target: old.URI, From: sip.NameAddr{URI: mustURI("sip:1@127.0.0.1")}, Body: []byte(siptest.SDP)})
	if err != nil {
		t.Fatal(err)
	}
	ended(t, late, sip.ByTransport, 503)
	if b.lookups.Load() != 0 {
		t.Error("a name was looked up")
	}
}

func TestWebCallEndsWithItsPage(t *testing.T) {
	b := newSite(t, true, sip.WebSocketConfig{Grace: time.Hour})
	p := b.browser(t)
	d, _ := b.call(t, p)
	p.Leave()
	if e := ended(t, d, sip.ByTransport, 0); e.Err == nil {
		t.Error("ended without a reason")
	}
	// A caller that closes its page before the answer.
	p = b.browser(t)
	b.invite(t, p)
	d = b.inbound()
	p.Leave()
	ended(t, d, sip.ByTransport, 487)
	eventually(t, "transactions gone", func() bool { return b.front.Stats().ServerTransactions == 0 })
}

// invite sends an INVITE with alice's credentials, once it was challenged.
func (s *site) invite(t *testing.T, p *siptest.Peer) {
	t.Helper()
	client := auth.NewClient(auth.Credentials{Username: "alice", Password: "a-pass"})
	ask := siptest.Ask{Method: "INVITE", URI: "sip:123@127.0.0.1", From: "<sip:alice@127.0.0.1>;tag=c", CallID: "c" + p.Addr().String(), Body: siptest.SDP}
	ask = p.Write(ask)
	res := p.Response(407)
	p.Ack(ask, res, "")
	var attempt auth.Attempt
	if err := client.Challenge(&attempt, res.Headers); err != nil {
		t.Fatal(err)
	}
	ask.CSeq, ask.Branch = ask.CSeq+1, ""
	for _, h := range client.Headers("INVITE", ask.URI, nil) {
		ask.Headers = append(ask.Headers, h.Name+": "+h.Value)
	}
	p.Write(ask)
}

func TestWebCallOutlivesABrokenConnection(t *testing.T) {
	b := newSite(t, false, sip.WebSocketConfig{Grace: 800 * time.Millisecond})
	p := b.browser(t)
	change(t, b.changes, "alice on")
	d, _ := b.call(t, p)
	p.Close() // without goodbye
	change(t, b.changes, "alice off")
	p = b.browser(t)
	change(t, b.changes, "alice on")
	time.Sleep(1000 * time.Millisecond) // past the grace
	select {
	case e := <-d.Events():
		t.Fatalf("event %v, expected none", e.Kind)
	default:
	}
	// Once more, and nobody comes back.
	p.Close()
	begun := time.Now()
	ended(t, d, sip.ByTransport, 0)
	if took := time.Since(begun); took < 700*time.Millisecond {
		t.Errorf("ended after %v, expected the grace to pass", took)
	}
}

func TestWebDialogFollowsItsPeer(t *testing.T) {
	b := newSite(t, false, sip.WebSocketConfig{Grace: time.Hour})
	p := b.browser(t)
	d, inv := b.call(t, p)
	q := siptest.NewWebPeer(t, b.url, b.config) // another connection, while the first still seems to live
	q.Write(siptest.Ask{Method: "INFO", URI: "sip:x@127.0.0.1", From: inv.Headers.Get("To") + ";tag=peer", To: inv.Headers.Get("From"), CallID: inv.Headers.Get("Call-ID"), CSeq: 7})
	q.Response(200)
	expect(t, d, sip.KindInfo)
	done := make(chan error, 1)
	ctx := soon(t)
	go func() { done <- d.Hangup(ctx, sip.Reason{}, 0) }()
	q.Reply(q.Request("BYE"), 200, "", "")
	if err := <-done; err != nil {
		t.Error(err)
	}
	p.Silence(50 * time.Millisecond)
}

// SIP.js refreshes with the credentials of the last REGISTER and answers the challenge then: many of it behind one
// address are no attack.
func TestWebOfficeOfRefreshesIsNotBanned(t *testing.T) {
	b := newSite(t, false, sip.WebSocketConfig{})
	p := siptest.NewWebPeer(t, b.url, b.config)
	client := auth.NewClient(auth.Credentials{Username: "alice", Password: "a-pass"})
	ask := siptest.Ask{Method: "REGISTER", URI: "sip:127.0.0.1", From: "<sip:alice@127.0.0.1>;tag=r", To: "<sip:alice@127.0.0.1>", CallID: "office"}
	send := func(want int) siptest.Message {
		t.Helper()
		ask.CSeq, ask.Branch = ask.CSeq+1, ""
		p.Write(ask)
		return p.Response(want)
	}
	res := send(401)
	for range 40 {
		var attempt auth.Attempt
		if err := client.Challenge(&attempt, res.Headers); err != nil {
			t.Fatal(err)
		}
		h := client.Headers("REGISTER", ask.URI, nil)[0]
		ask.Headers = []string{h.Name + ": " + h.Value, p.Contact()}
		send(200)
		if res = send(401); !strings.Contains(res.Headers.Get("WWW-Authenticate"), "stale=true") {
			t.Fatalf("challenge %q", res.Headers.Get("WWW-Authenticate"))
		}
	}
}

func TestWebHandshakeRefused(t *testing.T) {
	b := newSite(t, false, sip.WebSocketConfig{})
	for _, x := range []struct {
		name, origin, protocol string
		status                 int
	}{
		{"other subprotocol", "", "kurento", 400},
		{"no subprotocol", "", "", 400},
		{"cross-site", "https://evil.example", "sip", 403},
		{"no origin", "", "sip", 101},
		{"own origin", strings.Replace(b.url, "ws", "http", 1), "sip", 101},
	} {
		h := http.Header{}
		if x.origin != "" {
			h.Set("Origin", x.origin)
		}
		d := websocket.Dialer{HandshakeTimeout: siptest.Patience}
		if x.protocol != "" {
			d.Subprotocols = []string{x.protocol}
		}
		c, res, err := d.Dial(b.url, h)
		if res == nil || res.StatusCode != x.status {
			t.Errorf("%s: %v, %v, expected %d", x.name, res, err, x.status)
		}
		if c != nil {
			if c.Subprotocol() != "sip" {
				t.Errorf("%s: subprotocol %q", x.name, c.Subprotocol())
			}
			c.Close()
		}
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(strings.Replace(b.url, "ws", "http", 1))
	if err != nil || res.StatusCode != http.StatusUpgradeRequired || res.Header.Get("Upgrade") != "websocket" {
		t.Errorf("a plain GET: %v, %v", res, err)
	}
	if res != nil {
		res.Body.Close()
	}
}

func TestStalledHandshakesKeepNobodyWaiting(t *testing.T) {
	b := newSite(t, true, sip.WebSocketConfig{})
	host := strings.TrimPrefix(b.url, "wss://")
	for i := range 20 {
		c, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 { // a TLS record that never ends
			c.Write([]byte{22, 3, 1, 2, 0, 1})
		}
	}
	b.browser(t)
	change(t, b.changes, "alice on")
}

func TestWebStrangersMakeRoom(t *testing.T) {
	b := newSite(t, false, sip.WebSocketConfig{Connections: 600, PerSource: 400})
	p := b.browser(t)
	change(t, b.changes, "alice on")
	idle := make([]*websocket.Conn, 0, 1000)
	for range 1000 {
		c, _, err := siptest.DialWeb(b.url, nil, nil)
		if err != nil {
			t.Fatalf("connection %d: %v", len(idle), err)
		}
		idle = append(idle, c)
	}
	defer func() {
		for _, c := range idle {
			c.Close()
		}
	}()
	// About 100 strangers of one source are left, and the browser. Who says nothing for too long goes as well, on a machine that is slow.
	eventually(t, "the others have made room", func() bool { return b.front.Stats().Connections <= 110 })
	if s := b.front.Stats(); s.Dropped["connection_pushed"] < 890-s.Dropped["connection_timeout"] {
		t.Errorf("made room: %v, expected about 900", s.Dropped)
	}
	// Who was there is undisturbed, who comes now gets in.
	d, _ := b.call(t, p)
	b.browser(t)
	select {
	case e := <-d.Events():
		t.Errorf("event %v", e.Kind)
	default:
	}
}

func TestWebLimitsOfTrustedConnections(t *testing.T) {
	b := newSite(t, false, sip.WebSocketConfig{Connections: 2, PerSource: 8})
	b.browser(t)
	change(t, b.changes, "alice on")
	p := siptest.NewWebPeer(t, b.url, b.config)
	if m := register(t, p, "bob", "b-pass", &b.cseq, p.Contact()); m.Status() != 200 {
		t.Fatal(m.Start)
	}
	_, res, err := siptest.DialWeb(b.url, nil, nil)
	if err == nil || res == nil || res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("beyond the limit: %v, %v", res, err)
	}
}

func TestWebFrames(t *testing.T) {
	b := newSite(t, false, sip.WebSocketConfig{})
	p := b.browser(t)
	p.Send("\r\n\r\n") // a ping of RFC 5626
	c, _, err := siptest.DialWeb(b.url, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(siptest.Patience))
	c.WriteMessage(websocket.TextMessage, []byte("\r\n\r\n"))
	if kind, data, err := c.ReadMessage(); err != nil || kind != websocket.TextMessage || string(data) != "\r\n" {
		t.Errorf("keepalive answered %q, %v", data, err)
	}
	options := "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bKframe\r\nMax-Forwards: 70\r\nFrom: <sip:alice@127.0.0.1>;tag=1\r\n" +
		"To: <sip:127.0.0.1>\r\nCall-ID: frame\r\nCSeq: 1 OPTIONS\r\n\r\n" // without Content-Length, in two binary fragments
	w, err := c.NextWriter(websocket.BinaryMessage)
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(options))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, data, err := c.ReadMessage()
	if err != nil || !strings.HasPrefix(string(data), "SIP/2.0 200 ") || !strings.Contains(string(data), ";received=127.0.0.1") {
		t.Errorf("OPTIONS answered %q, %v", data, err)
	}
	// A frame beyond the limit ends the connection before it is read.
	c.WriteMessage(websocket.TextMessage, make([]byte, 65536))
	_, _, err = c.ReadMessage()
	if !websocket.IsCloseError(err, websocket.CloseMessageTooBig) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("after an oversized frame: %v", err)
	}
	eventually(t, "counted", func() bool { return b.front.Stats().Dropped["message_too_large"] == 1 })
}

func TestWebSlowReaderIsClosed(t *testing.T) {
	b := newSite(t, false, sip.WebSocketConfig{})
	raw, err := net.Dial("tcp", strings.TrimPrefix(b.url, "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	d := websocket.Dialer{Subprotocols: []string{"sip"}, NetDial: func(string, string) (net.Conn, error) { return raw, nil }}
	c, _, err := d.Dial(b.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	options := func(i string) string {
		return "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK" + i + "\r\nMax-Forwards: 70\r\nFrom: <sip:alice@127.0.0.1>;tag=1\r\n" +
			"To: <sip:127.0.0.1>\r\nCall-ID: " + i + strings.Repeat("x", 400) + "\r\nCSeq: 1 OPTIONS\r\n" + strings.Repeat("Via: SIP/2.0/WS y.invalid;branch="+strings.Repeat("z", 900)+"\r\n", 40) + "\r\n"
	}
	c.SetWriteDeadline(time.Now().Add(siptest.Patience))
	for i := 0; err == nil && i < 2000; i++ { // it asks and never reads the answers
		err = c.WriteMessage(websocket.TextMessage, []byte(options(string(rune('a'+i%26))+time.Now().Format("150405.000000000"))))
	}
	if err == nil {
		t.Error("a peer that doesn't read could go on asking")
	}
	eventually(t, "connection gone", func() bool { return b.front.Stats().Connections == 0 })
	// Nobody else was kept waiting.
	b.browser(t)
	change(t, b.changes, "alice on")
}

func TestWebFirstMessageInTime(t *testing.T) {
	b := newBench(t, func(f *sip.FrontConfig, _ *sip.Config) { f.Limits.FirstMessage = 500 * time.Millisecond })
	s := httptest.NewServer(b.front.WebSocket(sip.WebSocketConfig{Ping: 20 * time.Millisecond}))
	defer s.Close()
	c, _, err := siptest.DialWeb(strings.Replace(s.URL, "http", "ws", 1), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(siptest.Patience))
	begun := time.Now()
	_, _, err = c.ReadMessage() // answers pings meanwhile
	if took := time.Since(begun); err == nil || took > siptest.Patience {
		t.Errorf("closed after %v: %v", took, err)
	}
	if b.front.Stats().Dropped["connection_timeout"] != 1 {
		t.Errorf("drops %v", b.front.Stats().Dropped)
	}
}

func TestWebPings(t *testing.T) {
	b := newSite(t, false, sip.WebSocketConfig{Ping: 500 * time.Millisecond})
	p := siptest.NewPhone(t, siptest.PhoneConfig{User: "bob", Password: "b-pass", Domain: "127.0.0.1", Server: b.addr, URL: b.url, TLS: b.config})
	p.Register()
	change(t, b.changes, "bob on")
	b.browser(t) // which reads nothing, so it answers no ping
	change(t, b.changes, "alice on")
	change(t, b.changes, "alice off")
	time.Sleep(1200 * time.Millisecond)
	select {
	case c := <-b.changes:
		t.Errorf("%s, though it answers", c)
	default:
	}
}

func TestWebCloseSaysGoodbye(t *testing.T) {
	b := newSite(t, false, sip.WebSocketConfig{})
	c, _, err := siptest.DialWeb(b.url, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, "connected", func() bool { return b.front.Stats().Connections == 1 })
	go b.front.Close()
	c.SetReadDeadline(time.Now().Add(siptest.Patience))
	if _, _, err = c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("%v, expected going away", err)
	}
	if _, res, err := siptest.DialWeb(b.url, nil, nil); err == nil || res == nil || res.StatusCode != 503 {
		t.Errorf("after Close: %v, %v", res, err)
	}
}

func FuzzWebMessage(f *testing.F) {
	options := "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bKfuzz\r\nMax-Forwards: 70\r\nFrom: <sip:alice@127.0.0.1>;tag=1\r\n" +
		"To: <sip:127.0.0.1>\r\nCall-ID: fuzz\r\nCSeq: 1 OPTIONS\r\n\r\n"
	for _, seed := range []string{options, "\r\n\r\n", "", "\x00\x00", "SIP/2.0 200 OK\r\n\r\n", strings.ReplaceAll(options, "OPTIONS", "INVITE"), strings.ReplaceAll(options, "x.invalid", "[::1]")} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	front, err := sip.NewFront(sip.FrontConfig{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { front.Close() })
	if _, err := front.NewUA(sip.Config{Name: "fuzz", Match: func(sip.Inbound) bool { return true }}); err != nil {
		f.Fatal(err)
	}
	s := httptest.NewServer(front.WebSocket(sip.WebSocketConfig{}))
	f.Cleanup(s.Close)
	url := strings.Replace(s.URL, "http", "ws", 1)
	f.Fuzz(func(t *testing.T, payload []byte, text bool) {
		if len(payload) > 65535 {
			return
		}
		c, _, err := siptest.DialWeb(url, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		kind := websocket.BinaryMessage
		if text {
			kind = websocket.TextMessage
		}
		if err := c.WriteMessage(kind, payload); err != nil {
			t.Fatal(err)
		}
		// Whatever that was, the next to come is served.
		d, _, err := siptest.DialWeb(url, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		ask := strings.Replace(options, "bKfuzz", "bK"+strings.ReplaceAll(d.LocalAddr().String(), ":", "-"), 1)
		ask = strings.Replace(ask, "Call-ID: fuzz", "Call-ID: "+time.Now().Format("150405.000000000"), 1)
		if err := d.WriteMessage(websocket.TextMessage, []byte(ask)); err != nil {
			t.Fatal(err)
		}
		d.SetReadDeadline(time.Now().Add(siptest.Patience))
		if _, data, err := d.ReadMessage(); err != nil || !strings.HasPrefix(string(data), "SIP/2.0 200 ") {
			t.Fatalf("afterwards %q, %v", data, err)
		}
	})
}
