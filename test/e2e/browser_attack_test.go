//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/patchbay/patchbay/sip/siptest"
	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// attacked is Patchbay while two users talk whom attacks must not disturb.
type attacked struct {
	*gateway
	t   *testing.T
	url string
}

// Strangers stall handshakes, open a thousand WebSockets and say nothing, come from foreign pages, pose as a peer by
// a forged fingerprint, and begin DTLS before the browser does. Each is refused where an operator can see it, and the
// call beside loses nothing.
func TestBrowserAttacked(t *testing.T) {
	addr := address(t)
	capture := peers.StartCapture(t)
	var users strings.Builder
	for i, id := range []string{"alice", "bob", "carol", "desk", "mallory"} {
		fmt.Fprintf(&users, "  - {id: %s, password: %s-password, numbers: [\"10%d\"]}\n", id, id, i)
	}
	g := startGateway(t, addr, settings{users: users.String()})
	phone := func(user string, answers bool) *peers.Baresip {
		return peers.StartBaresip(t, peers.BaresipConfig{User: user, Password: user + "-password", Domain: "test.local", Proxy: g.sip.String(),
			Codecs: "PCMU/8000/1", Audio: audio.Tone(8000, 880, toneLevel, 80), AutoAnswer: answers})
	}
	bob, desk := phone("bob", false), phone("desk", true)
	a := &attacked{g, t, fmt.Sprintf("http://%s:8888/", addr)}
	alice := openSoftphone(t, a.url, 440)
	carol, mallory := alice.another(a.url), alice.another(a.url)
	alice.login("alice", "alice-password")
	alice.dial("101")
	bob.Expect(t, "CALL_INCOMING", 10*time.Second)
	bob.Accept(t)
	bob.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	alice.call("state", "talking")
	alice.call("codec", "PCMU")
	time.Sleep(time.Second)
	from := time.Now()

	var stalled sync.WaitGroup
	a.stall(&stalled)
	a.idle(&stalled)
	a.foreignPage()
	carol.login("carol", "carol-password") // whom the crowd at the door doesn't keep out
	a.earlyHello(carol)
	mallory.login("mallory", "mallory-password")
	a.forgedFingerprint(mallory, desk)
	stalled.Wait()
	late := `patchbay_sip_dropped_total{reason="connection_timeout"}`
	if n := g.Metrics(t)[late]; n == 0 {
		t.Errorf("no connection was counted as %s", late)
	}
	if n := g.Metric(t, "patchbay_sip_connections"); n != 3 {
		t.Errorf("%v connections over SIP are open, expected those of 3 pages", n)
	}

	if rest := time.Until(from.Add(6 * time.Second)); rest > 0 {
		time.Sleep(rest)
	}
	to := time.Now()
	if hz, level := alice.hears(); hz < 875 || hz > 885 || level < toneLevel-1.5 || level > toneLevel+1.5 {
		t.Errorf("the page plays %.1f Hz at %.2f dBFS, expected 880 Hz at %g", hz, level, toneLevel)
	}
	var lost struct{ Received, Lost int }
	alice.must(alice.page.Eval(alice.ctx, `(async () => {
		const all = [...(await window.connections[0].getStats()).values()].find(s => s.type === 'inbound-rtp')
		return {Received: all.packetsReceived, Lost: all.packetsLost}
	})()`, &lost))
	if lost.Received < 250 || lost.Lost != 0 {
		t.Errorf("the page received %d packets and lost %d, expected some and 0", lost.Received, lost.Lost)
	}
	alice.click("#hangup")
	bob.Expect(t, "CALL_CLOSED", 5*time.Second)
	capture.Stop(t)
	arrived(t, bob, capture, func(p peers.Packet) bool { return p.Dst == netip.AddrPortFrom(addr, webrtcPort) }, from, to, 440, 880, audio.MuLaw)
}

