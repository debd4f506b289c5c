//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// Phones: alice calls bob, who transfers her to carol and is out of it. Alice and carol hear each other.
func TestSipTransferByPhones(t *testing.T) {
	addr := address(t)
	g := startGateway(t, addr, settings{users: "  - {id: alice, password: wonder-land-1, numbers: [\"401\"]}\n" +
		"  - {id: bob, password: builder-two-2, numbers: [\"402\"]}\n  - {id: carol, password: singer-three-3, numbers: [\"403\"]}\n"})
	phone := func(user, password string, hz float64) *peers.Baresip {
		return peers.StartBaresip(t, peers.BaresipConfig{User: user, Password: password, Domain: "test.local", Proxy: g.sip.String(),
			Codecs: "PCMU/8000/1", Audio: audio.Tone(8000, hz, toneLevel, 60)})
	}
	alice, bob, carol := phone("alice", "wonder-land-1", 440), phone("bob", "builder-two-2", 660), phone("carol", "singer-three-3", 880)
	alice.Dial(t, "sip:402@test.local")
	bob.Expect(t, "CALL_INCOMING", 5*time.Second)
	bob.Accept(t)
	alice.Expect(t, "CALL_ESTABLISHED", 3*time.Second)
	bob.Expect(t, "CALL_ESTABLISHED", 3*time.Second)
	time.Sleep(500 * time.Millisecond)
	bob.Command(t, "transfer", "sip:403@test.local")
	carol.Expect(t, "CALL_INCOMING", 5*time.Second)
	carol.Accept(t)
	carol.Expect(t, "CALL_ESTABLISHED", 3*time.Second)
	bob.Expect(t, "CALL_CLOSED", 5*time.Second)
	time.Sleep(5700 * time.Millisecond)
	carol.Hangup(t)
	alice.Expect(t, "CALL_CLOSED", 3*time.Second)
	heard(t, "carol", carol.Heard(t), 440, 880, audio.MuLaw)
	heard(t, "alice", alice.Heard(t), 880, 440, audio.MuLaw)
	rows := g.records(t, 2)
	if len(rows) != 2 {
		return
	}
	if rows[0]["linked_id"] != rows[1]["linked_id"] || rows[1]["user_id"] != "bob" {
		t.Errorf("records %v", rows)
	}
	for i, want := range []record{{"closed", "callee", 200, 16}, {"closed", "callee", 200, 16}} {
		if got := recordOf(rows[i]); got != want {
			t.Errorf("call %d: the record says %+v, expected %+v", i, got, want)
		}
	}
}

// The flows of RFC 5359 by SIPp: a party of a trunk that may transfers, blindly, in vain, and after asking; one that may not is refused.
func TestSipTransferFlows(t *testing.T) {
	addr, pbx, other := address(t), at(peers.Address(t)), at(peers.Address(t))
	first := peers.StartSIPp(t, peers.SIPpConfig{Name: "first", Scenario: "sipp/answer.xml"})
	next := peers.StartSIPp(t, peers.SIPpConfig{Name: "next", Scenario: "sipp/answer_bye.xml", Length: 2 * time.Second})
	g := startGateway(t, addr, settings{
		trunks: fmt.Sprintf("  - {id: pbx, mode: address, proxy: \"%s:5060\", addresses: [%s], transfers: true}\n  - {id: other, mode: address, proxy: \"%s:5060\", addresses: [%s]}\n"+
			"  - {id: first, mode: address, proxy: \"%s:5060\", addresses: [%s]}\n  - {id: next, mode: address, proxy: \"%s:5060\", addresses: [%s]}\n",
			pbx.Addr(), pbx.Addr(), other.Addr(), other.Addr(), first.SIP.Addr(), first.SIP.Addr(), next.SIP.Addr(), next.SIP.Addr()),
		routes: "  - {id: first, source: trunk, number: \"49301*\", to: [{trunk: first}]}\n  - {id: next, source: trunk, number: \"49302*\", to: [{trunk: next}]}\n",
	})
	run := func(name, scenario string, users ...[]string) {
		from := pbx
		if name == "refused" {
			from = other
		}
		peers.StartSIPp(t, peers.SIPpConfig{Name: name, Scenario: "sipp/" + scenario, Remote: g.sip, Bind: from, Calls: len(users), Users: users, Rate: 1, Limit: 1,
			Username: "4940999", Keys: []string{"domain", "test.local"}, Timeout: 20 * time.Second, Args: []string{"-cid_str", name + ".%u"}}).Done(t, 25*time.Second)
	}
	run("blind", "transfer.xml", []string{"4930111", "4930200"})
	run("vain", "transfer.xml", []string{"4930111", "777"})
	run("refused", "transfer.xml", []string{"4930111", "4930200"})
	run("attended", "attended.xml", []string{"4930111", "4930299"})
	said := map[string]int{}
	for _, r := range g.records(t, 7) {
		said[fmt.Sprintf("%v %v %v", r["b_raw"], r["sip_code"], r["end_party"])]++
	}
	want := map[string]int{"4930111 200 caller": 4, "4930200 200 callee": 1, "4930299 200 callee": 1, "777 404 system": 1}
	if !maps.Equal(said, want) {
		t.Errorf("records %v, expected %v", said, want)
	}
	for _, e := range []struct {
		kind string
		n    int
	}{{"transfer.blind", 2}, {"transfer.attended", 1}} {
		if rows := g.db.Query(t, "select * from patchbay.call_event where kind = '"+e.kind+"'"); len(rows) != e.n {
			t.Errorf("%d times %s on record, expected %d", len(rows), e.kind, e.n)
		}
	}
}
