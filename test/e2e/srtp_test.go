//go:build e2e

package e2e

import (
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// Phones with keys in their SDP: one that wants nothing else, one that offers them beside plain RTP, and a plain one. Both
// ways round each hears the other's tone; on the wire to those with keys nothing of it can be read.
func TestKeysInSDP(t *testing.T) {
	addr := address(t)
	capture := peers.StartCapture(t)
	g := startGateway(t, addr, settings{users: "  - {id: alice, password: wonder-land-1, numbers: [\"101\"], srtp: require}\n" +
		"  - {id: bob, password: builder-site-2, numbers: [\"102\"]}\n" +
		"  - {id: carol, password: christmas-3, numbers: [\"103\"], srtp: prefer}\n"})
	phone := func(user, password, srtp string, hz float64) *peers.Baresip {
		return peers.StartBaresip(t, peers.BaresipConfig{User: user, Password: password, Domain: "test.local", Proxy: g.sip.String(), SRTP: srtp,
			Codecs: "PCMU/8000/1", Audio: audio.Tone(8000, hz, toneLevel, 60), AutoAnswer: true, AnswerAfter: 200 * time.Millisecond})
	}
	alice, bob, carol := phone("alice", "wonder-land-1", "srtp-mand", 440), phone("bob", "builder-site-2", "", 880), phone("carol", "christmas-3", "srtp", 620)
	calls := []struct {
		from, to     *peers.Baresip
		number       string
		hz, back     float64
		sealed, open []*peers.Baresip
	}{
		{alice, bob, "102", 440, 880, []*peers.Baresip{alice}, []*peers.Baresip{bob}},
		{bob, alice, "101", 880, 440, []*peers.Baresip{alice}, []*peers.Baresip{bob}},
		{carol, alice, "101", 620, 440, []*peers.Baresip{alice, carol}, nil},
	}
	for _, c := range calls {
		from := time.Now()
		c.from.Dial(t, "sip:"+c.number+"@test.local")
		c.from.Expect(t, "CALL_ESTABLISHED", 10*time.Second)
		c.to.Expect(t, "CALL_ESTABLISHED", 10*time.Second)
		time.Sleep(5700 * time.Millisecond)
		to := time.Now()
		c.from.Hangup(t)
		c.from.Expect(t, "CALL_CLOSED", 5*time.Second)
		c.to.Expect(t, "CALL_CLOSED", 5*time.Second)
		heard(t, c.to.User, c.to.Heard(t), c.hz, c.back, audio.MuLaw)
		heard(t, c.from.User, c.from.Heard(t), c.back, c.hz, audio.MuLaw)
		for _, p := range c.sealed {
			if s, ok := reached(t, p, capture, from, to); ok {
				for _, hz := range []float64{c.hz, c.back} {
					if level := audio.Level(s.Clip(), hz); level > -30 {
						t.Errorf("%s: %g Hz can be read on the wire, at %.1f dBFS", p.User, hz, level)
					}
				}
			}
		}
		for _, p := range c.open {
			reached(t, p, capture, from, to)
		}
	}
	// A phone without keys isn't let in where they are required.
	plain := peers.StartBaresip(t, peers.BaresipConfig{User: "alice", Password: "wonder-land-1", Domain: "test.local", Proxy: g.sip.String(), Codecs: "PCMU/8000/1"})
	plain.Dial(t, "sip:102@test.local")
	if e := plain.Expect(t, "CALL_CLOSED", 10*time.Second); e.Param != "488 Not Acceptable Here" {
		t.Errorf("a call without keys ended with %q, expected 488 Not Acceptable Here", e.Param)
	}
	g.records(t, len(calls)+1)
	legs := map[string]int{}
	for _, r := range g.db.Query(t, "select * from patchbay.leg where answered_at is not null") {
		s, _ := r["srtp"].(string)
		legs[s]++
	}
	if legs["sdes"] != 4 || legs["none"] != 2 {
		t.Errorf("legs on record: %v, expected 4 of sdes and 2 of none", legs)
	}
}