// stall opens connections that never finish what they begin: a TLS handshake, the request of a WebSocket. Each is closed
// within seconds.
func (a *attacked) stall(all *sync.WaitGroup) {
	for i := range 150 {
		port, start := uint16(8433), "\x16\x03\x01\x02\x00\x01"
		switch i % 3 {
		case 1:
			port, start = 8888, "GET /sip HTTP/1.1\r\nHost: patchbay\r\nUpgrade: websocket\r\n"
		case 2:
			port, start = 8888, ""
		}
		c, err := net.Dial("tcp", netip.AddrPortFrom(a.addr, port).String())
		if err != nil {
			a.t.Fatal(err)
		}
		all.Go(func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(30 * time.Second))
			began := time.Now()
			_, err := io.WriteString(c, start)
			if err == nil {
				_, err = io.Copy(io.Discard, c)
			}
			if took := time.Since(began); took > 15*time.Second {
				a.t.Errorf("a connection that sent %.20q was held for %v (%v), expected seconds", start, took, err)
			}
		})
	}
}

// idle opens a thousand WebSockets that say nothing. Strangers of one address push each other out, and none stays.
func (a *attacked) idle(all *sync.WaitGroup) {
	const crowd = 1000
	pushed := `patchbay_sip_dropped_total{reason="connection_pushed"}`
	before := a.Metrics(a.t)[pushed]
	for range crowd {
		c, _, err := siptest.DialWeb(fmt.Sprintf("ws://%s:8888/sip", a.addr), nil, nil)
		if err != nil {
			a.t.Fatal(err)
		}
		all.Go(func() {
			defer c.Close()
			_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
			began := time.Now()
			_, _, err := c.ReadMessage()
			if took := time.Since(began); took > 20*time.Second {
				a.t.Errorf("a WebSocket that said nothing was held for %v (%v), expected seconds", took, err)
			}
		})
	}
	now := a.Metrics(a.t)
	if n := now[pushed] - before; n < crowd/2 {
		a.t.Errorf("%v of %d silent WebSockets were pushed out, expected more than half", n, crowd)
	}
	if n := now["patchbay_sip_connections"]; n > crowd/2 {
		a.t.Errorf("%v connections are open, expected less than half of %d", n, crowd)
	}
}

