package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/media/webrtc/webrtctest"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// running is the whole process on free ports of loopback, with users anna (401), ben (402), and cora (403), who prefers Opus.
type running struct {
	*server
	sip    netip.AddrPort // UDP
	roots  *tls.Config
	plain  string // host:port
	secure string
}

func startServer(t *testing.T, change ...func(*Config)) *running {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	cfg := defaults()
	free := netip.MustParseAddrPort("127.0.0.1:0")
	cfg.Node.Data, cfg.Node.Name, cfg.Node.Drain = t.TempDir(), "test", time.Second
	cfg.HTTP.Listen, cfg.HTTPS.Listen = free, free
	cfg.HTTP.Origins = []string{"https://crm.example"}
	cfg.SIP.Listen = []Listen{{Transport: "udp", Address: free}}
	cfg.Media.Ports, cfg.Media.WebRTC.Port = Ports{Min: 31000, Max: 31999}, freePort(t)
	cfg.Billing.Database, cfg.Billing.Reserve = "none", 1<<20
	cfg.Users = []User{{ID: "anna", Password: "anna-secret", Numbers: []string{"401"}}, {ID: "ben", Password: "ben-secret", Numbers: []string{"402"}},
		{ID: "cora", Password: "cora-secret", Numbers: []string{"403"}, Codecs: []string{"opus", "pcmu"}}}
	cfg.Tokens = testTokens()
	for _, f := range change {
		f(&cfg)
	}
	cfg.complete()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := wire(ctx, cfg, quiet)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	b, err := os.ReadFile(filepath.Join(cfg.Node.Data, "tls", "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(b)
	return &running{server: s, sip: s.front.Addrs()[0].Addr, roots: &tls.Config{RootCAs: pool},
		plain: s.plain.Addr().String(), secure: s.secure.Addr().String()}
}

// freePort is a port that nobody has at the moment, of UDP or TCP. It is below those that the kernel gives to whoever asks for any.
func freePort(t *testing.T) uint16 {
	t.Helper()
	for range 1000 {
		at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(10000+rand.IntN(10000)))
		c, err := net.ListenPacket("udp4", at.String())
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp4", at.String())
		if c.Close(); err != nil {
			continue
		}
		l.Close()
		return at.Port()
	}
	t.Fatal("no port is free")
	return 0
}

// browser is the media side of a page.
func browser(t *testing.T) *webrtctest.Browser {
	t.Helper()
	b, err := webrtctest.New(webrtctest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() }) // it may be closed already
	return b
}

// connected waits for a browser's media, then closes it.
func connected(t *testing.T, b *webrtctest.Browser) {
	t.Helper()
	select {
	case <-b.Connected():
	case <-time.After(siptest.Patience):
		t.Fatalf("the browser's media isn't connected but %s", b.State())
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestBrowserAndDeskPhoneCallEachOther(t *testing.T) {
	r := startServer(t)
	for _, x := range []struct {
		name, url string
		config    *tls.Config
	}{{"ws", "ws://" + r.plain + "/sip", nil}, {"wss", "wss://" + r.secure + "/sip", r.roots}} {
		t.Run(x.name, func(t *testing.T) {
			web := siptest.NewPhone(t, siptest.PhoneConfig{User: "anna", Password: "anna-secret", Server: r.sip, URL: x.url, TLS: x.config})
			desk := siptest.NewPhone(t, siptest.PhoneConfig{User: "ben", Password: "ben-secret", Server: r.sip})
			web.Register()
			desk.Register()
			callFromBrowser(t, web, desk)
			callToBrowser(t, desk, web)
			web.Close()
			for deadline := time.Now().Add(siptest.Patience); r.front.Stats().Connections != 0; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the connection is still counted")
				}
			}
			// Nobody is there any more.
			if e := desk.Dial("401").Wait(sip.KindEnded); e.Status != 480 {
				t.Errorf("calling the closed page: %d %s", e.Status, e.Phrase)
			}
		})
	}
}

