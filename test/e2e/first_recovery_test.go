//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

// Postgres is away for 20 s under five calls a second: none is refused, all are on record once.
func TestFirstPostgresAway(t *testing.T) {
	addr, phone := address(t), at(peers.Address(t))
	carrier := peers.StartSIPp(t, peers.SIPpConfig{Name: "carrier", Scenario: "sipp/answer.xml"})
	g := carrierGateway(t, addr, carrier.SIP.Addr(), peers.Address(t))
	registerDesk(t, g, phone)
	const count = 130 // 26 s
	var users [][]string
	for range count {
		users = append(users, []string{"4930555200", "bye"})
	}
	calls := peers.StartSIPp(t, peers.SIPpConfig{Name: "phone", Scenario: "sipp/phone.xml", Remote: g.sip, Bind: phone, Calls: count, Rate: 5, Users: users,
		Username: "desk", Password: "desk-secret-3", Keys: []string{"domain", "test.local"}, Length: 500 * time.Millisecond, Timeout: 45 * time.Second})
	time.Sleep(2 * time.Second)
	g.db.StopImmediate()
	time.Sleep(20 * time.Second)
	g.db.Start(t)
	calls.Done(t, 30*time.Second)
	carrier.Finish(t, 5*time.Second)
	for _, c := range calls.Calls(t) {
		if c.Status != 200 {
			t.Errorf("a call got %d while Postgres was away, expected 200", c.Status)
		}
	}
	g.records(t, count)
	if rows := g.db.Query(t, "select sip_call_id from patchbay.leg where role = 'caller' group by 1 having count(*) > 1"); len(rows) > 0 {
		t.Errorf("%d calls are on record twice", len(rows))
	}
}

// Patchbay is killed five times with twenty calls up: once while all of them are quiet, five of them ringing, and four
// times in a ramp of calls that come and go, at an instant that falls into the set-up of one of them, its ringing, the
// commit of its answer, its BYE. Every call is on record once and closed, and every peer is told.
func TestFirstKilled(t *testing.T) {
	t.Run("quiet", killedQuiet)
	// Who sends what to whom right before the kill; the rest of the instant is chance.
	for _, c := range []struct {
		name string
		is   func(m peers.Message, toGateway, byPhone bool) bool
	}{
		{"set-up", func(m peers.Message, toGateway, byPhone bool) bool {
			return toGateway && byPhone && m.Request("INVITE") && m.Header("Authorization")+m.Header("Proxy-Authorization") != ""
		}},
		{"ringing", func(m peers.Message, toGateway, byPhone bool) bool { return !toGateway && byPhone && m.Status == 180 }},
		{"commit", func(m peers.Message, toGateway, byPhone bool) bool {
			return toGateway && !byPhone && m.Status == 200 && m.Method == "INVITE"
		}},
		{"BYE", func(m peers.Message, toGateway, byPhone bool) bool { return toGateway && m.Request("BYE") }},
	} {
		t.Run(c.name, func(t *testing.T) { killedInRamp(t, c.is) })
	}
}

func killedQuiet(t *testing.T) {
	r := startRamp(t)
	var users [][]string
	for i := range 20 {
		number := "4930555200" // answered
		if i%4 == 3 {
			number = "4930555199" // rings on
		}
		users = append(users, []string{number, "wait"})
	}
	r.call(t, users)
	peers.Wait(t, 10*time.Second, "15 calls to be answered and 5 to ring", func() bool {
		answered, ringing := 0, 0
		for _, c := range r.phone.Calls(t) {
			if c.Status == 200 {
				answered++
			} else if !c.Progress.IsZero() {
				ringing++
			}
		}
		return answered == 15 && ringing == 5
	})
	time.Sleep(time.Duration(rand.IntN(700)) * time.Millisecond)
	r.kill(t)
	r.told(t)
	for _, row := range r.g.records(t, len(users)) {
		if row["state"] != "recovered" {
			t.Errorf("call %v is %v, expected recovered", row["call_id"], row["state"])
		}
	}
}

func killedInRamp(t *testing.T, is func(m peers.Message, toGateway, byPhone bool) bool) {
	r := startRamp(t)
	capture := peers.StartCapture(t)
	kinds := [][]string{{"4930555200", "bye"}, {"4930555201", "wait"}, {"4930555199", "cancel"}, {"4930555183", "bye"}, {"4930555200", "wait"}, {"4930555486", "refused"}}
	var users [][]string
	for i := range 400 { // more than will be made
		users = append(users, kinds[i%len(kinds)])
	}
	r.call(t, users)
	peers.Wait(t, 10*time.Second, "20 calls to be up", func() bool { return r.active(t) >= 20 })
	time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
	capture.Await(t, 5*time.Second, "message of that kind", func(p peers.Packet) bool {
		m := peers.SIP([]peers.Packet{p})
		return len(m) == 1 && is(m[0], p.Dst == r.g.sip, p.Src == r.at || p.Dst == r.at)
	})
	time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
	r.kill(t)
	r.told(t)
}

