package rtpstream

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// clocked sends packets of 20 ms by a clock that runs so many ppm faster, late by up to shake, for so many seconds.
func clocked(q *Sequence, ppm, shake float64, seconds int, rnd *rand.Rand) {
	for i := range 50 * seconds {
		ideal := float64(i) * 20e6 / (1 + ppm/1e6)
		now := int64(1e9 + ideal + shake*rnd.Float64()*rnd.Float64())
		h := Header{Seq: uint16(65000 + i), SSRC: 1, TS: uint32(1<<32 - 5000 + i*160)}
		if rnd.IntN(20) == 0 {
			continue // lost
		}
		if q.Next(&h, now) != Drop {
			q.Pace(h.TS, 8000, now)
		}
	}
}

// A peer's clock is measured through loss and jitter, and not told before that is certain.
func TestSkew(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, ppm := range []float64{-400, -35, 0, 12, 90, 1500} {
		for _, shake := range []float64{0, 1e6, 8e6} {
			var q Sequence
			clocked(&q, ppm, shake, 120, rnd)
			st := q.Stream()
			if within := 2 + shake/1e6; !st.Skewed || math.Abs(st.Skew-ppm) > within {
				t.Errorf("a clock of %+g ppm with %g ms of jitter is measured as %+.1f (%v), expected within %g", ppm, shake/1e6, st.Skew, st.Skewed, within)
			}
		}
	}
	for name, x := range map[string]struct {
		shake   float64
		seconds int
	}{"too short": {0, 15}, "too shaky": {900e6, 40}} {
		var q Sequence
		clocked(&q, 50, x.shake, x.seconds, rnd)
		if st := q.Stream(); st.Skewed || st.Skew != 0 {
			t.Errorf("%s: %+.1f ppm is told", name, st.Skew)
		}
	}
	var q Sequence
	clocked(&q, 50, 0, 60, rnd)
	q.Next(&Header{Seq: 1, SSRC: 2}, 200e9) // another stream has a clock of its own
	if q.Stream().Skewed {
		t.Error("the clock of a stream that has ended is told of the next")
	}
}

// What a peer leaves out is silence if its timestamps and time go on and nothing is missing.
func TestSilence(t *testing.T) {
	const ms = 8 // timestamp units
	for _, c := range []struct {
		name string
		then func(q *Sequence, h *Header, now *int64)
		want time.Duration
	}{
		{"spoken on", func(*Sequence, *Header, *int64) {}, 0},
		{"a pause", func(_ *Sequence, h *Header, now *int64) { h.TS += 3000 * ms; *now += 3000e6 }, 3020 * time.Millisecond},
		{"long packets", func(_ *Sequence, h *Header, now *int64) { h.TS += 100 * ms; *now += 100e6 }, 0},
		{"loss", func(_ *Sequence, h *Header, now *int64) { h.TS += 400 * ms; *now += 400e6; h.Seq += 20 }, 0},
		{"timestamps alone", func(_ *Sequence, h *Header, _ *int64) { h.TS += 1500 * ms }, 0},
		{"comfort noise at its beginning", func(q *Sequence, h *Header, now *int64) {
			noise(q, h, *now)
			h.TS, *now = h.TS+3000*ms, *now+3000e6
		}, 3000 * time.Millisecond},
		{"comfort noise again and again", func(q *Sequence, h *Header, now *int64) {
			for range 30 {
				noise(q, h, *now)
				h.TS, *now = h.TS+100*ms, *now+100e6
			}
		}, 3000 * time.Millisecond},
		{"comfort noise for less than a packet may last", func(q *Sequence, h *Header, now *int64) {
			noise(q, h, *now)
			h.TS, *now = h.TS+80*ms, *now+80e6
		}, 80 * time.Millisecond},
		{"comfort noise, and timestamps alone", func(q *Sequence, h *Header, now *int64) {
			noise(q, h, *now)
			h.TS += 1500 * ms
		}, 0},
		{"comfort noise, then an event", func(q *Sequence, h *Header, now *int64) {
			noise(q, h, *now)
			h.TS, *now = h.TS+1000*ms, *now+1000e6
			for range 20 {
				q.Interrupt(h, q.Next(h, *now), *now)
				h.Seq++
				*now += 50e6
			}
			h.TS += 1000 * ms
		}, 1000 * time.Millisecond},
		{"an event", func(q *Sequence, h *Header, now *int64) {
			for range 20 {
				q.Interrupt(h, q.Next(h, *now), *now)
				h.Seq++
				*now += 50e6
			}
			h.TS += 1000 * ms
		}, 0},
	} {
		var q Sequence
		h, now := Header{Seq: 65533, SSRC: 1, TS: 1<<32 - 300}, int64(1e9)
		for i := range 20 {
			if i == 10 {
				c.then(&q, &h, &now)
			}
			if q.Next(&h, now) != Drop {
				q.Pace(h.TS, 8000, now)
			}
			h.Seq++
			h.TS += 20 * ms
			now += 20e6
		}
		if got := q.Stream().Silence; got != c.want {
			t.Errorf("%s: %v of silence, expected %v", c.name, got, c.want)
		}
	}
}

// noise is a packet of comfort noise; its number moves on.
func noise(q *Sequence, h *Header, now int64) {
	q.Noise(h, q.Next(h, now))
	h.Seq++
}
