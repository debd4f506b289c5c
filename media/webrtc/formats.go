package webrtc

import (
	"slices"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
)

// opus is the one form that Opus has in SDP, whatever is in it (RFC 7587 7).
func opus() *media.Format { return &media.Format{Codec: "OPUS", Clock: 48000, Channels: 2} }

// described writes formats as SDP's. If there are telephone-events at one clock there are some at each codec's
// (RFC 4733 2.5.1.1: events share the clock of the audio that they interrupt).
func described(list []*media.Format) []sdp.Format {
	var out, events []sdp.Format
	for _, f := range list {
		d := sdp.Format{Codec: f.Codec, Clock: f.Clock, Channels: max(f.Channels, 1), Fmtp: f.Params}
		switch {
		case f.Kind == media.Event:
			d.Fmtp = "0-15" // the digits; relayed as they come
			events = append(events, d)
			continue
		case f.Same(opus()) && d.Fmtp == "":
			d.Fmtp = "minptime=10;useinbandfec=1"
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

// format gives one pointer for one format under one payload type, for the endpoint's life: frames keep flowing when an
// agreement is replaced by another that has it too. The caller holds mu.
func (e *Endpoint) format(d sdp.Format, pt uint8) *media.Format {
	f := media.Format{Codec: d.Codec, Clock: d.Clock, Channels: d.Channels, Params: d.Params(), Tag: int(pt)}
	if d.Event() {
		f.Kind = media.Event
	}
	for _, k := range e.known {
		if k.Tag == f.Tag && k.Same(&f) {
			return k
		}
	}
	if len(e.known) >= 256 { // only a peer that renumbers without end gets here
		e.known = slices.Delete(e.known, 0, 128)
	}
	e.known = append(e.known, &f)
	return &f
}
