package kurento

import (
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/media"
)

// RTPStats makes statistics of what an endpoint of RTP counted. Make one with NewRTPStats for each element.
type RTPStats struct{ in, out string } // ids of the two streams

// NewRTPStats gives an element's two streams their ids, which they keep.
func NewRTPStats() RTPStats { return RTPStats{uuid.NewString(), uuid.NewString()} }

// Of adds to an element's statistics what its endpoint counted of one kind of media, or all: one stream for each direction that
// had any. endpoint is nil while the element has none.
func (r RTPStats) Of(endpoint media.Element, kind MediaType, base ElementStats) map[string]AnyStats {
	base.Type = StatsTypeEndpoint
	out := map[string]AnyStats{base.ID: EndpointStats{ElementStats: base, E2ELatency: []MediaLatencyStat{}}}
	if endpoint == nil {
		return out
	}
	var s media.Snapshot
	endpoint.Stats(&s)
	for i := range s.Streams {
		st := &s.Streams[i]
		if k := kindOf(st); kind != "" && kind != k || st.Packets == 0 && st.Lost == 0 {
			continue
		}
		rtp := RTCRTPStreamStats{
			RTCStats: RTCStats{Stats{TimestampMillis: time.Now().UnixMilli()}},
			Ssrc:     strconv.FormatUint(uint64(st.SSRC), 10), PacketsLost: st.Lost, FractionLost: float64(st.Fraction),
		}
		if st.Format != nil {
			rtp.CodecID = st.Format.String()
		}
		if st.Inbound {
			rtp.ID, rtp.Type = r.in, StatsTypeInboundrtp
			out[r.in] = RTCInboundRTPStreamStats{RTCRTPStreamStats: rtp, PacketsReceived: int64(st.Packets), BytesReceived: int64(st.Bytes), Jitter: st.Jitter.Seconds()}
			continue
		}
		rtp.ID, rtp.Type = r.out, StatsTypeOutboundrtp
		out[r.out] = RTCOutboundRTPStreamStats{RTCRTPStreamStats: rtp, PacketsSent: int64(st.Packets), BytesSent: int64(st.Bytes), RoundTripTime: st.RTT.Seconds()}
	}
	return out
}

// kindOf is a stream's kind of media.
func kindOf(st *media.Stream) MediaType {
	if st.Format != nil && st.Format.Kind == media.Video {
		return MediaTypeVideo
	}
	return MediaTypeAudio
}
