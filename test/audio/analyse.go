package audio

import (
	"math"
	"slices"
	"time"
)

// Silence is the level reported for no signal at all.
const Silence = -120.0

// Level is the level of hz in the clip, in dBFS, by Goertzel's algorithm over
// a Hann window: a neighbour 100 Hz away is over 60 dB down in a 100 ms clip.
func Level(c Clip, hz float64) float64 {
	n := len(c.Samples)
	if n < 2 {
		return Silence
	}
	w := 2 * math.Pi * hz / float64(c.Rate)
	k := 2 * math.Cos(w)
	var s1, s2, sum float64
	for i, v := range c.Samples {
		hann := 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(n))
		sum += hann
		s1, s2 = k*s1-s2+hann*float64(v), s1
	}
	power := s1*s1 + s2*s2 - k*s1*s2
	return decibel(2 * math.Sqrt(max(power, 0)) / sum / 32767)
}

// RMS is the clip's level over all frequencies, in dBFS of a sine of the same power.
func RMS(c Clip) float64 {
	if len(c.Samples) == 0 {
		return Silence
	}
	var sum float64
	for _, v := range c.Samples {
		sum += float64(v) * float64(v)
	}
	return decibel(math.Sqrt(2*sum/float64(len(c.Samples))) / 32767)
}

// gapWindow is short, so that a gap's edges are known to 2 ms.
const (
	gapWindow = 10 * time.Millisecond
	gapStep   = time.Millisecond
	gapDepth  = 20.0 // dB under the median
)

// Gap is a stretch in which a tone was away.
type Gap struct{ From, Length time.Duration }

// Gaps lists where the level of hz is more than 20 dB under its median,
// longest first. Lengths are right to about 2 ms; gaps under 10 ms may not show.
// A clip in which the tone is 20 dB under the rest, or nothing, is one gap.
func Gaps(c Clip, hz float64) []Gap {
	win := int(gapWindow.Seconds() * float64(c.Rate))
	step := int(gapStep.Seconds() * float64(c.Rate))
	if len(c.Samples) < win || step == 0 {
		return nil
	}
	var levels []float64
	for at := 0; at+win <= len(c.Samples); at += step {
		levels = append(levels, rectLevel(c.Samples[at:at+win], hz, c.Rate))
	}
	sorted := slices.Clone(levels)
	slices.Sort(sorted)
	median := sorted[len(sorted)/2]
	limit := median - gapDepth
	if median < -60 || Level(c, hz) < RMS(c)-20 {
		return []Gap{{0, time.Duration(len(c.Samples)) * time.Second / time.Duration(c.Rate)}}
	}
	return runs(levels, limit)
}

// runs turns windows under the limit into gaps. A window falls 20 dB only when nine
// tenths of it are silent, so each edge hides about that much: it is added again.
func runs(levels []float64, limit float64) []Gap {
	const hidden = 8 * time.Millisecond
	var out []Gap
	from := -1
	for i := 0; i <= len(levels); i++ {
		low := i < len(levels) && levels[i] < limit
		if low && from < 0 {
			from = i
		}
		if !low && from >= 0 {
			out = append(out, Gap{time.Duration(from) * gapStep, time.Duration(i-from)*gapStep + hidden})
			from = -1
		}
	}
	slices.SortFunc(out, func(a, b Gap) int { return int(b.Length - a.Length) })
	return out
}

// LongestGap is the longest of Gaps, or 0.
func LongestGap(c Clip, hz float64) time.Duration {
	if g := Gaps(c, hz); len(g) > 0 {
		return g[0].Length
	}
	return 0
}

// rectLevel fits a sine of hz to the window by least squares, which is right
// however few periods the window holds.
func rectLevel(s []int16, hz float64, rate int) float64 {
	var cc, ss, cs, xc, xs float64
	for i, v := range s {
		sin, cos := math.Sincos(2 * math.Pi * hz * float64(i) / float64(rate))
		cc += cos * cos
		ss += sin * sin
		cs += cos * sin
		xc += float64(v) * cos
		xs += float64(v) * sin
	}
	det := cc*ss - cs*cs
	if det < 1e-9 {
		return Silence
	}
	a, b := (xc*ss-xs*cs)/det, (xs*cc-xc*cs)/det
	return decibel(math.Hypot(a, b) / 32767)
}

// Find returns where in the clip the tone of hz first holds for length without
// a gap of over 5 ms: the part worth measuring, past ringing and call set-up.
func Find(c Clip, hz, length float64) (from float64, ok bool) {
	const step = 0.02
	good, need := 0, int(math.Round(length/step))
	for at := 0.0; at+step <= c.Seconds(); at += step {
		part := c.Cut(at, step)
		if lv := rectLevel(part.Samples, hz, c.Rate); lv < -50 || lv < RMS(part)-3 {
			good = 0
			continue
		}
		if good++; good == need {
			return at + step - length, true
		}
	}
	return 0, false
}

// Match is how one clip lies within another.
type Match struct {
	Lag  time.Duration // how much later got is
	Gain float64       // dB, got over want
	SNR  float64       // dB, segmental: mean over 20 ms segments, each limited to -10…60
}

// Align finds the lag in [0, maxLag] at which got follows want best, and with
// that lag the gain and the segmental signal-to-noise ratio. ok is false when
// the clips are shorter than 100 ms or silent. A steady tone matches at every
// period: use noise, a sweep or speech for a delay.
func Align(want, got Clip, maxLag time.Duration) (m Match, ok bool) {
	limit := int(maxLag.Seconds() * float64(want.Rate))
	short := want.Rate / 10
	if want.Rate != got.Rate || len(want.Samples) < short || len(got.Samples) < short {
		return m, false
	}
	best, bestLag := -1.0, 0
	for lag := 0; lag <= limit && len(got.Samples)-lag >= short; lag++ {
		if r := correlation(want.Samples, got.Samples[lag:]); r > best {
			best, bestLag = r, lag
		}
	}
	if best <= 0 {
		return m, false
	}
	w, g := want.Samples, got.Samples[bestLag:]
	n := min(len(w), len(g))
	var ww, wg float64
	for i := range n {
		ww += float64(w[i]) * float64(w[i])
		wg += float64(w[i]) * float64(g[i])
	}
	k := wg / ww
	m.Lag = time.Duration(bestLag) * time.Second / time.Duration(want.Rate)
	m.Gain = decibel(k)
	m.SNR = segmental(w[:n], g[:n], k, want.Rate/50)
	return m, true
}

func correlation(a, b []int16) float64 {
	var ab, aa, bb float64
	for i := range min(len(a), len(b)) {
		x, y := float64(a[i]), float64(b[i])
		ab += x * y
		aa += x * x
		bb += y * y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

func segmental(w, g []int16, k float64, size int) float64 {
	var sum float64
	count := 0
	for at := 0; at+size <= len(w); at += size {
		var signal, noise float64
		for i := at; i < at+size; i++ {
			want := k * float64(w[i])
			signal += want * want
			noise += (float64(g[i]) - want) * (float64(g[i]) - want)
		}
		if signal < float64(size) { // silence has no ratio
			continue
		}
		sum += min(60, max(-10, 10*math.Log10(signal/max(noise, 1e-9))))
		count++
	}
	if count == 0 {
		return 0
	}
	return sum / float64(count)
}

func decibel(ratio float64) float64 {
	if ratio < 1e-6 {
		return Silence
	}
	return 20 * math.Log10(ratio)
}
