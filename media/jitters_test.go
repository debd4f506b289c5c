package media

import (
	"math"
	"testing"
	"time"
)

// What the bins say is within a tenth of what went in, from a quarter of a millisecond to two seconds.
func TestJitters(t *testing.T) {
	for ns := 263e3; ns < 2e9; ns *= 1.07 {
		var j Jitters
		j.Add(ns)
		for _, share := range []float64{0, 0.5, 1} {
			if d, ok := j.Quantile(share); !ok || math.Abs(float64(d)/ns-1) > 0.125 {
				t.Fatalf("%v is told as %v", time.Duration(ns), d)
			}
		}
	}
	var j, was Jitters
	if _, ok := j.Quantile(1); ok {
		t.Error("a quantile of nothing")
	}
	j.Add(50e6)
	was = j
	for range 95 {
		j.Add(1e6)
	}
	for range 5 {
		j.Add(math.Inf(1))
	}
	j.Add(0)
	j.Sub(&was)
	p50, _ := j.Quantile(0.5)
	p95, _ := j.Quantile(0.95)
	top, _ := j.Quantile(1)
	mean, _ := j.Mean()
	if p50.Round(time.Millisecond) != time.Millisecond || p95.Round(time.Millisecond) != time.Millisecond || top < time.Second || mean < p50 || mean > top {
		t.Errorf("median %v, p95 %v, most %v, mean %v", p50, p95, top, mean)
	}
}
