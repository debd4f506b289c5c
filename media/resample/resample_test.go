package resample

import (
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
)

// tone is a second of a sine with an amplitude of 10,000.
func tone(rate int, hz float64) []int16 {
	out := make([]int16, rate)
	for i := range out {
		out[i] = int16(math.Round(10000 * math.Sin(2*math.Pi*hz*float64(i)/float64(rate))))
	}
	return out
}

// run resamples in blocks of 20 ms and leaves out how the filter begins.
func run(from, to int, in []int16) []int16 {
	r := New(from, to)
	var out []int16
	for per := from / 50; len(in) >= per; in = in[per:] {
		out = r.Run(out, in[:per])
	}
	return out[to/5:]
}

func pairs(t *testing.T, do func(t *testing.T, from, to int)) {
	for _, from := range Rates() {
		for _, to := range Rates() {
			t.Run(fmt.Sprintf("%d to %d", from, to), func(t *testing.T) { do(t, from, to) })
		}
	}
}

// What both rates can hold comes through as it was.
func TestTonesKeepTheirLevel(t *testing.T) {
	pairs(t, func(t *testing.T, from, to int) {
		low := float64(min(from, to))
		for _, part := range []float64{0.01, 0.05, 0.125, 0.25, 0.375, 0.42} {
			hz := math.Round(low * part)
			got := mediatest.Level(run(from, to, tone(from, hz)), float64(to), hz, 10000)
			if math.Abs(got) > 0.15 {
				t.Errorf("%v Hz comes out at %+.2f dB", hz, got)
			}
		}
	})
}

// What the lower rate can't hold doesn't come through, under any name: it would be heard as another tone.
func TestNothingIsAliased(t *testing.T) {
	pairs(t, func(t *testing.T, from, to int) {
		if from <= to {
			return
		}
		for _, part := range []float64{0.55, 0.6, 0.75, 0.9} {
			hz := float64(to) * part
			if hz >= float64(from)/2 {
				continue
			}
			if got := level(run(from, to, tone(from, hz))); got > -75 {
				t.Errorf("%v Hz comes out at %.1f dB", hz, got)
			}
		}
	})
}

// A tone that comes out has no images.
func TestNoImages(t *testing.T) {
	pairs(t, func(t *testing.T, from, to int) {
		if from == to {
			return
		}
		hz := float64(min(from, to)) / 8
		out := run(from, to, tone(from, hz))
		if got := beside(out, to, hz); got > -72 {
			t.Errorf("beside the tone there is %.1f dB", got)
		}
	})
}

// beside is the level of what isn't the tone.
func beside(out []int16, to int, hz float64) float64 {
	out = out[:len(out)/to*to+to/2] // whole periods
	var re, im float64
	for i, s := range out {
		sin, cos := math.Sincos(2 * math.Pi * hz * float64(i) / float64(to))
		re += float64(s) * cos
		im += float64(s) * sin
	}
	n := float64(len(out)) / 2
	rest := make([]int16, len(out))
	for i, s := range out {
		sin, cos := math.Sincos(2 * math.Pi * hz * float64(i) / float64(to))
		rest[i] = int16(math.Round(float64(s) - re/n*cos - im/n*sin))
	}
	return level(rest)
}

// Rates that have nothing in common, as a file may say, take no more memory than others, and a tone comes through nearly as clean.
func TestOddRates(t *testing.T) {
	for _, c := range [][2]int{{47999, 48000}, {191999, 48000}, {11027, 16000}, {4001, 16000}} {
		from, to := c[0], c[1]
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		New(from, to)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
			t.Errorf("%d to %d takes %d bytes", from, to, n)
		}
		hz := float64(min(from, to) / 8)
		out := run(from, to, tone(from, hz))
		if got := mediatest.Level(out, float64(to), hz, 10000); math.Abs(got) > 0.15 {
			t.Errorf("%d to %d: %v Hz comes out at %+.2f dB", from, to, hz, got)
		}
		if got := beside(out, to, hz); got > -55 {
			t.Errorf("%d to %d: beside the tone there is %.1f dB", from, to, got)
		}
	}
}

