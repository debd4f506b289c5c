//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
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
	strangeMedia(t, capture, alice, g, stranger)
	wrongPassword(t, g)

	if rest := 5700*time.Millisecond - time.Since(from); rest > 0 {
		time.Sleep(rest)
	}
	to := time.Now()
	alice.Hangup(t)
	bob.Expect(t, "CALL_CLOSED", 3*time.Second)
	arrived(t, bob, capture, from, to, 440, 880, audio.MuLaw)
	arrived(t, alice, capture, from, to, 880, 440, audio.MuLaw)
	if rows := g.db.Query(t, "select 1 from patchbay.leg where sip_call_id in ('stranger', 'garbage')"); len(rows) > 0 {
		t.Errorf("a stranger has %d records, expected none", len(rows))
	}
}

// strangeMedia sends RTP with another tone to all ports that Patchbay sends alice's audio from.
func strangeMedia(t *testing.T, capture *peers.Capture, alice *peers.Baresip, g *gateway, stranger netip.Addr) {
	t.Helper()
	streams := peers.Streams(capture.Packets(), alice.Hears)
	if len(streams) == 0 {
		t.Fatal("alice hears nothing")
	}
	c, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(stranger, 0)), net.UDPAddrFromAddrPort(streams[0].Src))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	noise := audio.Tone(8000, 1500, -3, 1)
	for i := range 50 {
		p := []byte{0x80, 0, byte(i >> 8), byte(i), 0, 0, byte(i * 160 >> 8), byte(i * 160), 1, 2, 3, 4}
		for _, v := range noise.Samples[i*160 : (i+1)*160] {
			p = append(p, audio.MuLaw.Encode(v))
		}
		_, _ = c.Write(p)
		time.Sleep(5 * time.Millisecond)
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

// Each kind of mistake in the settings is refused with file, line, field and what was expected.
func TestFirstBadSettings(t *testing.T) {
	for _, c := range []struct{ name, yaml, field string }{
		{"unknown key", "node:\n  nam: x\n", "nam"},
		{"wrong type", "limits:\n  calls: many\n", "calls"},
		{"out of range", "limits:\n  calls: 0\n", "calls"},
		{"unknown trunk", "users:\n  - {id: a, password: long-enough-1}\nroutes:\n  - {id: r, to: [{trunk: nowhere}]}\n", "nowhere"},
		{"missing variable", "users:\n  - {id: a, password: \"${PATCHBAY_NO_SUCH_VARIABLE}\"}\n", "PATCHBAY_NO_SUCH_VARIABLE"},
		{"twice the same id", "users:\n  - {id: a, password: long-enough-1}\n  - {id: a, password: long-enough-1}\n", "id"},
	} {
		file := filepath.Join(peers.Folder(t), "bad.yaml")
		if err := os.WriteFile(file, []byte(c.yaml), 0o644); err != nil {
			t.Fatal(err)
		}
		out, errs, code := peers.RunPatchbay(t, nil, "check", file)
		if code == 0 {
			t.Errorf("%s: check found nothing wrong", c.name)
		}
		if text := out + errs; !strings.Contains(text, c.field) || !strings.Contains(text, "bad.yaml:") {
			t.Errorf("%s: check says %q, expected the file with its line, and %q", c.name, text, c.field)
		}
	}
}
