// Package resample converts linear PCM between the rates of telephones, voice agents, and browsers: 8, 16, 24 and 48 kHz, mono.
//
// The filter is a windowed sinc in polyphase form: flat to 0.1 dB up to 0.42 of the lower rate, images and aliases at
// least 80 dB down, a delay of 24 samples of the lower rate (3 ms at 8 kHz).
package resample

import (
	"math"
	"slices"

	"github.com/patchbay/patchbay/media"
)

const (
	// crossings is how many zero crossings of the sinc the filter has on either side.
	crossings = 24
	// rollOff is where the filter begins to cut, as a part of half the lower rate.
	rollOff = 0.93
	// beta shapes the Kaiser window: side lobes 80 dB down.
	beta = 8
	// most is how many phases a bank has at most. Rates with little in common would have tens of thousands: they take the phase
	// before, and what that adds to a sound is 60 dB below it.
	most = 1024
)

// Rates are those that are converted between, in Hz.
func Rates() []int { return []int{8000, 16000, 24000, 48000} }

// Conversions are the ways between L16 at all Rates.
func Conversions() []media.Conversion {
	var out []media.Conversion
	for _, from := range Rates() {
		for _, to := range Rates() {
			if from == to {
				continue
			}
			bank := newBank(from, to)
			out = append(out, media.Conversion{From: media.L16(from), To: media.L16(to), Cost: costOf(from, to),
				New: func() media.Converter { return &converter{Resampler: Resampler{bank: bank}, from: from, to: to} }})
		}
	}
	return out
}

// costOf is the CPU of 20 ms, in microseconds, as measured: it goes with the multiplications.
func costOf(from, to int) int {
	taps := 2 * crossings * from / min(from, to)
	return max(1, to/50*taps/1900)
}

// bank is the filter of one pair of rates: an impulse response for each phase that an output sample may have between two of the
// input. It is immutable.
type bank struct {
	up, down int // output samples for so many of the input, in lowest terms
	taps     int // of one phase; a multiple of 4
	phases   [][]float32
	few      bool // there are fewer than up
}

func newBank(from, to int) *bank {
	d := gcd(from, to)
	b := &bank{up: to / d, down: from / d}
	low := float64(min(from, to)) / float64(from) // the lower rate as a part of the input's
	half := int(math.Ceil(crossings / low))
	b.taps = (2*half + 3) &^ 3
	cut := low * rollOff
	n := min(b.up, most)
	b.few = n < b.up
	for p := range n {
		phase := make([]float32, b.taps)
		at := float64(p) / float64(n) // where the output lies after the sample in the middle
		sum := 0.0
		for k := range phase {
			x := float64(k-half+1) - at
			phase[k] = float32(cut * sinc(cut*x) * kaiser(x/float64(half)))
			sum += float64(phase[k])
		}
		for k := range phase { // no phase is louder than another, or each tone would have images
			phase[k] /= float32(sum)
		}
		b.phases = append(b.phases, phase)
	}
	return b
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// kaiser is the window at x, which is 1 or -1 at its ends.
func kaiser(x float64) float64 {
	if math.Abs(x) >= 1 {
		return 0
	}
	return bessel(beta*math.Sqrt(1-x*x)) / bessel(beta)
}

// bessel is the modified Bessel function of the first kind and order 0.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1; term > 1e-12*sum; k++ {
		term *= x / 2 / float64(k) * x / 2 / float64(k)
		sum += term
	}
	return sum
}

// Resampler converts one stream of samples. It is used by one goroutine at a time.
type Resampler struct {
	bank  *bank
	line  []float32 // what the filter still needs of the past, then what is new
	begun bool
	phase int // of the next output sample
	ahead int // samples that are yet to come and that it doesn't need
}

// New makes a resampler between two rates in Hz, any above 0. Of equal ones it copies.
func New(from, to int) *Resampler {
	if from == to {
		return &Resampler{}
	}
	return &Resampler{bank: newBank(from, to)}
}

// Reset forgets the past: silence was before what comes next.
func (r *Resampler) Reset() { r.line, r.begun, r.phase, r.ahead = r.line[:0], false, 0, 0 }

// Run appends to dst what comes of src. Once dst has room, and src isn't longer than before, it doesn't allocate.
func (r *Resampler) Run(dst, src []int16) []int16 {
	if r.bank == nil {
		return append(dst, src...)
	}
	b := r.bank
	if !r.begun {
		r.begun = true
		r.line = slices.Grow(r.line[:0], b.taps-1+len(src))[:b.taps-1]
		clear(r.line)
	}
	for _, s := range src {
		r.line = append(r.line, float32(s))
	}
	at, phase := r.ahead, r.phase
	for at+b.taps <= len(r.line) {
		p := phase
		if b.few {
			p = phase * most / b.up
		}
		dst = append(dst, clamp(dot(b.phases[p], r.line[at:at+b.taps])))
		phase += b.down
		at += phase / b.up
		phase %= b.up
	}
	// Where less comes out than goes in, the next window may begin after all that is here.
	skip := min(at, len(r.line))
	r.line = r.line[:copy(r.line, r.line[skip:])]
	r.ahead, r.phase = at-skip, phase
	return dst
}

// dot keeps four sums, which the processor adds at once.
func dot(h, x []float32) float32 {
	x = x[:len(h)]
	var a, b, c, d float32
	for i := 0; i+3 < len(h); i += 4 {
		a += h[i] * x[i]
		b += h[i+1] * x[i+1]
		c += h[i+2] * x[i+2]
		d += h[i+3] * x[i+3]
	}
	return a + b + c + d
}

func clamp(x float32) int16 {
	switch {
	case x >= math.MaxInt16:
		return math.MaxInt16
	case x <= math.MinInt16:
		return math.MinInt16
	case x < 0:
		return int16(x - 0.5)
	}
	return int16(x + 0.5)
}
