package dtmf

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/pcm"
)

// Config of a sender.
type Config struct {
	Clock    *media.Clock
	Tones    bool               // digits are tones in audio (ITU-T Q.23), with silence between them, instead of telephone-events
	Rate     int                // of the telephone-event format, Hz; 0 = 8000
	Registry *media.Registry    // conversions towards sinks whose events have another clock (RFC 4733 2.5.1.1), or that take no G.711; nil = none
	Gap      time.Duration      // between digits, 50 ms to 1 s; 0 = 80 ms
	Post     func(media.Notice) // is told media.Ended when all that was asked for is sent; may be nil
}

// Sender is an element that sends digits, as telephone-events or as tones. It is meant to override the audio of a leg while it sends: link nothing, call
// Override(sender.Source(media.Pad{})), Dial, and restore at Ended.
type Sender struct {
	cfg    Config
	src    *media.Source
	format *media.Format
	step   uint16   // of duration and timestamp in a tick
	gap    int      // ticks
	out    *pcm.Out // of tones; nil: events

	// The clock's own.
	frame   media.Frame
	payload [4]byte
	now     uint32 // timestamp of this tick
	key     key    // what is sent now
	said    int    // ticks of it
	ends    int    // times its end was said
	rest    int    // ticks of the gap that are left
	codes   [pcm.PerFrame]byte

	sent atomic.Uint64

	mu     sync.Mutex
	queue  []key
	stops  [2]func() // of the tick, and of the one before, which may be ending still
	busy   bool
	closed bool
	held   bool // what is sent now lasts until it is released
	letGo  bool // and it was
}

type key struct {
	code  byte
	ticks int
	held  bool
}

const (
	maxQueue = 128
	endTimes = 3 // RFC 4733 2.5.1.4
)

// NewSender makes a sender.
func NewSender(cfg Config) (*Sender, error) {
	if cfg.Rate == 0 {
		cfg.Rate = 8000
	}
	if cfg.Gap == 0 {
		cfg.Gap = 80 * time.Millisecond
	}
	switch {
	case cfg.Clock == nil:
		return nil, fmt.Errorf("dtmf: no clock")
	case cfg.Rate < 8000 || cfg.Rate > 48000 || cfg.Rate%50 != 0:
		return nil, fmt.Errorf("dtmf: rate %d Hz, expected 8000 to 48000 by 50", cfg.Rate)
	case cfg.Gap < 50*time.Millisecond || cfg.Gap > time.Second:
		return nil, fmt.Errorf("dtmf: gap %s, expected 50ms to 1s", cfg.Gap)
	}
	s := &Sender{cfg: cfg, step: uint16(cfg.Rate / 50), gap: ticks(cfg.Gap)}
	if cfg.Tones {
		s.out = pcm.NewOut(cfg.Registry)
		s.src = s.out.Source()
		return s, nil
	}
	s.src, s.format = media.NewSource(cfg.Registry, nil), media.TelephoneEvent(cfg.Rate)
	s.src.SetFormats(s.format)
	s.frame = media.Frame{Kind: media.Event, Format: s.format}
	return s, nil
}

// ticks is how many ticks last at least so long.
func ticks(d time.Duration) int { return int((d + media.Tick - 1) / media.Tick) }

// Dial sends digits (0-9 * # A-D, a-d) after those asked for before. each is how long one lasts, 40 ms to 1 s, in
// steps of 20 ms; 0 = 100 ms.
func (s *Sender) Dial(number string, each time.Duration) error {
	if each == 0 {
		each = 100 * time.Millisecond
	}
	if each < 40*time.Millisecond || each > time.Second {
		return fmt.Errorf("dtmf: digits of %s, expected 40ms to 1s", each)
	}
	keys := make([]key, 0, len(number))
	for i, c := range []byte(strings.ToUpper(number)) {
		code := strings.IndexByte(digits, c)
		if code < 0 {
			return fmt.Errorf("dtmf: %q at %d of %q, expected one of %s", c, i+1, number, digits)
		}
		keys = append(keys, key{code: byte(code), ticks: ticks(each)})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(keys)
}

// add queues digits.
func (s *Sender) add(keys []key) error {
	switch {
	case s.closed:
		return fmt.Errorf("dtmf: sender is closed")
	case len(s.queue)+len(keys) > maxQueue:
		return fmt.Errorf("dtmf: %d digits wait and %d more were asked for, expected at most %d", len(s.queue), len(keys), maxQueue)
	}
	s.queue = append(s.queue, keys...)
	if !s.busy && len(s.queue) > 0 {
		s.busy = true
		s.stops = [2]func(){s.cfg.Clock.While(s.tick), s.stops[0]}
	}
	return nil
}

// tick sends what is due, until all is sent.
func (s *Sender) tick(time.Time) (more bool) {
	s.now += uint32(s.step)
	if s.said == 0 && s.rest > 0 {
		s.rest--
		s.hush()
		return true
	}
	if s.said == 0 && !s.next() {
		if s.cfg.Post != nil {
			s.cfg.Post(media.Ended{})
		}
		return false
	}
	s.said++
	s.release()
	if s.out != nil {
		s.sound()
	} else {
		s.say()
	}
	return true
}

// next takes the next digit from the queue.
func (s *Sender) next() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		s.busy = false
		return false
	}
	s.key = s.queue[0]
	s.queue = s.queue[1:]
	s.held, s.letGo = s.key.held, false
	s.frame.Timestamp = s.now // all packets of an event say when it began
	s.frame.Marker = true
	return true
}

// say sends one packet of the digit: duration rises until its end, which is said three times.
func (s *Sender) say() {
	n := min(s.said, s.key.ticks)
	e := event{code: s.key.code, volume: volume, duration: uint16(n) * s.step, end: n == s.key.ticks}
	if int(s.step)*n > 0xffff {
		e.duration = 0xffff
	}
	e.put(&s.payload)
	s.frame.Payload = s.payload[:]
	s.src.Send(&s.frame)
	s.frame.Marker = false
	s.frame.Sequence++
	if !e.end {
		return
	}
	if s.ends++; s.ends == endTimes {
		s.ends = 0
		s.over(s.gap - (endTimes - 1)) // the gap began when the first end was said
	}
}

// Source is the output, for the zero Pad.
func (s *Sender) Source(p media.Pad) *media.Source {
	if p == (media.Pad{}) {
		return s.src
	}
	return nil
}

// Sink is nil: a sender hears nothing.
func (s *Sender) Sink(media.Pad) media.Sink { return nil }

// Stats notes the digits sent.
func (s *Sender) Stats(sn *media.Snapshot) { sn.Note("dtmf.sent", float64(s.sent.Load())) }

// Close stops sending at once; Ended isn't posted. It must not be called from Post.
func (s *Sender) Close() error {
	s.mu.Lock()
	s.closed = true
	s.queue = nil
	stops := s.stops
	s.mu.Unlock()
	for _, stop := range stops {
		if stop != nil {
			stop()
		}
	}
	s.src.Close()
	return nil
}
