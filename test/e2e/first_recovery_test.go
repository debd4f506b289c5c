//go:build e2e

package e2e

import (
	"math/rand/v2"
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

// Patchbay is killed with twenty calls up, five of them ringing, five times at
// random instants: every call is on record once and closed, and every peer is told.
func TestFirstKilled(t *testing.T) {
	for run := range 5 {
		t.Run(string(rune('1'+run)), killed)
	}
}

func killed(t *testing.T) {
	addr, phone := address(t), at(peers.Address(t))
	carrier := startCarrier(t, "carrier")
	g := carrierGateway(t, addr, carrier.SIP.Addr(), peers.Address(t))
	registerDesk(t, g, phone)
	var users [][]string
	for i := range 20 {
		number := "4930555200" // answered
		if i%4 == 3 {
			number = "4930555199" // rings on
		}
		users = append(users, []string{number, "wait"})
	}
	calls := peers.StartSIPp(t, peers.SIPpConfig{Name: "phone", Scenario: "sipp/phone.xml", Remote: g.sip, Bind: phone, Calls: len(users), Rate: 20, Users: users,
		Username: "desk", Password: "desk-secret-3", Keys: []string{"domain", "test.local"}, Timeout: 40 * time.Second})
	peers.Wait(t, 10*time.Second, "15 calls to be answered and 5 to ring", func() bool {
		answered, ringing := 0, 0
		for _, c := range calls.Calls(t) {
			if c.Status == 200 {
				answered++
			} else if !c.Progress.IsZero() {
				ringing++
			}
		}
		return answered == 15 && ringing == 5
	})
	time.Sleep(time.Duration(rand.IntN(700)) * time.Millisecond)
	g.Kill()
	g.Start(t)
	rows := g.records(t, len(users))
	for _, r := range rows {
		if r["state"] != "recovered" {
			t.Errorf("call %v is %v, expected recovered", r["call_id"], r["state"])
		}
	}
	ended := func(s *peers.SIPp) (n int) {
		for _, c := range s.Calls(t) {
			if c.Status == 200 && !c.Bye.IsZero() {
				n++
			}
		}
		return n
	}
	for name, s := range map[string]*peers.SIPp{"phone": calls, "carrier": carrier} {
		if !eventually(5*time.Second, func() bool { return ended(s) == 15 }) {
			t.Errorf("%d of 15 answered calls got their BYE at the %s", ended(s), name)
		}
	}
	cancelled := func() (n int) {
		for _, c := range carrier.Calls(t) {
			if !c.Cancel.IsZero() {
				n++
			}
		}
		return n
	}
	if !eventually(5*time.Second, func() bool { return cancelled() == 5 }) {
		t.Errorf("%d of 5 ringing calls were cancelled at the carrier", cancelled())
	}
}
