//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// Two phones talk through a program of kurento-client with the module of telephony: it takes one's call and dials the other. Then
// the program dies in a call.
func TestRpcTelephony(t *testing.T) {
	addr := address(t)
	capture := peers.StartCapture(t)
	g := startGateway(t, addr, settings{
		users:  "  - {id: alice, password: wonder-land-1, numbers: [\"4930101\"]}\n  - {id: bob, password: builder-site-2, numbers: [\"4930102\"]}\n",
		routes: "  - {id: service, source: user, number: [\"700\", \"701\"], to: [{app: ivr, ring: 5s}]}\n",
		more:   "apps:\n  - {id: ivr, caller_id: \"4930500\"}\n",
	})
	phone := func(user, password string, hz float64) *peers.Baresip {
		return peers.StartBaresip(t, peers.BaresipConfig{User: user, Password: password, Domain: "test.local", Proxy: g.sip.String(), Codecs: "PCMU/8000/1",
			Audio: audio.Tone(8000, hz, toneLevel, 60)})
	}
	alice, bob := phone("alice", "wonder-land-1", 440), phone("bob", "builder-site-2", 880)
	module, err := filepath.Abs("../../rpc/js")
	if err != nil {
		t.Fatal(err)
	}
	app := startApp(t, "telephony.js", fmt.Sprintf("ws://%s:8888/kurento", addr), "PATCHBAY_MODULE="+module)
	talk := func() {
		t.Helper()
		alice.Dial(t, "sip:700@test.local")
		bob.Expect(t, "CALL_INCOMING", 10*time.Second)
		bob.Accept(t)
		alice.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
		bob.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	}
	talk()
	says(t, app, "incoming from 4930101 to 700 for ivr", time.Second)
	from := time.Now()
	time.Sleep(5700 * time.Millisecond)
	to := time.Now()
	alice.SendDTMF(t, "59")
	says(t, app, "caller DtmfReceived 5", 5*time.Second)
	peers.Wait(t, 5*time.Second, "bob to get the program's digits", func() bool { return strings.HasSuffix(bob.DTMF(), "42") })
	alice.Hangup(t)
	bob.Expect(t, "CALL_CLOSED", 5*time.Second)
	says(t, app, "caller Ended 16", 5*time.Second)
	says(t, app, "callee Ended 16", 5*time.Second)
	arrived(t, bob, capture, alice.Says, from, to, 440, 880, audio.MuLaw)
	arrived(t, alice, capture, bob.Says, from, to, 880, 440, audio.MuLaw)

	rows := g.records(t, 2)
	if len(rows) != 2 {
		t.FailNow()
	}
	in, out := rows[0], rows[1]
	if in["origin"] != "sip" || out["origin"] != "jsonrpc" || out["app_id"] != "ivr" || in["linked_id"] != in["call_id"] || out["linked_id"] != in["call_id"] ||
		in["session_id"] == nil || in["session_id"] != out["session_id"] {
		t.Errorf("records %v\n%v\nexpected one family of one session", in, out)
	}
	legs := g.db.Query(t, "select kind from patchbay.leg where kind = 'app'")
	if len(legs) != 2 {
		t.Errorf("%d legs of applications, expected 2", len(legs))
	}

	alice.Dial(t, "sip:701@test.local") // is transferred: the phone itself calls bob
	bob.Expect(t, "CALL_INCOMING", 10*time.Second)
	says(t, app, "transfer accepted", 5*time.Second)
	bob.Accept(t)
	bob.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	says(t, app, "transfer true 200", 5*time.Second)
	bob.Hangup(t)
	rows = g.records(t, 4)
	if sent, direct := rows[2], rows[3]; sent["reason_text"] != "transferred" || direct["origin"] != "sip" || direct["user_id"] != "alice" || fmt.Sprint(direct["q850"]) != "16" {
		t.Errorf("records of the transfer %v\n%v", sent, direct)
	}

	talk() // and the program dies
	app.Stop(syscall.SIGKILL, 5*time.Second)
	alice.Expect(t, "CALL_CLOSED", 10*time.Second)
	bob.Expect(t, "CALL_CLOSED", 10*time.Second)
	rows = g.records(t, 6)
	for _, r := range rows[4:] {
		if r["q850"] == nil || fmt.Sprint(r["q850"]) != "31" || r["reason_text"] != "session lost" {
			t.Errorf("the call ended with %v %v, expected 31, session lost", r["q850"], r["reason_text"])
		}
	}
	alice.Dial(t, "sip:700@test.local") // nobody listens
	alice.Expect(t, "CALL_CLOSED", 5*time.Second)
}
