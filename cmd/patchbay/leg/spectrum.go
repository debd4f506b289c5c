package leg

import (
	"math"
	"math/cmplx"

	"github.com/patchbay/patchbay/media/pcm"
)

const (
	silent  = -90.0 // dBm0
	spectra = 8192  // points of the transform; the second is padded
)

// strongest finds the strongest frequency from 50 Hz on: the highest bin of a Hann-windowed transform, then the frequency
// between its neighbours at which the level is highest.
func strongest(x []float64) Tone {
	if len(x) < pcm.Rate/10 {
		return Tone{0, silent}
	}
	bins := make([]complex128, spectra)
	for i, v := range x {
		bins[i] = complex(v*hann(i, len(x)), 0)
	}
	transform(bins)
	best := 50 * spectra / pcm.Rate
	for i := best; i < spectra/2; i++ {
		if cmplx.Abs(bins[i]) > cmplx.Abs(bins[best]) {
			best = i
		}
	}
	const width = float64(pcm.Rate) / spectra
	low, high := (float64(best)-1)*width, (float64(best)+1)*width
	for range 30 { // the level has one hill there
		a, b := low+(high-low)/3, high-(high-low)/3
		if level(x, a) < level(x, b) {
			low = a
		} else {
			high = b
		}
	}
	hz := (low + high) / 2
	db := level(x, hz)
	if db <= silent {
		return Tone{0, silent}
	}
	return Tone{math.Round(hz*10) / 10, math.Round(db*100) / 100}
}

func hann(i, n int) float64 { return 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(n)) }

// level is that of one frequency, in dBm0 (Goertzel's algorithm over a Hann window).
func level(x []float64, hz float64) float64 {
	k := 2 * math.Cos(2*math.Pi*hz/pcm.Rate)
	var s1, s2, sum float64
	for i, v := range x {
		w := hann(i, len(x))
		sum += w
		s1, s2 = k*s1-s2+w*v, s1
	}
	power := 4 * (s1*s1 + s2*s2 - k*s1*s2) / (sum * sum)
	return max(10*math.Log10(max(power, 1e-12)), silent)
}

// transform is the discrete Fourier transform in place; the length is a power of two.
func transform(x []complex128) {
	n := len(x)
	for i, j := 1, 0; i < n; i++ {
		bit := n >> 1
		for ; j&bit != 0; bit >>= 1 {
			j ^= bit
		}
		j ^= bit
		if i < j {
			x[i], x[j] = x[j], x[i]
		}
	}
	for size := 2; size <= n; size <<= 1 {
		step := cmplx.Rect(1, -2*math.Pi/float64(size))
		for from := 0; from < n; from += size {
			w := complex(1, 0)
			for i := from; i < from+size/2; i++ {
				a, b := x[i], x[i+size/2]*w
				x[i], x[i+size/2] = a+b, a-b
				w *= step
			}
		}
	}
}
