//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

// A group of two phones, of which one answers; a call that goes on to a carrier since its callee is busy; and a call for help while
// nobody else can call.
func TestSipRouting(t *testing.T) {
	addr := address(t)
	carrier := peers.StartSIPp(t, peers.SIPpConfig{Name: "carrier", Scenario: "sipp/answer.xml"})
	var users string
	for i, id := range []string{"alice", "bob", "carol", "dave"} {
		users += fmt.Sprintf("  - {id: %s, password: %s-secret-1, numbers: \"40%d\"", id, id, i)
		if id == "bob" {
			users += ", max_calls: 1, forward: {busy: \"4930555\"}"
		}
		users += "}\n"
	}
	g := startGateway(t, addr, settings{users: users,
		trunks: fmt.Sprintf("  - {id: telco, mode: address, proxy: \"%s\", addresses: [%s], max_calls: 1}\n", carrier.SIP, carrier.SIP.Addr()),
		routes: "  - {id: out, source: user, number: \"4930*\", to: [{trunk: telco}]}\n",
		more:   "limits: {calls: 2}\nemergency: {to: [{trunk: telco}]}\ngroups:\n  - {id: sales, numbers: \"200\", members: [{user: bob}, {user: carol}]}\n",
	})
	phone := func(user string) *peers.Baresip {
		return peers.StartBaresip(t, peers.BaresipConfig{User: user, Password: user + "-secret-1", Domain: "test.local", Proxy: g.sip.String(), Codecs: "PCMU/8000/1"})
	}
	alice, bob, carol, dave := phone("alice"), phone("bob"), phone("carol"), phone("dave")
	const soon = 10 * time.Second

	alice.Dial(t, "sip:200@test.local")
	bob.Expect(t, "CALL_INCOMING", soon)
	carol.Expect(t, "CALL_INCOMING", soon)
	carol.Accept(t)
	carol.Expect(t, "CALL_ESTABLISHED", soon)
	alice.Expect(t, "CALL_ESTABLISHED", soon)
	bob.Expect(t, "CALL_CLOSED", soon)
	alice.Hangup(t)
	carol.Expect(t, "CALL_CLOSED", soon)
	g.records(t, 1)

	alice.Dial(t, "sip:bob@test.local")
	bob.Expect(t, "CALL_INCOMING", soon)
	bob.Accept(t)
	bob.Expect(t, "CALL_ESTABLISHED", soon)
	alice.Expect(t, "CALL_ESTABLISHED", soon)
	carol.Dial(t, "sip:bob@test.local")
	carol.Expect(t, "CALL_ESTABLISHED", soon)

	// The gateway is full, and so is the trunk.
	dave.Dial(t, "sip:4930555@test.local")
	dave.Expect(t, "CALL_CLOSED", soon)
	dave.Dial(t, "sip:112@test.local")
	dave.Expect(t, "CALL_ESTABLISHED", soon)
	for _, p := range []*peers.Baresip{dave, carol, alice} {
		p.Hangup(t)
	}
	rows := g.records(t, 5)
	for i, want := range []struct {
		route  string
		status int
		legs   int // of callees
	}{{"group-sales", 200, 2}, {"user-bob", 200, 1}, {"out", 200, 1}, {"", 503, 0}, {"emergency", 200, 1}} {
		if i >= len(rows) {
			break
		}
		r := rows[i]
		if got := recordOf(r); fmt.Sprint(r["route_id"]) != want.route && (want.route != "" || r["route_id"] != nil) || got.status != want.status || fmt.Sprint(r["attempts"]) != fmt.Sprint(want.legs) {
			t.Errorf("call %d: route %v, %v attempts, %+v; expected %+v", i+1, r["route_id"], r["attempts"], got, want)
		}
	}
}
