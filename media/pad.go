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
	// Caps is what the sink takes now, best first; nil while unknown (before SDP). It is called off the packet path,
	// while links change: it calls no control method of a Source and takes no lock that is held during one.
	Caps() *Caps
	// Push takes one frame. It never blocks, never keeps f or its payload, never changes f, and isn't called twice at
	// a time. It may get a frame whose format has just left its Caps and drops it.
	Push(f *Frame)

	inlet() *Inlet
}

// Warmer is a Sink that can have the processor fetch what its next Push will touch. Warm may be called at any time, also
// beside Push, and changes nothing.
type Warmer interface{ Warm() }

// Inlet is the half of a sink that the core owns: one lock makes Push single and gives "after Unlink no frame is in it".
// Embed it by value; the zero value is ready. What a frame touches are its first 32 bytes: a sink with much traffic puts it
// beside its own fields of that kind.
type Inlet struct {
	mu    sync.Mutex
	cur   atomic.Pointer[Source] // whose frames are let in now: home, or what overrides it; written under mu
	seen  *Source                // whose frame came last
	last  uint32                 // that source's epoch
	epoch uint32                 // the sink's own count of changes

	await func(Passed) // wants the next frame; then seen is nil, and what it was is in was
	was   *Source

	home   *Source         // the source it is linked to; guarded by topology
	guest  *Source         // who interrupts it; guarded by topology
	gone   bool            // detached; guarded by topology
	follow func([]*Format) // is told what comes; nil as a rule

	refused atomic.Uint64
	whole   bool                     // lets all layers in: who is behind it chooses
	layers  atomic.Pointer[layering] // nil until a frame of a layer came; written under mu
}

func (in *Inlet) inlet() *Inlet { return in }

// Refused counts frames that came from a source which isn't, or is no longer, the sink's.
func (in *Inlet) Refused() uint64 { return in.refused.Load() }

// Follow has do told which formats the sink's source may send, whenever that changes; nil once there is no source. It is
// called before the sink is linked. do calls no control method of a Source and takes no lock that is held during one.
func (in *Inlet) Follow(do func(formats []*Format)) { in.follow = do }

// Linked reports whether a source feeds the sink.
func (in *Inlet) Linked() bool { return in.cur.Load() != nil }

// Upstream sends feedback to whatever feeds the sink now. It may be called on the packet path, also from Push.
func (in *Inlet) Upstream(fb Feedback) {
	if src := in.cur.Load(); src != nil {
		src.heard(in, fb)
	}
}

// Detach ends the link that feeds the sink and lets no later one be made. An element's Close calls it. When it returns no
// frame is in Push.
func (in *Inlet) Detach() {
	alter(func(c *change) {
		in.gone = true
		if in.guest != nil {
			in.dismiss(c, in.guest)
		}
		if in.home != nil {
			in.home.drop(c, in)
		}
	})
}

// admit says whose frames enter the sink. It returns once no frame of another is inside.
func (in *Inlet) admit(c *change, s *Source) {
	was := in.cur.Load()
	if was == s {
		return
	}
	in.mu.Lock()
	in.cur.Store(s)
	in.seen, in.was = nil, nil // whoever comes next is new, even if it was here before: what it sent meanwhile isn't lost
	in.mu.Unlock()
	if was != nil {
		was.forget(c, in)
	}
	if s == nil && in.follow != nil {
		in.follow(nil)
	}
}

// push lets f into s if src is the one that may. to is the sink's own pointer for the frame's format.
func (in *Inlet) push(s Sink, src *Source, f *Frame, to *Format) {
	in.mu.Lock()
	if in.cur.Load() != src {
		in.mu.Unlock()
		in.refused.Add(1)
		return
	}
	if f.Layer != 0 && !in.whole && !in.layered(src, f) {
		in.mu.Unlock()
		return
	}
	if in.seen != src || in.last != f.Epoch {
		in.meet(src, f, to)
	}
	format, epoch := f.Format, f.Epoch
	f.Format, f.Epoch = to, in.epoch
	s.Push(f)
	f.Format, f.Epoch = format, epoch
	in.mu.Unlock()
}

// meet is for a frame that is the first of its stream, or that somebody waits for.
func (in *Inlet) meet(src *Source, f *Frame, to *Format) {
	if do := in.await; do != nil {
		in.seen, in.was, in.await = in.was, nil, nil
		do(Passed{to, f.Arrival})
	}
	if in.seen != src || in.last != f.Epoch {
		in.seen, in.last = src, f.Epoch
		in.epoch++
	}
}
