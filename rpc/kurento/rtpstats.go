package kurento

import (
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/media"
)

// RTPStats makes statistics of what an endpoint of RTP counted. Make one with NewRTPStats for each element.
type RTPStats struct{ ids *streamIDs }

// streamIDs are the ids that an element's streams have, and keep.
type streamIDs struct {
	mu  sync.Mutex
	ids map[streamKey]string
}

type streamKey struct {
	in    bool
	kind  MediaType
	layer uint8
	track bool
}

// NewRTPStats begins an element's statistics.
func NewRTPStats() RTPStats { return RTPStats{&streamIDs{ids: map[streamKey]string{}}} }

func (s *streamIDs) id(k streamKey) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids[k] == "" {
		s.ids[k] = uuid.NewString()
	}
	return s.ids[k]
}

// Of adds to an element's statistics what its endpoint counted of one kind of media, or all: one stream for each direction that
// had any, and for each layer of a simulcast; of video also what came of pictures. endpoint is nil while the element has none.
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
		k := kindOf(st)
		if kind != "" && kind != k || st.Packets == 0 && st.Lost == 0 {
			continue
		}
		r.add(out, st, streamKey{in: st.Inbound, kind: k, layer: st.Layer})
	}
	return out
}

func (r RTPStats) add(out map[string]AnyStats, st *media.Stream, k streamKey) {
	rtp := RTCRTPStreamStats{
		RTCStats: statsOf(r.ids.id(k), StatsTypeOutboundrtp),
		Ssrc:     strconv.FormatUint(uint64(st.SSRC), 10), PacketsLost: st.Lost, FractionLost: float64(st.Fraction),
		FirCount: int64(st.FIRs), PliCount: int64(st.PLIs), NackCount: int64(st.NACKs), Remb: int64(st.Target),
	}
	if st.Format != nil {
		rtp.CodecID = st.Format.String()
	}
	if k.kind == MediaTypeVideo {
		t := k
		t.track = true
		rtp.MediaTrackID = r.ids.id(t)
		track := RTCMediaStreamTrackStats{RTCStats: statsOf(rtp.MediaTrackID, StatsTypeTrack), TrackIdentifier: "video", RemoteSource: st.Inbound, SsrcIds: []string{rtp.Ssrc}}
		track.FrameWidth, track.FrameHeight, track.FramesPerSecond = int64(st.Width), int64(st.Height), st.PictureRate
		if st.Inbound {
			track.FramesReceived = int64(st.Pictures)
		} else {
			track.FramesSent = int64(st.Pictures)
		}
		out[track.ID] = track
	}
	if st.Inbound {
		rtp.Type = StatsTypeInboundrtp
		out[rtp.ID] = RTCInboundRTPStreamStats{RTCRTPStreamStats: rtp, PacketsReceived: int64(st.Packets), BytesReceived: int64(st.Bytes), Jitter: st.Jitter.Seconds()}
		return
	}
	out[rtp.ID] = RTCOutboundRTPStreamStats{RTCRTPStreamStats: rtp, PacketsSent: int64(st.Packets), BytesSent: int64(st.Bytes),
		TargetBitrate: float64(st.Target), RoundTripTime: st.RTT.Seconds()}
}

func statsOf(id string, kind StatsType) RTCStats {
	return RTCStats{Stats{ID: id, Type: kind, TimestampMillis: time.Now().UnixMilli()}}
}

// kindOf is a stream's kind of media.
func kindOf(st *media.Stream) MediaType {
	if st.Format != nil && st.Format.Kind == media.Video {
		return MediaTypeVideo
	}
	return MediaTypeAudio
}
