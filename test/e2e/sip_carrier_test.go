//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/siptest"
	"github.com/patchbay/patchbay/test/peers"
)

// report writes what a request proves itself by into Kamailio's log.
const report = `xlog("L_NOTICE", "proof of $rm $(hdr(Authorization)) $(hdr(Proxy-Authorization)) expires $hdr(Expires)\n");` + "\n"

// A carrier that asks by SHA-256, after a challenge by MD5, knows each nonce once and for two seconds, tells the next one with its
// own proof, and asks anew within the call. Our settings have no password, but its hashes.
func TestSipDigestSHA256(t *testing.T) {
	addr, phone := address(t), at(peers.Address(t))
	callee := peers.StartSIPp(t, peers.SIPpConfig{Name: "callee", Scenario: "sipp/answer.xml"})
	k := peers.StartKamailio(t, peers.KamailioConfig{Users: map[string]string{"trunk": "carried"}, Digest: "SHA-256",
		Numbers: map[string]peers.Number{"4930555200": {Target: "sip:" + callee.SIP.String()}},
		Params: `modparam("auth", "nonce_expire", 2)
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")
modparam("auth", "add_authinfo_hdr", 1)
`,
		First: report + `if (is_method("REGISTER") && $hdr(Authorization) == $null) {
  append_to_reply("WWW-Authenticate: Digest realm=\"test.local\", nonce=\"unused\", algorithm=MD5\r\n");
}
if (is_method("BYE") && $si == "` + addr.String() + `") { route(AUTH); }`})
	ha1 := func(a auth.Algorithm) string { return auth.HA1(a, "trunk", "test.local", "carried") }
	g := startGateway(t, addr, settings{
		users: "  - {id: desk, password: desk-secret-3}\n",
		trunks: fmt.Sprintf("  - {id: telco, mode: register, registrar: \"%s\", domain: test.local, user: trunk, realm: test.local, ha1: {MD5: %s, SHA-256: %s}}\n",
			k.SIP, ha1(auth.MD5), ha1(auth.SHA256)),
		routes: "  - {id: out, source: user, number: \"4930*\", to: [{trunk: telco}]}\n",
	})
	peers.Wait(t, 5*time.Second, "the trunk to register", func() bool { return len(k.Registered(t, "trunk")) == 1 })
	registerDesk(t, g, phone)
	peers.StartSIPp(t, peers.SIPpConfig{Name: "caller", Scenario: "sipp/phone.xml", Remote: g.sip, Bind: phone, Calls: 1,
		Users: [][]string{{"4930555200", "bye"}}, Username: "desk", Password: "desk-secret-3",
		Keys: []string{"domain", "test.local"}, Length: 3 * time.Second, Timeout: 20 * time.Second}).Done(t, 20*time.Second)
	for _, c := range g.records(t, 1) {
		if got, want := recordOf(c), (record{"closed", "caller", 200, 16}); got != want {
			t.Errorf("the record says %+v, expected %+v", got, want)
		}
	}
	for method, want := range map[string]int{"REGISTER": 2, "INVITE": 2, "BYE": 2} {
		proofs := k.Logged("proof of " + method + " ")
		if len(proofs) != want {
			t.Errorf("%d %s, expected %d: %q", len(proofs), method, want, proofs)
			continue
		}
		if last := proofs[want-1]; !strings.Contains(last, "algorithm=SHA-256") || !strings.Contains(last, "qop=auth") {
			t.Errorf("%s is proved by %s", method, last)
		}
	}
	// The BYE came with what was left of the INVITE's nonce, which is stale by then.
	if byes := k.Logged("proof of BYE "); len(byes) > 0 && !strings.Contains(byes[0], "response=") {
		t.Errorf("the first BYE has no credentials: %s", byes[0])
	}
	for _, l := range g.LogsWith(t, "msg", "the peer's answer to our credentials is wrong") {
		t.Errorf("rspauth: %v", l)
	}
}

