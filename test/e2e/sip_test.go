//go:build e2e

package e2e

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip/siptest"
	"github.com/patchbay/patchbay/test/audio"
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

// pemFiles writes an authority's certificate, and one that it issued, into a folder of their own.
func pemFiles(t *testing.T, ca *siptest.Authority, c tls.Certificate) *peers.Certificates {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f := &peers.Certificates{Certificate: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "ca.pem")}
	cert, key := ca.Pair(c)
	for name, b := range map[string][]byte{f.Certificate: cert, f.Key: key, f.CA: ca.PEM()} {
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// A phone that speaks TLS calls through a trunk over TLS, on which both sides prove who they are, and is called back the same
// way. A carrier with a certificate for another name isn't spoken to.
func TestSipTLS(t *testing.T) {
	addr := address(t)
	ca := siptest.NewAuthority(t)
	server := pemFiles(t, ca, ca.Issue("sip:test.local", addr.String()))
	carrier, client := pemFiles(t, ca, ca.Issue("carrier.test")), pemFiles(t, ca, ca.Issue("gateway.test"))
	k := peers.StartKamailio(t, peers.KamailioConfig{Users: map[string]string{"trunk": "carried", "bob": "builder"},
		Numbers: map[string]peers.Number{"4930111": {Target: "bob"}, "4930100": {Target: "trunk"}}, TLS: carrier})
	bob := peers.StartBaresip(t, peers.BaresipConfig{User: "bob", Password: "builder", Domain: "test.local", Proxy: k.SIP.String(), Codecs: "PCMU/8000/1",
		Audio: audio.Tone(8000, 880, toneLevel, 60)})
	trunk := func(id, name string) string {
		return fmt.Sprintf("  - {id: %s, mode: register, registrar: \"%s:5061\", transport: tls, domain: test.local, user: trunk, password: carried,\n"+
			"     tls: {name: %s, ca: %s, certificate: %s, key: %s}}\n", id, k.SIP.Addr(), name, client.CA, client.Certificate, client.Key)
	}
	g := startGateway(t, addr, settings{
		listen: fmt.Sprintf("    - {transport: tls, address: \"%s:5061\"}\n", addr),
		users:  "  - {id: alice, password: wonder-land-1, numbers: [\"4930100\"]}\n",
		trunks: trunk("telco", "carrier.test") + trunk("false", "other.test"),
		routes: "  - {id: out, source: user, number: \"*\", to: [{trunk: telco}]}\n  - {id: in, source: trunk, to: [{user: alice}]}\n",
		more:   fmt.Sprintf("https: {listen: \"%s:8433\", certificate: %s, key: %s}\n", addr, server.Certificate, server.Key),
	})
	peers.Wait(t, 5*time.Second, "the trunk to register", func() bool { return len(k.Registered(t, "trunk")) == 1 })
	alice := peers.StartBaresip(t, peers.BaresipConfig{User: "alice", Password: "wonder-land-1", Domain: "test.local", Proxy: fmt.Sprintf("%s:5061", addr), CA: server.CA,
		Codecs: "PCMU/8000/1", Audio: audio.Tone(8000, 440, toneLevel, 60)})
	call := func(from, to *peers.Baresip, number string, length time.Duration) {
		from.Dial(t, "sip:"+number+"@test.local")
		to.Expect(t, "CALL_INCOMING", 5*time.Second)
		to.Accept(t)
		from.Expect(t, "CALL_ESTABLISHED", 3*time.Second)
		to.Expect(t, "CALL_ESTABLISHED", 3*time.Second)
		time.Sleep(length)
		from.Hangup(t)
		to.Expect(t, "CALL_CLOSED", 3*time.Second)
	}
	call(alice, bob, "4930111", 5700*time.Millisecond)
	heard(t, "bob", bob.Heard(t), 440, 880, audio.MuLaw)
	heard(t, "alice", alice.Heard(t), 880, 440, audio.MuLaw)
	call(bob, alice, "4930100", time.Second)
	for _, r := range g.records(t, 2) {
		if got, want := recordOf(r), (record{"closed", "caller", 200, 16}); got != want {
			t.Errorf("the record says %+v, expected %+v", got, want)
		}
	}
	for _, l := range g.db.Query(t, "select transport, count(*) as n from patchbay.leg group by transport") {
		if l["transport"] != "tls" {
			t.Errorf("%v legs are over %v, expected all over tls", l["n"], l["transport"])
		}
	}
	if _, said := g.Get(t, "/api/v1/trunks"); !strings.Contains(said, "the certificate is for carrier.test, not for other.test") {
		t.Errorf("the trunk whose carrier has another name says %s", said)
	}
}

// Both sides want reliable provisional responses; the caller offers anew in PRACK and in UPDATE while it rings, and both keep
// a session timer.
func TestSipReliable(t *testing.T) {
	addr, caller := address(t), at(peers.Address(t))
	callee := peers.StartSIPp(t, peers.SIPpConfig{Name: "callee", Scenario: "sipp/reliable_callee.xml", Calls: 3})
	g := startGateway(t, addr, settings{
		trunks: fmt.Sprintf("  - {id: in, mode: address, proxy: \"%s:5060\", addresses: [%s]}\n  - {id: out, mode: address, proxy: \"%s:5060\", addresses: [%s]}\n",
			caller.Addr(), caller.Addr(), callee.SIP.Addr(), callee.SIP.Addr()),
		routes: "  - {id: through, source: \"trunk:in\", to: [{trunk: out}]}\n",
	})
	peers.StartSIPp(t, peers.SIPpConfig{Name: "caller", Scenario: "sipp/reliable_caller.xml", Remote: g.sip, Bind: caller, Calls: 3, Rate: 2,
		Users: [][]string{{"4930555"}}, Username: "4940999", Keys: []string{"domain", "test.local"}, Length: 500 * time.Millisecond, Timeout: 20 * time.Second}).Done(t, 20*time.Second)
	callee.Done(t, 5*time.Second)
	for _, r := range g.records(t, 3) {
		if got, want := recordOf(r), (record{"closed", "caller", 200, 16}); got != want {
			t.Errorf("the record says %+v, expected %+v", got, want)
		}
	}
}
