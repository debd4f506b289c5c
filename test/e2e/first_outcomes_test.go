//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

func at(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, 5060) }

// carrierGateway is a gateway with a desk phone and two trunks by address, the second tried when the first fails.
func carrierGateway(t *testing.T, addr, first, second netip.Addr) *gateway {
	t.Helper()
	return startGateway(t, addr, settings{
		users: "  - {id: desk, password: desk-secret-3}\n",
		trunks: fmt.Sprintf("  - {id: first, mode: address, proxy: \"%s:5060\", addresses: [%s]}\n  - {id: second, mode: address, proxy: \"%s:5060\", addresses: [%s]}\n",
			first, first, second, second),
		routes: "  - {id: out, source: user, number: \"4930*\", to: [{trunk: first}, {trunk: second}]}\n",
	})
}

// registerDesk registers SIPp's phone at the gateway.
func registerDesk(t *testing.T, g *gateway, phone netip.AddrPort) {
	t.Helper()
	peers.StartSIPp(t, peers.SIPpConfig{Name: "register", Scenario: "sipp/register.xml", Remote: g.sip, Bind: phone, Calls: 1,
		Username: "desk", Password: "desk-secret-3", Keys: []string{"domain", "test.local", "expires", "600"}}).Done(t, 5*time.Second)
}

// expected are the outcomes through the gateway: a 503 goes on to the second
// trunk, and of two answers the phone gets one.
func expected() []outcome {
	all := outcomes()
	for i := range all {
		if all[i].status == 503 {
			all[i].how, all[i].status, all[i].cause, all[i].hungUp = "bye", 200, 16, peers.Caller
		}
	}
	return append(all, outcome{"4930555202", "bye", 200, 16, peers.Caller, 2})
}

// Two hundred calls of all outcomes: the records say what SIPp's log says.
func TestFirstOutcomes(t *testing.T) {
	addr, phone := address(t), at(peers.Address(t))
	carrier := startCarrier(t, "carrier")
	second := peers.StartSIPp(t, peers.SIPpConfig{Name: "second", Scenario: "sipp/answer.xml"})
	g := carrierGateway(t, addr, carrier.SIP.Addr(), second.SIP.Addr())
	registerDesk(t, g, phone)
	var users [][]string
	for wanted := expected(); len(users) < 200; {
		o := wanted[len(users)%len(wanted)]
		users = append(users, []string{o.number, o.how})
	}
	calls := peers.StartSIPp(t, peers.SIPpConfig{Name: "phone", Scenario: "sipp/phone.xml", Remote: g.sip, Bind: phone, Calls: len(users), Rate: 10, Users: users,
		Username: "desk", Password: "desk-secret-3", Keys: []string{"domain", "test.local"}, Length: 300 * time.Millisecond, Timeout: 45 * time.Second})
	calls.Done(t, 45*time.Second)
	carrier.Finish(t, 5*time.Second)
	second.Finish(t, 5*time.Second)
	rows := g.records(t, len(users))
	compare(t, g, calls.Calls(t), rows)
	extraAnswersEnded(t, carrier.Calls(t))
}

// compare holds the records against the caller's log: the same calls, statuses, causes and parties (a cause in both
// wherever the outcome has one: the phone is told it in a Reason, RFC 3326), and times
// of which 95 of 100 are within 10 ms.
func compare(t *testing.T, g *gateway, calls []peers.Call, rows []map[string]any) {
	t.Helper()
	byCall := map[string]map[string]any{}
	for _, r := range rows {
		byCall[fmt.Sprint(r["call_id"])] = r
	}
	bySIP := map[string]map[string]any{}
	for _, l := range g.db.Query(t, "select sip_call_id, call_id from patchbay.leg where role = 'caller'") {
		id := fmt.Sprint(l["sip_call_id"])
		if bySIP[id] != nil {
			t.Errorf("Call-ID %s is on record twice", id)
		}
		bySIP[id] = byCall[fmt.Sprint(l["call_id"])]
	}
	want := map[string]outcome{}
	for _, o := range expected() {
		want[o.number] = o
	}
	var off []time.Duration
	for _, c := range calls {
		row := bySIP[c.ID]
		if row == nil {
			t.Errorf("Call-ID %s to %s isn't on record; the phone saw status %d", c.ID, c.Number, c.Status)
			continue
		}
		o := want[c.Number]
		if c.Status != o.status || c.HungUp != o.hungUp || o.cause != 0 && c.Cause != o.cause {
			t.Errorf("to %s: the phone saw status %d, cause %d, ended by %q, expected %d, %d, %q", c.Number, c.Status, c.Cause, c.HungUp, o.status, o.cause, o.hungUp)
		}
		got := recordOf(row)
		party := string(c.HungUp)
		if c.HungUp == peers.Nobody {
			party = "callee" // who refuses, ends the call
		}
		if got.status != c.Status || got.endParty != party || o.cause != 0 && got.cause != o.cause {
			t.Errorf("to %s: the record says %+v, SIPp's log status %d, ended by %s, cause %d expected", c.Number, got, c.Status, party, o.cause)
		}
		for column, seen := range map[string]time.Time{"setup_at": c.Invite, "progress_at": c.Progress, "answered_at": c.Answered, "ended_at": c.Bye} {
			if told, ok := row[column].(time.Time); ok && !seen.IsZero() {
				off = append(off, told.Sub(seen).Abs())
			} else if !seen.IsZero() {
				t.Errorf("to %s: the record has no %s", c.Number, column)
			}
		}
	}
	if len(off) == 0 {
		t.Fatal("no times to compare")
	}
	slices.Sort(off)
	p95 := off[len(off)*95/100]
	t.Logf("%d calls, %d times: p50 %v, p95 %v off", len(calls), len(off), off[len(off)/2], p95)
	if p95 > 10*time.Millisecond {
		t.Errorf("times are off by %v at p95, expected 10ms at most", p95)
	}
}

// extraAnswersEnded wants a BYE for each of two answers.
func extraAnswersEnded(t *testing.T, calls []peers.Call) {
	t.Helper()
	seen := 0
	for _, c := range calls {
		if c.Accepted < 2 {
			continue
		}
		seen++
		byes := map[string]bool{}
		for _, m := range c.Messages {
			if m.Request("BYE") {
				byes[m.Tag("To")] = true
			}
		}
		if len(byes) != c.Accepted {
			t.Errorf("call %s: %d of %d answers got their BYE", c.ID, len(byes), c.Accepted)
		}
	}
	if seen == 0 {
		t.Error("no call had two answers")
	}
}
