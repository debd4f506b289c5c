//go:build soak

package soak

import (
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

// watched are the samples that must not grow, with how much growth over the watched time is still noise: a part of the
// mean, and so much beside.
var watched = []struct {
	name   string
	part   float64
	beside float64
}{
	{"process_resident_memory_bytes", 0.10, 8 << 20},
	{"go_goroutines", 0.05, 10},
	{"process_open_fds", 0.05, 10},
}

// watch samples /metrics for as long, sixty times but at most once a second, and judges the slopes of the second half:
// by then pools and caches have their size.
func watch(t *testing.T, g *peers.Patchbay, long time.Duration, busy func() bool) {
	t.Helper()
	samples := map[string][]float64{}
	var at []float64
	step := max(time.Second, long/60)
	for began := time.Now(); time.Since(began) < long; time.Sleep(step) {
		if !busy() {
			t.Fatalf("after %v there is no load any more", time.Since(began).Round(time.Second))
		}
		m := g.Metrics(t)
		at = append(at, time.Since(began).Seconds())
		for _, w := range watched {
			samples[w.name] = append(samples[w.name], m[w.name])
		}
	}
	half := len(at) / 2
	span := at[len(at)-1] - at[half]
	for _, w := range watched {
		values := samples[w.name][half:]
		slope, mean := line(at[half:], values)
		growth, most := slope*span, w.part*mean+w.beside
		t.Logf("%s: %.0f on average, %+.1f a minute", w.name, mean, slope*60)
		if mean == 0 {
			t.Errorf("/metrics has no %s", w.name)
		}
		if growth > most {
			t.Errorf("%s grows by %.0f in %.0f s, expected %.0f at most; samples %v", w.name, growth, span, most, values)
		}
	}
}

// line is the least squares slope of y over x, and the mean of y.
func line(x, y []float64) (slope, mean float64) {
	var mx, my, xy, xx float64
	for i := range x {
		mx += x[i] / float64(len(x))
		my += y[i] / float64(len(x))
	}
	for i := range x {
		xy += (x[i] - mx) * (y[i] - my)
		xx += (x[i] - mx) * (x[i] - mx)
	}
	if xx == 0 {
		return 0, my
	}
	return xy / xx, my
}
