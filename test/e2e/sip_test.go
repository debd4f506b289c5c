//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip/siptest"
	"github.com/patchbay/patchbay/test/peers"
)

// A carrier known by its name alone has two servers, and the preferred one is dead: the call is up within two seconds, and
// the next one without delay.
func TestSipDeadServer(t *testing.T) {
	addr, phone, dead := address(t), at(peers.Address(t)), peers.Address(t)
	carrier := peers.StartSIPp(t, peers.SIPpConfig{Name: "carrier", Scenario: "sipp/answer.xml"})
	names := siptest.NewDNS(t,
		`carrier.test. 60 IN NAPTR 10 10 "s" "SIP+D2U" "" _sip._udp.carrier.test.`,
		"_sip._udp.carrier.test. 60 IN SRV 10 100 5060 dead.carrier.test.",
		fmt.Sprintf("_sip._udp.carrier.test. 60 IN SRV 20 100 %d live.carrier.test.", carrier.SIP.Port()),
		fmt.Sprintf("dead.carrier.test. 60 IN A %s", dead), fmt.Sprintf("live.carrier.test. 60 IN A %s", carrier.SIP.Addr()))
	g := startGateway(t, addr, settings{
		sip:    fmt.Sprintf("  dns: [\"%s\"]\n", names.Addr),
		users:  "  - {id: desk, password: desk-secret-3}\n",
		trunks: fmt.Sprintf("  - {id: telco, mode: address, proxy: carrier.test, addresses: [%s]}\n", carrier.SIP.Addr()),
		routes: "  - {id: out, source: user, number: \"4930*\", to: [{trunk: telco}]}\n",
	})
	registerDesk(t, g, phone)
	for _, name := range []string{"first", "next"} {
		peers.StartSIPp(t, peers.SIPpConfig{Name: name, Scenario: "sipp/phone.xml", Remote: g.sip, Bind: phone, Calls: 1,
			Users: [][]string{{"4930555200", "bye"}}, Username: "desk", Password: "desk-secret-3",
			Keys: []string{"domain", "test.local"}, Length: 300 * time.Millisecond, Timeout: 20 * time.Second}).Done(t, 20*time.Second)
	}
	limits := []time.Duration{2 * time.Second, time.Second}
	for i, c := range g.records(t, 2) {
		if got, want := recordOf(c), (record{"closed", "caller", 200, 16}); got != want {
			t.Errorf("call %d: the record says %+v, expected %+v", i, got, want)
			continue
		}
		took := c["answered_at"].(time.Time).Sub(c["started_at"].(time.Time))
		if t.Logf("call %d was answered after %v", i, took); took > limits[i] {
			t.Errorf("call %d was answered after %v, expected %v at most", i, took, limits[i])
		}
	}
}
