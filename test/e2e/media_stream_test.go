//go:build e2e

package e2e

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// A phone calls the voice agent of docs/examples, hears its greeting and then itself, and ends the call with a digit; another digit has it
// speak with a human instead. A call that comes
// when the agent is gone reaches the route's next hop.
func TestMediaStream(t *testing.T) {
	addr := address(t)
	agent := netip.AddrPortFrom(addr, 8090)
	g := startGateway(t, addr, settings{
		users: "  - {id: alice, password: wonder-land-1, numbers: [\"100\"]}\n  - {id: bob, password: builder-22, numbers: [\"101\"]}\n" +
			"  - {id: carol, password: human-here-3, numbers: [\"102\"]}\n",
		routes: "  - {id: agent, source: user, number: \"750\", to: [{app: agent, ring: 5s}, {user: bob}]}\n",
		more:   fmt.Sprintf("apps:\n  - {id: agent, stream: {url: \"ws://%s/calls\", token: agent-token-1, parameters: [language=de]}}\n", agent),
	})
	env := []string{"HOST=" + addr.String(), "PORT=8090", "AGENT_TOKEN=agent-token-1", "HUMAN=102"}
	app := peers.StartNode(t, peers.NodeConfig{Name: "agent", Dir: examples(t), Script: "voice-agent.js", Env: env, Ready: "listening on"})
	alice := peers.StartBaresip(t, peers.BaresipConfig{User: "alice", Password: "wonder-land-1", Domain: "test.local", Proxy: g.sip.String(),
		Codecs: "PCMU/8000/1", Audio: audio.Tone(8000, 440, toneLevel, 60)})
	alice.Dial(t, "sip:750@test.local")
	alice.Expect(t, "CALL_ESTABLISHED", 10*time.Second)
	says(t, app, "call from 100 to 750", 5*time.Second)
	time.Sleep(8 * time.Second) // 2 s of greeting, then the echo
	alice.SendDTMF(t, "9")
	alice.Expect(t, "CALL_CLOSED", 10*time.Second)
	says(t, app, "digit 9", 5*time.Second)
	says(t, app, "ended: the caller pressed 9", 5*time.Second)

	// The greeting, then alice herself: both as loud as they were sent.
	clip := alice.Heard(t)
	for _, hz := range []float64{660, 440} {
		from, ok := audio.Find(clip, hz, 1.5)
		if !ok {
			t.Errorf("alice heard no 1.5 s of %v Hz in %.1f s", hz, clip.Seconds())
		} else if got := audio.Level(clip.Cut(from, 1.5), hz); math.Abs(got-toneLevel) > 0.3 {
			t.Errorf("alice heard %v Hz at %.2f dBFS, expected %v", hz, got, toneLevel)
		}
	}

	carol := peers.StartBaresip(t, peers.BaresipConfig{User: "carol", Password: "human-here-3", Domain: "test.local", Proxy: g.sip.String(), Codecs: "PCMU/8000/1"})
	alice.Dial(t, "sip:750@test.local")
	alice.Expect(t, "CALL_ESTABLISHED", 10*time.Second)
	alice.SendDTMF(t, "2")
	carol.Expect(t, "CALL_INCOMING", 10*time.Second)
	carol.Accept(t)
	carol.Expect(t, "CALL_ESTABLISHED", 10*time.Second)
	says(t, app, "transferred: 200", 10*time.Second)
	alice.Expect(t, "CALL_CLOSED", 10*time.Second) // with the agent
	carol.Hangup(t)
	alice.Expect(t, "CALL_CLOSED", 10*time.Second)
	app.Stop(9, 0)
	alice.Dial(t, "sip:750@test.local")
	alice.Expect(t, "CALL_CLOSED", 15*time.Second)
	rows := g.records(t, 4)
	for i, want := range map[int]record{0: {"closed", "callee", 200, 16}, 1: {"closed", "callee", 200, 16}, 2: {"closed", "callee", 200, 16}, 3: {"closed", "system", 480, 20}} {
		if got := recordOf(rows[i]); got != want {
			t.Errorf("record %d says %+v, expected %+v", i, got, want)
		}
	}
	id := g.db.Query(t, "select call_id::text as id from patchbay.call order by started_at desc")[0]["id"]
	if story := g.Why(t, fmt.Sprint(id)); !strings.Contains(story, "the application can't be reached") {
		t.Errorf("the second call's story: %s", story)
	}
}
