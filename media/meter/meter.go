// Package meter is a sink that measures what it hears and keeps none of it: level, frequencies, gaps, the packets' spacing.
package meter

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/pcm"
)

// Window is how long one measurement of level and frequencies lasts.
const Window = 100 * time.Millisecond

const (
	perWindow = int(Window * pcm.Rate / time.Second)
	floor     = -90.0 // dBm0; what is shown for silence
)

// Config of a meter.
type Config struct {
	Frequencies []float64     // Hz, over 0 and under 4000, at most 16, that are measured one by one
	Gap         time.Duration // silence, and pauses between frames, count from here; 0 = 60 ms
	Quiet       float64       // dBm0 of peaks that are silence; 0 = -50
	Now         func() int64  // monotonic ns, for frames without Arrival; nil = the wall clock's
}

// Reading is what a meter measured since its beginning. Levels are in dBm0, -90 at least.
type Reading struct {
	Frames  uint64
	Ignored uint64        // frames in no format that is measured
	Time    time.Duration // of audio
	Level   float64       // over all
	Last    float64       // in the last window
	Tones   []Tone        // in the order of Config.Frequencies
	Silence Gaps          // runs of quiet samples
	Pauses  Gaps          // time between two frames' arrival beyond the first one's length
	Lost    uint64        // frames by sequence number, within one stream
	Spacing Spacing
}

// Tone is the level of one frequency over the windows that are complete.
type Tone struct {
	Hz                    float64
	Level, Min, Max, Last float64
}

// Gaps of one kind that were longer than Config.Gap. One that goes on is counted once it is that long.
type Gaps struct {
	Count          uint64
	Longest, Total time.Duration // Longest also of shorter ones
}

// Spacing is the time between the arrivals of two frames that follow each other.
type Spacing struct{ Mean, Max time.Duration }

// Meter is the element.
type Meter struct {
	media.Inlet
	cfg    Config
	in     *pcm.In
	scale  []int16 // scratch
	closed bool

	mu     sync.Mutex
	r      Reading
	power  float64 // sum of squares, of full 0 dBm0 sines' power
	part   float64 // the same, in this window
	filled int     // samples in this window
	bins   []bin
	quiet  int // samples
	last   last
	steps  uint64
	spent  int64 // ns over all steps
}

// bin is a Goertzel filter.
type bin struct {
	coeff, s1, s2 float64
	power         float64 // sum over windows
	windows       int
	min, max, now float64
}

type last struct {
	any      bool
	at       int64
	long     int64 // ns of audio in the frame
	sequence uint16
	epoch    uint32
}

// New makes a meter.
func New(cfg Config) (*Meter, error) {
	if len(cfg.Frequencies) > 16 {
		return nil, fmt.Errorf("meter: %d frequencies, expected at most 16", len(cfg.Frequencies))
	}
	if cfg.Gap < 0 || cfg.Quiet > 0 || math.IsNaN(cfg.Quiet) {
		return nil, fmt.Errorf("meter: gap %s and quiet %v dBm0, expected 0 or more, and 0 or less", cfg.Gap, cfg.Quiet)
	}
	if cfg.Gap == 0 {
		cfg.Gap = 60 * time.Millisecond
	}
	if cfg.Quiet == 0 {
		cfg.Quiet = -50
	}
	if cfg.Now == nil {
		begin := time.Now()
		cfg.Now = func() int64 { return int64(time.Since(begin)) }
	}
	m := &Meter{cfg: cfg, in: pcm.NewIn(), scale: make([]int16, 0, pcm.Most)}
	for _, hz := range cfg.Frequencies {
		if !(hz > 0 && hz < pcm.Rate/2) {
			return nil, fmt.Errorf("meter: frequency %v Hz, expected over 0 and under %d", hz, pcm.Rate/2)
		}
		m.bins = append(m.bins, bin{coeff: 2 * math.Cos(2*math.Pi*hz/pcm.Rate), min: math.Inf(1), max: math.Inf(-1)})
	}
	return m, nil
}

// Caps is PCMU, PCMA and L16/8000.
func (m *Meter) Caps() *media.Caps { return m.in.Caps() }

// Push measures one frame.
func (m *Meter) Push(f *media.Frame) {
	samples, peak := m.in.Read(m.scale[:0], f)
	at := f.Arrival
	if at == 0 {
		at = m.cfg.Now()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return
	case len(samples) == 0:
		m.r.Ignored++
		return
	}
	m.r.Frames++
	m.arrived(f, at, len(samples))
	quiet := peak * math.Pow(10, m.cfg.Quiet/20)
	for _, s := range samples {
		m.sample(float64(s)/peak, math.Abs(float64(s)) < quiet)
	}
}

