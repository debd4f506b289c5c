package recorder

import (
	"time"

	"github.com/patchbay/patchbay/media"
)

const (
	filmSlots = 2048 // packets of video that wait for the file
	filmArena = 2 << 20
	askEvery  = 500 * time.Millisecond // for a key picture, while there is none
)

// film is where video enters. What is in it is guarded by the recorder's lock.
type film struct {
	media.Inlet
	r     *Recorder
	caps  *media.Caps
	ring  ring
	line  timeline
	codec string // of what is recorded, which stays; "" until there was a picture
	open  bool   // a key picture has begun
	asked time.Time
}

// Caps is what the form holds.
func (m *film) Caps() *media.Caps { return m.caps }

// Push puts a frame into the ring, from a key picture on; until one comes it is asked for.
func (m *film) Push(f *media.Frame) {
	m.r.mu.Lock()
	ask := m.push(f)
	m.r.mu.Unlock()
	if ask {
		m.Upstream(media.Feedback{Kind: media.KeyFrame})
	}
}

func (m *film) push(f *media.Frame) (ask bool) {
	r := m.r
	now := time.Now()
	switch {
	case r.state != Recording:
		return false
	case f.Kind != media.Video || len(f.Payload) == 0 || len(f.Payload) > largest || m.codec != "" && m.codec != f.Format.Codec || m.caps.Find(f.Format) != f.Format:
		r.ignored++
		return false
	case !m.open && !f.Key:
		r.late++
		if now.Sub(m.asked) < askEvery {
			return false
		}
		m.asked = now
		return true
	}
	if m.ring.buf == nil {
		m.ring.init(filmSlots, filmArena)
	}
	at, ok := m.line.take(f, 0, now)
	if !ok {
		r.late++
		return false
	}
	m.open, m.codec = true, f.Format.Codec
	r.frames++
	if m.ring.put(at, f) >= batch {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
	return false
}
