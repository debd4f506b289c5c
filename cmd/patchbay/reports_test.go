package main

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/billing/report"
)

// get asks plain HTTP from this host.
func (r *running) get(t *testing.T, path, token string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+r.plain+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b), res.Header
}

// reading is a server whose database is the private one.
func reading(t *testing.T) *running {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pb") // one that the user of Postgres can reach
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
	s := startServer(t, func(c *Config) { c.Billing.Database, c.Billing.Dir = "auto", filepath.Join(dir, "billing") })
	for end := time.Now().Add(time.Minute); !s.store.Stats().Connected; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the database never came")
		}
	}
	return s
}

// What is asked of the reports' addresses is answered in the form that was asked for, or says what is wrong with the question.
func TestReportsOverHTTP(t *testing.T) {
	s := reading(t)
	var list reportList
	if code, body, _ := s.get(t, "/api/v1/reports", ""); code != 200 || json.Unmarshal([]byte(body), &list) != nil || len(list.Reports) != len(report.Names()) {
		t.Fatalf("%d %s", code, body)
	}
	for _, name := range report.Names() {
		for _, format := range report.Formats() {
			code, body, head := s.get(t, "/api/v1/reports/"+name+"?zone=Europe/Berlin&format="+format, "")
			if code != 200 || head.Get("Content-Type") != report.ContentType(format) {
				t.Errorf("%s as %s: %d %q %s", name, format, code, head.Get("Content-Type"), body)
			}
		}
	}
	for _, x := range []struct {
		path string
		code int
		says string
	}{
		{"/nothing", 404, "expected traffic, money"},
		{"/traffic?from=yesterday", 400, `from "yesterday": expected a date`},
		{"/traffic?zone=Mars/Olympus", 400, "zone"},
		{"/traffic?zone=Local", 400, "zone"},
		{"/traffic?by=day,colour", 400, `by "colour": expected some of trunk`},
		{"/traffic?by=day,day", 400, "twice"},
		{"/traffic?limit=0", 400, `limit "0": expected 1 to 100000`},
		{"/traffic?order=-colour", 400, "order"},
		{"/traffic?from=2026-03-02&to=2026-03-01", 400, "not after from"},
		{"/traffic?limit=1&limit=2", 400, "limit is given twice"},
		{"/traffic?colour=red", 400, "colour: there is no such parameter"},
		{"/traffic?format=xml", 400, `format "xml"`},
		{"/worst?by=day", 400, "by isn't of the report worst"},
		{"/traffic?step=60", 400, "step is of the report concurrency alone"},
		{"/concurrency?codec=PCMA/8000", 400, "codec can't choose"},
		{"/concurrency?from=2020-01-01&to=2026-01-01&step=60", 400, "points: expected at most"},
	} {
		if code, body, _ := s.get(t, "/api/v1/reports"+x.path, ""); code != x.code || !strings.Contains(unescaped(t, body), x.says) {
			t.Errorf("%s: %d %s, expected %d and %q", x.path, code, body, x.code, x.says)
		}
	}
	if _, body, _ := s.get(t, "/api/v1/reports/traffic?from=2026-03-01T00:01&to=2026-03-04&format=ndjson&progress=true", ""); strings.Count(body, `{"progress":{`) != 3 {
		t.Errorf("progress of three days: %s", body)
	}
	code, body, head := s.get(t, "/api/v1/reports/traffic?from=2026-03-01T00:01&to=2026-03-04&by=day&progress=true", "")
	lines := strings.Split(strings.TrimSpace(body), "\n")
	if code != 200 || head.Get("Content-Type") != report.ContentType(report.NDJSON) || len(lines) != 4 || lines[2] != `{"progress":{"done":3,"of":3}}` || !strings.HasPrefix(lines[3], `{"report":"traffic",`) {
		t.Errorf("a report of three days with its progress: %d %q %s", code, head.Get("Content-Type"), body)
	}
	if code, body, _ := s.get(t, "/api/v1/reports/traffic?from=2026-03-02&to=2026-03-01&progress=true", ""); code != 400 || !strings.Contains(body, "not after from") {
		t.Errorf("a wrong question with progress: %d %s", code, body)
	}
	s.reportsAreTenants(t)
}

// One tenant's questions leave places for those of others.
func TestOneTenantsReportsLeaveRoom(t *testing.T) {
	r := newReports(billing.Config{Dir: t.TempDir(), Database: billing.None}, slog.New(slog.DiscardHandler))
	defer r.Close()
	r.past.turn <- struct{}{} // somebody's report takes long
	ask := func(tenant *string) chan error {
		done := make(chan error, 1)
		q, err := report.Parse(report.Traffic, func(string) (string, bool) { return "", false }, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		q.Tenant = tenant
		go func() {
			_, err := r.make(t.Context(), q, nil)
			done <- err
		}()
		return done
	}
	waits := func(n int) {
		t.Helper()
		for end := time.Now().Add(time.Minute); len(r.past.queue) != n; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d wait, expected %d", len(r.past.queue), n)
			}
		}
	}
	acme, books := "acme", "books"
	var all []chan error
	for range reportQueue {
		all = append(all, ask(&acme))
	}
	waits(reportQueue)
	if err := <-ask(&acme); !errors.Is(err, errBusy) {
		t.Errorf("one more of the same tenant: %v, expected that there are too many", err)
	}
	all = append(all, ask(&books), ask(nil))
	waits(reportQueue + 2)
	<-r.past.turn
	for _, done := range all { // there is no database
		if err := <-done; err == nil || errors.Is(err, errBusy) {
			t.Errorf("whose turn it was: %v", err)
		}
	}
	if len(r.waiting) != 0 {
		t.Errorf("places that nobody gave back: %v", r.waiting)
	}
}

// reportsAreTenants: a token with the role billing sees its own tenant's, admin all, others none.
func (r *running) reportsAreTenants(t *testing.T) {
	t.Helper()
	for _, x := range []struct {
		token, query string
		code         int
	}{
		{"", "", 200}, {"", "?tenant=acme", 200}, {rootToken, "?tenant=acme", 200}, {auditToken, "", 200}, {auditToken, "?tenant=books", 200},
		{auditToken, "?tenant=acme", 403}, {auditToken, "?tenant=", 403}, {crmToken, "", 403}, {oldToken, "", 401}, {"wrong", "", 401},
	} {
		if code, body, _ := r.get(t, "/api/v1/reports/traffic"+x.query, x.token); code != x.code {
			t.Errorf("token %q, %s: %d %s, expected %d", x.token, x.query, code, body, x.code)
		}
	}
	if code, _, _ := r.get(t, "/api/v1/calls", auditToken); code != 403 {
		t.Errorf("a token with the role billing sees running calls: %d, expected 403", code)
	}
}

func unescaped(t *testing.T, body string) string {
	t.Helper()
	var e struct{ Error string }
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return e.Error
}
