package webrtc

import (
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
)

// agreement is what an offer and its answer came to, in the form the packet path uses. It doesn't change once in force.
type agreement struct {
	rtpstream.Table
	direction sdp.Direction
	deal      *deal
	line      line
	told      Negotiated
}

// agree makes the agreement, without its line. The caller holds mu.
func (e *Endpoint) agree(s *sdp.Agreement, d *deal) *agreement {
	a := &agreement{Table: e.formats.Table(s), direction: s.Direction, deal: d}
	d.formats = s.Formats
	a.told = Negotiated{
		Codec: a.Codec, Events: a.Events, Ptime: s.Ptime, Direction: s.Direction, Local: e.cfg.Port.main(),
	}
	return a
}
