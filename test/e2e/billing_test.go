//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

const (
	logRate   = 30                     // calls per second
	slowDisk  = 200 * time.Millisecond // of each of Postgres's commits, while it is slow
	inTime    = 10 * time.Millisecond  // that 95 of 100 durations are off at most
	allStored = time.Minute            // from the last call until Postgres has all records
)

// What calls cost: numbers begin with 49, and one has a price of its own.
const (
	sold   = "prefix,price,first,next,connect_fee\n49,0.0601,1,1,0.0007\n4930555201,0.6,60,30,\n"
	bought = "prefix,price,first,next\n4930,0.0123,6,6\n"
)

// Thirty calls a second of all outcomes, while Postgres is stopped, comes back slow, and is started again: SIPp's own log and the
// records say the same, as sets and as sums, and what calls cost is what the log's calls cost.
func TestBillingLog(t *testing.T) {
	addr, phone := address(t), at(peers.Address(t))
	carrier := startCarrier(t, "carrier")
	second := peers.StartSIPp(t, peers.SIPpConfig{Name: "second", Scenario: "sipp/answer.xml"})
	g := ratedGateway(t, addr, carrier.SIP.Addr(), second.SIP.Addr())
	registerDesk(t, g, phone)
	var users [][]string
	for wanted := expected(); len(users) < logRate*int(logFor/time.Second); {
		o := wanted[len(users)%len(wanted)]
		users = append(users, []string{o.number, o.how})
	}
	lateness := watchLateness()
	calls := peers.StartSIPp(t, peers.SIPpConfig{Name: "phone", Scenario: "sipp/phone.xml", Remote: g.sip, Bind: phone, Calls: len(users), Rate: logRate, Limit: 20 * logRate, Users: users,
		Username: "desk", Password: "desk-secret-3", Keys: []string{"domain", "test.local"}, Length: 300 * time.Millisecond, Timeout: logFor + time.Minute})
	time.Sleep(logQuiet)
	g.db.StopImmediate()
	peers.Wait(t, 10*time.Second, "the gateway to say that the database is away", func() bool { return g.Metric(t, "patchbay_database_connected") == 0 })
	time.Sleep(logAway)
	if n := g.Metric(t, "patchbay_outbox_events"); n < logRate {
		t.Errorf("patchbay_outbox_events is %v after %v without a database, expected more", n, logAway)
	}
	g.db.Slow(t, slowDisk)
	g.db.Start(t)
	time.Sleep(logSlow)
	g.db.StopFast()
	g.db.Slow(t, 0)
	g.db.Start(t)
	calls.Done(t, logFor+time.Minute)
	late := lateness()
	carrier.Finish(t, 10*time.Second)
	second.Finish(t, 10*time.Second)
	g.stored(t)

	phoned, carried := calls.Calls(t), append(carrier.Calls(t), second.Calls(t)...)
	if len(phoned) != len(users) {
		t.Errorf("the phone's log has %d calls, expected %d", len(phoned), len(users))
	}
	onRecordOnce(t, g, phoned, carried)
	asPromised(t, g, phoned)
	durations(t, g, phoned, carried, inTime+4*late)
	gapless(t, g, "closed")
	costs(t, g)
}

// ratedGateway is a carrierGateway whose calls have prices.
func ratedGateway(t *testing.T, addr, first, second netip.Addr) *gateway {
	t.Helper()
	g := startGateway(t, addr, settings{
		users: "  - {id: desk, password: desk-secret-3, tariff: retail}\n",
		trunks: fmt.Sprintf("  - {id: first, mode: address, proxy: \"%s:5060\", addresses: [%s], tariff: wholesale}\n  - {id: second, mode: address, proxy: \"%s:5060\", addresses: [%s], tariff: wholesale}\n",
			first, first, second, second),
		routes: "  - {id: out, source: user, number: \"4930*\", to: [{trunk: first}, {trunk: second}]}\n",
		more:   "tariffs:\n  - {id: retail, decimals: 4}\n  - {id: wholesale, decimals: 6}\n",
		level:  "info",
	})
	deck(t, g, "retail", sold)
	deck(t, g, "wholesale", bought)
	return g
}

// deck imports prices and lets them hold from now on.
func deck(t *testing.T, g *gateway, name, csv string) {
	t.Helper()
	file := filepath.Join(peers.Folder(t), name+".csv")
	if err := os.WriteFile(file, []byte(csv), 0o644); err != nil {
		t.Fatal(err)
	}
	g.CLI(t, "deck", "import", name, file, "--currency", "EUR")
	g.CLI(t, "deck", "activate", name)
}

// stored waits until no call is left, and Postgres has all that is on record.
func (g *gateway) stored(t *testing.T) {
	t.Helper()
	peers.Wait(t, allStored, "all records to be in Postgres", func() bool {
		m := g.Metrics(t)
		return m["patchbay_calls_active"] == 0 && m["patchbay_database_connected"] == 1 && m["patchbay_outbox_events"] == 0
	})
	for _, name := range []string{"patchbay_journal_dropped_total", "patchbay_projection_dead_total", "patchbay_journal_failed_writes_total"} {
		if n := g.Metric(t, name); n != 0 {
			t.Errorf("%s is %v, expected 0", name, n)
		}
	}
}
