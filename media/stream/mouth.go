package stream

import (
	"fmt"
	"sync"
	"time"

	"github.com/patchbay/patchbay/media"
)

const (
	// ahead is how much audio waits before a pause ends, so that what comes a little late isn't missed.
	ahead = 2 // ticks
	// maxMarks is how many marks may wait.
	maxMarks = 1024
	// chunk is what is queued together at least, bytes: messages may be as small as a sample.
	chunk = 4 << 10
	// atOnce is how many marks are told in a tick: the clock has others to serve.
	atOnce = 16
)

// mouth plays what the application sends. Silence is sent where it sends nothing: phones and networks want to hear something.
type mouth struct {
	s      *Stream
	src    *media.Source
	format *media.Format
	size   int // bytes of a sample
	per    int // bytes of a tick
	hush   byte

	mu      sync.Mutex
	queue   [][]byte // what waits, in the stream's encoding
	waits   int      // bytes of it
	most    int      // bytes that may
	taken   int64    // bytes that were ever queued, and weren't cleared
	played  int64    // bytes of them that were played
	marks   []mark
	plays   bool // not in a pause
	idle    int  // ticks since something was queued
	over    bool // the application is gone
	restore func()
	refused uint64

	frame media.Frame // the clock's
}

// mark waits until so much has been played.
type mark struct {
	name string
	at   int64
}

func (m *mouth) init(s *Stream) {
	cfg := &s.cfg
	m.s, m.format, m.size = s, cfg.format(), 1
	if cfg.Encoding == PCM16 {
		m.size = 2
	}
	m.per = cfg.Rate / 50 * m.size
	m.most = int(cfg.Buffer/media.Tick) * m.per
	switch cfg.Encoding {
	case PCMU:
		m.hush = 0xff
	case PCMA:
		m.hush = 0xd5
	}
	m.src = media.NewSource(cfg.Registry, nil)
	m.src.SetFormats(m.format)
	m.frame = media.Frame{Format: m.format, Payload: make([]byte, m.per)}
}

// fullError is what is said of audio that there is no room for now: that is no mistake.
type fullError struct{ error }

// play queues audio. It fails if it isn't whole samples, or if more waits than may.
func (m *mouth) play(b []byte) error {
	if len(b) == 0 || len(b)%m.size != 0 {
		return fmt.Errorf("payload has %d bytes, expected a whole number of samples of %d bytes, at least one", len(b), m.size)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waits+len(b) > m.most {
		m.refused += uint64(len(b))
		err := fmt.Errorf("payload has %d bytes: %s of audio wait to be played, and no more than %s may", len(b), m.time(m.waits), m.time(m.most))
		if len(b) <= m.most {
			err = fullError{err}
		}
		return err
	}
	m.add(b)
	m.waits += len(b)
	m.taken += int64(len(b))
	m.idle = 0
	return nil
}

// add queues a copy of b. What comes in small pieces is put together: each for itself would take many times its size.
func (m *mouth) add(b []byte) {
	if n := len(m.queue); n > 0 {
		last := &m.queue[n-1]
		k := min(len(b), cap(*last)-len(*last))
		*last, b = append(*last, b[:k]...), b[k:]
	}
	if len(b) > 0 {
		m.queue = append(m.queue, append(make([]byte, 0, max(len(b), chunk)), b...))
	}
}

// time is how long so many bytes last.
func (m *mouth) time(bytes int) time.Duration {
	return (time.Duration(bytes) * media.Tick / time.Duration(m.per)).Round(time.Millisecond)
}

// mark has the application told once all that it sent has been played.
func (m *mouth) mark(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.marks) == maxMarks {
		return fmt.Errorf("name is %.80q: %d marks wait already, and no more may", name, maxMarks)
	}
	m.marks = append(m.marks, mark{name, m.taken})
	m.idle = 0
	return nil
}

// clear forgets what waits. Its marks are told, as missed.
func (m *mouth) clear() {
	m.mu.Lock()
	marks := m.marks
	m.queue, m.waits, m.taken, m.plays, m.marks = nil, 0, m.played, false, nil
	m.mu.Unlock()
	for _, k := range marks {
		m.told(k, true)
	}
}

func (m *mouth) told(k mark, missed bool) {
	m.s.ear.say(message{Event: "mark", Name: k.name, Cleared: missed})
	m.s.post(Event{Kind: Marked, Text: k.name, Missed: missed})
}

// end lets nothing more out, silence neither.
func (m *mouth) end() {
	m.mu.Lock()
	m.over = true
	m.mu.Unlock()
}

// tick plays 20 ms; false once the application is gone.
func (m *mouth) tick() (more bool) {
	m.mu.Lock()
	if m.over {
		m.mu.Unlock()
		return false
	}
	was := m.plays
	m.idle++
	if !m.plays && (m.waits >= ahead*m.per || m.waits > 0 && m.idle > ahead) {
		m.plays = true
	}
	n := 0
	if m.plays {
		n = m.fill(m.frame.Payload)
		m.plays = n == m.per
	}
	for i := n; i < m.per; i++ {
		m.frame.Payload[i] = m.hush
	}
	if m.size == 2 {
		for i := 0; i < n; i += 2 {
			m.frame.Payload[i], m.frame.Payload[i+1] = m.frame.Payload[i+1], m.frame.Payload[i]
		}
	}
	m.played += int64(n)
	due := 0
	for due < min(len(m.marks), atOnce) && m.marks[due].at <= m.played {
		due++
	}
	marks := m.marks[:due]
	m.marks = m.marks[due:]
	m.mu.Unlock()
	for _, k := range marks {
		m.told(k, false)
	}
	m.frame.Marker = n > 0 && !was
	m.src.Send(&m.frame)
	m.frame.Sequence++
	m.frame.Timestamp += uint32(m.per / m.size)
	return true
}

// fill takes what waits, at most a tick.
func (m *mouth) fill(dst []byte) (n int) {
	for n < len(dst) && n < m.waits {
		k := copy(dst[n:], m.queue[0])
		if m.queue[0] = m.queue[0][k:]; len(m.queue[0]) == 0 && (len(m.queue) > 1 || cap(m.queue[0]) == 0) {
			m.queue[0] = nil
			m.queue = m.queue[1:]
		}
		n += k
	}
	m.waits -= n
	return n
}

// dial sends digits instead of what is played, until they are out.
func (m *mouth) dial(digits string) error {
	m.mu.Lock()
	if m.restore == nil {
		m.restore = m.src.Override(m.s.keys.Source(media.Pad{}))
	}
	m.mu.Unlock()
	if err := m.s.keys.Dial(digits, 0); err != nil {
		return fmt.Errorf("digits is %q: %w", digits, err)
	}
	return nil
}

// spoken ends dial.
func (m *mouth) spoken() {
	m.mu.Lock()
	restore := m.restore
	m.restore = nil
	m.mu.Unlock()
	if restore != nil {
		restore()
	}
}

func (m *mouth) counts() (played, refused uint64, waits time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(m.played), m.refused, m.time(m.waits)
}