// ramp is a phone that calls a carrier through Patchbay.
type ramp struct {
	g              *gateway
	at             netip.AddrPort // the phone
	phone, carrier *peers.SIPp
}

func startRamp(t *testing.T) *ramp {
	t.Helper()
	addr := address(t)
	r := &ramp{at: at(peers.Address(t)), carrier: startCarrier(t, "carrier")}
	r.g = carrierGateway(t, addr, r.carrier.SIP.Addr(), peers.Address(t))
	registerDesk(t, r.g, r.at)
	return r
}

func (r *ramp) call(t *testing.T, users [][]string) {
	t.Helper()
	r.phone = peers.StartSIPp(t, peers.SIPpConfig{Name: "phone", Scenario: "sipp/phone.xml", Remote: r.g.sip, Bind: r.at, Calls: len(users), Rate: 20, Users: users,
		Username: "desk", Password: "desk-secret-3", Keys: []string{"domain", "test.local"}, Length: 800 * time.Millisecond, Timeout: 40 * time.Second})
}

// active is how many calls Patchbay has.
func (r *ramp) active(t *testing.T) int { return int(r.g.Metric(t, "patchbay_calls_active")) }

// kill kills Patchbay and starts it again; the phone makes no more calls.
func (r *ramp) kill(t *testing.T) {
	t.Helper()
	r.g.Kill()
	r.phone.Signal(syscall.SIGUSR1)
	r.g.Start(t)
}

// told expects that every call of the carrier's log, and every one of the phone's that got further than the challenge,
// is on record once and closed, and that every peer was told: who was answered has its BYE, who wasn't has a final
// response, or as the callee its CANCEL.
func (r *ramp) told(t *testing.T) {
	t.Helper()
	var left []string
	eventually(12*time.Second, func() bool { left = r.untold(t); return len(left) == 0 })
	for _, s := range left {
		t.Error(s)
	}
	for _, row := range r.g.db.Query(t, "select call_id, state from patchbay.call where state not in ('closed', 'recovered')") {
		t.Errorf("call %v is %v, expected closed", row["call_id"], row["state"])
	}
	byState := r.g.db.Query(t, "select state, count(*) as n from patchbay.call group by 1")
	t.Logf("%d calls at the phone, %d at the carrier; on record: %v", len(r.phone.Calls(t)), len(r.carrier.Calls(t)), byState)
}

// untold lists what is still missing.
func (r *ramp) untold(t *testing.T) (left []string) {
	t.Helper()
	onRecord := map[string]int{}
	for _, row := range r.g.db.Query(t, "select l.sip_call_id as id from patchbay.leg l join patchbay.call c using (call_id) where c.state in ('closed', 'recovered')") {
		onRecord[fmt.Sprint(row["id"])]++
	}
	for name, s := range map[string]*peers.SIPp{"phone": r.phone, "carrier": r.carrier} {
		for _, c := range s.Calls(t) {
			begun := name == "carrier" || further(c)
			if n := onRecord[c.ID]; begun && n != 1 || n > 1 {
				left = append(left, fmt.Sprintf("the %s's call %s to %s is on record %d times, expected once", name, c.ID, c.Number, n))
			}
			if what := missing(c, name == "carrier"); what != "" && begun {
				left = append(left, fmt.Sprintf("the %s's call %s to %s (status %d) got no %s", name, c.ID, c.Number, c.Status, what))
			}
		}
	}
	return left
}

// further tells whether the caller heard more than a challenge and 100: nobody else needs to know of such a call.
func further(c peers.Call) bool {
	return slices.ContainsFunc(c.Messages, func(m peers.Message) bool {
		return m.Method == "INVITE" && m.Status > 100 && m.Status != 401 && m.Status != 407
	})
}

// missing is what ends the call and isn't in its log.
func missing(c peers.Call, callee bool) string {
	switch {
	case !c.Answered.IsZero():
		// SIPp forgets a call that is cancelled right after it has answered, and answers its BYE no more.
		if c.Bye.IsZero() && (!callee || c.Cancel.IsZero()) {
			return "BYE"
		}
		if !c.Bye.IsZero() && c.Cancel.IsZero() && !slices.ContainsFunc(c.Messages, func(m peers.Message) bool { return m.Method == "BYE" && m.Status >= 200 }) {
			return "response to its BYE"
		}
	case callee:
		if c.Status < 300 && c.Cancel.IsZero() {
			return "CANCEL"
		}
	case c.Status < 300 || c.Status == 401 || c.Status == 407:
		return "final response"
	}
	return ""
}
