//go:build e2e

package e2e

import (
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// backWithin is how soon both sides hear each other again after a browser's address has changed.
const backWithin = 3 * time.Second

// A browser's address changes twice in a call, as Patchbay sees it, and nobody tells anyone: media finds its way by the
// browser's next connectivity check.
func TestBrowserAddressChanges(t *testing.T) {
	addr := address(t)
	capture := peers.StartCapture(t)
	front := netip.AddrPortFrom(peers.Address(t), webrtcPort)
	carrier := netip.AddrPortFrom(peers.Address(t), 5060)
	bob := peers.StartBaresip(t, peers.BaresipConfig{User: "4930111", Domain: "test.local", Bind: carrier.Addr(), Codecs: "PCMU/8000/1",
		Audio: audio.Tone(8000, 880, toneLevel, 60)})
	// Browsers are told the impairer's address; the trunk has Patchbay's own.
	g := startGateway(t, addr, settings{
		advertise: front.Addr(),
		users:     "  - {id: alice, password: wonder-land-1, numbers: [\"100\"]}\n",
		trunks:    fmt.Sprintf("  - {id: telco, mode: address, proxy: \"%s\", addresses: [%s], media: {bind: %s}}\n", carrier, carrier.Addr(), addr),
		routes:    "  - {id: out, source: user, number: \"*\", to: [{trunk: telco}]}\n",
	})
	way := peers.StartImpairer(t, front, netip.AddrPortFrom(addr, webrtcPort), peers.Address(t))
	alice := openSoftphone(t, fmt.Sprintf("http://%s:8888/", addr), 440)
	alice.login("alice", "wonder-land-1")
	alice.dial("4930111")
	bob.Expect(t, "CALL_INCOMING", 10*time.Second)
	bob.Accept(t)
	bob.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	alice.call("state", "talking")
	alice.call("codec", "PCMU")
	time.Sleep(3 * time.Second)

	toAlice := func(p peers.Packet) bool { return p.Src == front && len(p.Data) > 0 && p.Data[0]>>6 == 2 }
	for n := range 2 {
		moved := time.Now()
		way.Move(peers.Address(t))
		time.Sleep(backWithin + time.Second)
		packets := capture.Packets()
		for _, side := range []struct {
			who  string
			hear func(peers.Packet) bool
		}{{"bob", bob.Hears}, {"alice", toAlice}} {
			out, back := silence(packets, side.hear, moved)
			if !back || out > backWithin {
				t.Errorf("change %d: %s hears nothing for %v (back: %v), expected %v at most", n+1, side.who, out, back, backWithin)
			} else {
				t.Logf("change %d: %s hears nothing for %v", n+1, side.who, out.Round(time.Millisecond))
			}
		}
		if hz, level := alice.hears(); math.Abs(hz-880) > 5 || math.Abs(level-toneLevel) > 1.5 {
			t.Errorf("change %d: the page plays %.1f Hz at %.2f dBFS, expected 880 Hz at %g", n+1, hz, level, toneLevel)
		}
		if level := toneBack(capture, bob, 440, time.Now()); math.Abs(level-toneLevel) > 2 {
			t.Errorf("change %d: bob hears 440 Hz at %.1f dBFS, expected %g", n+1, level, toneLevel)
		}
	}
	alice.click("#hangup")
	bob.Expect(t, "CALL_CLOSED", 5*time.Second)
	g.records(t, 1)
}

// silence is the longest pause among the packets that fit, from the last one before a moment on, and whether they flow
// again at the end.
func silence(packets []peers.Packet, fits func(peers.Packet) bool, from time.Time) (longest time.Duration, back bool) {
	last, end := from, packets[len(packets)-1].At
	for _, p := range packets {
		if !fits(p) {
			continue
		}
		if p.At.After(from) {
			longest = max(longest, p.At.Sub(last))
		}
		last = p.At
	}
	return max(longest, end.Sub(last)), end.Sub(last) < 500*time.Millisecond
}
