package recorder

import (
	"time"

	"github.com/patchbay/patchbay/media"
)

// origin is where a recording's time begins: one for all its tracks, so that they are in step.
type origin struct {
	begun bool
	start time.Time     // when the recording was at 0
	next  time.Duration // where the last frame of all ended
}

// timeline says where in the recording a frame belongs: by its timestamp within a stream, by the clock when another stream begins.
type timeline struct {
	origin *origin
	joined bool          // the stream that comes is known
	next   time.Duration // where the last frame ended
	base   time.Duration // where the stream began
	units  int64         // since then, in its clock
	last   uint32
	epoch  uint32
	step   time.Duration // between pictures
}

// off is how far timestamps may be from the clock.
const off = time.Second

// take gives the place of a frame that plays so long: of audio, which must not come before the last one's end; or 0, of video, whose
// packets may overtake each other.
func (t *timeline) take(f *media.Frame, length time.Duration, now time.Time) (at time.Duration, ok bool) {
	o := t.origin
	if !o.begun {
		o.begun, o.start = true, now.Add(-o.next)
	}
	wall := now.Sub(o.start)
	if t.joined && t.epoch == f.Epoch {
		delta := int64(int32(f.Timestamp - t.last))
		at = t.base + time.Duration((t.units+delta)*int64(time.Second)/int64(f.Format.Clock))
		switch {
		case at-wall > off || wall-at > off: // it jumped, or stood still
			t.joined = false
		case length > 0 && at+length/2 < t.next || at < 0:
			return 0, false
		default:
			t.units += delta
		}
	}
	if !t.joined || t.epoch != f.Epoch {
		t.joined, t.epoch, t.units = true, f.Epoch, 0
		t.base = max(t.next, wall)
		if length > 0 && t.next > 0 && t.base-t.next < 60*time.Millisecond { // what follows at once needs no silence
			t.base = t.next
		}
		at = t.base
	}
	t.last = f.Timestamp
	if length == 0 && at > t.next {
		t.step = min(at-t.next, 100*time.Millisecond)
	}
	t.next = max(t.next, at+length)
	o.next = max(o.next, t.next)
	return at, true
}
