package media

import (
	"math"
	"time"
)

// Jitters counts samples of a stream's jitter by size, four bins to an octave: the difference of two snapshots tells what it was
// between them.
type Jitters [62]uint32

const jitterShift = 50 // of a float's bits, which leaves its exponent and two bits of what follows

func jitterBase() uint64 { return math.Float64bits(1<<17) >> jitterShift } // 131 us: less counts as the first bin

// Add counts a sample, in ns.
func (j *Jitters) Add(ns float64) {
	i := int64(math.Float64bits(ns)>>jitterShift) - int64(jitterBase())
	j[min(max(i, 0), int64(len(j)-1))]++
}

// Sub takes away what an earlier snapshot had.
func (j *Jitters) Sub(earlier *Jitters) {
	for i := range j {
		j[i] -= min(j[i], earlier[i])
	}
}

// Quantile is what a share of the samples, 0 to 1, doesn't pass, to a tenth of it; ok is false if there are none.
func (j *Jitters) Quantile(share float64) (d time.Duration, ok bool) {
	n := uint64(0)
	for _, c := range j {
		n += uint64(c)
	}
	rank := max(1, uint64(math.Ceil(share*float64(n))))
	for i, c := range j {
		if uint64(c) >= rank {
			return jitterOf(i), true
		}
		rank -= uint64(c)
	}
	return 0, false
}

// Mean of the samples.
func (j *Jitters) Mean() (d time.Duration, ok bool) {
	n, sum := 0.0, 0.0
	for i, c := range j {
		n += float64(c)
		sum += float64(c) * float64(jitterOf(i))
	}
	if n == 0 {
		return 0, false
	}
	return time.Duration(sum / n), true
}

// jitterOf is the middle of a bin.
func jitterOf(i int) time.Duration {
	if i == 0 {
		return 0
	}
	low := math.Float64frombits((jitterBase() + uint64(i)) << jitterShift)
	high := math.Float64frombits((jitterBase() + uint64(i) + 1) << jitterShift)
	return time.Duration((low + high) / 2)
}
