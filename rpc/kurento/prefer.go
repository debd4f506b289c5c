package kurento

import (
	"slices"

	"github.com/patchbay/patchbay/media"
)

// Prefer says what the element would take and send while it has no media yet, best first: elements that are connected to it
// negotiate that first.
func (e *Element) Prefer(list []*media.Format) {
	e.pipeline.graph.Lock()
	defer e.pipeline.graph.Unlock()
	e.preferred = list
}

// Around is the audio and video that the connected elements have agreed to, or prefer before they have, best first: those that the
// element feeds, whose media is to come as they take it, then those that feed it. What is negotiated in this order passes
// through.
func (e *Element) Around() []*media.Format {
	e.pipeline.graph.Lock()
	defer e.pipeline.graph.Unlock()
	var out []*media.Format
	seen := map[*Element]bool{e: true}
	next := func(c *connection) *Element { return c.sink }
	prior := func(c *connection) *Element { return c.source }
	e.around(&out, seen, func(e *Element) []*connection { return e.out }, next)
	e.around(&out, seen, func(e *Element) []*connection { return e.in }, prior)
	return out
}

// around adds what is known of the elements at the other ends of one side's connections; one that only passes on what it
// gets stands for those behind it. The graph is held.
func (e *Element) around(out *[]*media.Format, seen map[*Element]bool, side func(*Element) []*connection, end func(*connection) *Element) {
	for _, c := range side(e) {
		n := end(c)
		if c.kind == MediaTypeData || seen[n] {
			continue
		}
		if n.passes {
			seen[n] = true
			n.around(out, seen, side, end)
			continue
		}
		for _, f := range n.formats(c.kind) {
			if f.Kind != media.Event && !slices.ContainsFunc(*out, f.Same) {
				*out = append(*out, f)
			}
		}
	}
}

// formats are those of the element's audio, or video. The graph is held.
func (e *Element) formats(kind MediaType) []*media.Format {
	if s := e.sourcePad(kind, defaultDescription); s != nil {
		if list := s.Formats(); len(list) > 0 {
			return list
		}
	}
	return slices.DeleteFunc(slices.Clone(e.preferred), func(f *media.Format) bool { return (f.Kind == media.Video) != (kind == MediaTypeVideo) })
}