func callFromBrowser(t *testing.T, web, desk *siptest.Phone) {
	t.Helper()
	b := browser(t)
	offer, err := b.Offer(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	out := web.DialInvite(sip.Invite{Target: web.AOR("402"), From: sip.NameAddr{URI: web.AOR("anna")}, Destination: web.Destination(), Body: offer})
	in := desk.Incoming()
	if strings.Contains(string(in.Request().Body), "fingerprint") {
		t.Error("the desk phone is offered what only browsers know")
	}
	in.Accept()
	if err := b.Accept(out.Wait(sip.KindAnswered).Body); err != nil {
		t.Fatal(err)
	}
	connected(t, b)
	out.Bye()
	in.Wait(sip.KindEnded)
}

func callToBrowser(t *testing.T, desk, web *siptest.Phone) {
	t.Helper()
	b := browser(t)
	out := desk.Dial("401")
	in := web.Incoming()
	answer, err := b.Answer(t.Context(), in.Request().Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Answer(answer); err != nil {
		t.Fatal(err)
	}
	in.Expect(sip.KindAcked)
	out.Wait(sip.KindAnswered)
	connected(t, b)
	out.Bye()
	in.Wait(sip.KindEnded)
}

func TestServerOverBothListeners(t *testing.T) {
	r := startServer(t)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: r.roots}, Timeout: 5 * time.Second}
	for _, base := range []string{"http://" + r.plain, "https://" + r.secure} {
		for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 200, "/api/v1/calls": 200, "/sip": 426, "/": 200} {
			res, err := client.Get(base + path)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(res.Body)
			if res.Body.Close(); err != nil || res.StatusCode != want {
				t.Errorf("%s%s: %s, expected %d: %s", base, path, res.Status, want, b)
			}
			for _, name := range []string{"https_certificate_expiry_timestamp_seconds", "webrtc_endpoints", "webrtc_dropped_total", "transcoder_dropped_total", "logins_total", "login_tokens"} {
				if path == "/metrics" && !strings.Contains(string(b), "patchbay_"+name) {
					t.Errorf("%s isn't among the metrics", name)
				}
			}
		}
	}
	for origin, want := range map[string]int{
		"https://evil.example": 403, "null": 403, "https://" + r.secure: 101, "http://" + r.plain: 101, "https://crm.example": 101, "file://": 101, "": 101,
	} {
		h := http.Header{}
		if origin != "" {
			h.Set("Origin", origin)
		}
		c, res, err := siptest.DialWeb("wss://"+r.secure+"/sip", r.roots, h)
		if res == nil || res.StatusCode != want {
			t.Errorf("Origin %q: %v, %v, expected %d", origin, res, err, want)
		}
		if c != nil {
			c.Close()
		}
	}
	taken := r.cfg
	taken.HTTPS.Listen = netip.MustParseAddrPort(r.secure)
	if _, err := wire(context.Background(), taken, quiet); err == nil || !strings.Contains(err.Error(), "https.listen") {
		t.Errorf("a port in use: %v", err)
	}
	taken = r.cfg
	taken.HTTP.Listen, taken.HTTPS.Listen = netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("127.0.0.1:0")
	taken.Node.Data, taken.Billing.Dir = t.TempDir(), t.TempDir()
	if _, err := wire(context.Background(), taken, quiet); err == nil || !strings.Contains(err.Error(), "media.webrtc.port") {
		t.Errorf("a port of browsers in use: %v", err)
	}
}

