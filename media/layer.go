package media

import (
	"math"
	"sync/atomic"
)

const (
	layersMax   = 4          // of one source
	layerPeriod = int64(1e9) // ns, after which the choice is made anew
	layerAsk    = int64(5e8) // ns between two requests for a key picture to begin with
	layerUp     = 1.2        // a layer of so much more than its rate must fit before it is gone up to
)

// layering lets one layer of a simulcast into a sink: the largest whose rate the sink can take, by what it last said of
// Bitrate. It goes from one to another where the other has a key picture. All but limit is guarded by the Inlet's lock.
type layering struct {
	limit atomic.Uint64 // bits of a float64, bit/s; 0 = not said
	now   atomic.Uint32 // the layer that is let in; 0 = none yet

	from  *Source
	epoch uint32
	want  uint8
	asked int64
	since int64
	bytes [layersMax + 1]uint64  // since then
	rates [layersMax + 1]float64 // bit/s in the period before; 0 = nothing comes
}

// layered says whether a frame of a layer is let in.
func (in *Inlet) layered(src *Source, f *Frame) bool {
	if f.Layer > layersMax {
		return false
	}
	y := in.layers.Load()
	if y == nil || y.from != src || y.epoch != f.Epoch {
		n := &layering{from: src, epoch: f.Epoch, since: f.Arrival}
		if y != nil {
			n.limit.Store(y.limit.Load())
		}
		y = n
		in.layers.Store(y)
	}
	y.bytes[f.Layer] += uint64(len(f.Payload))
	if f.Arrival-y.since >= layerPeriod {
		y.measure(f.Arrival)
	}
	now := uint8(y.now.Load())
	switch {
	case now == f.Layer && (y.want == now || y.want == 0):
		return true
	case now != 0 && f.Layer != y.want:
		return f.Layer == now
	case f.Key: // the first that comes will do
		y.now.Store(uint32(f.Layer))
		if now != 0 {
			in.epoch++ // its numbers are others
		}
		return true
	}
	if src.back != nil && f.Arrival-y.asked >= layerAsk {
		y.asked = f.Arrival
		src.back(Feedback{Kind: KeyFrame, Layer: f.Layer})
	}
	return false
}

// measure ends a period, and chooses.
func (y *layering) measure(now int64) {
	for i := range y.bytes {
		y.rates[i] = float64(y.bytes[i]) * 8e9 / float64(now-y.since)
		y.bytes[i] = 0
	}
	y.since = now
	limit, current := math.Float64frombits(y.limit.Load()), y.now.Load()
	var best, least uint8
	for i := uint8(1); i <= layersMax; i++ {
		rate := y.rates[i]
		if rate == 0 {
			continue
		}
		if least == 0 || rate < y.rates[least] {
			least = i
		}
		if uint32(i) != current && current != 0 && rate > y.rates[current] {
			rate *= layerUp
		}
		if (limit == 0 || rate <= limit) && (best == 0 || y.rates[i] > y.rates[best]) {
			best = i
		}
	}
	if best == 0 {
		best = least
	}
	y.want = best
}
