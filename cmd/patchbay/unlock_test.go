package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnlock(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked = append(asked, r.Method+" "+r.URL.Path); strings.HasSuffix(r.URL.Path, "bob") {
			http.Error(w, `{"error": "bob isn't locked"}`, http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "f.yaml")
	// Secrets that aren't at hand don't matter.
	settings := "http: {listen: \"" + strings.TrimPrefix(server.URL, "http://") + "\"}\nusers: [{id: anna, password: \"${NOT_SET_ANYWHERE}\"}]\n"
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		cmd := newRootCommand()
		cmd.SetOut(&out)
		cmd.SetArgs(append([]string{"user", "unlock", "--config", file}, args...))
		err := cmd.Execute()
		return out.String(), err
	}
	if out, err := run("anna"); err != nil || !strings.Contains(out, "user:anna may call") {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := run("--tenant", "acme"); err != nil || !strings.Contains(out, "tenant:acme may call") {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := run("bob"); err == nil || err.Error() != "bob isn't locked" {
		t.Errorf("%v", err)
	}
	if got, want := strings.Join(asked, ", "), "DELETE /api/v1/locks/user:anna, DELETE /api/v1/locks/tenant:acme, DELETE /api/v1/locks/user:bob"; got != want {
		t.Errorf("asked for %s", got)
	}
}
