//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// besieged is a gateway with two phones that talk while somebody attacks it.
type besieged struct {
	*gateway
	capture    *peers.Capture
	alice, bob *peers.Baresip
	from       time.Time // of the talk
}

const rightGuess = "guess-0050" // the password that svcrack comes to as its fiftieth

func startBesieged(t *testing.T) *besieged {
	t.Helper()
	addr := address(t)
	a := &besieged{capture: peers.StartCapture(t)}
	a.gateway = startGateway(t, addr, settings{
		sip: "  digest: [MD5]\n", // svcrack dies of others
		users: "  - {id: alice, password: wonder-land-1, numbers: [\"100\"]}\n  - {id: bob, password: builder-site-2, numbers: [\"101\"]}\n" +
			"  - {id: \"4711\", password: " + rightGuess + "}\n",
	})
	a.alice = peers.StartBaresip(t, peers.BaresipConfig{User: "alice", Password: "wonder-land-1", Domain: "test.local", Proxy: a.sip.String(), Codecs: "PCMU/8000/1",
		Audio: audio.Tone(8000, 440, toneLevel, 120)})
	a.bob = peers.StartBaresip(t, peers.BaresipConfig{User: "bob", Password: "builder-site-2", Domain: "test.local", Proxy: a.sip.String(), Codecs: "PCMU/8000/1",
		Audio: audio.Tone(8000, 880, toneLevel, 120)})
	a.call(t)
	a.from = time.Now()
	return a
}

func (a *besieged) call(t *testing.T) {
	t.Helper()
	a.alice.Dial(t, "sip:101@test.local")
	a.bob.Expect(t, "CALL_INCOMING", 5*time.Second)
	a.bob.Accept(t)
	a.alice.Expect(t, "CALL_ESTABLISHED", 3*time.Second)
	a.bob.Expect(t, "CALL_ESTABLISHED", 3*time.Second)
}

// undisturbed ends the talk and judges it: nothing was lost of it, and the phones can call anew.
func (a *besieged) undisturbed(t *testing.T) {
	t.Helper()
	if least := 5700 * time.Millisecond; time.Since(a.from) < least {
		time.Sleep(least - time.Since(a.from))
	}
	to := time.Now()
	a.alice.Hangup(t)
	a.bob.Expect(t, "CALL_CLOSED", 3*time.Second)
	a.call(t)
	a.alice.Hangup(t)
	a.bob.Expect(t, "CALL_CLOSED", 3*time.Second)
	arrived(t, a.bob, a.capture, a.alice.Says, a.from, to, 440, 880, audio.MuLaw)
	arrived(t, a.alice, a.capture, a.bob.Says, a.from, to, 880, 440, audio.MuLaw)
	for _, r := range a.records(t, 2) {
		if got, want := recordOf(r), (record{"closed", "caller", 200, 16}); got != want {
			t.Errorf("the record says %+v, expected %+v", got, want)
		}
	}
	if !a.alice.Registered() || !a.bob.Registered() {
		t.Error("a phone lost its registration")
	}
}

// SIPVicious finds no gateway and no user, and no password, though the right one is among its guesses; two phones talk
// meanwhile and don't notice.
func TestSipAttackScanners(t *testing.T) {
	a := startBesieged(t)
	host := a.sip.Addr().String()
	t.Run("at_once", func(t *testing.T) {
		t.Run("attack_svmap", func(t *testing.T) {
			t.Parallel()
			if said := peers.Sipvicious(t, 20*time.Second, "svmap", "-p", "5060", host); !strings.Contains(said, "found nothing") {
				t.Errorf("svmap says\n%s", said)
			}
		})
		for _, method := range []string{"REGISTER", "INVITE"} {
			t.Run("attack_svwar_"+method, func(t *testing.T) {
				t.Parallel()
				enumerate(t, host, method)
			})
		}
		t.Run("attack_svcrack", func(t *testing.T) {
			t.Parallel()
			a.crack(t, host)
		})
		t.Run("attack_rtp_spray", func(t *testing.T) {
			t.Parallel()
			a.spray(t, peers.Address(t))
		})
	})
	a.undisturbed(t)
}

