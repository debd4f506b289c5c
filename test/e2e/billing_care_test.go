//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchbay/patchbay/billing/webhook"
	"github.com/patchbay/patchbay/test/peers"
)

const webhookSecret = "a secret that both sides know, and nobody else"

// told is a program that webhooks tell of calls.
type told struct {
	away  atomic.Bool
	tries atomic.Int64

	mu     sync.Mutex
	kinds  map[string][]string // by call, in order
	status map[string]int      // by call, when it ended
}

func (p *told) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.tries.Add(1)
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = webhook.Verify([]byte(webhookSecret), r.Header, body, time.Now(), 5*time.Minute)
	}
	var m struct {
		Type string `json:"type"`
		Call struct {
			ID    string `json:"id"`
			Cause struct {
				SIP int `json:"sip"`
			} `json:"cause"`
		} `json:"call"`
	}
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	case p.away.Load():
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.kinds[m.Call.ID], m.Type) {
		p.kinds[m.Call.ID] = append(p.kinds[m.Call.ID], m.Type)
	}
	if m.Type == "call.end" {
		p.status[m.Call.ID] = m.Call.Cause.SIP
	}
}

// While nobody takes its webhooks the gateway dies; started again it tells all calls, in order, and its file has each once. What it keeps is
// backed up while it runs, restored elsewhere, and moves to another database.
func TestBillingCare(t *testing.T) {
	addr, phone := address(t), at(peers.Address(t))
	carrier := startCarrier(t, "carrier")
	p := &told{kinds: map[string][]string{}, status: map[string]int{}}
	p.away.Store(true)
	crm := httptest.NewServer(p)
	defer crm.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "calls.ndjson")
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte(webhookSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	g := startGateway(t, addr, settings{
		users:   "  - {id: desk, password: desk-secret-3}\n",
		trunks:  fmt.Sprintf("  - {id: first, mode: address, proxy: \"%[1]s:5060\", addresses: [%[1]s]}\n", carrier.SIP.Addr()),
		routes:  "  - {id: out, source: user, number: \"4930*\", to: [{trunk: first}]}\n",
		billing: fmt.Sprintf(", calls_file: {path: %q}", file),
		more:    fmt.Sprintf("webhooks:\n  - {id: crm, url: %q, private: true, secret: \"file:%s\"}\n", crm.URL, secret),
	})
	registerDesk(t, g, phone)
	var users [][]string
	for _, o := range outcomes() {
		users = append(users, []string{o.number, o.how})
	}
	calls := peers.StartSIPp(t, peers.SIPpConfig{Name: "phone", Scenario: "sipp/phone.xml", Remote: g.sip, Bind: phone, Calls: len(users), Rate: 10, Users: users,
		Username: "desk", Password: "desk-secret-3", Keys: []string{"domain", "test.local"}, Length: 300 * time.Millisecond, Timeout: 45 * time.Second})
	calls.Done(t, 45*time.Second)
	if !eventually(10*time.Second, func() bool { return p.tries.Load() > 0 }) {
		t.Error("webhooks were not even tried")
	}
	g.records(t, len(users)) // a call that it leaves open is hung up by the next, at a carrier that has forgotten it
	g.Kill()
	p.away.Store(false)
	g.Start(t)
	rows := g.records(t, len(users))
	lines := func() int { b, _ := os.ReadFile(file); return bytes.Count(b, []byte{'\n'}) }
	if !eventually(30*time.Second, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.status) == len(users) && lines() >= len(users)
	}) {
		t.Errorf("%d ends told and %d lines written of %d calls", len(p.status), lines(), len(users))
	}
	p.mu.Lock()
	for _, r := range rows {
		u, _ := r["call_id"].([16]byte)
		id := fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
		want := "call.start call.end"
		if r["answered_at"] != nil {
			want = "call.start call.answer call.end"
		}
		if got := strings.Join(p.kinds[id], " "); got != want || p.status[id] != recordOf(r).status {
			t.Errorf("call %s: told %s and status %d, expected %s and %d", id, got, p.status[id], want, recordOf(r).status)
		}
		if b, _ := os.ReadFile(file); bytes.Count(b, []byte(`"id":"`+id+`:`)) != 1 {
			t.Errorf("call %s isn't in the file once", id)
		}
	}
	p.mu.Unlock()
	careOf(t, g, dir, len(users))
}

// careOf backs up, restores and moves what a running gateway keeps.
func careOf(t *testing.T, g *gateway, dir string, calls int) {
	backup := filepath.Join(dir, "backup.zip")
	said := fmt.Sprintf("%d calls, ", calls)
	if out := g.CLI(t, "db", "backup", backup); !strings.Contains(out, said) {
		t.Errorf("backup: %s", out)
	}
	dsn := func(database string) string {
		g.db.Query(t, "create database "+database)
		return strings.Replace(g.db.DSN(), "/patchbay?", "/"+database+"?", 1)
	}
	other := filepath.Join(dir, "other.yaml")
	if err := os.WriteFile(other, fmt.Appendf(nil, "node: {data: %s}\nbilling: {database: \"${OTHER}\"}\n", filepath.Join(dir, "data")), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"OTHER=" + dsn("other")}
	if out, why, code := peers.RunPatchbay(t, env, "db", "restore", backup, "--config", other); code != 0 || !strings.Contains(out, said) {
		t.Errorf("restore: %d %s%s", code, out, why)
	}
	if _, why, code := peers.RunPatchbay(t, env, "db", "restore", backup, "--config", other); code == 0 || !strings.Contains(why, "--force") {
		t.Errorf("restored over records: %d %s", code, why)
	}
	if out := g.CLI(t, "db", "migrate-to", dsn("moved")); !strings.Contains(out, said) {
		t.Errorf("move: %s", out)
	}
	if out := g.CLI(t, "db", "status"); !strings.Contains(out, "nothing is written here any more") {
		t.Errorf("status: %s", out)
	}
}
