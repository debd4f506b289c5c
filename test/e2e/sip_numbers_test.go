//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

// One carrier's calls go to another's, who writes numbers in its own way: what the second one gets on the wire of a caller who is
// named, of one who wants to be private, and the same by a trunk that isn't trusted.
func TestSipNumbers(t *testing.T) {
	addr, caller := address(t), at(peers.Address(t))
	callee := peers.StartSIPp(t, peers.SIPpConfig{Name: "callee", Scenario: "sipp/answer.xml", Calls: 3})
	const writes = "numbers: {country: DE, format: 00, uri: phone, out: {called: [{match: \"0049*\", prefix: \"7\"}]}}, caller: {send: [pai]}, " +
		"headers: {out: [User-to-User, X-Order], diversion: [diversion]}"
	g := startGateway(t, addr, settings{
		trunks: fmt.Sprintf("  - {id: in, mode: address, proxy: \"%s:5060\", addresses: [%s], trusted: true, numbers: {country: DE}, headers: {in: [User-to-User, X-*]}}\n"+
			"  - {id: out, mode: address, proxy: \"%s:5060\", addresses: [%s], domain: out.test, trusted: true, %s}\n"+
			"  - {id: strange, mode: address, proxy: \"%s:5060\", addresses: [192.0.2.77], domain: out.test, %s}\n",
			caller.Addr(), caller.Addr(), callee.SIP.Addr(), callee.SIP.Addr(), writes, callee.SIP.Addr(), writes),
		routes: "  - {id: through, source: \"trunk:in\", number: +4930*, to: [{trunk: out}]}\n  - {id: away, source: \"trunk:in\", number: +44*, to: [{trunk: strange}]}\n",
	})
	peers.StartSIPp(t, peers.SIPpConfig{Name: "caller", Scenario: "sipp/identity.xml", Remote: g.sip, Bind: caller, Calls: 3, Rate: 2, Limit: 1,
		Users:  [][]string{{"0301234567", "tel:+49-89-1234567", "none"}, {"030-1234567", "sip:0891234567@carrier.test", "ID"}, {"00442079460958", "sip:0891234567@carrier.test", "header,critical"}},
		Length: 200 * time.Millisecond, Timeout: 30 * time.Second}).Done(t, 30*time.Second)
	callee.Done(t, 5*time.Second)
	var invites, byes []peers.Message
	for _, m := range callee.Messages(t) {
		switch {
		case m.Request("INVITE") && (len(invites) == 0 || invites[len(invites)-1].Header("Call-ID") != m.Header("Call-ID")):
			invites = append(invites, m)
		case m.Request("BYE") && (len(byes) == 0 || byes[len(byes)-1].Header("Call-ID") != m.Header("Call-ID")):
			byes = append(byes, m)
		}
	}
	if len(invites) != 3 || len(byes) != 3 {
		t.Fatalf("the callee got %d INVITE and %d BYE, expected 3 each", len(invites), len(byes))
	}
	const hidden = `"Anonymous" <sip:anonymous@anonymous.invalid>`
	for i, want := range []map[string]string{
		{"start": "INVITE sip:70049301234567@out.test;user=phone SIP/2.0", "From": `"Paula" <sip:0049891234567@out.test;user=phone>`, "P-Asserted-Identity": `"Paula" <sip:0049891234567@out.test;user=phone>`,
			"Privacy": "none", "Diversion": "<sip:0049305555555@out.test;user=phone>;reason=user-busy"},
		{"start": "INVITE sip:70049301234567@out.test;user=phone SIP/2.0", "From": hidden, "P-Asserted-Identity": `"Paula" <sip:0049891234567@out.test;user=phone>`, "Privacy": "id",
			"Diversion": "<sip:0049305555555@out.test;user=phone>;reason=user-busy"},
		{"start": "INVITE sip:00442079460958@out.test;user=phone SIP/2.0", "From": hidden, "P-Asserted-Identity": "", "Privacy": "id", "Diversion": "<sip:0049305555555@out.test;user=phone>;reason=user-busy"},
	} {
		m := invites[i]
		want["User-to-User"], want["X-Order"], want["X-Secret"], want["History-Info"], want["P-Charging-Vector"], want["Max-Forwards"] = "56a390f3d2b7310023a2;encoding=hex", "4711", "", "", "", "19"
		for name, v := range want {
			got := m.Header(name)
			if name == "start" {
				got = m.Start
			}
			if from, _, _ := strings.Cut(got, ";tag="); from != v {
				t.Errorf("call %d: %s is %s, expected %s", i, name, got, v)
			}
		}
		for _, name := range []string{"Via", "Contact", "Call-ID", "From", "Remote-Party-ID", "P-Preferred-Identity"} {
			if v := m.Header(name); i > 0 && (strings.Contains(v, "891234567") || strings.Contains(v, "Paula")) {
				t.Errorf("call %d: %s: %s gives the caller away", i, name, v)
			}
		}
		if i > 0 && strings.Contains(m.Body, "1234567") {
			t.Errorf("call %d: SDP gives the caller away:\n%s", i, m.Body)
		}
		if got := byes[i].Header("User-to-User"); got != "b2;encoding=hex" {
			t.Errorf("call %d: User-to-User of BYE is %q", i, got)
		}
	}
	legs := g.db.Query(t, `SELECT concat_ws('|', l.role, l.privacy, l.history_info, l.charging_vector) AS said FROM patchbay.leg l ORDER BY l.started_at, l.leg_no`)
	for i, r := range g.records(t, 3) {
		want := [][]string{{"+49891234567", "+49891234567", "0301234567", "+49301234567"}, {"0891234567", "+49891234567", "0301234567", "+49301234567"}, {"0891234567", "+49891234567", "00442079460958", "+442079460958"}}[i]
		if got := []string{text(r["a_raw"]), text(r["a_e164"]), text(r["b_raw"]), text(r["b_e164"])}; strings.Join(got, " ") != strings.Join(want, " ") || !strings.HasPrefix(text(r["icid"]), "icid-") {
			t.Errorf("call %d: the record has %q and icid %v, expected %q", i, got, r["icid"], want)
		}
		// The third is answered by who isn't trusted.
		if text(r["orig_ioi"]) != "carrier.test" || text(r["icid_gen_at"]) != "192.0.2.9" || text(r["term_ioi"]) != []string{"answers.test", "answers.test", ""}[i] {
			t.Errorf("call %d: networks %v, %v; generated at %v", i, r["orig_ioi"], r["term_ioi"], r["icid_gen_at"])
		}
		said := []string{[]string{"none", "ID", "header,critical"}[i], []string{"none", "id", "id"}[i]}
		in := "caller|" + strings.ReplaceAll(said[0], ",", ", ") + "|<sip:0305555555@carrier.test>;index=1, <sip:0301234567@carrier.test;cause=486>;index=1.1;mp=1|icid-value="
		if len(legs) != 6 || !strings.HasPrefix(text(legs[2*i]["said"]), in) || text(legs[2*i+1]["said"]) != "callee|"+said[1] {
			t.Errorf("call %d: what was said of the caller is on record as %v, expected %s and %s", i, legs, in, said[1])
		}
	}
}

func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}