// foreignPage connects and logs in as a page of another site would.
func (a *attacked) foreignPage() {
	for _, origin := range []string{"https://evil.example", "null", fmt.Sprintf("http://%s:80", a.addr)} {
		c, res, err := siptest.DialWeb(fmt.Sprintf("ws://%s:8888/sip", a.addr), nil, http.Header{"Origin": {origin}})
		if err == nil {
			_ = c.Close()
			a.t.Errorf("a page of %s may connect, expected 403", origin)
		} else if res == nil || res.StatusCode != http.StatusForbidden {
			a.t.Errorf("a page of %s: %v, expected 403", origin, err)
		}
		r, err := http.NewRequest("POST", a.url+"api/v1/me/login", strings.NewReader(`{"user":"alice","password":"alice-password"}`))
		if err != nil {
			a.t.Fatal(err)
		}
		r.Header.Set("Origin", origin)
		client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		if res, err = client.Do(r); err != nil {
			a.t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusForbidden {
			a.t.Errorf("a page of %s logs in: %d, expected 403", origin, res.StatusCode)
		}
	}
}

// earlyHello sends DTLS's first message from ports that no check has shown, before, while and after a browser connects.
func (a *attacked) earlyHello(carol *softphone) {
	hello := clientHello(a.t)
	strangers := `patchbay_webrtc_dropped_total{reason="strangers"}`
	before := a.Metrics(a.t)[strangers]
	var sent, answers atomic.Int64
	var work sync.WaitGroup
	done := make(chan struct{})
	for range 5 {
		c, err := net.Dial("udp", netip.AddrPortFrom(a.addr, webrtcPort).String())
		if err != nil {
			a.t.Fatal(err)
		}
		work.Go(func() {
			b := make([]byte, 2048)
			for {
				if _, err := c.Read(b); err != nil {
					return
				}
				answers.Add(1)
			}
		})
		work.Go(func() {
			defer c.Close()
			for tick := time.NewTicker(10 * time.Millisecond); ; {
				for _, part := range hello {
					if _, err := c.Write(part); err == nil {
						sent.Add(1)
					}
				}
				select {
				case <-tick.C:
				case <-done:
					return
				}
			}
		})
	}
	carol.dial("103")
	carol.call("state", "talking")
	carol.call("codec", "PCMU")
	if hz, level := carol.hears(); hz < 875 || hz > 885 {
		a.t.Errorf("the page plays %.1f Hz at %.2f dBFS, expected 880 Hz", hz, level)
	}
	carol.click("#hangup")
	close(done)
	work.Wait()
	if n := answers.Load(); n != 0 {
		a.t.Errorf("a stranger's ClientHello was answered %d times", n)
	}
	if n := int64(a.Metrics(a.t)[strangers] - before); n < sent.Load()*9/10 || n == 0 {
		a.t.Errorf("%d packets of strangers were counted, %d were sent", n, sent.Load())
	}
}

// clientHello is the first flight of a DTLS client, as it goes over the wire.
func clientHello(t *testing.T) (parts [][]byte) {
	t.Helper()
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn, err := dtls.ClientWithOptions(c, server.LocalAddr(), dtls.WithInsecureSkipVerify(true),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_ = conn.HandshakeContext(ctx) // nobody answers
	_ = conn.Close()
	for b := make([]byte, 2048); ; {
		_ = server.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := server.Read(b)
		if err != nil {
			break
		}
		if n > 13 && b[0] == 22 && b[13] == 1 { // a handshake record with a ClientHello
			parts = append(parts, append([]byte(nil), b[:n]...))
		}
	}
	if len(parts) == 0 {
		t.Fatal("the DTLS client said no hello")
	}
	return parts
}

// forgedFingerprint calls as somebody between browser and Patchbay would have to: with the certificate of one and the
// fingerprint of another.
func (a *attacked) forgedFingerprint(mallory *softphone, desk *peers.Baresip) {
	mallory.must(mallory.page.Eval(mallory.ctx, `(() => {
		const own = Object.getOwnPropertyDescriptor(RTCPeerConnection.prototype, 'localDescription')
		Object.defineProperty(RTCPeerConnection.prototype, 'localDescription', {get() {
			const d = own.get.call(this)
			return d && {type: d.type, sdp: d.sdp.replace(/(a=fingerprint:sha-256 )(..)/g, (_, a, b) => a + (b === '00' ? '11' : '00'))}
		}})
	})()`, nil))
	mallory.dial("103")
	mallory.call("state", "ended")
	desk.Expect(a.t, "CALL_CLOSED", 5*time.Second) // carol's
	desk.Expect(a.t, "CALL_CLOSED", 5*time.Second)
	var state string
	mallory.must(mallory.page.Eval(mallory.ctx, `window.connections[0].connectionState`, &state))
	if state == "connected" {
		a.t.Error("the forger's DTLS is connected")
	}
	if n := len(a.LogsWith(a.t, "msg", "media failed")); n != 1 {
		a.t.Errorf("%d times the log says that media failed, expected once", n)
	}
	var rows []map[string]any
	eventually(10*time.Second, func() bool {
		rows = a.db.Query(a.t, "select end_party, reason_text from patchbay.call where user_id = 'mallory' and state = 'closed'")
		return len(rows) > 0
	})
	if len(rows) != 1 || rows[0]["end_party"] != "system" || !strings.Contains(fmt.Sprint(rows[0]["reason_text"]), "certificate") {
		a.t.Errorf("the forger's call is on record as %v, expected an end by the system for its certificate", rows)
	}
}
