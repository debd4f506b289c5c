//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

// gateway is Patchbay with its Postgres, and what its settings say.
type gateway struct {
	*peers.Patchbay
	db   *peers.Postgres
	addr netip.Addr     // SIP, media and HTTP
	sip  netip.AddrPort // UDP and TCP
}

// settings are the parts of the settings file that a story chooses, as YAML list items.
type settings struct {
	users, trunks, routes string
	listen                string     // further listeners of SIP, indented list items
	sip, media            string     // further lines of the sections, indented
	http                  string     // further keys of http, each with a comma in front
	addresses             string     // further media addresses, each with a comma in front
	advertise             netip.Addr // for media; zero: the address itself
	allow                 string     // destinations of users; empty: any
	more                  string     // whole further sections
	billing               string     // further keys of billing, each with a comma in front
	disk                  string     // size of a disk of its own for Patchbay's data; empty: the test's
	level                 string     // of the log; empty: debug
	cores, others         string     // that Patchbay, and its Postgres, may use, as taskset takes them; empty: all
}

// address is the one that Patchbay gets. It must be the first that a test takes:
// baresip puts the first address of the interface into its SDP and sends from
// whatever address it sends to, and these must be the same.
func address(t *testing.T) netip.Addr { t.Helper(); return peers.Address(t) }

func startGateway(t *testing.T, addr netip.Addr, s settings) *gateway {
	t.Helper()
	g := &gateway{addr: addr, sip: netip.AddrPortFrom(addr, 5060), db: peers.StartPostgres(t, peers.PostgresConfig{Cores: s.others})}
	if !s.advertise.IsValid() {
		s.advertise = addr
	}
	http := netip.AddrPortFrom(addr, 8888).String()
	var b strings.Builder
	// A test machine's disk may stall for longer than the default allows; then new calls would be refused, rightly.
	fmt.Fprintf(&b, `demo: false
node: {name: e2e, drain: 2s}
log: {level: %s, format: json}
http: {listen: "%s"%s}
sip:
  listen:
    - {transport: udp, address: "%s"}
    - {transport: tcp, address: "%s"}
%s  domain: test.local
%smedia:
  addresses: [{bind: %s, advertise: %s}%s]
  ports: {min: 20000, max: 24999}
%sbilling: {database: "${DATABASE}", stall: 10s%s}
outbound: {allow: [%s]}
`, cmp.Or(s.level, "debug"), http, s.http, g.sip, g.sip, s.listen, s.sip, addr, s.advertise, s.addresses, s.media, s.billing, cmp.Or(s.allow, "any"))
	for _, part := range []struct{ key, items string }{{"users", s.users}, {"trunks", s.trunks}, {"routes", s.routes}} {
		if part.items != "" {
			fmt.Fprintf(&b, "%s:\n%s", part.key, part.items)
		}
	}
	b.WriteString(s.more)
	g.Patchbay = peers.StartPatchbay(t, peers.PatchbayConfig{Settings: b.String(), HTTP: http, Env: []string{"DATABASE=" + g.db.DSN()}, Cores: s.cores, Disk: s.disk})
	return g
}

// records waits until as many calls are on record and none is open, and returns them by start.
func (g *gateway) records(t *testing.T, want int) []map[string]any {
	t.Helper()
	var rows []map[string]any
	// A gateway takes calls before it has reached its database and made its tables there.
	peers.Wait(t, 20*time.Second, "the gateway to make its tables", func() bool {
		return g.db.Query(t, "select to_regclass('patchbay.call') is not null as there")[0]["there"] == true
	})
	eventually(10*time.Second, func() bool {
		rows = g.db.Query(t, "select * from patchbay.call order by started_at")
		for _, r := range rows {
			if s := r["state"]; s != "closed" && s != "recovered" {
				return false
			}
		}
		return len(rows) >= want
	})
	if len(rows) != want {
		t.Errorf("%d calls on record, expected %d", len(rows), want)
	}
	for _, r := range rows {
		if s := r["state"]; s != "closed" && s != "recovered" {
			t.Errorf("call %v is %v, expected closed", r["call_id"], s)
		}
	}
	return rows
}

// record is one call on record, with the fields a story compares.
type record struct {
	state, endParty string
	status, cause   int
}

func recordOf(row map[string]any) record {
	text := func(k string) string { s, _ := row[k].(string); return s }
	number := func(k string) int {
		if row[k] == nil {
			return 0
		}
		var n int
		_, _ = fmt.Sscan(fmt.Sprint(row[k]), &n)
		return n
	}
	return record{text("state"), text("end_party"), number("sip_code"), number("q850")}
}
