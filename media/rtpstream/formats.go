package rtpstream

import (
	"slices"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
)

// Described writes formats as SDP's. If there are telephone-events at one clock there are some at each codec's
// (RFC 4733 2.5.1.1: events share the clock of the audio that they interrupt).
func Described(list []*media.Format) []sdp.Format {
	var out, events []sdp.Format
	for _, f := range list {
		d := sdp.Format{Codec: f.Codec, Clock: f.Clock, Channels: max(f.Channels, 1), Fmtp: f.Params}
		if f.Kind == media.Event {
			d.Fmtp = "0-15" // the digits; relayed as they come
			events = append(events, d)
			continue
		}
		out = append(out, d)
	}
	if len(events) > 0 {
		for _, d := range slices.Clone(out) {
			e := sdp.Format{Codec: sdp.TelephoneEvent, Clock: d.Clock, Channels: 1, Fmtp: "0-15"}
			if !slices.ContainsFunc(events, e.Same) {
				events = append(events, e)
			}
		}
	}
	return append(out, events...)
}

// Formats gives one pointer for one format under one payload type, for an endpoint's life: frames keep flowing when an
// agreement is replaced by another that has it too. It isn't safe for concurrent use.
type Formats struct{ known []*media.Format }

// Get is the pointer of d under that payload type, which is its Tag.
func (k *Formats) Get(d sdp.Format, pt uint8) *media.Format {
	f := media.Format{Codec: d.Codec, Clock: d.Clock, Channels: d.Channels, Params: d.Params(), Tag: int(pt)}
	switch {
	case d.Event():
		f.Kind = media.Event
	case d.Video():
		f.Kind = media.Video
	}
	for _, g := range k.known {
		if g.Tag == f.Tag && g.Same(&f) {
			return g
		}
	}
	if len(k.known) >= 256 { // only a peer that renumbers without end gets here
		k.known = slices.Delete(k.known, 0, 128)
	}
	k.known = append(k.known, &f)
	return &f
}

// Table is what an offer and its answer said of formats, in the form the packet path uses. It doesn't change once made.
type Table struct {
	In      [128]*media.Format // by payload type
	Sources []*media.Format    // what the peer may send
	Caps    *media.Caps        // what it takes
	Codec   string             // of the audio that we send, as media.Format writes it
	Events  bool               // telephone-events are agreed
}

// Table makes the table of an agreement.
func (k *Formats) Table(s *sdp.Agreement) Table {
	t := Table{Caps: &media.Caps{}}
	for _, p := range s.Formats {
		f := k.Get(p.Format, p.Recv)
		t.In[p.Recv] = f
		t.Sources = append(t.Sources, f)
		if s.Direction.Sends() {
			t.Caps.Formats = append(t.Caps.Formats, k.Get(p.Format, p.Send))
		}
		t.Events = t.Events || p.Event()
	}
	for _, p := range s.Formats { // some peers send by their own number, which they should only receive by
		if t.In[p.Send] == nil {
			t.In[p.Send] = t.In[p.Recv]
		}
	}
	if len(s.Formats) == 0 {
		return t
	}
	first := s.Formats[0]
	t.Codec = (&media.Format{Codec: first.Codec, Clock: first.Clock, Channels: first.Channels, Params: first.Params()}).String()
	return t
}

// Takes reports whether a frame's format, by its pointer, is one that the peer takes.
func (t *Table) Takes(f *media.Format) bool {
	for _, g := range t.Caps.Formats {
		if g == f {
			return true
		}
	}
	return false
}
