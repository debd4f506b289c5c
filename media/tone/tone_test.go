package tone

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
)

// play lets a tone sound for so long into a sink of one format, and gives what came.
func play(t *testing.T, s Sound, f *media.Format, d time.Duration) (samples []int16, r *mediatest.Recorder, ended time.Duration) {
	t.Helper()
	r = mediatest.NewRecorder(f)
	synctest.Test(t, func(t *testing.T) {
		c := media.NewClock()
		defer c.Close()
		begin := time.Now()
		e, err := New(Config{Sound: s, Clock: c, Post: func(media.Notice) { ended = time.Since(begin) }})
		if err != nil {
			t.Fatal(err)
		}
		e.Source(media.Pad{}).Link(r)
		e.Start()
		e.Start()
		time.Sleep(d)
		e.Close()
	})
	return mediatest.Linear(f, r.Audio()), r, ended
}

func TestMilliwattIsTheMilliwatt(t *testing.T) {
	for _, f := range []*media.Format{media.PCMU(), media.PCMA()} {
		law := map[string]*g711.Law{"PCMU": g711.Mu(), "PCMA": g711.A()}[f.Codec]
		for _, hz := range []float64{1004, 1020} {
			samples, r, _ := play(t, Milliwatt(hz), f, 2010*time.Millisecond)
			if len(samples) < 16000 || len(samples) > 16160 {
				t.Fatalf("%d samples in 2 s", len(samples))
			}
			if l := mediatest.Level(samples, 8000, hz, law.Peak()); math.Abs(l) > 0.1 {
				t.Errorf("%s: %.3f dBm0 at %v Hz, want 0", f, l, hz)
			}
			if l := mediatest.Level(samples, 8000, hz+40, law.Peak()); l > -40 {
				t.Errorf("%s: %.3f dBm0 beside %v Hz", f, l, hz)
			}
			sum := 0.0
			for _, s := range samples {
				sum += float64(s) * float64(s)
			}
			if l := 10 * math.Log10(sum/float64(len(samples))/(law.Peak()*law.Peak()/2)); math.Abs(l) > 0.1 {
				t.Errorf("%s: %.3f dBm0 in all, want 0: noise", f, l)
			}
			for i, fr := range r.Frames() {
				if fr.Sequence != uint16(i) || fr.Timestamp != uint32(160*i) || fr.Marker != (i == 0) || len(fr.Payload) != 160 {
					t.Fatalf("frame %d: sequence %d, timestamp %d, marker %v, %d bytes", i, fr.Sequence, fr.Timestamp, fr.Marker, len(fr.Payload))
				}
			}
		}
	}
}

func TestCadence(t *testing.T) {
	samples, r, _ := play(t, Busy(), media.PCMA(), 3010*time.Millisecond)
	for from := 0; from+4000 <= len(samples); from += 4000 {
		l := mediatest.Level(samples[from:from+4000], 8000, 425, g711.A().Peak())
		if on := from%8000 == 0; on && math.Abs(l+13) > 0.1 || !on && l > -60 {
			t.Errorf("%.2f dBm0 in the half second from %d ms", l, from/8)
		}
	}
	marked := 0
	for _, f := range r.Frames() {
		if f.Marker {
			marked++
		}
	}
	if marked != 3 && marked != 4 {
		t.Errorf("%d talkspurts in 3 s", marked)
	}
	ring, _, _ := play(t, Ringback(), media.PCMU(), 6010*time.Millisecond)
	for i, want := range []bool{true, false, false, false, false, true} {
		l := mediatest.Level(ring[i*8000:(i+1)*8000], 8000, 425, g711.Mu().Peak())
		if want && math.Abs(l+13) > 0.1 || !want && l > -60 {
			t.Errorf("ringback: %.2f dBm0 in second %d", l, i)
		}
	}
}

func TestTwoSinesAndAnEnd(t *testing.T) {
	s := Sound{Sines: []Sine{{350, -13}, {440, -16}}, For: 250 * time.Millisecond}
	samples, _, ended := play(t, s, media.PCMU(), time.Second)
	if len(samples) != 13*160 {
		t.Errorf("%d samples of a tone of 250 ms, want 13 frames", len(samples))
	}
	for _, v := range samples[2000:] {
		if v != 0 {
			t.Fatal("sounds after its end")
		}
	}
	if ended < 240*time.Millisecond || ended > 280*time.Millisecond {
		t.Errorf("ended after %s, want 250 ms", ended)
	}
	long, _, _ := play(t, Sound{Sines: s.Sines}, media.PCMU(), 2*time.Second)
	for _, w := range s.Sines {
		if l := mediatest.Level(long, 8000, w.Hz, g711.Mu().Peak()); math.Abs(l-w.Level) > 0.1 {
			t.Errorf("%.2f dBm0 at %v Hz, want %v", l, w.Hz, w.Level)
		}
	}
}

func TestMistakes(t *testing.T) {
	c := media.NewClock()
	defer c.Close()
	one := []Sine{{440, -10}}
	for name, cfg := range map[string]Config{
		"no clock":     {Sound: Sound{Sines: one}},
		"no sine":      {Clock: c},
		"too high":     {Clock: c, Sound: Sound{Sines: []Sine{{4000, -10}}}},
		"not a number": {Clock: c, Sound: Sound{Sines: []Sine{{math.NaN(), -10}}}},
		"too loud":     {Clock: c, Sound: Sound{Sines: []Sine{{440, 4}}}},
		"loud in all":  {Clock: c, Sound: Sound{Sines: []Sine{{440, 0}, {880, 0}}}},
		"cadence":      {Clock: c, Sound: Sound{Sines: one, Cadence: []time.Duration{0}}},
		"duration":     {Clock: c, Sound: Sound{Sines: one, For: -1}},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestConforms(t *testing.T) {
	mediatest.Element(t, func() (media.Element, func()) {
		c := media.NewClock()
		e, err := New(Config{Sound: Ringback(), Clock: c})
		if err != nil {
			t.Fatal(err)
		}
		e.Start()
		return e, c.Close
	})
}

func TestTickDoesNotAllocate(t *testing.T) {
	c := media.NewClock()
	defer c.Close()
	e, _ := New(Config{Sound: Milliwatt(1004), Clock: c})
	e.Source(media.Pad{}).Link(mediatest.NewCounter(media.PCMA()))
	if n := testing.AllocsPerRun(100, func() { e.tick(time.Time{}) }); n != 0 {
		t.Errorf("a tick allocates %v times", n)
	}
}
