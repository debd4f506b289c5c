//go:build e2e && sipload

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

// What a gateway on one core must bear, and what it may keep of calls that are over.
const (
	loadRate    = 200 // calls per second
	loadFor     = 30 * time.Second
	loadCalls   = loadRate * int(loadFor/time.Second)
	loadRecords = 30 * time.Second // from the last BYE until all records are complete
	mostKept    = 8 << 10          // bytes per finished call, 5 s after the last BYE
	mostLeft    = 5 << 20          // bytes in all, after 40 s
)

// 200 calls a second through two trunks, with media ports and durable records: none fails, all are on record, and what they
// took is given back.
func TestSiploadCalls(t *testing.T) {
	const own, others = "0", "1"
	addr, caller := address(t), at(peers.Address(t))
	carrier := peers.StartSIPp(t, peers.SIPpConfig{Name: "carrier", Scenario: "sipp/answer.xml", Limit: 4 * loadRate * 10, Timeout: 5 * time.Minute, Cores: others, Quiet: true})
	g := startGateway(t, addr, settings{
		trunks: fmt.Sprintf("  - {id: in, mode: address, proxy: \"%s\", addresses: [%s]}\n  - {id: out, mode: address, proxy: \"%s\", addresses: [%s]}\n",
			caller, caller.Addr(), carrier.SIP, carrier.SIP.Addr()),
		routes: "  - {id: through, source: \"trunk:in\", to: [{trunk: out}]}\n",
		level:  "info", cores: own, others: others,
	})
	before, heap := g.Metrics(t), g.Heap(t)
	users := make([][]string, loadCalls)
	for i := range users {
		users[i] = []string{fmt.Sprint("4930", 555000000+i), "bye"}
	}
	phone := peers.StartSIPp(t, peers.SIPpConfig{Name: "caller", Scenario: "sipp/phone.xml", Remote: g.sip, Bind: caller, Calls: loadCalls, Rate: loadRate, Limit: 4 * loadRate,
		Users: users, Username: "4940999", Keys: []string{"domain", "test.local"}, Length: time.Second, Timeout: 2 * loadFor, Cores: others, Quiet: true, Args: []string{"-timer_resol", "1"}})
	time.Sleep(loadFor / 4)
	g.Profile(t, fmt.Sprintf("profile?seconds=%d", int(loadFor.Seconds()/2)), "cpu.pprof")
	phone.Done(t, 2*loadFor)
	last := time.Now()
	after := g.Metrics(t)
	carrier.Finish(t, 10*time.Second)
	cpu := after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]
	t.Logf("%d calls in %s, failed %s, retransmissions %s, CPU %.0f us per call, %.0f %% of the core", loadCalls, phone.Stat(t, "ElapsedTime(C)"), phone.Stat(t, "FailedCall(C)"),
		phone.Stat(t, "Retransmissions(C)"), cpu*1e6/float64(loadCalls), cpu/loadFor.Seconds()*100)
	if got := phone.Stat(t, "SuccessfulCall(C)"); got != fmt.Sprint(loadCalls) {
		t.Errorf("%s calls were as they should, expected all %d", got, loadCalls)
	}

	time.Sleep(time.Until(last.Add(5 * time.Second)))
	kept := float64(g.Heap(t)-heap) / float64(loadCalls)
	if t.Logf("heap: %d kB at first, %.2f kB kept per finished call 5 s after the last BYE", heap>>10, kept/1024); kept > mostKept {
		t.Errorf("%.0f bytes are kept per finished call, expected %d at most", kept, mostKept)
	}
	g.Profile(t, "heap", "heap.pprof")
	g.onRecord(t, loadCalls, last.Add(loadRecords))
	t.Logf("all records were complete after %v", time.Since(last).Round(time.Millisecond))

	time.Sleep(time.Until(last.Add(40 * time.Second)))
	left := g.Heap(t) - heap
	if t.Logf("heap: %+d kB after 40 s", left>>10); left > mostLeft {
		t.Errorf("after 40 s %d bytes are left, expected %d at most", left, mostLeft)
	}
	m := g.Metrics(t)
	for _, name := range []string{"patchbay_calls_active", "go_goroutines", "process_open_fds",
		fmt.Sprintf("patchbay_ports_used{address=%q}", addr), fmt.Sprintf("patchbay_ports_held{address=%q}", addr),
		`patchbay_sip_transactions{role="client"}`, `patchbay_sip_transactions{role="server"}`} {
		if t.Logf("%s: %.0f before, %.0f after", name, before[name], m[name]); m[name] > before[name]+5 {
			t.Errorf("%s is %.0f, expected %.0f as before", name, m[name], before[name])
		}
	}
}

// onRecord waits until as many calls, answered and over, are on record whole.
func (g *gateway) onRecord(t *testing.T, calls int, until time.Time) {
	t.Helper()
	const sum = `select (select count(*) from patchbay.call where state = 'closed' and sip_code = 200 and q850 = 16) as calls,
		(select count(*) from patchbay.leg where ended_at is not null and answered_at is not null) as legs`
	want, got := fmt.Sprint(calls, " ", 2*calls), ""
	for got != want {
		row := g.db.Query(t, sum)[0]
		if got = fmt.Sprint(row["calls"], " ", row["legs"]); got != want && time.Now().After(until) {
			t.Fatalf("calls and legs on record, answered and closed: %s, expected %s", got, want)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
