package gateway

import "testing"

func TestReduction(t *testing.T) {
	g := &Gateway{}
	g.cfg.Limits.Calls = 200
	for calls, want := range map[int64]int{0: 0, 180: 0, 181: 5, 190: 50, 199: 95, 200: 100, 201: 100} {
		g.load.Store(calls)
		if got := g.reduction(); got != want {
			t.Errorf("%d of 200 calls: %d %%, expected %d", calls, got, want)
		}
	}
}
