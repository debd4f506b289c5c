//go:build e2e

package e2e

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

// Calls of all outcomes through two trunks with prices: command line, REST and RPC say what calls and ratings sum up to in the
// database, to the last digit, from the rollups and from the calls.
func TestBillingReports(t *testing.T) {
	addr, phone := address(t), at(peers.Address(t))
	carrier := startCarrier(t, "carrier")
	second := peers.StartSIPp(t, peers.SIPpConfig{Name: "second", Scenario: "sipp/answer.xml"})
	customer, prices := at(peers.Address(t)), hearsPrices(t)
	g := startGateway(t, addr, settings{
		users: "  - {id: desk, password: desk-secret-3, tariff: sold}\n",
		trunks: fmt.Sprintf("  - {id: first, mode: address, proxy: \"%[1]s:5060\", addresses: [%[1]s], tariff: bought}\n  - {id: second, mode: address, proxy: \"%[2]s:5060\", addresses: [%[2]s], tariff: bought}\n"+
			"  - {id: customer, mode: address, proxy: \"%[3]s:5060\", addresses: [%[3]s], tariff_sell: sold}\n", carrier.SIP.Addr(), second.SIP.Addr(), customer.Addr()),
		routes: "  - {id: out, source: user, number: \"4930*\", to: [{trunk: first}, {trunk: second}]}\n  - {id: through, source: trunk, number: \"4930*\", to: [{trunk: first}]}\n",
		more:   "tariffs:\n  - {id: sold, decimals: 4}\n  - {id: bought, decimals: 6}\nrating: {currency: EUR, exchange: [{currency: USD, rate: \"0.9137\"}]}\n" + prices.settings(),
	})
	for _, d := range []struct{ name, currency, rows string }{
		{"sold", "EUR", "prefix,destination,price,first,next,connect_fee\n49,Germany,0.0601,1,1,0.0007\n"}, {"bought", "USD", "prefix,destination,price,first,next\n4930,Berlin,0.0123,6,6\n"},
	} {
		file := filepath.Join(peers.Folder(t), d.name+".csv")
		if err := os.WriteFile(file, []byte(d.rows), 0o644); err != nil {
			t.Fatal(err)
		}
		g.CLI(t, "deck", "import", d.name, file, "--currency", d.currency)
		g.CLI(t, "deck", "activate", d.name)
	}
	prices.later = time.Now().Add(time.Millisecond)
	registerDesk(t, g, phone)
	var users [][]string
	for _, o := range expected() {
		users = append(users, []string{o.number, o.how})
	}
	calls := peers.StartSIPp(t, peers.SIPpConfig{Name: "phone", Scenario: "sipp/phone.xml", Remote: g.sip, Bind: phone, Calls: len(users), Rate: 20, Users: users,
		Username: "desk", Password: "desk-secret-3", Keys: []string{"domain", "test.local"}, Length: 300 * time.Millisecond, Timeout: 45 * time.Second})
	brought := [][]string{{"4930555200", "bye"}, {"4930555486", "refused"}, {"4930555201", "wait"}}
	peers.StartSIPp(t, peers.SIPpConfig{Name: "customer", Scenario: "sipp/phone.xml", Remote: g.sip, Bind: customer, Calls: len(brought), Rate: 20, Users: brought,
		Username: "4940999", Keys: []string{"domain", "test.local"}, Length: 300 * time.Millisecond, Timeout: 45 * time.Second}).Done(t, 45*time.Second)
	calls.Done(t, 45*time.Second)
	carrier.Finish(t, 5*time.Second)
	second.Finish(t, 5*time.Second)
	g.records(t, len(users)+len(brought))
	peers.Wait(t, 30*time.Second, "all records to be in Postgres", func() bool { return g.Metric(t, "patchbay_outbox_events") == 0 })

	rows := func(sql string) []string {
		var out []string
		for _, r := range g.db.Query(t, sql) {
			out = append(out, fmt.Sprint(r["row"]))
		}
		slices.Sort(out)
		return out
	}
	sums := func() map[string][]string {
		return map[string][]string{
			"": rows(`SELECT concat_ws(' ', count(*), count(answered_at), 'EUR', (SELECT trim_scale(sum(amount_rounded * fx)) FROM patchbay.rating_current WHERE side = 'sell'),
				(SELECT trim_scale(sum(amount_rounded * fx)) FROM patchbay.rating_current WHERE side = 'buy')) AS row FROM patchbay.call`),
			"trunk": rows(`SELECT concat_ws(' ', trunk_id, count(*), count(answered_at), 'EUR', trim_scale(COALESCE(sum((SELECT sum(amount_rounded * fx) FROM patchbay.rating_current r WHERE r.call_id = l.call_id AND side = 'sell')) FILTER (WHERE answered_at IS NOT NULL AND role = 'callee'), 0)),
				trim_scale(COALESCE(sum((SELECT sum(amount_rounded * fx) FROM patchbay.rating_current r WHERE r.call_id = l.call_id AND side = 'buy' AND r.account = 'trunk:' || l.trunk_id)), 0))) AS row FROM patchbay.leg l WHERE trunk_id IS NOT NULL GROUP BY trunk_id`),
			"account": rows(`SELECT concat_ws(' ', who, count(*), count(answered_at), 'EUR', trim_scale(COALESCE(sum((SELECT sum(amount_rounded * fx) FROM patchbay.rating_current r WHERE r.call_id = c.call_id AND side = 'sell' AND r.account = who)), 0)),
				trim_scale(COALESCE(sum((SELECT sum(amount_rounded * fx) FROM patchbay.rating_current r WHERE r.call_id = c.call_id AND side = 'buy')), 0))) AS row
				FROM (SELECT c.*, COALESCE('user:' || c.account, 'trunk:' || l.trunk_id) AS who FROM patchbay.call c JOIN patchbay.leg l ON l.call_id = c.call_id AND l.role = 'caller') c GROUP BY who`),
		}
	}
	want := sums()
	if whole := want[""]; len(whole) != 1 || strings.Contains(whole[0], " 0 ") || len(want["trunk"]) != 3 || len(want["account"]) != 2 {
		t.Fatalf("in the database: %v", want)
	}
	rpc := openRPC(t, "ws://"+g.addr.String()+":8888/kurento")
	defer rpc.Close()
	compare := func(want map[string][]string) {
		t.Helper()
		for by, want := range want {
			for _, source := range []string{"auto", "calls"} {
				for who, got := range map[string][]string{"command line": g.reportByCLI(t, by, source), "REST": g.reportByREST(t, by, source), "RPC": reportByRPC(t, rpc, by, source)} {
					if !slices.Equal(got, want) {
						t.Errorf("money by %q of %s, %s: %v, in the database %v", by, source, who, got, want)
					}
				}
			}
		}
	}
	compare(want)
	g.reportsOnPage(t, want[""][0])
	prices.change(t, g)
	again := sums()
	if again["account"][0] == want["account"][0] || again["account"][1] != want["account"][1] {
		t.Errorf("rated again: %v, before %v", again, want)
	}
	compare(map[string][]string{"account": again["account"]})
}

