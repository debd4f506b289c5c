package peers

import (
	"os"
	"testing"
	"time"
)

// Sipvicious runs one of SIPVicious's tools (svmap, svwar, svcrack) until it ends, and returns what it printed.
func Sipvicious(t testing.TB, timeout time.Duration, tool string, args ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp(Folder(t), tool)
	if err != nil {
		t.Fatalf("peers: %s: %v", tool, err)
	}
	p := start(t, command{name: tool, dir: dir, path: tool, args: args, env: []string{"HOME=" + dir, "PYTHONUNBUFFERED=1"}})
	if _, ok := p.Wait(timeout); !ok {
		t.Errorf("peers: %s still runs after %v", tool, timeout)
	}
	b, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatalf("peers: %s: %v", tool, err)
	}
	return string(b)
}
