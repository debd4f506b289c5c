package webrtc

import (
	"slices"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
)

// agreement is what an offer and its answer came to, in the form the packet path uses. It doesn't change once in force.
type agreement struct {
	direction sdp.Direction
	in        [128]*media.Format // by payload type
	sources   []*media.Format    // what the peer may send
	caps      *media.Caps        // what it takes
	deal      *deal
	line      line
	told      Negotiated
}

// takes reports whether a frame's format, by its pointer, is one that the peer takes.
func (a *agreement) takes(f *media.Format) bool {
	for _, g := range a.caps.Formats {
		if g == f {
			return true
		}
	}
	return false
}

// agree makes the agreement, without its line. The caller holds mu.
func (e *Endpoint) agree(s *sdp.Agreement, d *deal) *agreement {
	a := &agreement{direction: s.Direction, caps: &media.Caps{}, deal: d}
	d.formats = s.Formats
	for _, p := range s.Formats {
		f := e.format(p.Format, p.Recv)
		a.in[p.Recv] = f
		a.sources = append(a.sources, f)
		if s.Direction.Sends() {
			a.caps.Formats = append(a.caps.Formats, e.format(p.Format, p.Send))
		}
	}
	for _, p := range s.Formats { // some peers send by their own number, which they should only receive by
		if a.in[p.Send] == nil {
			a.in[p.Send] = a.in[p.Recv]
		}
	}
	first := s.Formats[0]
	a.told = Negotiated{
		Codec: (&media.Format{Codec: first.Codec, Clock: first.Clock, Channels: first.Channels, Params: first.Params()}).String(),
		Ptime: s.Ptime, Direction: s.Direction, Local: e.cfg.Port.main(),
		Events: slices.ContainsFunc(s.Formats, func(p sdp.Pair) bool { return p.Event() }),
	}
	return a
}
