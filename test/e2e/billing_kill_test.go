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

// What a kill meets.
const (
	killedCalls   = 100 // that are up
	killedRinging = 20  // of which the callee hasn't answered
	lastSign      = 10 * time.Second
	toldAll       = 30 * time.Second // until every peer has been told that its call is over
)

// Patchbay is killed again and again, each time with a hundred calls up, of which twenty ring, and others that come and go: at any
// instant, and at every other time while an answer is being committed. Every call of the logs is on record once, all are closed,
// no peer is left without its BYE or final response, and nobody pays for time after the kill.
func TestBillingKilled(t *testing.T) {
	addr, phone, other := address(t), at(peers.Address(t)), at(peers.Address(t))
	capture := peers.StartCapture(t)
	carrier := startCarrier(t, "carrier")
	second := peers.StartSIPp(t, peers.SIPpConfig{Name: "second", Scenario: "sipp/answer.xml"})
	g := ratedGateway(t, addr, carrier.SIP.Addr(), second.SIP.Addr())
	registerDesk(t, g, phone)
	registerDesk(t, g, other)
	var phones []*peers.SIPp
	var kills []time.Time
	for i := range killTimes {
		up, beside := g.callsUp(t, phone, other, i)
		phones = append(phones, up, beside)
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
		if i%2 == 1 {
			began := time.Now()
			capture.Await(t, 20*time.Second, "answer on its way to Patchbay", func(p peers.Packet) bool {
				m := peers.SIP([]peers.Packet{p})
				return len(m) == 1 && p.At.After(began) && p.Dst == g.sip && p.Src == carrier.SIP && m[0].Status == 200 && m[0].Method == "INVITE"
			})
			time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
		}
		g.Kill()
		kills = append(kills, time.Now())
		beside.Signal(syscall.SIGUSR1)
		up.Signal(syscall.SIGUSR1)
		g.Start(t)
		told := eventually(toldAll, func() bool { return len(untold(t, up, beside, carrier, second)) == 0 })
		if !told {
			t.Fatalf("kill %d: %q", i+1, untold(t, up, beside, carrier, second))
		}
		for _, p := range []*peers.SIPp{up, beside} {
			p.Stop(syscall.SIGTERM, time.Second) // it waits for what calls that it has given up were to bring
		}
	}
	carrier.Finish(t, 10*time.Second)
	second.Finish(t, 10*time.Second)
	// A record is closed once its peers have confirmed that it is over, or had the time to.
	peers.Wait(t, allStored, "all calls to be closed", func() bool {
		return len(g.db.Query(t, "select call_id from patchbay.call where state not in ('closed', 'recovered')")) == 0
	})
	g.stored(t)
	var phoned []peers.Call
	for _, p := range phones {
		phoned = append(phoned, p.Calls(t)...)
	}
	onRecordOnce(t, g, phoned, append(carrier.Calls(t), second.Calls(t)...))
	gapless(t, g, "closed", "recovered")
	costs(t, g)
	recoveredInTime(t, g, kills)
}

// callsUp has a hundred calls up, and begins with others beside that last for less than a second each.
func (g *gateway) callsUp(t *testing.T, phone, other netip.AddrPort, round int) (up, beside *peers.SIPp) {
	t.Helper()
	call := func(name string, from netip.AddrPort, users [][]string, rate float64) *peers.SIPp {
		return peers.StartSIPp(t, peers.SIPpConfig{Name: fmt.Sprint(name, round), Scenario: "sipp/phone.xml", Remote: g.sip, Bind: from, Calls: len(users), Rate: rate, Limit: 1000, Users: users,
			Username: "desk", Password: "desk-secret-3", Keys: []string{"domain", "test.local"}, Length: 300 * time.Millisecond, Timeout: 3 * time.Minute})
	}
	var users [][]string
	for i := range killedCalls {
		number := "4930555200" // answered
		if i%(killedCalls/killedRinging) == 0 {
			number = "4930555199" // rings on
		}
		users = append(users, []string{number, "wait"})
	}
	up = call("up", phone, users, killedCalls)
	peers.Wait(t, 30*time.Second, "all calls to be up", func() bool {
		answered, ringing := 0, 0
		for _, c := range up.Calls(t) {
			if c.Status == 200 {
				answered++
			} else if !c.Progress.IsZero() {
				ringing++
			}
		}
		return answered == killedCalls-killedRinging && ringing == killedRinging
	})
	kinds := [][]string{{"4930555200", "bye"}, {"4930555199", "cancel"}, {"4930555183", "bye"}, {"4930555486", "refused"}, {"4930555503", "bye"}}
	users = nil
	for i := range 2000 { // more than will be made
		users = append(users, kinds[i%len(kinds)])
	}
	beside = call("beside", other, users, logRate)
	peers.Wait(t, 30*time.Second, "others to come and go", func() bool { return int(g.Metric(t, "patchbay_calls_active")) >= killedCalls+5 })
	return up, beside
}

// untold lists the calls in SIPp's logs that nobody has ended.
func untold(t *testing.T, up, beside, carrier, second *peers.SIPp) (left []string) {
	t.Helper()
	for _, s := range []*peers.SIPp{up, beside, carrier, second} {
		callee := s == carrier || s == second
		for _, c := range s.Calls(t) {
			if what := missing(c, callee); what != "" && (callee || further(c)) {
				left = append(left, fmt.Sprintf("call %s to %s (status %d) got no %s", c.ID, c.Number, c.Status, what))
			}
		}
	}
	return left
}

// recoveredInTime holds the ends of recovered calls against the kills: at the last sign of life, never later than the kill.
func recoveredInTime(t *testing.T, g *gateway, kills []time.Time) {
	t.Helper()
	rows := g.db.Query(t, "select call_id, answered_at, ended_at, setup_at, bill_ms from patchbay.call where state = 'recovered'")
	if len(rows) < killedCalls*len(kills) {
		t.Errorf("%d calls were recovered after %d kills, expected %d at least", len(rows), len(kills), killedCalls*len(kills))
	}
	var most time.Duration
	for _, r := range rows {
		began, ended := r["setup_at"].(time.Time), r["ended_at"].(time.Time)
		i := slices.IndexFunc(kills, began.Before)
		if i < 0 {
			continue // it began while the next start was on its way, which nobody kills
		}
		early := kills[i].Sub(ended)
		if most = max(most, early); early < 0 || early > lastSign+5*time.Second {
			t.Errorf("call %v ends %v before the kill on record, expected 0 to %v", r["call_id"], early, lastSign)
		}
		if at, ok := r["answered_at"].(time.Time); ok {
			if bill, talked := time.Duration(number(r["bill_ms"]))*time.Millisecond, kills[i].Sub(at); bill > talked+time.Millisecond {
				t.Errorf("call %v is billed %v, and talked for %v until the kill", r["call_id"], bill, talked)
			}
		}
	}
	t.Logf("%d calls recovered after %d kills, their ends at most %v before the kill", len(rows), len(kills), most)
}
