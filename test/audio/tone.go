package audio

import (
	"math"
	"time"
)

// Tone is a sine of hz at level dBFS, seconds long.
func Tone(rate int, hz, level, seconds float64) Clip {
	c := Clip{Rate: rate, Samples: make([]int16, int(seconds*float64(rate)))}
	peak := 32767 * math.Pow(10, level/20)
	for i := range c.Samples {
		c.Samples[i] = int16(math.Round(peak * math.Sin(2*math.Pi*hz*float64(i)/float64(rate))))
	}
	return c
}

// Mix adds b to a, saturating; the result has a's length and rate.
func Mix(a, b Clip) Clip {
	out := Clip{Rate: a.Rate, Samples: append([]int16(nil), a.Samples...)}
	for i := range out.Samples {
		if i >= len(b.Samples) {
			break
		}
		out.Samples[i] = int16(clamp(int(out.Samples[i])+int(b.Samples[i]), math.MinInt16, math.MaxInt16))
	}
	return out
}

// Mute returns the clip with silence in [from, from+length).
func (c Clip) Mute(from, length time.Duration) Clip {
	out := Clip{Rate: c.Rate, Samples: append([]int16(nil), c.Samples...)}
	clear(out.Cut(from.Seconds(), length.Seconds()).Samples)
	return out
}

// Gain returns the clip amplified by db, saturating.
func (c Clip) Gain(db float64) Clip {
	out := Clip{Rate: c.Rate, Samples: make([]int16, len(c.Samples))}
	k := math.Pow(10, db/20)
	for i, s := range c.Samples {
		out.Samples[i] = int16(clamp(int(math.Round(float64(s)*k)), math.MinInt16, math.MaxInt16))
	}
	return out
}
