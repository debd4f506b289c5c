package webrtc

import (
	"cmp"

	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
)

// agreement is what an offer and its answer came to, in the form the packet path uses. It doesn't change once in force.
type agreement struct {
	rtpstream.Table
	direction sdp.Direction
	deal      *deal
	line      line
	measured  int // ms of the packets that the peer sends, if it wants to know how they come (RFC 3611); 0 = it doesn't
	told      Negotiated
}

// agree makes the agreement, without its line. The caller holds mu.
func (e *Endpoint) agree(s *sdp.Agreement, d *deal) *agreement {
	a := &agreement{Table: e.formats.Table(s), direction: s.Direction, deal: d}
	d.formats = s.Formats
	if e.cfg.Metrics && s.Local != nil && rtpstream.KnowsXR(s.Local) && rtpstream.WantsMetrics(s.Remote) {
		a.measured = cmp.Or(s.Local.Ptime, 20)
	}
	a.told = Negotiated{
		Codec: a.Codec, Events: a.Events, Ptime: s.Ptime, Direction: s.Direction, Local: e.cfg.Port.main(),
	}
	return a
}
