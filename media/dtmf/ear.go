package dtmf

import (
	"math"
	"math/cmplx"

	"github.com/patchbay/patchbay/media/pcm"
)

// Frequencies of ITU-T Q.23, and which digit a low and a high one together are.
var (
	low  = [4]float64{697, 770, 852, 941}
	high = [4]float64{1209, 1336, 1477, 1633}
)

const pairs = "123A456B789C*0#D" // by row (low) and column (high)

// What counts as a digit; the limits lie between what ITU-T Q.24 Annex A has a receiver take and what it has it refuse.
const (
	window = 160 // samples in one look, 20 ms, weighted by a raised cosine
	hop    = 40  // samples from one look to the next, 5 ms

	faint   = -28.5 // dBm0 of either tone: -25 is taken, of which a look that begins before the tone sees less; -29 needn't be
	off     = 0.025 // of a frequency: 1.5 % is taken, 3.5 % isn't
	weaker  = -9.5  // dB of the high tone against the low: -8 is taken
	louder  = 5.5   // and +4
	share   = 0.78  // of the sound's power that both tones are: speech has more beside, and a look that isn't full has less of them
	lasting = 5     // looks in a row that hear the same: a tone of 40 ms is heard in six at least, one of 23 ms in four at most
	gone    = 7     // looks in a row that don't: a break of 10 ms is missed by four, a pause of 40 ms by nine
)

// ear finds digits in sound. It looks each 5 ms at the latest 20, and takes the frequency of what it hears from how far its phase went on
// between two looks: a bin so short is far wider than the tolerance.
type ear struct {
	weight [window]float64
	cosine [8]float64    // 2 cos of the angle that a frequency goes on in a sample
	turn   [8]complex128 // of the angle in a sample
	back   [8]complex128 // against that in a hop
	faint  float64       // power of either tone
	floor  float64       // of the weighted power in a look that may hold two tones at all
	mass   float64       // sum of weights

	sound  [window]float64 // 1 is the amplitude of 0 dBm0
	filled int             // samples since the last look
	before [8]complex128
	known  bool // what before is
}

func newEar() *ear {
	e := new(ear)
	for i := range e.weight {
		e.weight[i] = 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/window)
		e.mass += e.weight[i]
	}
	for i := range 8 {
		angle := 2 * math.Pi * tone(i) / pcm.Rate
		e.cosine[i] = 2 * math.Cos(angle)
		e.turn[i] = cmplx.Rect(1, -angle)
		e.back[i] = cmplx.Rect(1, -angle*hop)
	}
	e.faint = math.Pow(10, faint/10)
	e.floor = e.faint * e.mass / 2
	return e
}

// tone is one of the eight frequencies, Hz.
func tone(i int) float64 {
	if i < len(low) {
		return low[i]
	}
	return high[i-len(low)]
}

// reset forgets what was heard.
func (e *ear) reset() {
	e.sound, e.filled, e.known = [window]float64{}, 0, false
}

// hear takes one sample. looked tells that it completed a look, which saw the digit of pairs, or -1.
func (e *ear) hear(x float64) (digit int, looked bool) {
	e.sound[window-hop+e.filled] = x
	if e.filled++; e.filled < hop {
		return -1, false
	}
	digit = e.look()
	copy(e.sound[:], e.sound[hop:])
	e.filled = 0
	return digit, true
}

func (e *ear) look() int {
	power := 0.0
	for i, x := range e.sound {
		power += e.weight[i] * x * x
	}
	if power < e.floor {
		e.known = false
		return -1
	}
	now := e.spectrum()
	before, known := e.before, e.known
	e.before, e.known = now, true
	if !known {
		return -1
	}
	l, h := strongest(now[:4]), 4+strongest(now[4:])
	pl, okl := e.level(l, before[l], now[l])
	ph, okh := e.level(h, before[h], now[h])
	if !okl || !okh || (pl+ph)*e.mass/2 < share*power {
		return -1
	}
	if twist := 10 * math.Log10(ph/pl); twist < weaker || twist > louder {
		return -1
	}
	return 4*l + h - 4
}

// spectrum is Goertzel's filter of all eight frequencies side by side, so that none waits for its own last sum.
func (e *ear) spectrum() (out [8]complex128) {
	var s1, s2 [8]float64
	for i, x := range e.sound {
		x *= e.weight[i]
		for k := range s1 {
			s1[k], s2[k] = x+e.cosine[k]*s1[k]-s2[k], s1[k]
		}
	}
	for k := range out {
		out[k] = complex(s1[k], 0) - e.turn[k]*complex(s2[k], 0)
	}
	return out
}

func strongest(of []complex128) int {
	best, most := 0, 0.0
	for i, z := range of {
		if p := real(z)*real(z) + imag(z)*imag(z); p > most {
			best, most = i, p
		}
	}
	return best
}

// level is the power of a tone near frequency k, 1 at 0 dBm0; ok if it is near enough and not faint.
func (e *ear) level(k int, before, now complex128) (power float64, ok bool) {
	step := now * cmplx.Conj(before) * e.back[k]
	hz := cmplx.Phase(step) / (2 * math.Pi) * pcm.Rate / hop // from the nominal
	if math.Abs(hz) > off*tone(k) {
		return 0, false
	}
	amplitude := 2 * cmplx.Abs(now) / e.mass / response(hz)
	power = amplitude * amplitude
	return power, power >= e.faint
}

// response is how much of a tone's amplitude a look sees that is so many Hz beside: the transform of a raised cosine.
func response(hz float64) float64 {
	x := hz * window / pcm.Rate // in bins
	if math.Abs(x) < 1e-3 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x) / (1 - x*x)
}
