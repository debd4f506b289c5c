package media

import (
	"sync"
	"sync/atomic"
)

// Pad names one place where frames enter or leave an element. The zero value is the element's audio.
type Pad struct {
	Kind Kind   // Audio, Video or Data; events share the audio pad
	Name string // for elements with several pads of a kind; "" is the first
}

// Sink is where frames enter an element. An implementation embeds Inlet, which is its lock and knows its source.
type Sink interface {
	// Caps is what the sink takes now, best first; nil while unknown (before SDP). It is called off the packet path.
	Caps() *Caps
	// Push takes one frame. It never blocks, never keeps f or its payload, never changes f, and isn't called twice at
	// a time. It may get a frame whose format has just left its Caps and drops it.
	Push(f *Frame)

	inlet() *Inlet
}

// Inlet is the half of a sink that the core owns: one lock makes Push single and gives "after Unlink no frame is in it".
// Embed it by value; the zero value is ready.
type Inlet struct {
	mu    sync.Mutex
	cur   *Source // whose frames are let in now: home, or what overrides it
	home  *Source // the source it is linked to; guarded by topology
	seen  *Source // whose frame came last
	last  uint32  // that source's epoch
	epoch uint32  // the sink's own count of changes

	refused atomic.Uint64
}

func (in *Inlet) inlet() *Inlet { return in }

// Refused counts frames that came from a source which isn't, or is no longer, the sink's.
func (in *Inlet) Refused() uint64 { return in.refused.Load() }

// Linked reports whether a source feeds the sink.
func (in *Inlet) Linked() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.cur != nil
}

// Upstream sends feedback to whatever feeds the sink now. It may be called on the packet path.
func (in *Inlet) Upstream(fb Feedback) {
	in.mu.Lock()
	src := in.cur
	in.mu.Unlock()
	if src != nil {
		src.heard(in, fb)
	}
}

// push lets f into s if src is the one that may. to is the sink's own pointer for the frame's format.
func (in *Inlet) push(s Sink, src *Source, f *Frame, to *Format) {
	in.mu.Lock()
	if in.cur != src {
		in.mu.Unlock()
		in.refused.Add(1)
		return
	}
	if in.seen != src || in.last != f.Epoch {
		in.seen, in.last = src, f.Epoch
		in.epoch++
	}
	format, epoch := f.Format, f.Epoch
	f.Format, f.Epoch = to, in.epoch
	s.Push(f)
	f.Format, f.Epoch = format, epoch
	in.mu.Unlock()
}

// Feedback travels upstream. A source merges what its sinks say.
type Feedback struct {
	Kind  FeedbackKind
	Value float64 // Bitrate: bit/s that the sink can take; Loss: fraction lost, 0 to 1; KeyFrame: unused
}

// FeedbackKind says what a sink asks of, or tells, its source.
type FeedbackKind uint8

const (
	KeyFrame FeedbackKind = iota // merged by passing on each
	Bitrate                      // merged to the least
	Loss                         // merged to the greatest
)
