package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/gateway/call"
)

// postgresReaches makes a folder that the user of a private Postgres can reach.
func postgresReaches(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The commands that look after a private database, in the order in which one may need them.
func TestDatabaseCommands(t *testing.T) {
	_, events := play(t, append(answered[:len(answered):len(answered)],
		scene{67_201, 3, call.LegEnd{Cause: call.Normal, HungUp: true}},
		scene{67_203, 0, call.End{By: call.Callee, Cause: call.Normal}}))
	dir := postgresReaches(t)
	file, backup := filepath.Join(dir, "f.yaml"), filepath.Join(dir, "backup.zip")
	write(t, file, "node: {data: "+filepath.Join(dir, "data")+", name: gw1}\n")
	// What is only in the journal when a backup is asked for is in the backup.
	s, err := billing.Open(t.Context(), billing.Config{Dir: filepath.Join(dir, "data", "billing"), Database: billing.None, Node: "gw1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := s.Commit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	says := func(want string, args ...string) {
		t.Helper()
		if out, err := run(append(args, "--config", file)...); err != nil || !strings.Contains(out, want) {
			t.Errorf("%v: %v %s, expected %q", args, err, out, want)
		}
	}
	refuses := func(want string, args ...string) {
		t.Helper()
		if out, err := run(append(args, "--config", file)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v %s, expected an error that says %q", args, err, out, want)
		}
	}
	says("1 calls, ", "db", "backup", backup)
	refuses("is there already", "db", "backup", backup)
	says("nothing waits", "db", "status")
	out, err := run("db", "status", "--json", "--config", file)
	var st billing.Status
	if e := json.Unmarshal([]byte(out), &st); e != nil || err != nil || st.Schema != st.Known || len(st.Nodes) != 1 || len(st.Partitions) < 5 {
		t.Errorf("%v %v %s", e, err, out)
	}
	refuses("--force removes them", "db", "restore", backup)
	says("1 calls, ", "db", "restore", "--force", backup)
	refuses("checksum", "db", "restore", file)
	says("there is nothing to do", "db", "upgrade")
	refuses("expected postgres://", "db", "migrate-to", "mysql://h/d")
	refuses("the new database", "db", "migrate-to", "postgres:///nowhere?host="+dir)
	says("ID", "webhook", "list")
	refuses("nothing is chosen", "webhook", "retry")
	refuses("no such messages", "webhook", "retry", "1")
	refuses("expected pending or dead", "webhook", "list", "--state", "lost")
	says(time.Now().Format("2006"), "db", "status") // the months to come

	// A hook's secret is in an environment that cron doesn't have: only the gateway, which delivers, needs it.
	write(t, file, "node: {data: "+filepath.Join(dir, "data")+", name: gw1}\nwebhooks: [{id: crm, url: \"https://crm.example.com\", secret: \"${PATCHBAY_TEST_UNSET}\"}]\n")
	says("1 calls, ", "db", "backup", backup+".2")
	says("nothing waits", "db", "status")

	// Prices are in the house's currency unless somebody says otherwise.
	prices := filepath.Join(dir, "prices.csv")
	write(t, prices, "prefix,price\n41,0.02\n")
	write(t, file, "node: {data: "+filepath.Join(dir, "data")+", name: gw1}\nrating: {currency: CHF}\n")
	says("1 rates in CHF, staged", "deck", "import", "retail", prices)
}