// A carrier known by name, of two servers: the preferred one answers 503 with Retry-After to everything. The other challenges by an
// algorithm of IMS, for another realm and, by MD5, for its own; it wants at least 120 s.
func TestSipRegisterElsewhere(t *testing.T) {
	addr, phone := address(t), at(peers.Address(t))
	full := peers.StartKamailio(t, peers.KamailioConfig{Users: map[string]string{"nobody": "x"}, First: `append_to_reply("Retry-After: 60\r\n");
sl_send_reply("503", "Full");
exit;`})
	k := peers.StartKamailio(t, peers.KamailioConfig{Users: map[string]string{"trunk": "carried"}, Digest: "MD5",
		Numbers: map[string]peers.Number{"4930555486": {Status: 486, Reason: "Busy Here"}},
		First: report + `if (is_method("REGISTER") && $hdr(Authorization) == $null) {
  append_to_reply("WWW-Authenticate: Digest realm=\"test.local\", nonce=\"unused\", algorithm=AKAv1-MD5, qop=\"auth\"\r\n");
  append_to_reply("WWW-Authenticate: Digest realm=\"other.test\", nonce=\"other\", algorithm=SHA-512-256, qop=\"auth\"\r\n");
} else if (is_method("REGISTER") && $(hdr(Expires){s.int}) < 120 && $(hdr(Expires){s.int}) > 0) {
  append_to_reply("Min-Expires: 120\r\n");
  sl_send_reply("423", "Interval Too Brief");
  exit;
}`})
	names := siptest.NewDNS(t,
		"_sip._udp.carrier.test. 60 IN SRV 10 100 5060 full.carrier.test.", "_sip._udp.carrier.test. 60 IN SRV 20 100 5060 other.carrier.test.",
		fmt.Sprintf("full.carrier.test. 60 IN A %s", full.SIP.Addr()), fmt.Sprintf("other.carrier.test. 60 IN A %s", k.SIP.Addr()))
	g := startGateway(t, addr, settings{
		sip:    fmt.Sprintf("  dns: [\"%s\"]\n", names.Addr),
		users:  "  - {id: desk, password: desk-secret-3}\n",
		trunks: "  - {id: telco, mode: register, registrar: carrier.test, domain: test.local, user: trunk, password: carried, expires: 1m}\n",
		routes: "  - {id: out, source: user, number: \"4930*\", to: [{trunk: telco}]}\n",
	})
	peers.Wait(t, 10*time.Second, "the trunk to register", func() bool { return len(k.Registered(t, "trunk")) == 1 })
	proofs := k.Logged("proof of REGISTER ")
	if len(proofs) < 3 {
		t.Fatalf("%d REGISTERs, expected one that is challenged, one that is too short and one that is right: %q", len(proofs), proofs)
	}
	for i, want := range []string{"expires 60", "realm=", "expires 120"} {
		if !strings.Contains(proofs[i], want) {
			t.Errorf("REGISTER %d: %s, expected %s", i+1, proofs[i], want)
		}
	}
	registerDesk(t, g, phone)
	for _, name := range []string{"first", "next"} {
		peers.StartSIPp(t, peers.SIPpConfig{Name: name, Scenario: "sipp/phone.xml", Remote: g.sip, Bind: phone, Calls: 1,
			Users: [][]string{{"4930555486", "refused"}}, Username: "desk", Password: "desk-secret-3",
			Keys: []string{"domain", "test.local"}, Timeout: 20 * time.Second}).Done(t, 20*time.Second)
	}
	for _, c := range g.records(t, 2) {
		if got, want := recordOf(c), (record{"closed", "callee", 486, 17}); got != want {
			t.Errorf("the record says %+v, expected %+v", got, want)
		}
	}
	if n := len(full.Logged("INVITE ")); n > 1 {
		t.Errorf("the full server got %d INVITEs within the time that it asked for, expected 1 at most", n)
	}
}

// Requests and responses of more than 1,400 bytes: to a carrier with TCP and to one without, whose answers are as large over UDP.
func TestSipLargeMessages(t *testing.T) {
	addr, phone := address(t), at(peers.Address(t))
	wide := peers.StartSIPp(t, peers.SIPpConfig{Name: "wide", Scenario: "sipp/large.xml", TCP: true})
	narrow := peers.StartSIPp(t, peers.SIPpConfig{Name: "narrow", Scenario: "sipp/large.xml"})
	long := strings.Repeat(strings.Repeat("l", 49)+".", 4) + "test" // it stands in four places of an INVITE
	trunk := func(id string, s *peers.SIPp) string {
		return fmt.Sprintf("  - {id: %s, mode: address, proxy: \"%s\", addresses: [%s], domain: %s, user: %s, password: x, from: account}\n",
			id, s.SIP, s.SIP.Addr(), long, strings.Repeat("a", 60))
	}
	g := startGateway(t, addr, settings{
		users:  "  - {id: desk, password: desk-secret-3}\n",
		trunks: trunk("wide", wide) + trunk("narrow", narrow),
		routes: "  - {id: wide, source: user, number: \"49301*\", to: [{trunk: wide}]}\n  - {id: narrow, source: user, number: \"49302*\", to: [{trunk: narrow}]}\n",
	})
	registerDesk(t, g, phone)
	peers.StartSIPp(t, peers.SIPpConfig{Name: "caller", Scenario: "sipp/phone.xml", Remote: g.sip, Bind: phone, Calls: 2, Limit: 1,
		Users: [][]string{{"4930111", "bye"}, {"4930222", "bye"}}, Username: "desk", Password: "desk-secret-3",
		Keys: []string{"domain", "test.local"}, Length: 300 * time.Millisecond, Timeout: 20 * time.Second}).Done(t, 20*time.Second)
	for _, c := range g.records(t, 2) {
		if got, want := recordOf(c), (record{"closed", "caller", 200, 16}); got != want {
			t.Errorf("the record says %+v, expected %+v", got, want)
		}
	}
	for _, l := range g.db.Query(t, "select trunk_id, transport from patchbay.leg where trunk_id is not null") {
		if want := map[any]string{"wide": "tcp", "narrow": "udp"}[l["trunk_id"]]; l["transport"] != want {
			t.Errorf("the leg to %v went over %v, expected %s", l["trunk_id"], l["transport"], want)
		}
	}
}
