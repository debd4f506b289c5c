package rtpstream

import (
	"time"

	"github.com/patchbay/patchbay/media"
)

const (
	rembStep  = int64(500 * time.Millisecond)
	rembSteps = 20   // at most at a time: nobody looked for ten seconds
	rembLeast = 30e3 // bit/s: less shows nothing
	rembMost  = 1e9
)

// Remb estimates what a path takes by what is lost on it, for a peer that is asked to send no more (REMB): from the first heavy loss on, down by a factor
// at each heavy loss, up again while nothing is lost, fast until near where it was lost and slowly from there. The zero value estimates nothing.
type Remb struct {
	set  media.Remb
	on   bool
	rate float64 // bit/s; 0 = nothing was lost yet
	turn float64 // where slow begins
	slow float64 // bit/s in a step
	loss float64 // smoothed
	at   int64   // of the latest look; 0 = none
	last media.Stream
	peak float64 // of what came, bit/s
}

// Set begins anew with these terms.
func (r *Remb) Set(p media.Remb) { *r = Remb{set: p, on: true} }

// Look takes what has come by now, over all of the peer's streams of video, and gives the estimate in bit/s, 0 = there is none.
func (r *Remb) Look(st media.Stream, now int64) float64 {
	if !r.on {
		return 0
	}
	elapsed := now - r.at
	if r.at == 0 || elapsed < 0 || st.Packets < r.last.Packets {
		r.at, r.last = now, st
		return r.rate
	}
	if elapsed < rembStep {
		return r.rate
	}
	came, bytes, lost := float64(st.Packets-r.last.Packets), float64(st.Bytes-r.last.Bytes), max(float64(st.Lost-r.last.Lost), 0)
	rate := bytes * 8 * 1e9 / float64(elapsed)
	r.peak = max(r.peak, rate)
	r.at, r.last = now, st
	if came+lost == 0 {
		return r.rate
	}
	weight := min((came+lost)/max(float64(r.set.Packets), 1), 1)
	r.loss += weight * (lost/(came+lost) - r.loss)
	switch bad := float64(r.set.Losses) / 256; {
	case r.loss > bad:
		r.fall(rate)
	case lost == 0 && r.rate > 0:
		for range min(elapsed/rembStep, rembSteps) {
			r.rise()
		}
	case r.rate > 0:
		r.rate = min(r.rate, r.peak)
	}
	if r.rate > 0 {
		r.rate = min(max(r.rate, rembLeast), rembMost)
	}
	return r.rate
}

// fall takes heavy loss at a rate.
func (r *Remb) fall(rate float64) {
	from := rate
	if r.rate > 0 {
		from = min(r.rate, max(rate, rembLeast))
	}
	r.turn = from * r.set.Threshold
	r.rate = from * r.set.Decrement
	r.slow = max(r.set.LinearLeast, (from-r.turn)/max(r.set.LinearGrade, 1e-3))
	r.loss = 0 // what is lost from here on is the new rate's
	r.peak = r.rate
}

func (r *Remb) rise() {
	if r.rate < r.turn {
		r.rate *= 1 + r.set.Exponential
		return
	}
	r.rate += r.slow
}
