package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestGuard(t *testing.T) {
	const self, other = "127.0.0.1:4711", "192.0.2.7:4711"
	for _, x := range []struct {
		name, path, peer, host string
		header                 string // Name: value
		secure, bound          bool   // over TLS; plain HTTP is bound beyond loopback
		want                   int
	}{
		{"own program", "/api/v1/calls", self, "127.0.0.1:8888", "", false, false, 200},
		{"over IPv6", "/api/v1/calls", "[::1]:4711", "[::1]:8888", "", false, false, 200},
		{"mapped", "/api/v1/calls", "[::ffff:127.0.0.1]:4711", "localhost", "", false, false, 200},
		{"other host", "/api/v1/calls", other, "127.0.0.1:8888", "", false, false, 403},
		{"other host over TLS", "/api/v1/calls", other, "gw.example:8433", "", true, true, 403},
		{"forwarded", "/api/v1/calls", self, "localhost", "X-Forwarded-For: 192.0.2.7", false, false, 403},
		{"forwarded: Forwarded", "/api/v1/calls", self, "localhost", "Forwarded: for=192.0.2.7", false, false, 403},
		{"forwarded: Via", "/api/v1/calls", self, "localhost", "Via: 1.1 proxy", false, false, 403},
		{"forwarded: X-Forwarded-Proto", "/api/v1/calls", self, "localhost", "X-Forwarded-Proto: https", false, false, 403},
		{"forwarded: X-Forwarded-Host", "/api/v1/calls", self, "localhost", "X-Forwarded-Host: evil.example", false, false, 403},
		{"forwarded: X-Forwarded-Server", "/api/v1/calls", self, "localhost", "X-Forwarded-Server: proxy", false, false, 403},
		{"forwarded: X-Real-Ip", "/api/v1/calls", self, "localhost", "X-Real-Ip: 192.0.2.7", false, false, 403},
		{"forwarded: X-Client-Ip", "/api/v1/calls", self, "localhost", "X-Client-Ip: 192.0.2.7", false, false, 403},
		{"forwarded: True-Client-Ip", "/api/v1/calls", self, "localhost", "True-Client-Ip: 192.0.2.7", false, false, 403},
		{"forwarded: Cf-Connecting-Ip", "/api/v1/calls", self, "localhost", "Cf-Connecting-Ip: 192.0.2.7", false, false, 403},
		{"forwarded: X-Forwarded-For, empty", "/api/v1/calls", self, "localhost", "X-Forwarded-For: ", false, false, 403},
		{"name that leads here", "/api/v1/calls", self, "evil.example", "", false, false, 403},
		{"own page", "/api/v1/calls", self, "localhost:8888", "Origin: http://localhost:8888", false, false, 200},
		{"own page over TLS", "/api/v1/calls", self, "localhost:8888", "Origin: https://localhost:8433", false, false, 200},
		{"page on another port", "/api/v1/calls", self, "localhost:8888", "Origin: http://localhost:3000", false, false, 403},
		{"cross-site", "/api/v1/calls", self, "localhost:8888", "Origin: https://evil.example", false, false, 403},
		{"listed page", "/api/v1/calls", self, "localhost:8888", "Origin: https://CRM.example:443", false, false, 200},
		{"frame in a sandbox", "/api/v1/calls", self, "localhost:8888", "Origin: null", false, false, 403},
		{"broken origin", "/api/v1/calls", self, "localhost:8888", "Origin: http://[", false, false, 403},
		{"an SDK", "/api/v1/calls", self, "localhost:8888", "Origin: app://softphone", false, false, 200},
		{"health from anywhere", "/livez", other, "gw.example", "Origin: https://evil.example", false, false, 200},

		{"SIP from here", "/sip", self, "localhost:8888", "", false, false, 200},
		{"SIP over TLS", "/sip", other, "gw.example:8433", "Origin: https://gw.example:8433", true, false, 200},
		{"SIP behind a proxy", "/sip", self, "gw.example", "Origin: https://gw.example", false, false, 200},
		{"SIP behind a listed page's proxy", "/sip", self, "crm.example", "Origin: https://crm.example", false, false, 200},
		{"SIP under a name that leads here", "/sip", self, "evil.example:8888", "Origin: http://evil.example:8888", false, false, 403},
		{"SIP under such a name from no page", "/sip", self, "evil.example:8888", "", false, false, 403},
		{"SIP under an address that leads here", "/sip", self, "192.0.2.1:8888", "Origin: http://192.0.2.1:8888", false, false, 403},
		{"SIP under such a name where that is bound", "/sip", self, "evil.example:8888", "Origin: http://evil.example:8888", false, true, 200},
		{"SIP over IPv6", "/sip", "[::1]:4711", "[::1]:8888", "Origin: http://[::1]:8888", false, false, 200},
		{"SIP in clear", "/sip", other, "gw.example:8888", "", false, false, 403},
		{"SIP in clear where that is bound", "/sip", other, "gw.example:8888", "Origin: http://gw.example:8888", false, true, 200},
		{"SIP cross-site", "/sip", other, "gw.example:8433", "Origin: https://evil.example", true, false, 403},
		{"SIP from another port's page", "/sip", other, "gw.example:8433", "Origin: https://gw.example:9443", true, false, 403},
		{"SIP from a listed page", "/sip", other, "gw.example:8433", "Origin: https://crm.example", true, false, 200},
		{"SIP from a program", "/sip", other, "gw.example:8433", "", true, false, 200},
		{"SIP below", "/sip/x", other, "gw.example:8433", "", true, false, 403},
	} {
		t.Run(x.name, func(t *testing.T) {
			g := &guard{route: func(r *http.Request) string { return r.URL.Path }, open: []string{"/livez"}, proving: []string{"/sip"}, plain: netip.MustParseAddr("127.0.0.1"),
				names:   []string{"localhost", "GW.example"},
				origins: origins{ports: []uint16{8888, 8433}, listed: []string{"https://crm.example"}},
				next:    http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
			if x.bound {
				g.plain = netip.IPv4Unspecified()
			}
			r := httptest.NewRequest("GET", x.path, nil)
			r.RemoteAddr, r.Host = x.peer, x.host
			if x.secure {
				r.TLS = &tls.ConnectionState{}
			}
			if name, value, ok := strings.Cut(x.header, ": "); ok {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			g.ServeHTTP(w, r)
			if w.Code != x.want {
				t.Errorf("%d %s, expected %d", w.Code, w.Body, x.want)
			}
		})
	}
}

func FuzzOrigin(f *testing.F) {
	for _, s := range []string{"https://crm.example", "null", "http://[::1]:80", "http://", "file://", "https://crm.example:99999", "https://crm.example@evil.example"} {
		f.Add(s, "localhost:8888")
	}
	o := origins{ports: []uint16{8888}, listed: []string{"https://crm.example"}}
	f.Fuzz(func(t *testing.T, page, host string) {
		r := &http.Request{Host: host, Header: http.Header{"Origin": {page}}}
		why := o.refuse(r)
		scheme, rest, _ := strings.Cut(strings.ToLower(page), "://")
		if why == "" && (scheme == "http" || scheme == "https") && host == "localhost:8888" && !strings.HasPrefix(rest, "localhost") && !strings.HasPrefix(rest, "crm.example") {
			// The host follows user information, if a page could send such.
			if at := strings.LastIndexByte(rest, '@'); at < 0 || !strings.HasPrefix(rest[at+1:], "localhost") && !strings.HasPrefix(rest[at+1:], "crm.example") {
				t.Errorf("Origin %q passes", page)
			}
		}
	})
}

// Connections that ask for nothing make room for those that do, over TLS too.
func TestVisitorsMakeRoom(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := serveHTTP(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "served") }), nil, quiet)
	v := newVisitors()
	v.perSource, v.most = 8, 16
	s.Handler, s.ConnState, s.ConnContext = v.served(s.Handler), v.state, v.context
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	defer func() {
		_ = s.Close()
		<-done
		// Close doesn't wait for the connections that it closes.
		left := func() int {
			v.mu.Lock()
			defer v.mu.Unlock()
			return len(v.waiting) + len(v.places) + len(v.source) + v.order.Len()
		}
		for deadline := time.Now().Add(5 * time.Second); left() != 0; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("%d entries are left behind", left())
				return
			}
		}
	}()
	var idle []net.Conn
	for i := range 40 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%4))}}
		c, err := d.DialContext(context.Background(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = c.Write([]byte("GET / HTTP/1.1\r\n")) // and no more
		idle = append(idle, c)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	res, err := client.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if res.Body.Close(); string(b) != "served" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	v.mu.Lock()
	waiting := v.order.Len()
	v.mu.Unlock()
	if waiting > 16 {
		t.Errorf("%d wait, expected 16 at most", waiting)
	}
	_ = idle[0].SetReadDeadline(time.Now().Add(2 * time.Second))
	if _, err := bufio.NewReader(idle[0]).ReadByte(); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the first that came wasn't closed: %v", err)
	}
}
