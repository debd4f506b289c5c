//go:build e2e

package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip/siptest"
	"github.com/patchbay/patchbay/test/peers"
)

// The doctor at trunks that are well and at those that aren't: Kamailio over TLS and UDP with digest, SIPp behind DNS with a dead
// server, a wrong password, another's certificate, nobody. The running gateway is asked, and the command alone.
func TestSipDoctor(t *testing.T) {
	addr := address(t)
	ca := siptest.NewAuthority(t)
	carrier, client := pemFiles(t, ca, ca.Issue("carrier.test")), pemFiles(t, ca, ca.Issue("gateway.test"))
	k := peers.StartKamailio(t, peers.KamailioConfig{Users: map[string]string{"trunk": "carried"}, TLS: carrier})
	answers := peers.StartSIPp(t, peers.SIPpConfig{Name: "answers", Scenario: "sipp/doctor.xml"})
	dead := peers.Address(t)
	names := siptest.NewDNS(t,
		`sipp.test. 300 IN NAPTR 10 10 "s" "SIP+D2U" "" _sip._udp.sipp.test.`,
		"_sip._udp.sipp.test. 60 IN SRV 10 100 5060 dead.sipp.test.",
		fmt.Sprintf("_sip._udp.sipp.test. 60 IN SRV 20 100 %d live.sipp.test.", answers.SIP.Port()),
		fmt.Sprintf("dead.sipp.test. 60 IN A %s", dead), fmt.Sprintf("live.sipp.test. 60 IN A %s", answers.SIP.Addr()))
	tls := func(id, name, password string) string {
		return fmt.Sprintf("  - {id: %s, mode: register, registrar: \"%s:5061\", transport: tls, domain: test.local, user: trunk, password: %s,\n"+
			"     tls: {name: %s, ca: %s, certificate: %s, key: %s}}\n", id, k.SIP.Addr(), password, name, client.CA, client.Certificate, client.Key)
	}
	g := startGateway(t, addr, settings{
		sip: fmt.Sprintf("  dns: [\"%s\"]\n", names.Addr),
		trunks: tls("good", "carrier.test", "carried") + tls("false", "other.test", "carried") +
			fmt.Sprintf("  - {id: wrong, mode: register, registrar: \"%s\", domain: test.local, user: trunk, password: planted-secret}\n", k.SIP) +
			fmt.Sprintf("  - {id: sipp, mode: address, proxy: sipp.test, addresses: [%s]}\n", answers.SIP.Addr()) +
			fmt.Sprintf("  - {id: dead, mode: address, proxy: %s, addresses: [%s]}\n", dead, dead),
	})
	peers.Wait(t, 5*time.Second, "the trunk to register", func() bool { return len(k.Registered(t, "trunk")) == 1 })
	for _, x := range []struct {
		trunk string
		code  int
		args  []string
		want  []string
	}{
		{"good", 0, nil, []string{`ok    tls .*: TLS 1\.[23] in .*, certificate of carrier\.test, issued by CN=test authority`, `warn  tls           our certificate \(gateway\.test\) ends in`,
			`ok    options       tls .* answered 200 OK in .* by kamailio`, `ok    digest        tls .*: realm "test\.local" by MD5, qop auth, the answer of user "trunk" is taken; registered: <sip:trunk@`,
			`ok    registration  registered`, `asked by the running gateway`}},
		{"good", 0, []string{"--direct"}, []string{`warn  sockets       udp .*:5060 is taken by another program`, `ok    digest        tls .* is taken`, `asked by this command`}},
		{"false", 1, nil, []string{`FAIL  tls .*: the certificate is for carrier\.test, not for other\.test → set tls\.name`, `FAIL  registration  failing: .*`}},
		{"wrong", 1, nil, []string{`ok    options       udp .* answered 200`, `FAIL  digest        realm "test\.local" by MD5, qop auth: the answer of user "trunk" is refused with 401 .* → password or auth_user are wrong`}},
		{"sipp", 0, []string{"--timeout", "6s"}, []string{`ok    dns           SRV of _sip\._udp\.sipp\.test: 10 100 5060 dead\.sipp\.test\.; 20 100 5060 live\.sipp\.test\. \(TTL 1m0s\)`,
			`warn  options .* didn't answer OPTIONS within 2s.*another server takes the calls`, `ok    options .* answered 200 OK in .*; Allow INVITE ACK BYE CANCEL OPTIONS; Supported timer`,
			`ok    digest        OPTIONS isn't challenged`, `ok    codecs        the carrier has PCMA/8000, TELEPHONE-EVENT/8000, packets of 30 ms; in common: PCMA`,
			`ok    100rel        the carrier doesn't have it`, `ok    timers        the carrier has session timers`}},
		{"dead", 1, []string{"--timeout", "2s"}, []string{`FAIL  options       udp .*:5060 didn't answer OPTIONS within 700ms; we asked from .* → it is down`}},
	} {
		begun := time.Now()
		out, code := g.Try(t, append([]string{"trunk", "test", x.trunk}, x.args...)...)
		if code != x.code || time.Since(begun) > 10*time.Second {
			t.Errorf("%s %v: exit code %d after %v, expected %d:\n%s", x.trunk, x.args, code, time.Since(begun), x.code, out)
		}
		rest := out
		for _, want := range x.want {
			at := regexp.MustCompile(want).FindStringIndex(rest)
			if at == nil {
				t.Errorf("%s %v: expected %s in its place in\n%s", x.trunk, x.args, want, out)
				break
			}
			rest = rest[at[1]:]
		}
		if strings.Contains(out, "planted-secret") {
			t.Errorf("%s: a secret is shown:\n%s", x.trunk, out)
		}
	}
	if out := g.CLI(t, "trunk", "list"); !regexp.MustCompile(`(?m)^good +register +tls .* yes +registered +0`).MatchString(out) || !regexp.MustCompile(`(?m)^dead +address +udp .* static +0`).MatchString(out) {
		t.Errorf("the list is\n%s", out)
	}
}
