//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
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
		sip: "  digest: [MD5]\n  scanners: []\n", // svcrack dies of others, and by its name it would get no answer at all (TestSipRules)
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
