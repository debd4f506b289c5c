//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// ask sends one datagram from the address and returns the final response, ok is false when there is none in a second.
func ask(t *testing.T, from netip.Addr, to netip.AddrPort, request string) (m peers.Message, ok bool) {
	t.Helper()
	c, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	request = strings.ReplaceAll(strings.ReplaceAll(request, "LOCAL", c.LocalAddr().String()), "\n", "\r\n")
	if _, err := c.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 65536)
	for end := time.Now().Add(time.Second); ; {
		_ = c.SetReadDeadline(end)
		n, err := c.Read(b)
		if err != nil {
			return m, false
		}
		if m, ok = peers.ParseMessage(string(b[:n])); ok && m.Status >= 200 {
			return m, true
		}
	}
}

// invite is a carrier's INVITE with the body as its SDP.
func invite(number, id, body string) string {
	return fmt.Sprintf("INVITE sip:%s@test.local SIP/2.0\nVia: SIP/2.0/UDP LOCAL;branch=z9hG4bK%s;rport\nFrom: <sip:x@test.local>;tag=1\nTo: <sip:%s@test.local>\n"+
		"Call-ID: %s\nCSeq: 1 INVITE\nContact: <sip:x@LOCAL>\nMax-Forwards: 70\nContent-Type: application/sdp\nContent-Length: %d\n\n%s",
		number, id, number, id, len(strings.ReplaceAll(body, "\n", "\r\n")), body)
}

const (
	g729 = "v=0\no=- 1 1 IN IP4 127.44.0.2\ns=-\nc=IN IP4 127.44.0.2\nt=0 0\nm=audio 40000 RTP/AVP 18\na=rtpmap:18 G729/8000\n"
	good = "v=0\no=- 1 1 IN IP4 127.44.0.2\ns=-\nc=IN IP4 127.44.0.2\nt=0 0\nm=audio 40000 RTP/AVP 0\n"
	none = "v=0\no=- 1 1 IN IP4 127.44.0.2\ns=-\nc=IN IP4 127.44.0.2\nt=0 0\nm=video 40000 RTP/AVP 96\na=rtpmap:96 VP8/90000\n"
)

// Bad input gets the right answer, or silence, while a call goes on undisturbed.
func TestFirstBadInput(t *testing.T) {
	addr, carrier, stranger := address(t), peers.Address(t), peers.Address(t)
	capture := peers.StartCapture(t)
	g := startGateway(t, addr, settings{
		users:  "  - {id: alice, password: wonder-land-1, numbers: [\"4930100\"]}\n  - {id: bob, password: builder-site-2, numbers: [\"4930102\"]}\n",
		trunks: fmt.Sprintf("  - {id: telco, mode: address, proxy: \"%s:5060\", addresses: [%s]}\n", carrier, carrier),
	})
	alice := peers.StartBaresip(t, peers.BaresipConfig{User: "alice", Password: "wonder-land-1", Domain: "test.local", Proxy: g.sip.String(), Codecs: "PCMU/8000/1", Audio: audio.Tone(8000, 440, toneLevel, 60)})
	bob := peers.StartBaresip(t, peers.BaresipConfig{User: "bob", Password: "builder-site-2", Domain: "test.local", Proxy: g.sip.String(), Codecs: "PCMU/8000/1", Audio: audio.Tone(8000, 880, toneLevel, 60), AutoAnswer: true})
	strangeMedia := sendStrangeMedia(t, capture, g, stranger)
	alice.Dial(t, "sip:4930102@test.local")
	alice.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	from := time.Now()

	for _, c := range []struct {
		name    string
		source  netip.Addr
		request string
		status  int // 0: silence
	}{
		{"no common codec", carrier, invite("4930102", "codec", g729), 488},
		{"no audio", carrier, invite("4930102", "video", none), 488},
		{"unknown number", carrier, invite("4930999", "unknown", good), 404},
		{"no Max-Forwards left", carrier, strings.Replace(invite("4930102", "hops", good), "Max-Forwards: 70", "Max-Forwards: 0", 1), 483},
		{"stranger", stranger, invite("4930102", "stranger", good), 0},
		{"garbage", stranger, "\x00\x01\x02garbage", 0},
		{"INVITE without To", carrier, strings.Replace(invite("4930102", "noto", good), "To: <sip:4930102@test.local>\n", "", 1), 0}, // nobody can be answered without it
		{"INVITE with a CSeq that is none", carrier, strings.Replace(invite("4930102", "cseq", good), "CSeq: 1 INVITE", "CSeq: one INVITE", 1), 400},
		{"INVITE with a CSeq of another method", carrier, strings.Replace(invite("4930102", "method", good), "CSeq: 1 INVITE", "CSeq: 1 BYE", 1), 400},
		{"body that is cut short", carrier, strings.Replace(invite("4930102", "short", good), "Content-Length: ", "Content-Length: 9", 1), 400},
		{"body that is no SDP", carrier, strings.Replace(invite("4930102", "nosdp", good), "v=0\n", "v=9\n", 1), 488},
		{"extension that nobody has", carrier, strings.Replace(invite("4930102", "require", good), "Max-Forwards", "Require: nothing\nMax-Forwards", 1), 420},
		{"version that nobody speaks", carrier, strings.Replace(invite("4930102", "version", good), "SIP/2.0\n", "SIP/7.0\n", 1), 505},
	} {
		m, ok := ask(t, c.source, g.sip, c.request)
		if m.Status != c.status || ok != (c.status != 0) {
			t.Errorf("%s: answered with %d, expected %d (0 is silence)", c.name, m.Status, c.status)
		}
		if c.status == 488 && m.Header("Warning") == "" {
			t.Errorf("%s: the 488 has no Warning", c.name)
		}
	}
	wrongPassword(t, g)

	if rest := 5700*time.Millisecond - time.Since(from); rest > 0 {
		time.Sleep(rest)
	}
	to := time.Now()
	alice.Hangup(t)
	bob.Expect(t, "CALL_CLOSED", 3*time.Second)
	strangeMedia.ended(t)
	arrived(t, bob, capture, alice.Says, from, to, 440, 880, audio.MuLaw)
	arrived(t, alice, capture, bob.Says, from, to, 880, 440, audio.MuLaw)
	if rows := g.db.Query(t, "select 1 from patchbay.leg where sip_call_id in ('stranger', 'garbage')"); len(rows) > 0 {
		t.Errorf("a stranger has %d records, expected none", len(rows))
	}
}

// wrongPassword registers with one and expects no registration.
func wrongPassword(t *testing.T, g *gateway) {
	t.Helper()
	s := peers.StartSIPp(t, peers.SIPpConfig{Name: "wrong", Scenario: "sipp/register.xml", Remote: g.sip, Calls: 1, Timeout: 5 * time.Second,
		Username: "alice", Password: "wrong", Keys: []string{"domain", "test.local", "expires", "600"}})
	if code, ok := s.Wait(8 * time.Second); !ok || code == 0 {
		t.Errorf("a registration with a wrong password ended with code %d (%v), expected a refusal", code, ok)
	}
	last := 0
	for _, m := range s.Messages(t) {
		if m.Method == "REGISTER" && m.Status >= 200 {
			last = m.Status
		}
	}
	if last != 401 && last != 403 {
		t.Errorf("a wrong password was answered with %d, expected 401 or 403", last)
	}
}
