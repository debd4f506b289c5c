//go:build e2e

package e2e

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

// What a new user meets first, without settings: `make demo` starts all that `make run` does, calls, and looks at what was heard and kept.
func TestDemo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "../../deploy/demo", peers.Binary(t))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it stops what it has started
	cmd.WaitDelay = 20 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "All is as it must be.") {
		t.Errorf("the demo ended with %v and said\n%s", err, out)
	}
}
