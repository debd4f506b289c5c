package media

// Filter is what an element with one audio input and one audio output embeds: it links, negotiates and passes on. The
// embedder overrides Push, does its work and calls Send.
//
// A Filter takes what its sinks take: Caps is the intersection that the source side knows, or everything it was made for.
type Filter struct {
	Inlet
	out  *Source
	caps *Caps
}

// Init makes the filter ready for these formats. The embedder's constructor calls it.
func (f *Filter) Init(reg *Registry, formats ...*Format) {
	f.caps = &Caps{formats}
	f.out = NewSource(reg, nil)
	f.out.SetFormats(formats...)
}

func (f *Filter) Caps() *Caps       { return f.caps }
func (f *Filter) Push(fr *Frame)    { f.out.Send(fr) }
func (f *Filter) Send(fr *Frame)    { f.out.Send(fr) }
func (f *Filter) Stats(s *Snapshot) {}
func (f *Filter) Close() error      { f.out.Close(); return nil }
func (f *Filter) Source(p Pad) *Source {
	if p == (Pad{}) {
		return f.out
	}
	return nil
}
