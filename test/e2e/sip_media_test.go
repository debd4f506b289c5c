//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// A phone with packets of 40 ms, and a carrier's with 20 ms to which the trunk's setting sends 30 ms: each gets packets of its own
// length and no other, none is lost, and each hears the other's tone without a gap.
func TestSipPacketTimes(t *testing.T) {
	addr := address(t)
	capture := peers.StartCapture(t)
	k := peers.StartKamailio(t, peers.KamailioConfig{Users: map[string]string{"trunk": "carried", "bob": "builder"}, Numbers: map[string]peers.Number{"4930111": {Target: "bob"}}})
	bob := peers.StartBaresip(t, peers.BaresipConfig{User: "bob", Password: "builder", Domain: "test.local", Proxy: k.SIP.String(), Codecs: "PCMU/8000/1",
		Audio: audio.Tone(8000, 880, toneLevel, 60)})
	g := startGateway(t, addr, settings{
		users:  "  - {id: alice, password: wonder-land-1, numbers: [\"4930100\"]}\n",
		trunks: fmt.Sprintf("  - {id: telco, mode: register, registrar: \"%s\", domain: test.local, user: trunk, password: carried, ptime: 30ms}\n", k.SIP),
		routes: "  - {id: out, source: user, number: \"*\", to: [{trunk: telco}]}\n",
	})
	peers.Wait(t, 5*time.Second, "the trunk to register", func() bool { return len(k.Registered(t, "trunk")) == 1 })
	alice := peers.StartBaresip(t, peers.BaresipConfig{User: "alice", Password: "wonder-land-1", Domain: "test.local", Proxy: g.sip.String(), Ptime: 40,
		Codecs: "PCMU/8000/1", Audio: audio.Tone(8000, 440, toneLevel, 60)})
	from := time.Now()
	alice.Dial(t, "sip:4930111@test.local")
	bob.Expect(t, "CALL_INCOMING", 5*time.Second)
	bob.Accept(t)
	alice.Expect(t, "CALL_ESTABLISHED", 3*time.Second)
	bob.Expect(t, "CALL_ESTABLISHED", 3*time.Second)
	time.Sleep(5700 * time.Millisecond)
	to := time.Now()
	alice.Hangup(t)
	bob.Expect(t, "CALL_CLOSED", 3*time.Second)
	for _, x := range []struct {
		who *peers.Baresip
		ms  int
	}{{alice, 40}, {bob, 30}} {
		s, ok := reached(t, x.who, capture, from, to)
		if !ok {
			continue
		}
		t.Logf("%s: %d packets, longest pause %v", x.who.User, len(s.Packets), s.Pause())
		if n := len(s.Packets) * x.ms; n < 5000 {
			t.Errorf("%s: packets of %d ms in all, expected 5 s or more", x.who.User, n)
		}
		for i, p := range s.Packets[1:] {
			before := s.Packets[i]
			if len(p.Payload) != x.ms*8 || p.SequenceNumber != before.SequenceNumber+1 || p.Timestamp != before.Timestamp+uint32(x.ms*8) {
				t.Errorf("%s: a packet of %d bytes, number %d and timestamp %d after %d and %d; expected %d ms", x.who.User, len(p.Payload),
					p.SequenceNumber, p.Timestamp, before.SequenceNumber, before.Timestamp, x.ms)
				break
			}
		}
	}
	heard(t, "bob", bob.Heard(t), 440, 880, audio.MuLaw)
	heard(t, "alice", alice.Heard(t), 880, 440, audio.MuLaw)
	for _, r := range g.records(t, 1) {
		if got, want := recordOf(r), (record{"closed", "caller", 200, 16}); got != want {
			t.Errorf("the record says %+v, expected %+v", got, want)
		}
	}
	for _, l := range g.db.Query(t, "select leg_no, ptime_ms from patchbay.leg order by leg_no") {
		if want := map[string]string{"1": "40", "2": "30"}[fmt.Sprint(l["leg_no"])]; fmt.Sprint(l["ptime_ms"]) != want {
			t.Errorf("leg %v was sent packets of %v ms, expected %s", l["leg_no"], l["ptime_ms"], want)
		}
	}
}

// A phone of IPv4 calls through a carrier that has IPv6 alone and hears itself echoed, so that media went both ways across the
// families; a caller of IPv6 calls that phone and is heard.
func TestSipFourToSix(t *testing.T) {
	addr := address(t)
	six := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.IPv6Loopback(), port) }
	echo := peers.StartSIPp(t, peers.SIPpConfig{Name: "carrier6", Scenario: "sipp/answer.xml", Bind: six(5070), RTPEcho: true})
	g := startGateway(t, addr, settings{
		listen:    fmt.Sprintf("    - {transport: udp, address: \"%s\"}\n", six(5060)),
		addresses: ", {bind: \"::1\"}",
		users:     "  - {id: alice, password: wonder-land-1, numbers: [\"4930100\"]}\n  - {id: desk, password: desk-secret-3}\n",
		trunks:    fmt.Sprintf("  - {id: telco6, mode: address, proxy: \"%s\", addresses: [\"2001:db8::/64\"]}\n", echo.SIP),
		routes:    "  - {id: out, source: user, number: \"4940*\", to: [{trunk: telco6}]}\n",
	})
	alice := peers.StartBaresip(t, peers.BaresipConfig{User: "alice", Password: "wonder-land-1", Domain: "test.local", Proxy: g.sip.String(),
		Codecs: "PCMU/8000/1", Audio: audio.Tone(8000, 440, toneLevel, 60)})
	alice.Dial(t, "sip:4940111@test.local")
	alice.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	time.Sleep(5700 * time.Millisecond)
	alice.Hangup(t)
	alice.Expect(t, "CALL_CLOSED", 3*time.Second)
	heard(t, "alice, of herself", alice.Heard(t), 440, 880, audio.MuLaw)

	phone, uri := six(5080), []string{"-auth_uri", "test.local"} // SIPp's own has no brackets around IPv6
	peers.StartSIPp(t, peers.SIPpConfig{Name: "register6", Scenario: "sipp/register.xml", Remote: six(5060), Bind: phone, Calls: 1, Media: 6200,
		Username: "desk", Password: "desk-secret-3", Keys: []string{"domain", "test.local", "expires", "600"}, Args: uri}).Done(t, 5*time.Second)
	caller := peers.StartSIPp(t, peers.SIPpConfig{Name: "phone6", Scenario: "sipp/tone.xml", Remote: six(5060), Bind: phone, Calls: 1, Media: 6100,
		Users: [][]string{{"4930100", "bye"}}, Username: "desk", Password: "desk-secret-3", Tone: audio.Tone(8000, 880, toneLevel, 1),
		Keys: []string{"domain", "test.local"}, Args: uri, Length: 5700 * time.Millisecond, Timeout: 20 * time.Second})
	alice.Expect(t, "CALL_INCOMING", 5*time.Second)
	alice.Accept(t)
	caller.Done(t, 20*time.Second)
	heard(t, "alice", alice.Heard(t), 880, 440, audio.MuLaw)
	for _, r := range g.records(t, 2) {
		if got, want := recordOf(r), (record{"closed", "caller", 200, 16}); got != want {
			t.Errorf("the record says %+v, expected %+v", got, want)
		}
	}
}
