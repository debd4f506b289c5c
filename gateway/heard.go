package gateway

import (
	"sync"

	"github.com/patchbay/patchbay/gateway/call"
)

// Histogram counts values by upper bounds.
type Histogram struct {
	Bounds []float64
	Counts []uint64 // of values that a bound holds and those before don't; the last has no bound
	Sum    float64
}

func newHistogram(bounds ...float64) Histogram {
	return Histogram{Bounds: bounds, Counts: make([]uint64, len(bounds)+1)}
}

func (h *Histogram) add(v float64) {
	i := 0
	for i < len(h.Bounds) && v > h.Bounds[i] {
		i++
	}
	h.Counts[i]++
	h.Sum += v
}

func (h *Histogram) clone() Histogram {
	return Histogram{h.Bounds, append([]uint64(nil), h.Counts...), h.Sum}
}

// Heard is what media was like, of all legs since the start: a value for each bucket.
type Heard struct {
	MOS    map[string]Histogram // by stream: call.StreamIn, call.StreamOut
	Jitter Histogram            // seconds; of what came
	RTT    Histogram            // seconds
	OneWay uint64               // legs that were sent media and were never heard
}

type heardSoFar struct {
	mu      sync.Mutex
	in, out Histogram
	jitter  Histogram
	rtt     Histogram
	oneWay  uint64
}

func newHeard() heardSoFar {
	scores := []float64{1.5, 2, 2.5, 3, 3.5, 3.8, 4, 4.2, 4.3, 4.4}
	return heardSoFar{in: newHistogram(scores...), out: newHistogram(scores...),
		jitter: newHistogram(0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5),
		rtt:    newHistogram(0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1)}
}

// Heard tells what media was like.
func (g *Gateway) Heard() Heard {
	h := &g.heard
	h.mu.Lock()
	defer h.mu.Unlock()
	return Heard{MOS: map[string]Histogram{call.StreamIn: h.in.clone(), call.StreamOut: h.out.clone()},
		Jitter: h.jitter.clone(), RTT: h.rtt.clone(), OneWay: h.oneWay}
}

// observe counts buckets in the metrics.
func (c *Call) observe(list []call.Bucket) {
	h := &c.g.heard
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range list {
		b := &list[i]
		if b.No == 0 {
			if b.OneWay {
				h.oneWay++
			}
			continue
		}
		in := b.Stream == call.StreamIn
		if mos := b.MOS(); mos != nil && in {
			h.in.add(*mos)
		} else if mos != nil {
			h.out.add(*mos)
		}
		if in && b.JitterAvg != nil {
			h.jitter.add(*b.JitterAvg / 1000)
		}
		if in && b.RTT != nil {
			h.rtt.add(*b.RTT / 1000)
		}
	}
}
