package meter

import (
	"math"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
)

// stage is a meter, a source that feeds it, and a time of its own.
type stage struct {
	m   *Meter
	src *media.Source
	f   media.Frame
}

func newStage(t *testing.T, format *media.Format, cfg Config) *stage {
	t.Helper()
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{m: m, src: media.NewSource(nil, nil), f: media.Frame{Format: format, Arrival: int64(time.Second)}}
	s.src.SetFormats(format)
	s.src.Link(m)
	return s
}

// say sends frames 20 ms apart.
func (s *stage) say(payloads [][]byte) {
	for _, p := range payloads {
		s.f.Payload = p
		s.src.Send(&s.f)
		s.f.Sequence++
		s.f.Arrival += int64(media.Tick)
	}
}

func near(t *testing.T, what string, got, want, by float64) {
	t.Helper()
	if !(math.Abs(got-want) <= by) {
		t.Errorf("%s: %v, want %v within %v", what, got, want, by)
	}
}

func TestLevels(t *testing.T) {
	for _, f := range []*media.Format{media.PCMU(), media.PCMA(), media.L16(8000)} {
		for _, level := range []float64{0, -10, -25, -40} {
			for _, hz := range []float64{440, 1004, 1020, 2813} {
				s := newStage(t, f, Config{Frequencies: []float64{hz, 700}})
				s.say(mediatest.Tone(f, hz, level, 100))
				r := s.m.Read()
				near(t, f.Codec+" level", r.Level, level, 0.1)
				near(t, f.Codec+" last level", r.Last, level, 0.1)
				near(t, f.Codec+" tone", r.Tones[0].Level, level, 0.1)
				near(t, f.Codec+" least", r.Tones[0].Min, level, 0.15)
				near(t, f.Codec+" most", r.Tones[0].Max, level, 0.15)
				if beside := r.Tones[1].Level; beside > level-35 {
					t.Errorf("%s %v Hz: %.1f dBm0 at 700 Hz", f, hz, beside)
				}
				if r.Frames != 100 || r.Time != 2*time.Second || r.Silence.Count != 0 || r.Pauses.Count != 0 || r.Lost != 0 {
					t.Errorf("%s: %+v", f, r)
				}
			}
		}
	}
}

func TestGaps(t *testing.T) {
	u := media.PCMU()
	tone := func(n int) [][]byte { return mediatest.Tone(u, 440, -10, n) }
	quiet := func(n int) [][]byte { return mediatest.Tone(u, 440, -80, n) }
	s := newStage(t, u, Config{Frequencies: []float64{440}})
	s.say(tone(50))
	s.say(quiet(2)) // 40 ms: too short to count
	s.say(tone(10))
	s.say(quiet(10)) // 200 ms
	s.say(tone(10))
	s.f.Arrival += int64(100 * time.Millisecond) // a pause of 100 ms, and three frames of it lost
	s.f.Sequence += 3
	s.say(tone(10))
	s.f.Arrival += int64(50 * time.Millisecond) // late, too little to count
	s.say(tone(1))
	s.say(quiet(5)) // goes on
	r := s.m.Read()
	if r.Silence.Count != 2 {
		t.Errorf("%d silences, want 2", r.Silence.Count)
	}
	near(t, "longest silence", r.Silence.Longest.Seconds(), 0.2, 0.002)
	near(t, "all silence", r.Silence.Total.Seconds(), 0.3, 0.004)
	if r.Pauses.Count != 1 || r.Pauses.Longest != 100*time.Millisecond || r.Pauses.Total != 100*time.Millisecond || r.Lost != 3 {
		t.Errorf("pauses %+v, lost %d", r.Pauses, r.Lost)
	}
	near(t, "spacing", r.Spacing.Mean.Seconds(), (0.02*97+0.15)/97, 1e-4)
	if r.Spacing.Max != 120*time.Millisecond {
		t.Errorf("longest spacing %s", r.Spacing.Max)
	}
	if r.Tones[0].Min > -30 || r.Tones[0].Max < -10.2 {
		t.Errorf("tone from %.1f to %.1f dBm0", r.Tones[0].Min, r.Tones[0].Max)
	}
	s.f.Epoch++ // another stream: its sequence numbers mean nothing here
	s.f.Sequence += 1000
	s.say(tone(1))
	if got := s.m.Read(); got.Lost != 3 {
		t.Errorf("%d lost after another stream began", got.Lost)
	}
}

func TestSilenceAndNothing(t *testing.T) {
	m, err := New(Config{Frequencies: []float64{440}})
	if err != nil {
		t.Fatal(err)
	}
	if r := m.Read(); r.Level != floor || r.Last != floor || r.Tones[0].Level != floor || r.Frames != 0 {
		t.Errorf("before anything: %+v", r)
	}
	m.Push(&media.Frame{Format: media.L16(16000), Payload: make([]byte, 320)})
	m.Push(&media.Frame{Format: m.Caps().Formats[0], Payload: make([]byte, 9999)})
	m.Push(&media.Frame{Format: m.Caps().Formats[1], Kind: media.Event, Payload: make([]byte, 4)})
	if r := m.Read(); r.Frames != 0 || r.Ignored != 3 {
		t.Errorf("of what isn't measured: %+v", r)
	}
}

func TestMistakes(t *testing.T) {
	for name, cfg := range map[string]Config{
		"frequency": {Frequencies: []float64{4000}}, "none": {Frequencies: []float64{math.NaN()}},
		"many": {Frequencies: make([]float64, 17)}, "gap": {Gap: -1}, "quiet": {Quiet: 1},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestConforms(t *testing.T) {
	mediatest.Element(t, func() (media.Element, func()) {
		m, err := New(Config{Frequencies: []float64{440, 880}})
		if err != nil {
			t.Fatal(err)
		}
		return m, nil
	})
}

func BenchmarkPush(b *testing.B) {
	m, _ := New(Config{Frequencies: []float64{440, 880}})
	f := &media.Frame{Format: m.Caps().Formats[0], Payload: mediatest.Tone(media.PCMU(), 440, -10, 1)[0]}
	b.ReportAllocs()
	for b.Loop() {
		m.Push(f)
	}
}
