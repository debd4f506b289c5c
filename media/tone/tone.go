// Package tone is an element that sends sines: the milliwatt, ringback, busy.
package tone

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/pcm"
)

// Sine is one frequency of a tone.
type Sine struct {
	Hz    float64 // over 0, under 4000
	Level float64 // dBm0, -70 to 3.14
}

// Sound says how a tone sounds.
type Sound struct {
	Sines   []Sine          // heard together, at most 8
	Cadence []time.Duration // on, off, on, off and so on, again and again; empty = on all the time
	For     time.Duration   // then it ends; 0 = never
}

// Milliwatt is the reference tone, 0 dBm0. Use 1004 or 1020 Hz (ITU-T O.6, G.711 clause 4): 1000 is a fraction of 8000.
func Milliwatt(hz float64) Sound { return Sound{Sines: []Sine{{hz, 0}}} }

// Ringback and Busy are 425 Hz in the cadences that ITU-T E.180 recommends.
func Ringback() Sound {
	return Sound{Sines: []Sine{{425, -13}}, Cadence: []time.Duration{time.Second, 4 * time.Second}}
}

// Busy is half a second on, half a second off.
func Busy() Sound {
	return Sound{Sines: []Sine{{425, -13}}, Cadence: []time.Duration{time.Second / 2, time.Second / 2}}
}

// Config of a tone.
type Config struct {
	Sound
	Clock    *media.Clock
	Registry *media.Registry    // for sinks that take neither PCMU nor PCMA
	Post     func(media.Notice) // is told media.Ended; may be nil
}

// Tone is the element. It is silent until Start.
type Tone struct {
	cfg    Config
	out    *pcm.Out
	period int // of the cadence, in samples
	end    int // samples; 0 = never
	at     int // samples sent
	sines  []wave
	codes  [pcm.PerFrame]byte
	frames atomic.Uint64
	on     sync.Once

	mu     sync.Mutex
	stop   func()
	closed bool
}

type wave struct{ step, level float64 } // turns per sample, amplitude by the law's peak

// New makes a tone.
func New(cfg Config) (*Tone, error) {
	if cfg.Clock == nil {
		return nil, fmt.Errorf("tone: no clock")
	}
	if n := len(cfg.Sines); n < 1 || n > 8 {
		return nil, fmt.Errorf("tone: %d sines, expected 1 to 8", n)
	}
	t := &Tone{cfg: cfg, out: pcm.NewOut(cfg.Registry), end: samples(cfg.For)}
	all := 0.0
	for i, s := range cfg.Sines {
		if !(s.Hz > 0 && s.Hz < pcm.Rate/2) || !(s.Level >= -70 && s.Level <= 3.14) {
			return nil, fmt.Errorf("tone: sine %d is %v Hz at %v dBm0, expected over 0 and under 4000 Hz, -70 to 3.14 dBm0", i+1, s.Hz, s.Level)
		}
		w := wave{s.Hz / pcm.Rate, math.Pow(10, s.Level/20)}
		t.sines = append(t.sines, w)
		all += w.level
	}
	if limit := math.Pow(10, 3.14/20); all > limit+1e-9 {
		return nil, fmt.Errorf("tone: the sines together are %.1f times as loud as G.711 can be", all/limit)
	}
	for i, d := range cfg.Cadence {
		if d < 10*time.Millisecond || d > time.Minute || len(cfg.Cadence) > 16 {
			return nil, fmt.Errorf("tone: cadence has %d parts, part %d is %s, expected at most 16 of 10ms to 1m", len(cfg.Cadence), i+1, d)
		}
		t.period += samples(d)
	}
	if cfg.For < 0 {
		return nil, fmt.Errorf("tone: duration %s, expected 0 (for ever) or more", cfg.For)
	}
	return t, nil
}

func samples(d time.Duration) int { return int(d * pcm.Rate / time.Second) }

// Start begins to send. A second time it does nothing.
func (t *Tone) Start() {
	t.on.Do(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if !t.closed {
			t.stop = t.cfg.Clock.While(t.tick)
		}
	})
}

// tick sends 20 ms.
func (t *Tone) tick(time.Time) (more bool) {
	law := t.out.Law()
	talk := false
	for i := range t.codes {
		v := t.value(t.at+i, law)
		talk = talk || v != 0
		t.codes[i] = law.Code(v)
	}
	t.out.Send(law, t.codes[:], talk)
	t.frames.Add(1)
	t.at += len(t.codes)
	if t.end == 0 || t.at < t.end {
		return true
	}
	if t.cfg.Post != nil {
		t.cfg.Post(media.Ended{})
	}
	return false
}

// value is the sample at a time since the start.
func (t *Tone) value(at int, law *g711.Law) int16 {
	if t.end > 0 && at >= t.end {
		return 0
	}
	since := at
	if t.period > 0 { // each on begins anew, so that it doesn't click
		since = at % t.period
		for i, d := range t.cfg.Cadence {
			n := samples(d)
			if since < n {
				if i%2 == 1 {
					return 0
				}
				break
			}
			since -= n
		}
	}
	sum := 0.0
	for _, w := range t.sines {
		_, turn := math.Modf(w.step * float64(since))
		sum += w.level * math.Sin(2*math.Pi*turn)
	}
	return int16(max(min(math.Round(sum*law.Peak()), math.MaxInt16), math.MinInt16))
}

// Source is the output, for the zero Pad.
func (t *Tone) Source(p media.Pad) *media.Source {
	if p == (media.Pad{}) {
		return t.out.Source()
	}
	return nil
}

// Sink is nil: a tone hears nothing.
func (t *Tone) Sink(media.Pad) media.Sink { return nil }

// Stats notes the frames sent.
func (t *Tone) Stats(s *media.Snapshot) { s.Note("tone.frames", float64(t.frames.Load())) }

// Close ends the tone. Ended isn't posted. It must not be called from Post.
func (t *Tone) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.stop != nil {
		t.stop()
	}
	t.out.Source().Close()
	return nil
}
