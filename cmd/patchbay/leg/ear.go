package leg

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/meter"
	"github.com/patchbay/patchbay/media/pcm"
	"github.com/patchbay/patchbay/media/wav"
)

// ear is what listens on a leg: a meter over all, the last second for its spectrum, and a recorder if asked for.
type ear struct {
	leg    *Leg
	second *second

	mu    sync.Mutex
	meter *meter.Meter
}

func newEar(l *Leg, record string) (*ear, error) {
	e := &ear{leg: l, second: newSecond()}
	l.ep.Source(media.Pad{}).Link(e.second)
	if err := l.pipe.Add(e.second); err != nil {
		return nil, err
	}
	if record != "" {
		if err := e.record(record); err != nil {
			return nil, err
		}
	}
	return e, e.again()
}

// record writes what is heard to a new file.
func (e *ear) record(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	r, err := wav.NewRecorder(wav.RecorderConfig{File: f, Post: e.leg.notify})
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if err := e.leg.pipe.Add(r); err != nil {
		return err
	}
	e.leg.ep.Source(media.Pad{}).Link(r)
	return nil
}

// again measures anew from now on.
func (e *ear) again() error {
	m, err := meter.New(meter.Config{})
	if err != nil {
		return err
	}
	if err := e.leg.pipe.Add(m); err != nil {
		return err
	}
	e.mu.Lock()
	old := e.meter
	e.meter = m
	e.mu.Unlock()
	e.second.clear()
	e.leg.ep.Source(media.Pad{}).Link(m)
	if old != nil {
		return e.leg.pipe.Remove(old)
	}
	return nil
}

func (e *ear) read() (meter.Reading, Tone) {
	e.mu.Lock()
	m := e.meter
	e.mu.Unlock()
	return m.Read(), e.second.strongest()
}

// Tone is the strongest frequency in the last second heard. Level is -90 dBm0 where nothing is.
type Tone struct {
	Hz    float64 `json:"hz"`
	Level float64 `json:"dbm0"`
}

// second is a sink that keeps the last second of audio.
type second struct {
	media.Inlet
	in    *pcm.In
	words []int16 // scratch
	first atomic.Int64

	mu     sync.Mutex
	ring   [pcm.Rate]float32 // 1 is the peak of a sine of 0 dBm0
	at     int
	filled int
}

func newSecond() *second {
	return &second{in: pcm.NewIn(), words: make([]int16, 0, pcm.Most)}
}

// Caps is what can be measured.
func (s *second) Caps() *media.Caps { return s.in.Caps() }

// Push keeps one frame's samples.
func (s *second) Push(f *media.Frame) {
	words, peak := s.in.Read(s.words[:0], f)
	if len(words) == 0 {
		return
	}
	if s.first.Load() == 0 {
		s.first.Store(time.Now().UnixNano())
	}
	s.mu.Lock()
	for _, w := range words {
		s.ring[s.at] = float32(float64(w) / peak)
		if s.at++; s.at == len(s.ring) {
			s.at = 0
		}
	}
	s.filled = min(s.filled+len(words), len(s.ring))
	s.mu.Unlock()
}

// began is when the first audio came; zero if none has.
func (s *second) began() time.Time {
	if ns := s.first.Load(); ns != 0 {
		return time.Unix(0, ns)
	}
	return time.Time{}
}

func (s *second) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filled = 0
}

// samples copies what is kept, oldest first.
func (s *second) samples() []float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]float64, s.filled)
	from := (s.at - s.filled + len(s.ring)) % len(s.ring)
	for i := range out {
		out[i] = float64(s.ring[(from+i)%len(s.ring)])
	}
	return out
}

func (s *second) strongest() Tone { return strongest(s.samples()) }

// Source is nil: it sends nothing.
func (s *second) Source(media.Pad) *media.Source { return nil }

// Sink is the input.
func (s *second) Sink(p media.Pad) media.Sink {
	if p == (media.Pad{}) {
		return s
	}
	return nil
}

// Stats adds nothing.
func (s *second) Stats(*media.Snapshot) {}

// Close ends the link.
func (s *second) Close() error {
	s.Detach()
	return nil
}