// chosen are the columns that a story compares.
func chosen(by string) []string {
	c := []string{"calls", "answered", "currency", "sell", "buy"}
	if by != "" {
		return append([]string{by}, c...)
	}
	return c
}

func lines(columns []string, rows [][]string, by string) []string {
	var out []string
	for _, r := range rows {
		var cells []string
		for _, name := range chosen(by) {
			cells = append(cells, r[slices.Index(columns, name)])
		}
		out = append(out, strings.Join(cells, " "))
	}
	slices.Sort(out)
	return out
}

func (g *gateway) reportByCLI(t *testing.T, by, source string) []string {
	t.Helper()
	all, err := csv.NewReader(strings.NewReader(g.CLI(t, "report", "money", "--by", by, "--source", source, "--format", "csv", "--from", "2020-01-01", "--zone", "UTC"))).ReadAll()
	if err != nil || len(all) == 0 {
		t.Fatalf("%v %v", all, err)
	}
	return lines(all[0], all[1:], by)
}

func (g *gateway) reportByREST(t *testing.T, by, source string) []string {
	t.Helper()
	code, body := g.Get(t, "/api/v1/reports/money?"+url.Values{"by": {by}, "source": {source}, "from": {"2020-01-01"}}.Encode())
	var got struct {
		Rows []map[string]any `json:"rows"`
	}
	if err := json.Unmarshal([]byte(body), &got); code != 200 || err != nil {
		t.Fatalf("%d %s %v", code, body, err)
	}
	var rows [][]string
	for _, r := range got.Rows {
		var cells []string
		for _, name := range chosen(by) {
			cells = append(cells, fmt.Sprint(r[name]))
		}
		rows = append(rows, cells)
	}
	return lines(chosen(by), rows, by)
}

func reportByRPC(t *testing.T, c *rpcClient, by, source string) []string {
	t.Helper()
	query := o{"source": source, "from": "2020-01-01"}
	if by == "" {
		by = "tenant" // without it the report's own dimension: all calls are of one
	}
	query["by"] = by
	var got struct {
		Columns []struct{ Name string }
		Rows    []struct{ Values []string }
	}
	if err := json.Unmarshal(c.invoke(t, "manager_TelephonyManager", "report", o{"name": "money", "query": query}), &got); err != nil {
		t.Fatal(err)
	}
	var columns []string
	for _, x := range got.Columns {
		columns = append(columns, x.Name)
	}
	var rows [][]string
	for _, r := range got.Rows {
		rows = append(rows, r.Values)
	}
	if by == "tenant" {
		by = ""
	}
	return lines(columns, rows, by)
}
