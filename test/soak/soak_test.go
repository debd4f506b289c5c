//go:build soak

package soak

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

const scenarios = "../e2e/sipp/"

// bed is Patchbay between SIPp's desk phone and SIPp's carrier.
type bed struct {
	g       *peers.Patchbay
	db      *peers.Postgres
	sip     netip.AddrPort
	phone   netip.AddrPort
	carrier *peers.SIPp
}

func startBed(t *testing.T, calls int, long time.Duration) *bed {
	t.Helper()
	addr := peers.Address(t)
	b := &bed{sip: netip.AddrPortFrom(addr, 5060), phone: netip.AddrPortFrom(peers.Address(t), 5060), db: peers.StartPostgres(t, peers.PostgresConfig{})}
	b.carrier = peers.StartSIPp(t, peers.SIPpConfig{Name: "carrier", Scenario: scenarios + "answer.xml", Timeout: long + 10*time.Minute, Limit: 2 * calls, RTPEcho: true})
	http := netip.AddrPortFrom(addr, 8888).String()
	// The phone's media is silence, so nobody may be hung up on for it; a test machine's disk may stall for long.
	b.g = peers.StartPatchbay(t, peers.PatchbayConfig{HTTP: http, Env: []string{"DATABASE=" + b.db.DSN()}, Settings: fmt.Sprintf(`demo: false
node: {name: soak, drain: 2s}
http: {listen: "%s"}
sip:
  listen: [{transport: udp, address: "%s"}]
  domain: test.local
media:
  addresses: [{bind: %s}]
  ports: {min: 20000, max: 29999}
  timeout: 0s
billing: {database: "${DATABASE}", stall: 5s}
limits: {calls: %d}
outbound: {allow: [any]}
users:
  - {id: desk, password: desk-secret-3}
trunks:
  - {id: telco, mode: address, proxy: "%s", addresses: [%s]}
routes:
  - {id: out, source: user, number: "4930*", to: [{trunk: telco}]}
`, http, b.sip, addr, 2*calls, b.carrier.SIP, b.carrier.SIP.Addr())})
	peers.StartSIPp(t, peers.SIPpConfig{Name: "register", Scenario: scenarios + "register.xml", Remote: b.sip, Bind: b.phone, Calls: 1,
		Username: "desk", Password: "desk-secret-3", Keys: []string{"domain", "test.local", "expires", "3600"}}).Done(t, 5*time.Second)
	return b
}

func (b *bed) call(t *testing.T, calls int, rate float64, length, long time.Duration) *peers.SIPp {
	t.Helper()
	users := make([][]string, calls)
	for i := range users {
		users[i] = []string{"4930555200", "bye"}
	}
	return peers.StartSIPp(t, peers.SIPpConfig{Name: "phone", Scenario: scenarios + "phone.xml", Remote: b.sip, Bind: b.phone, Calls: calls, Rate: rate, Limit: calls, Users: users,
		Username: "desk", Password: "desk-secret-3", Keys: []string{"domain", "test.local"}, Length: length, Timeout: long + 5*time.Minute})
}

func (b *bed) active(t *testing.T) int { return int(b.g.Metric(t, "patchbay_calls_active")) }

// over expects that all calls ended well, that each is on record once, and that what they took is given back.
func (b *bed) over(t *testing.T, phone *peers.SIPp, calls int, before map[string]float64) {
	t.Helper()
	phone.Done(t, 2*time.Minute)
	b.carrier.Finish(t, 30*time.Second)
	const sum = "select count(*) as n, count(*) filter (where state = 'closed' and sip_code = 200) as good from patchbay.call"
	want, got := fmt.Sprint(calls, " ", calls), ""
	for end := time.Now().Add(time.Minute); got != want && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		row := b.db.Query(t, sum)[0]
		got = fmt.Sprint(row["n"], " ", row["good"])
	}
	if got != want {
		t.Errorf("calls on record and those of them answered and closed: %s, expected %s", got, want)
	}
	// Ended calls keep their ports for seconds and their transactions for half a minute.
	for _, name := range []string{"go_goroutines", "process_open_fds"} {
		var now float64
		peers.Wait(t, 90*time.Second, name+" to go back", func() bool {
			now = b.g.Metric(t, name)
			return now <= before[name]+20
		})
		t.Logf("%s: %.0f before, %.0f after", name, before[name], now)
	}
}

// A thousand calls are held, and nothing grows meanwhile.
func TestSoakHeld(t *testing.T) {
	calls, hold := number(t, "PATCHBAY_SOAK_CALLS", 1000), duration(t, "PATCHBAY_SOAK_HOLD", 10*time.Minute)
	const rate = 20
	setup := time.Duration(calls) * time.Second / rate
	b := startBed(t, calls, hold+setup)
	before := b.g.Metrics(t)
	phone := b.call(t, calls, rate, hold+setup+20*time.Second, hold+setup)
	peers.Wait(t, 2*setup+30*time.Second, fmt.Sprintf("%d calls to be up", calls), func() bool { return b.active(t) >= calls })
	watch(t, b.g, hold, func() bool { return b.active(t) >= calls })
	b.over(t, phone, calls, before)
}

// Five calls a second come and go, each of five seconds, and nothing grows meanwhile.
func TestSoakRate(t *testing.T) {
	rate, long := number(t, "PATCHBAY_SOAK_RATE", 5), duration(t, "PATCHBAY_SOAK_FOR", 30*time.Minute)
	calls := rate * int(long.Seconds()+10)
	b := startBed(t, 20*rate, long)
	before := b.g.Metrics(t)
	phone := b.call(t, calls, float64(rate), 5*time.Second, long)
	peers.Wait(t, 30*time.Second, "the rate to be reached", func() bool { return b.active(t) >= 4*rate })
	watch(t, b.g, long-10*time.Second, func() bool { return b.active(t) > 0 })
	b.over(t, phone, calls, before)
}
