package media

import (
	"slices"
	"sync/atomic"
)

// Through is a pad that passes on whatever comes, of any kind of media: its output sends what its input's source sends, the
// same frames; conversion happens behind it, once for all who need it. So it takes whatever that source has, but likes best
// what its own sinks take as it is.
type Through struct {
	Inlet
	out  Source
	caps atomic.Pointer[Caps]
	busy bool // is telling its source; guarded by topology
}

// NewThrough makes a pad whose output converts with reg (nil: only relays).
func NewThrough(reg *Registry) *Through {
	t := new(Through)
	t.Inlet.follow, t.Inlet.whole, t.out.relay = t.follow, true, &relay{&t.Inlet, t}
	t.out.Init(reg, t.Upstream)
	return t
}

// Caps is what comes now; nil while nothing does.
func (t *Through) Caps() *Caps { return t.caps.Load() }

// Push passes the frame on.
func (t *Through) Push(f *Frame) { t.out.Send(f) }

// Out is where frames leave.
func (t *Through) Out() *Source { return &t.out }

// Close ends the pad's links, for good.
func (t *Through) Close() error {
	t.Detach()
	t.out.Close()
	return nil
}

// follow takes over the formats of the source. It is called under topology.
func (t *Through) follow(formats []*Format) {
	if t.out.closed || slices.Equal(t.out.formats, formats) {
		return
	}
	t.out.formats = slices.Clone(formats)
	before := t.busy
	t.busy = true // the source asks for caps next: it needn't be told
	t.out.rebuild()
	t.busy = before
	t.order(t.out.routes.Load().wanted)
}

// prefer puts what most of the output's sinks take as it is first, and has the source choose again.
func (t *Through) prefer(f *Format) {
	if t.busy || t.out.closed || !t.order(f) {
		return
	}
	t.busy = true
	if src := t.cur.Load(); src != nil {
		src.rebuild()
	}
	t.busy = false
}

// order makes the caps, and reports whether they are others than before.
func (t *Through) order(first *Format) bool {
	var list []*Format
	if i := slices.Index(t.out.formats, first); i >= 0 {
		list = append(list, first)
	}
	for _, f := range t.out.formats {
		if f != first {
			list = append(list, f)
		}
	}
	was := t.caps.Load()
	if len(list) == 0 {
		t.caps.Store(nil)
		return was != nil
	}
	if was != nil && slices.Equal(was.Formats, list) {
		return false
	}
	t.caps.Store(&Caps{list})
	return true
}