// arrived measures the time between frames.
func (m *Meter) arrived(f *media.Frame, at int64, samples int) {
	long := int64(samples) * int64(time.Second) / pcm.Rate
	if l := m.last; l.any && l.epoch == f.Epoch {
		if skipped := f.Sequence - l.sequence - 1; skipped < 1<<15 {
			m.r.Lost += uint64(skipped)
		}
	}
	if l := m.last; l.any && at >= l.at {
		step := at - l.at
		m.steps++
		m.spent += step
		m.r.Spacing.Max = max(m.r.Spacing.Max, time.Duration(step))
		m.r.Pauses.add(time.Duration(max(step-l.long, 0)), m.cfg.Gap)
	}
	m.last = last{true, at, long, f.Sequence, f.Epoch}
	m.r.Time += time.Duration(long)
}

func (g *Gaps) add(d, from time.Duration) {
	g.Longest = max(g.Longest, d)
	if d > from {
		g.Count++
		g.Total += d
	}
}

// sample measures one sample, of which 1 is the peak of a sine of 0 dBm0.
func (m *Meter) sample(x float64, quiet bool) {
	if quiet {
		m.quiet++
		m.silence()
	} else {
		m.quiet = 0
	}
	m.part += 2 * x * x
	for i := range m.bins {
		b := &m.bins[i]
		b.s1, b.s2 = x+b.coeff*b.s1-b.s2, b.s1
	}
	if m.filled++; m.filled < perWindow {
		return
	}
	m.r.Last = decibel(m.part / float64(perWindow))
	m.power += m.part
	m.part, m.filled = 0, 0
	for i := range m.bins {
		m.bins[i].window()
	}
}

// silence notes how long it has been quiet by now. The run is counted in the sample that makes it too long, and its time from
// then on as it goes.
func (m *Meter) silence() {
	d := time.Duration(m.quiet) * time.Second / pcm.Rate
	one := time.Second / pcm.Rate
	g := &m.r.Silence
	g.Longest = max(g.Longest, d)
	switch {
	case d-one <= m.cfg.Gap && d > m.cfg.Gap:
		g.Count++
		g.Total += d
	case d > m.cfg.Gap:
		g.Total += one
	}
}

// window ends a measurement. A sine of 0 dBm0 has power 1.
func (b *bin) window() {
	p := (b.s1*b.s1 + b.s2*b.s2 - b.coeff*b.s1*b.s2) / float64(perWindow*perWindow) * 4
	b.s1, b.s2 = 0, 0
	b.power += p
	b.windows++
	b.now = decibel(p)
	b.min, b.max = min(b.min, b.now), max(b.max, b.now)
}

func decibel(power float64) float64 { return max(10*math.Log10(max(power, 1e-12)), floor) }

// Read gives what was measured so far.
func (m *Meter) Read() Reading {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.r
	r.Level = floor
	if n := r.Time * pcm.Rate / time.Second; n > 0 {
		r.Level = decibel((m.power + m.part) / float64(n))
	} else {
		r.Last = floor
	}
	if m.steps > 0 {
		r.Spacing.Mean = time.Duration(m.spent / int64(m.steps))
	}
	r.Tones = make([]Tone, len(m.bins))
	for i, b := range m.bins {
		r.Tones[i] = Tone{m.cfg.Frequencies[i], floor, floor, floor, floor}
		if b.windows > 0 {
			r.Tones[i] = Tone{m.cfg.Frequencies[i], decibel(b.power / float64(b.windows)), b.min, b.max, b.now}
		}
	}
	return r
}

// Source is nil: a meter sends nothing.
func (m *Meter) Source(media.Pad) *media.Source { return nil }

// Sink is the input, for the zero Pad.
func (m *Meter) Sink(p media.Pad) media.Sink {
	if p == (media.Pad{}) {
		return m
	}
	return nil
}

// Stats notes frames, level and gaps.
func (m *Meter) Stats(s *media.Snapshot) {
	r := m.Read()
	s.Note("meter.frames", float64(r.Frames))
	s.Note("meter.level_dbm0", r.Level)
	s.Note("meter.silences", float64(r.Silence.Count))
	s.Note("meter.pauses", float64(r.Pauses.Count))
}

// Close ends the link to whatever it measures. What was read stays.
func (m *Meter) Close() error {
	m.Detach()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}