// enumerate asks svwar about a user that is there, and about one that isn't.
func enumerate(t *testing.T, host, method string) {
	names := regexp.MustCompile(`\b(4711|4712)\b`)
	random := regexp.MustCompile(`(tag=|branch=|nonce="|Call-ID: |listening on port |rport=|127.0.0.1:|Listening on port |Date: )[^"\\; ]*`)
	var said [2]string
	for i, user := range []string{"4711", "4712"} {
		said[i] = peers.Sipvicious(t, 30*time.Second, "svwar", "--force", "--maximumtime=1", "-m", method, "-e", user, host)
		said[i] = random.ReplaceAllString(names.ReplaceAllString(said[i], "USER"), "$1…")
	}
	if said[0] != said[1] {
		t.Errorf("svwar -m %s of a user that is there says\n%s\nof another\n%s", method, said[0], said[1])
	}
	if t.Logf("svwar -m %s says\n%s", method, said[0]); method != "REGISTER" && strings.Contains(said[0], "USER") {
		t.Errorf("svwar -m %s found something:\n%s", method, said[0])
	}
}

// crack has svcrack guess a password that is its fiftieth of sixty.
func (a *besieged) crack(t *testing.T, host string) {
	var words strings.Builder
	for i := range 60 {
		fmt.Fprintf(&words, "guess-%04d\n", i+1)
	}
	file := filepath.Join(t.TempDir(), "words.txt")
	if err := os.WriteFile(file, []byte(words.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	said := peers.Sipvicious(t, 30*time.Second, "svcrack", "-u", "4711", "-d", file, "--maximumtime=2", host)
	if t.Logf("svcrack says\n%s", said); strings.Contains(said, rightGuess) || strings.Contains(said, "| 4711") {
		t.Error("svcrack found the password")
	}
	if n := a.Metric(t, `patchbay_sip_dropped_total{reason="banned"}`); n == 0 {
		t.Error("the guesser wasn't locked out")
	}
}

// spray sends RTP and RTCP to every port that media may have: nothing comes back.
func (a *besieged) spray(t *testing.T, from netip.Addr) {
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	rtp := append([]byte{0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4}, make([]byte, 160)...)
	rtcp := []byte{0x80, 201, 0, 1, 1, 2, 3, 4}
	for round := range 3 {
		for port := uint16(20000); port < 25000; port++ {
			rtp[3] = byte(round)
			_, _ = c.WriteToUDPAddrPort(rtp, netip.AddrPortFrom(a.addr, port))
			_, _ = c.WriteToUDPAddrPort(rtcp, netip.AddrPortFrom(a.addr, port))
			if port%100 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if n, who, err := c.ReadFromUDPAddrPort(make([]byte, 2000)); err == nil {
		t.Errorf("%d bytes came back from %s", n, who)
	}
}

// Four seconds of 20,000 datagrams a second from a thousand addresses, ten thousand connections that say nothing and WebSockets
// that stall in their handshake: a carrier's calls all succeed and soon, two phones talk on, and what it cost is given back.
func TestSipAttackFlood(t *testing.T) {
	a := &besieged{}
	addr, caller := address(t), at(peers.Address(t))
	// What is judged is what Patchbay does of it, not whether a machine that others use lets it run.
	cores := fmt.Sprintf("0-%d", runtime.NumCPU()-1)
	callee := peers.StartSIPp(t, peers.SIPpConfig{Name: "callee", Scenario: "sipp/answer.xml", Calls: 60, Cores: cores})
	a.gateway = startGateway(t, addr, settings{
		level: "info", cores: cores, others: cores,
		users: "  - {id: alice, password: wonder-land-1}\n",
		trunks: fmt.Sprintf("  - {id: in, mode: address, proxy: \"%s:5060\", addresses: [%s]}\n  - {id: out, mode: address, proxy: \"%s:5060\", addresses: [%s]}\n",
			caller.Addr(), caller.Addr(), callee.SIP.Addr(), callee.SIP.Addr()),
		routes: "  - {id: through, source: \"trunk:in\", to: [{trunk: out}]}\n",
	})
	before := a.Metric(t, "process_resident_memory_bytes")
	var idle connections
	defer idle.close()
	t.Run("attack_stalled_websockets", func(t *testing.T) {
		for range 100 {
			idle.open(t, "127.60.1.1", netip.AddrPortFrom(a.addr, 8888), "GET /sip HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n")
		}
	})
	t.Run("attack_idle_connections", func(t *testing.T) {
		for i := range 10000 {
			idle.open(t, fmt.Sprintf("127.61.%d.%d", i/50/250, i/50%250+1), a.sip, "")
		}
	})
	calls := peers.StartSIPp(t, peers.SIPpConfig{Name: "caller", Scenario: "sipp/phone.xml", Remote: a.sip, Bind: caller, Calls: 60, Rate: 12, Users: [][]string{{"4930555", "bye"}},
		Username: "4940999", Keys: []string{"domain", "test.local"}, Length: 300 * time.Millisecond, Timeout: 30 * time.Second, Cores: cores})
	t.Run("attack_udp_flood", func(t *testing.T) { flood(t, a.sip, 4*time.Second) })
	calls.Done(t, 30*time.Second)
	callee.Done(t, 10*time.Second)
	for _, r := range a.records(t, 60) {
		if got, want := recordOf(r), (record{"closed", "caller", 200, 16}); got != want {
			t.Errorf("the record says %+v, expected %+v", got, want)
			continue
		}
		if took := r["answered_at"].(time.Time).Sub(r["started_at"].(time.Time)); took > 2*time.Second {
			t.Errorf("a call was answered after %v", took)
		}
	}
	if n := a.Metric(t, `patchbay_sip_dropped_total{reason="flood"}`); n == 0 {
		t.Error("no datagram of the flood was dropped unread")
	}
	idle.close()
	if after := a.Metric(t, "process_resident_memory_bytes"); after-before > 160<<20 { // 4096 connections were held at once
		t.Errorf("%.0f MB of memory after the attack, %.0f before", after/(1<<20), before/(1<<20))
	} else {
		t.Logf("%.0f MB of memory after the attack, %.0f before", after/(1<<20), before/(1<<20))
	}
	// A phone that comes now is served.
	peers.StartBaresip(t, peers.BaresipConfig{User: "alice", Password: "wonder-land-1", Domain: "test.local", Proxy: a.sip.String(), Codecs: "PCMU/8000/1"})
}

// connections are open until they are closed, whatever the other side does.
type connections struct{ list []net.Conn }

// open connects from an address of this host and says something, or nothing.
func (c *connections) open(t *testing.T, from string, to netip.AddrPort, says string) {
	t.Helper()
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp4", to.String())
	if err != nil {
		t.Fatalf("connection %d: %v", len(c.list), err)
	}
	c.list = append(c.list, conn)
	_, _ = conn.Write([]byte(says)) // it may be closed already, which is right
}

func (c *connections) close() {
	for _, conn := range c.list {
		conn.Close()
	}
	c.list = nil
}

// flood sends what scanners, guessers and fools send, from a thousand addresses, 20,000 datagrams a second.
func flood(t *testing.T, to netip.AddrPort, length time.Duration) {
	const sources, rate = 1000, 20000
	var conns []*net.UDPConn
	for i := range sources {
		c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 62, byte(i/250), byte(i%250+1))}, net.UDPAddrFromAddrPort(to))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	kinds := []string{
		"REGISTER sip:test.local SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK%d\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:alice@test.local>\r\nCall-ID: %d\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
		"INVITE sip:0900@test.local SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK%d\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:0900@test.local>\r\nCall-ID: %d\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:a@b>\r\nContent-Length: 0\r\n\r\n",
		"OPTIONS sip:test.local SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK%d\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:test.local>\r\nCall-ID: %d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
		"%d rubbish of no kind that anybody knows %d",
	}
	begun, sent := time.Now(), 0
	for time.Since(begun) < length {
		for due := int(time.Since(begun).Seconds() * rate); sent < due; sent++ {
			_, _ = fmt.Fprintf(conns[sent%sources], kinds[sent/sources%len(kinds)], sent, sent)
		}
		time.Sleep(time.Millisecond)
	}
	if t.Logf("%d datagrams in %v", sent, time.Since(begun)); sent < rate/2*int(length.Seconds()) {
		t.Errorf("%d datagrams were sent in %v, too few to say anything", sent, length)
	}
}
