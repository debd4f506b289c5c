package mediatest

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
)

// Recorder is a sink that keeps copies of all frames it gets. Its zero value takes nothing yet.
type Recorder struct {
	media.Inlet
	caps atomic.Pointer[media.Caps]

	mu     sync.Mutex
	frames []media.Frame
	times  []time.Time
}

// NewRecorder makes a recorder that takes these formats, best first.
func NewRecorder(formats ...*media.Format) *Recorder {
	r := new(Recorder)
	r.Take(formats...)
	return r
}

// Take changes what the recorder takes; without formats that is unknown, as before SDP. Its source learns of it by
// Renegotiate, or by a new link.
func (r *Recorder) Take(formats ...*media.Format) {
	if len(formats) == 0 {
		r.caps.Store(nil)
		return
	}
	r.caps.Store(&media.Caps{Formats: slices.Clone(formats)})
}

// Caps is what the recorder takes.
func (r *Recorder) Caps() *media.Caps { return r.caps.Load() }

// Push keeps a copy of f.
func (r *Recorder) Push(f *media.Frame) {
	now := time.Now()
	c := *f
	c.Payload = bytes.Clone(f.Payload)
	r.mu.Lock()
	r.frames = append(r.frames, c)
	r.times = append(r.times, now)
	r.mu.Unlock()
}

// Frames is what came so far.
func (r *Recorder) Frames() []media.Frame {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.frames)
}

// Times is when each frame came.
func (r *Recorder) Times() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.times)
}

// Len is how many frames came so far.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.frames)
}

// Forget forgets what came so far.
func (r *Recorder) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frames, r.times = nil, nil
}

// Audio is the payloads of all audio frames so far, one after the other.
func (r *Recorder) Audio() []byte {
	var out []byte
	for _, f := range r.Frames() {
		if f.Kind == media.Audio {
			out = append(out, f.Payload...)
		}
	}
	return out
}

// Wait waits until n frames have come, and gives all that came.
func (r *Recorder) Wait(tb testing.TB, n int, within time.Duration) []media.Frame {
	tb.Helper()
	end := time.Now().Add(within)
	for r.Len() < n {
		if time.Now().After(end) {
			tb.Fatalf("%d frames came within %s, want %d", r.Len(), within, n)
		}
		time.Sleep(time.Millisecond)
	}
	return r.Frames()
}

// Counter is a sink that counts and keeps nothing: for benchmarks and allocation checks.
type Counter struct {
	media.Inlet
	Frames atomic.Int64
	caps   *media.Caps
}

// NewCounter makes a counter that takes these formats.
func NewCounter(formats ...*media.Format) *Counter {
	return &Counter{caps: &media.Caps{Formats: formats}}
}

// Caps is what the counter takes.
func (c *Counter) Caps() *media.Caps { return c.caps }

// Push counts.
func (c *Counter) Push(*media.Frame) { c.Frames.Add(1) }
