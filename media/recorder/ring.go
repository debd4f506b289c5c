package recorder

import (
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
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
	at     time.Duration
	format *media.Format
	begin  int
	size   int
}

func (r *ring) init() { r.buf, r.slots = make([]byte, arena), make([]slot, slots) }

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
	*s = slot{at, f.Format, r.write, copy(r.buf[r.write:], f.Payload)}
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
func (r *ring) take(dst []byte) (data []byte, at time.Duration, f *media.Format, ok bool) {
	if r.count == 0 {
		return dst, 0, nil, false
	}
	s := &r.slots[r.head]
	data = append(dst[:0], r.buf[s.begin:s.begin+s.size]...)
	r.head = (r.head + 1) % len(r.slots)
	r.count--
	return data, s.at, s.format, true
}

// timeline says where in the recording a frame belongs: by its timestamp within a stream, by the clock when another stream begins.
type timeline struct {
	begun  bool
	joined bool          // the stream that comes is known
	start  time.Time     // when the recording was at 0
	next   time.Duration // where the last frame ended
	base   time.Duration // where the stream began
	units  int64         // since then, in its clock
	last   uint32
	epoch  uint32
}

// resume has what comes next follow what was recorded last.
func (t *timeline) resume() { t.begun, t.joined = false, false }

// off is how far timestamps may be from the clock.
const off = time.Second

func (t *timeline) take(f *media.Frame, length time.Duration, now time.Time) (at time.Duration, ok bool) {
	if !t.begun {
		t.begun, t.start = true, now.Add(-t.next)
	}
	wall := now.Sub(t.start)
	if t.joined && t.epoch == f.Epoch {
		delta := int64(int32(f.Timestamp - t.last))
		at = t.base + time.Duration((t.units+delta)*int64(time.Second)/int64(f.Format.Clock))
		switch {
		case at-wall > off || wall-at > off: // it jumped, or stood still
			t.joined = false
		case at+length/2 < t.next:
			return 0, false
		default:
			t.units += delta
		}
	}
	if !t.joined || t.epoch != f.Epoch {
		t.joined, t.epoch, t.units = true, f.Epoch, 0
		t.base = max(t.next, wall)
		if t.base-t.next < 60*time.Millisecond { // what follows at once needs no silence
			t.base = t.next
		}
		at = t.base
	}
	t.last = f.Timestamp
	t.next = at + length
	return at, true
}

// tape puts frames into the file.
type tape struct {
	r    *Recorder
	w    container.Writer
	data []byte
	pcm  []int16
	end  time.Duration // of what was written
}

// drain writes all that waits.
func (t *tape) drain() error {
	for {
		t.r.mu.Lock()
		data, at, f, ok := t.r.ring.take(t.data)
		t.r.mu.Unlock()
		t.data = data
		if !ok {
			return nil
		}
		if err := t.put(at, f, data); err != nil {
			return err
		}
	}
}

func (t *tape) put(at time.Duration, f *media.Format, data []byte) error {
	u := container.Unit{At: at, For: container.Length(f, data), Key: true, Data: data}
	if t.r.in != nil {
		t.pcm, _ = t.r.in.Read(t.pcm[:0], &media.Frame{Format: f, Payload: data})
		u.Data = make([]byte, 0, 2*len(t.pcm))
		for _, s := range t.pcm {
			u.Data = append(u.Data, byte(uint16(s)>>8), byte(s))
		}
		return t.w.Write(&u)
	}
	const piece = 20 * time.Millisecond
	for ; at-t.end >= piece; t.end += piece {
		if err := t.w.Write(&container.Unit{At: t.end, For: piece, Key: true, Data: container.Silence()}); err != nil {
			return err
		}
	}
	t.end = max(t.end, at+u.For)
	return t.w.Write(&u)
}
