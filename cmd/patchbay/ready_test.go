package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// asksReady waits until /readyz says 200, and returns that answer and what was said before.
func (r *running) asksReady(t *testing.T) (answer string, before map[string]bool) {
	t.Helper()
	before = map[string]bool{}
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		code, body, _ := r.get(t, "/readyz", "")
		if code == 200 {
			return body, before
		}
		if before[body] = true; code != 503 || time.Now().After(end) {
			t.Fatalf("/readyz: %d %s", code, body)
		}
	}
}

// The first start of a data folder is ready no sooner than its database, and says what it waits for; a later one, and one whose database
// can't be had, don't wait.
func TestReadyWaitsForADatabaseThatIsMade(t *testing.T) {
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
	database := func(name string) func(*Config) {
		return func(c *Config) { c.Billing.Database, c.Billing.Dir = "auto", filepath.Join(dir, name) }
	}
	t.Run("first", func(t *testing.T) {
		s := startServer(t, database("records"))
		answer, before := s.asksReady(t)
		if answer != "ready\n" && s.store.Stats().Retries == 0 {
			t.Errorf("/readyz says %q before there is a database", answer)
		}
		for text := range before {
			if text != "the database is being made\n" {
				t.Errorf("before that it said %q", text)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "records", "postgres", "data", "PG_VERSION")); err != nil {
			t.Error(err)
		}
	})
	t.Run("second", func(t *testing.T) {
		s := startServer(t, database("records"))
		if code, body, _ := s.get(t, "/readyz", ""); code != 200 || !strings.HasPrefix(body, "ready") {
			t.Errorf("/readyz of a later start: %d %s", code, body)
		}
	})
	t.Run("none", func(t *testing.T) {
		if err := os.MkdirAll(filepath.Join(dir, "broken", "postgres", "data"), 0o755); err != nil { // holds no data
			t.Fatal(err)
		}
		s := startServer(t, database("broken"))
		if answer, _ := s.asksReady(t); !strings.Contains(answer, "records wait in the journal") || s.store.Stats().Connected {
			t.Errorf("/readyz of a start without a database: %q", answer)
		}
	})
}
