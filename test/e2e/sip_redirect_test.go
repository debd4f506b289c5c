//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

// A carrier says that a number has moved, to a foreign host first and to one of its own next: the first is never called. The other is,
// where the trunk's settings let it and who calls may call it.
func TestSipRedirect(t *testing.T) {
	addr, phone := address(t), at(peers.Address(t))
	trunk := func(id, more string) string {
		carrier := peers.StartSIPp(t, peers.SIPpConfig{Name: id, Scenario: "sipp/carrier.xml"})
		return fmt.Sprintf("  - {id: %s, mode: address, proxy: \"%s\", addresses: [%s]%s}\n", id, carrier.SIP, carrier.SIP.Addr(), more)
	}
	g := startGateway(t, addr, settings{
		users:  "  - {id: desk, password: desk-secret-3, outbound: {deny: [\"4930777\"]}}\n  - {id: free, password: free-secret-3}\n",
		trunks: trunk("follows", ", redirects: own") + trunk("never", ""),
		routes: "  - {id: follow, source: user, number: \"49301*\", to: [{trunk: follows}]}\n  - {id: never, source: user, number: \"49302*\", to: [{trunk: never}]}\n",
	})
	for i, x := range []struct{ user, number, how string }{
		{"free", "4930100302", "bye"}, {"free", "4930200302", "480"}, {"desk", "4930100302", "403"},
	} {
		if i != 1 {
			peers.StartSIPp(t, peers.SIPpConfig{Name: "register-" + x.user, Scenario: "sipp/register.xml", Remote: g.sip, Bind: phone, Calls: 1,
				Username: x.user, Password: x.user + "-secret-3", Keys: []string{"domain", "test.local", "expires", "600"}}).Done(t, 10*time.Second)
		}
		peers.StartSIPp(t, peers.SIPpConfig{Name: fmt.Sprint("caller-", i), Scenario: "sipp/phone.xml", Remote: g.sip, Bind: phone, Calls: 1,
			Users: [][]string{{x.number, x.how}}, Username: x.user, Password: x.user + "-secret-3",
			Keys: []string{"domain", "test.local"}, Length: 300 * time.Millisecond, Timeout: 20 * time.Second}).Done(t, 20*time.Second)
	}
	rows := g.records(t, 3)
	for i, want := range []struct {
		record
		attempts string
	}{{record{"closed", "caller", 200, 16}, "2"}, {record{"closed", "callee", 302, 31}, "1"}, {record{"closed", "system", 403, 21}, "1"}} {
		if got := recordOf(rows[i]); got != want.record || fmt.Sprint(rows[i]["attempts"]) != want.attempts {
			t.Errorf("call %d: %+v, %v attempts; expected %+v", i+1, got, rows[i]["attempts"], want)
		}
	}
}