// level is that of all there is, in dB below the tones of the test.
func level(samples []int16) float64 {
	sum := 0.0
	for _, s := range samples {
		sum += float64(s) * float64(s)
	}
	return 20 * math.Log10(math.Max(math.Sqrt(2*sum/float64(len(samples))), 1e-3)/10000)
}

// As much time comes out as went in, however the blocks are cut.
func TestLength(t *testing.T) {
	pairs(t, func(t *testing.T, from, to int) {
		for _, block := range []int{1, 7, 80, from / 50, from / 25} {
			r, in, out := New(from, to), 0, 0
			src := make([]int16, block)
			for in+block <= from {
				out += len(r.Run(nil, src))
				in += block
			}
			if want := in * to / from; out < want-1 || out > want+1 {
				t.Errorf("in blocks of %d: %d samples came of %d, want %d", block, out, in, want)
			}
		}
	})
}

func TestFullScaleIsClamped(t *testing.T) {
	in := make([]int16, 800)
	for i := range in {
		in[i] = math.MaxInt16
		if i/40%2 == 1 {
			in[i] = math.MinInt16
		}
	}
	for i, s := range New(8000, 16000).Run(nil, in) {
		// The edges come out 24 samples of the lower rate later.
		if at := (i + 80 - 48) % 80; i > 100 && at > 20 && at < 60 && s > -20000 && s < 20000 {
			t.Fatalf("sample %d is %d: a square wave wrapped", i, s)
		}
	}
}

// frames resamples payloads of L16 and gives what comes of them.
func frames(from, to int, step func(i int, f *media.Frame)) []media.Frame {
	reg := media.NewRegistry()
	reg.SetWorkers(-1)
	reg.Register(Conversions()...)
	src := media.NewSource(reg, nil)
	in := media.L16(from)
	src.SetFormats(in)
	k := mediatest.NewRecorder(media.L16(to))
	src.Link(k)
	f := media.Frame{Format: in, Payload: make([]byte, from/50*2), Timestamp: math.MaxUint32 - uint32(from)}
	for i := range 200 {
		step(i, &f)
		src.Send(&f)
		f.Sequence++
		f.Timestamp += uint32(from / 50)
	}
	return k.Frames()
}

func TestTimestampsMoveToTheOtherClock(t *testing.T) {
	pairs(t, func(t *testing.T, from, to int) {
		got := frames(from, to, func(i int, f *media.Frame) {
			if i == 100 { // the source paused for a second
				f.Timestamp += uint32(from)
				f.Marker = true
			} else {
				f.Marker = false
			}
		})
		if len(got) != 200 {
			t.Fatalf("%d frames came of 200", len(got))
		}
		for i := 1; i < len(got); i++ {
			want := uint32(to / 50)
			if i == 100 {
				want += uint32(to)
			}
			if d := got[i].Timestamp - got[i-1].Timestamp; d != want {
				t.Fatalf("frame %d is %d after the one before it, want %d", i, d, want)
			}
			if got[i].Marker != (i == 100) || got[i].Sequence != got[i-1].Sequence+1 || len(got[i].Payload) != to/50*2 {
				t.Fatalf("frame %d: marker %v, sequence %d, %d bytes", i, got[i].Marker, got[i].Sequence, len(got[i].Payload))
			}
		}
	})
}

func TestRunDoesNotAllocate(t *testing.T) {
	pairs(t, func(t *testing.T, from, to int) {
		r, in, out := New(from, to), make([]int16, from/50), make([]int16, 0, 2000)
		r.Run(out, in)
		r.Run(out, in)
		if n := testing.AllocsPerRun(50, func() { r.Run(out, in) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// Frame is what 20 ms cost.
func BenchmarkFrame(b *testing.B) {
	for _, from := range Rates() {
		for _, to := range Rates() {
			if from == to {
				continue
			}
			b.Run(fmt.Sprintf("%d-%d", from, to), func(b *testing.B) {
				r, in, out := New(from, to), make([]int16, from/50), make([]int16, 0, 2000)
				for b.Loop() {
					r.Run(out, in)
				}
				b.ReportMetric(float64(costOf(from, to)), "us-told")
			})
		}
	}
}
