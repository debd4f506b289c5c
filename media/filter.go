package media

import "slices"

// Filter is what an element with one audio input and one audio output embeds: it links, negotiates and passes on. The
// embedder overrides Push, does its work and calls Send; its Sink returns itself for the zero Pad.
//
// A Filter takes the formats it was made for; where its sinks take another, its source converts. Feedback of its sinks goes
// on to whatever feeds it.
type Filter struct {
	Inlet
	out  *Source
	caps *Caps
}

// Init makes the filter ready for these formats. The embedder's constructor calls it.
func (f *Filter) Init(reg *Registry, formats ...*Format) {
	f.caps = &Caps{slices.Clone(formats)}
	f.out = NewSource(reg, f.Upstream)
	f.out.relay = &relay{in: &f.Inlet}
	f.out.SetFormats(formats...)
}

// Caps is what the filter was made for.
func (f *Filter) Caps() *Caps { return f.caps }

// Push passes the frame on.
func (f *Filter) Push(fr *Frame) { f.out.Send(fr) }

// Send pushes a frame to the filter's sinks.
func (f *Filter) Send(fr *Frame) { f.out.Send(fr) }

// Stats adds nothing.
func (f *Filter) Stats(*Snapshot) {}

// Close ends the filter's links.
func (f *Filter) Close() error {
	f.Detach()
	f.out.Close()
	return nil
}

// Source is the filter's output, for the zero Pad.
func (f *Filter) Source(p Pad) *Source {
	if p == (Pad{}) {
		return f.out
	}
	return nil
}
