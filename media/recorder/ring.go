package recorder

import (
	"time"

	"github.com/patchbay/patchbay/media"
)

const (
	slots   = 512 // frames that wait for the file: ten seconds as a rule
	batch   = 25  // frames that are worth a wake-up
	largest = 4000
	arena   = 256 << 10 // bytes of all that wait
)

// ring holds copies of the frames that wait. Its memory is one piece, in which they stand one behind the other.
type ring struct {
	buf     []byte
	slots   []slot
	head    int // the oldest
	count   int
	write   int // where the next goes
	dropped uint64
}

type slot struct {
	at    time.Duration
	frame media.Frame // without the payload
	begin int
	size  int
}

func (r *ring) init(frames, bytes int) { r.buf, r.slots = make([]byte, bytes), make([]slot, frames) }

// free gives the memory back, with what is in it.
func (r *ring) free() { r.buf, r.slots, r.count = nil, nil, 0 }

// put copies a frame, over the oldest if there is no room, and tells how many wait.
func (r *ring) put(at time.Duration, f *media.Frame) int {
	n := len(f.Payload)
	if r.write+n > len(r.buf) {
		r.write = 0
	}
	for r.count > 0 && (r.count == len(r.slots) || r.overlaps(r.write, n)) {
		r.head = (r.head + 1) % len(r.slots)
		r.count--
		r.dropped++
	}
	s := &r.slots[(r.head+r.count)%len(r.slots)]
	*s = slot{at, *f, r.write, copy(r.buf[r.write:], f.Payload)}
	s.frame.Payload = nil
	r.write += n
	r.count++
	return r.count
}

// overlaps reports whether the oldest frame stands where n bytes would.
func (r *ring) overlaps(at, n int) bool {
	s := &r.slots[r.head]
	return s.begin < at+n && at < s.begin+s.size
}

// take copies the oldest out.
func (r *ring) take(dst []byte) (data []byte, at time.Duration, f media.Frame, ok bool) {
	if r.count == 0 {
		return dst, 0, f, false
	}
	s := &r.slots[r.head]
	data = append(dst[:0], r.buf[s.begin:s.begin+s.size]...)
	r.head = (r.head + 1) % len(r.slots)
	r.count--
	return data, s.at, s.frame, true
}
