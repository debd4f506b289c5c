package kurento

import (
	"cmp"
	"slices"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

// defaultDescription is how Kurento calls an element's first pad of a kind.
const defaultDescription = "default"

// connection is one that a client made: whatever leaves one element's source pad goes into another's sink pad. It lasts
// while the elements' pads come and go, and carries media while both have them. Guarded by the pipeline's graph.
type connection struct {
	source, sink *Element
	kind         MediaType
	from, to     string // descriptions of the pads

	src  *media.Source // what is linked; nil = nothing
	dest media.Sink
}

// Connect feeds an element of the same pipeline from this one: one kind of media between pads with these descriptions, "" =
// default, or, without a kind, all three. It doesn't ask whether the elements have such pads, or will. A sink pad has one
// source: an earlier connection to it ends. It fails with NotConnected if the pipelines differ.
func (e *Element) Connect(sink *Element, kind MediaType, from, to string) error {
	if e.pipeline != sink.pipeline {
		return rpc.Errorf(rpc.NotConnected, "Media elements do not share pipeline")
	}
	from, to = cmp.Or(from, defaultDescription), cmp.Or(to, defaultDescription)
	e.pipeline.graph.Lock()
	defer e.pipeline.graph.Unlock()
	for _, gone := range []*Element{e, sink} {
		if gone.closed {
			return rpc.Errorf(rpc.ObjectNotFound, "Object '%s' not found", gone.self.ID())
		}
	}
	for _, kind := range kindsOf(kind) {
		for _, c := range sink.in {
			if c.kind == kind && c.to == to {
				c.end()
				break
			}
		}
		c := &connection{source: e, sink: sink, kind: kind, from: from, to: to}
		e.out = append(e.out, c)
		sink.in = append(sink.in, c)
		c.link()
		e.self.Raise(ElementConnected{Sink: sink, MediaType: kind, SourceMediaDescription: from, SinkMediaDescription: to})
	}
	return nil
}

// Disconnect ends what Connect with the same parameters made, if it is there.
func (e *Element) Disconnect(sink *Element, kind MediaType, from, to string) {
	from, to = cmp.Or(from, defaultDescription), cmp.Or(to, defaultDescription)
	e.pipeline.graph.Lock()
	defer e.pipeline.graph.Unlock()
	for _, kind := range kindsOf(kind) {
		i := slices.IndexFunc(e.out, func(c *connection) bool {
			return c.sink == sink && c.kind == kind && c.from == from && c.to == to
		})
		if i >= 0 {
			e.out[i].end()
			continue
		}
		e.self.Raise(ElementDisconnected{Sink: sink, MediaType: kind, SourceMediaDescription: from, SinkMediaDescription: to})
	}
}

// kindsOf are the kinds of media that a request means.
func kindsOf(kind MediaType) []MediaType {
	if kind == "" {
		return []MediaType{MediaTypeAudio, MediaTypeVideo, MediaTypeData}
	}
	return []MediaType{kind}
}

// link joins the pads of both sides, as they are now.
func (c *connection) link() {
	src, dest := c.source.sourcePad(c.kind, c.from), c.sink.sinkPad(c.kind, c.to)
	if src == nil || dest == nil {
		src, dest = nil, nil
	}
	if src == c.src && dest == c.dest {
		return
	}
	if c.src != nil {
		c.src.Unlink(c.dest)
	}
	if c.src, c.dest = src, dest; src != nil {
		src.Link(dest)
		if f := c.source.flow(c.kind, c.from, true); f != nil {
			c.source.pipeline.core.flows.tell(f)
		}
	}
}

// end ends the connection, and its source tells.
func (c *connection) end() {
	if c.src != nil {
		c.src.Unlink(c.dest)
	}
	is := func(o *connection) bool { return o == c }
	c.source.out = slices.DeleteFunc(c.source.out, is)
	c.sink.in = slices.DeleteFunc(c.sink.in, is)
	c.source.self.Raise(ElementDisconnected{Sink: c.sink, MediaType: c.kind, SourceMediaDescription: c.from, SinkMediaDescription: c.to})
}

// sourcePad is where the element's media of a kind leaves, nil if there is no such place.
func (e *Element) sourcePad(kind MediaType, description string) *media.Source {
	if e.media == nil {
		return nil
	}
	return e.media.Source(padOf(kind, description))
}

// sinkPad is where media of a kind enters the element, nil if there is no such place.
func (e *Element) sinkPad(kind MediaType, description string) media.Sink {
	if e.media == nil {
		return nil
	}
	return e.media.Sink(padOf(kind, description))
}

func padOf(kind MediaType, description string) media.Pad {
	p := media.Pad{Name: description}
	if description == defaultDescription {
		p.Name = ""
	}
	switch kind {
	case MediaTypeVideo:
		p.Kind = media.Video
	case MediaTypeData:
		p.Kind = media.Data
	}
	return p
}

// SourceConnections are those by which others feed the element, of one kind or all, and of the sink pad with a description
// or all.
func (e *Element) SourceConnections(kind MediaType, description string) []ElementConnectionData {
	e.pipeline.graph.Lock()
	defer e.pipeline.graph.Unlock()
	return list(e.in, kind, description, func(c *connection) string { return c.to })
}

// SinkConnections are those by which the element feeds others, of one kind or all, and of the source pad with a description
// or all.
func (e *Element) SinkConnections(kind MediaType, description string) []ElementConnectionData {
	e.pipeline.graph.Lock()
	defer e.pipeline.graph.Unlock()
	return list(e.out, kind, description, func(c *connection) string { return c.from })
}

// list describes connections by kind (AUDIO, DATA, VIDEO), then by the description of the element's own pad.
func list(of []*connection, kind MediaType, description string, pad func(*connection) string) []ElementConnectionData {
	out := []ElementConnectionData{}
	of = slices.Clone(of)
	slices.SortStableFunc(of, func(a, b *connection) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(pad(a), pad(b)))
	})
	for _, c := range of {
		if (kind == "" || c.kind == kind) && (description == "" || pad(c) == description) {
			out = append(out, ElementConnectionData{c.source, c.sink, c.kind, c.from, c.to})
		}
	}
	return out
}