// What a browser on another host reaches over TLS: the page, its parts, and what asks for a proof.
func TestOtherHostsReachThePageAndNoMore(t *testing.T) {
	r := startServer(t)
	for _, x := range []struct {
		method, path string
		want         int
		body         string // a part of it
	}{
		{"GET", "/", 200, "<!doctype html>"},
		{"HEAD", "/", 200, ""},
		{"POST", "/", 405, ""},
		{"GET", "/assets/none.js", 404, ""},
		{"GET", "/licenses.txt", 200, "MIT"},
		{"GET", "/livez", 200, "ok"},
		{"POST", "/livez", 405, ""},
		{"GET", "/sip", 426, ""},
		{"POST", "/sip", 405, ""},
		{"GET", "/kurento", 403, "without a token of the settings"},
		{"POST", "/api/v1/me/login", 415, `{"error":`},
		{"GET", "/api/v1/me/calls", 401, `{"error":`},
		{"GET", "/api/v1/me/none", 404, `{"error":`},
		{"GET", "/api/v1/calls", 403, `{"error":`},
		{"GET", "/api/v1/me", 307, ""},
		{"GET", "/api/", 404, ""},
		{"GET", "/api/v1/me/%2e%2e/calls", 404, `{"error":`},
		{"GET", "/api/v1/calls%2f..%2fme%2flogin", 403, ""},
		{"GET", "/api/v1/calls/..%2fme%2flogin", 403, ""},
		{"DELETE", "/api/v1/calls/..%2fme%2fcalls", 403, ""},
		{"CONNECT", "/api/v1/me/../calls", 405, ""},
	} {
		req := httptest.NewRequest(x.method, "https://gw.example:8433"+x.path, nil)
		req.RemoteAddr = "192.0.2.7:4711"
		w := httptest.NewRecorder()
		r.http.Handler.ServeHTTP(w, req)
		if w.Code != x.want || !strings.Contains(strings.ToLower(w.Body.String()), strings.ToLower(x.body)) {
			t.Errorf("%s %s: %d %.200s, expected %d with %q", x.method, x.path, w.Code, w.Body, x.want, x.body)
		}
		if x.path == "/" && !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s /: the policy is %q", x.method, w.Header().Get("Content-Security-Policy"))
		}
	}
	// A path with dots is sent to where it leads, and judged there.
	req := httptest.NewRequest("GET", "https://gw.example:8433/api/v1/me/../calls", nil)
	req.RemoteAddr = "192.0.2.7:4711"
	w := httptest.NewRecorder()
	r.http.Handler.ServeHTTP(w, req)
	if w.Code == 200 || strings.Contains(w.Body.String(), "[") {
		t.Errorf("a path with dots: %d %s", w.Code, w.Body)
	}
	for _, scheme := range []string{"http", "https"} { // a password in clear, and from another's page
		req := httptest.NewRequest("POST", scheme+"://gw.example/api/v1/me/login", strings.NewReader(credentials("anna", "anna-secret")))
		req.RemoteAddr = "192.0.2.7:4711"
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Origin", map[string]string{"http": "http://gw.example", "https": "https://evil.example"}[scheme])
		w := httptest.NewRecorder()
		if r.http.Handler.ServeHTTP(w, req); w.Code != 403 || said(t, w) == "" {
			t.Errorf("login by %s with Origin %s: %d %s", scheme, req.Header.Get("Origin"), w.Code, w.Body)
		}
	}
}

func TestWelcomeNamesThePage(t *testing.T) {
	cfg, err := loadConfig("", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	welcome(&b, cfg)
	for _, want := range []string{"http://127.0.0.1:8888/ ", "https://127.0.0.1:8433/ ", "9006 ", "9503 ", string(cfg.Users[0].Password)} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("it doesn't say %q:\n%s", want, &b)
		}
	}
	cfg.HTTPS.Listen, cfg.SIP.Domain = netip.MustParseAddrPort("[::]:443"), "2001:db8::1"
	if got := pageURL("https", cfg.HTTPS.Listen, cfg); got != "https://[2001:db8::1]:443/" {
		t.Errorf("the page of a wildcard is at %s", got)
	}
}

// Peers that stall in the TLS handshake, in the request or after it keep nobody waiting.
func TestStalledPeersDisturbNobody(t *testing.T) {
	r := startServer(t)
	for i := range 60 {
		addr, start := r.secure, ""
		switch i % 3 {
		case 0:
			start = "\x16\x03\x01\x02\x00\x01"
		case 1:
			addr, start = r.plain, "GET /sip HTTP/1.1\r\nHost: localhost\r\n"
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, start); err != nil {
			t.Fatal(err)
		}
	}
	for range 300 {
		c, _, err := siptest.DialWeb("ws://"+r.plain+"/sip", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	begun := time.Now()
	p := siptest.NewPhone(t, siptest.PhoneConfig{User: "anna", Password: "anna-secret", Server: r.sip, URL: "wss://" + r.secure + "/sip", TLS: r.roots})
	p.Register()
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("registered after %v", took)
	}
}
