//go:build e2e

package e2e

import (
	"testing"

	"github.com/patchbay/patchbay/test/peers"
)

// The cluster comes back with what was committed, however it was stopped.
func TestReferencePostgres(t *testing.T) {
	p := peers.StartPostgres(t, peers.PostgresConfig{})
	p.Query(t, "create table kept (n int)")
	for i, stop := range []func(){p.StopImmediate, p.StopFast} {
		p.Query(t, "insert into kept values ($1)", i)
		stop()
		if p.Running() {
			t.Fatal("the cluster still runs")
		}
		p.Start(t)
		if rows := p.Query(t, "select n from kept"); len(rows) != i+1 {
			t.Errorf("%d rows after stop %d, expected %d", len(rows), i, i+1)
		}
	}
}
