package kurento

import (
	"strconv"
	"time"

	"github.com/patchbay/patchbay/media"
)

// streams adds to the element's statistics what its endpoint counted: one stream for each direction.
func (e *BaseRtpEndpoint) streams(kind MediaType, base ElementStats) map[string]AnyStats {
	base.Type = StatsTypeEndpoint
	out := map[string]AnyStats{base.ID: EndpointStats{ElementStats: base, E2ELatency: []MediaLatencyStat{}}}
	var s media.Snapshot
	e.endpoint.Stats(&s)
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
			rtp.ID, rtp.Type = e.in, StatsTypeInboundrtp
			out[e.in] = RTCInboundRTPStreamStats{RTCRTPStreamStats: rtp, PacketsReceived: int64(st.Packets), BytesReceived: int64(st.Bytes), Jitter: st.Jitter.Seconds()}
			continue
		}
		rtp.ID, rtp.Type = e.out, StatsTypeOutboundrtp
		out[e.out] = RTCOutboundRTPStreamStats{RTCRTPStreamStats: rtp, PacketsSent: int64(st.Packets), BytesSent: int64(st.Bytes), RoundTripTime: st.RTT.Seconds()}
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
