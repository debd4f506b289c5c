//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// A phone registered at Patchbay calls through a trunk that is registered at
// Kamailio to a second phone.
func TestFirstPhoneToTrunk(t *testing.T) {
	for _, c := range []struct {
		name, codec, digits string
		laws                []audio.Law // what the tone passes on its way
	}{
		{"PCMU", "PCMU/8000/1", allDigits, []audio.Law{audio.MuLaw}},
		{"PCMA", "PCMA/8000/1", "159#", []audio.Law{audio.MuLaw, audio.ALaw}},
	} {
		t.Run(c.name, func(t *testing.T) { phoneToTrunk(t, c.codec, c.digits, c.laws) })
	}
}

func phoneToTrunk(t *testing.T, codec, digits string, laws []audio.Law) {
	addr := address(t)
	capture := peers.StartCapture(t)
	k := peers.StartKamailio(t, peers.KamailioConfig{Users: map[string]string{"trunk": "carried", "bob": "builder"},
		Numbers: map[string]peers.Number{"4930111": {Target: "bob"}}})
	bob := peers.StartBaresip(t, peers.BaresipConfig{User: "bob", Password: "builder", Domain: "test.local", Proxy: k.SIP.String(), Codecs: codec,
		Audio: audio.Tone(8000, 880, toneLevel, 60)})
	g := startGateway(t, addr, settings{
		users:   "  - {id: alice, password: wonder-land-1, numbers: [\"+4930100\"]}\n",
		trunks:  fmt.Sprintf("  - {id: telco, mode: register, registrar: \"%s\", domain: test.local, user: trunk, password: carried}\n", k.SIP),
		routes:  "  - {id: out, source: user, number: \"*\", to: [{trunk: telco}]}\n",
		billing: ", dtmf: clear",
	})
	peers.Wait(t, 5*time.Second, "the trunk to register", func() bool { return len(k.Registered(t, "trunk")) == 1 })
	alice := peers.StartBaresip(t, peers.BaresipConfig{User: "alice", Password: "wonder-land-1", Domain: "test.local", Proxy: g.sip.String(), Codecs: "PCMU/8000/1",
		Audio: audio.Tone(8000, 440, toneLevel, 60)})

	alice.Dial(t, "sip:4930111@test.local")
	bob.Expect(t, "CALL_INCOMING", 5*time.Second)
	bob.Accept(t)
	alice.Expect(t, "CALL_ESTABLISHED", 3*time.Second)
	bob.Expect(t, "CALL_ESTABLISHED", 3*time.Second)
	from := time.Now()
	time.Sleep(5700 * time.Millisecond)
	to := time.Now()
	digitsAndHold(t, capture, alice, bob, digits)
	alice.Hangup(t)
	bob.Expect(t, "CALL_CLOSED", 3*time.Second)
	capture.Stop(t)

	back := make([]audio.Law, 0, len(laws))
	for i := range laws {
		back = append(back, laws[len(laws)-1-i])
	}
	heard(t, "bob", bob.Heard(t), 440, 880, laws...)
	heard(t, "alice", alice.Heard(t), 880, 440, back...)
	arrived(t, bob, capture, alice.Says, from, to, 440, 880, laws...)
	arrived(t, alice, capture, bob.Says, from, to, 880, 440, back...)

	rows := g.records(t, 1)
	if len(rows) == 1 {
		if got, want := recordOf(rows[0]), (record{"closed", "caller", 200, 16}); got != want {
			t.Errorf("the record says %+v, expected %+v", got, want)
		}
		if rows[0]["trunk_id"] != "telco" || rows[0]["user_id"] != "alice" {
			t.Errorf("the record names user %v and trunk %v, expected alice and telco", rows[0]["user_id"], rows[0]["trunk_id"])
		}
	}
	digitsOnRecord(t, g, map[string]string{"1": digits, "2": digits})
	if list := g.CDRs(t); len(list) != 1 {
		t.Errorf("cdr list --json has %d calls, expected 1", len(list))
	}
}

// digitsOnRecord expects the digits of each leg in order, by telephone-event, each held for as long as somebody presses a key.
func digitsOnRecord(t *testing.T, g *gateway, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, e := range g.db.Query(t, "select leg_no, data->>'digit' as digit, data->>'by' as by, (data->>'durationMs')::int as ms from patchbay.call_event where kind = 'dtmf' order by seq") {
		got[text(e["leg_no"])] += text(e["digit"])
		if ms, _ := strconv.Atoi(text(e["ms"])); ms < 20 || ms > 3000 || e["by"] != "rfc4733" {
			t.Errorf("on record: leg %v, digit %v by %v, %v ms", e["leg_no"], e["digit"], e["by"], e["ms"])
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("the record's digits are %q, expected %q", got, want)
	}
}

// SIPp as the carrier calls a number of ours; the phone rings, answers, and hears its own tone from SIPp's echo.
func TestFirstCarrierCallsNumber(t *testing.T) {
	addr, carrier := address(t), peers.Address(t)
	capture := peers.StartCapture(t)
	g := startGateway(t, addr, settings{
		users:  "  - {id: bob, password: builder-site-2, numbers: [\"4930102\"]}\n",
		trunks: fmt.Sprintf("  - {id: telco, mode: address, proxy: \"%s:5060\", addresses: [%s]}\n", carrier, carrier),
	})
	bob := peers.StartBaresip(t, peers.BaresipConfig{User: "bob", Password: "builder-site-2", Domain: "test.local", Proxy: g.sip.String(), Codecs: "PCMU/8000/1",
		Audio: audio.Tone(8000, 440, toneLevel, 60), AutoAnswer: true, AnswerAfter: 300 * time.Millisecond})
	from := time.Now()
	caller := peers.StartSIPp(t, peers.SIPpConfig{Name: "carrier", Scenario: "sipp/phone.xml", Remote: g.sip, Bind: at(carrier), Calls: 1,
		Users: [][]string{{"4930102", "bye"}}, Username: "4940999", Keys: []string{"domain", "test.local"}, Length: 5800 * time.Millisecond, RTPEcho: true, Timeout: 15 * time.Second})
	bob.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	bob.Expect(t, "CALL_CLOSED", 10*time.Second)
	caller.Done(t, 5*time.Second)
	heard(t, "bob", bob.Heard(t), 440, 880, audio.MuLaw)
	arrived(t, bob, capture, caller.Says, from, time.Now(), 440, 880, audio.MuLaw)
	if calls := caller.Calls(t); len(calls) != 1 || calls[0].Progress.IsZero() || calls[0].Status != 200 {
		t.Errorf("SIPp's log says %+v, expected one call that rang and was answered", calls)
	}
	if rows := g.records(t, 1); len(rows) == 1 {
		if got, want := recordOf(rows[0]), (record{"closed", "caller", 200, 16}); got != want {
			t.Errorf("the record says %+v, expected %+v", got, want)
		}
	}
}
