package kurento

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Traffic is what went over a WebRTC's path.
type Traffic struct {
	Sent, Received uint64        // bytes
	RTT            time.Duration // 0 = not known
	Outgoing       float64       // bit/s that the path takes, as far as is known; 0 = not
}

// statsOf adds to the statistics of streams those of the connection, unless one kind of media alone is asked for, and of data
// channels: ids begin with the element's.
func (e *WebRtcEndpoint) statsOf(kind MediaType, out map[string]AnyStats) map[string]AnyStats {
	id := e.self.ID()
	list, opened, closed := e.web.Channels()
	if kind == "" || kind == MediaTypeData {
		for _, c := range list {
			s := RTCDataChannelStats{RTCStats: statsOf(fmt.Sprintf("%s_data_%d", id, c.ID), StatsTypeDatachannel), Label: c.Label, Protocol: c.Protocol,
				Datachannelid: int64(c.ID), State: c.State, MessagesSent: int64(c.Sent), BytesSent: int64(c.SentBytes), MessagesReceived: int64(c.Came), BytesReceived: int64(c.CameSize)}
			out[s.ID] = s
		}
	}
	if kind != "" {
		return out
	}
	session := RTCPeerConnectionStats{RTCStats: statsOf(id+"_session", StatsTypeSession), DataChannelsOpened: int64(opened), DataChannelsClosed: int64(closed)}
	out[session.ID] = session
	now := e.web.Connectivity()
	if now.Pair == nil {
		return out
	}
	t := e.web.Traffic()
	local, ok := candidateStats(id+"_local", StatsTypeLocalcandidate, now.Pair.LocalCandidate)
	remote, ok2 := candidateStats(id+"_remote", StatsTypeRemotecandidate, now.Pair.RemoteCandidate)
	if !ok || !ok2 {
		return out
	}
	out[local.ID], out[remote.ID] = local, remote
	pair := RTCIceCandidatePairStats{RTCStats: statsOf(id+"_pair", StatsTypeCandidatepair), TransportID: id + "_transport", LocalCandidateID: local.ID,
		RemoteCandidateID: remote.ID, State: RTCStatsIceCandidatePairStateSucceeded, Nominated: true, Writable: true, Readable: true,
		Priority:  pairPriority(local.Priority, remote.Priority),
		BytesSent: int64(t.Sent), BytesReceived: int64(t.Received), RoundTripTime: t.RTT.Seconds(), AvailableOutgoingBitrate: t.Outgoing}
	out[pair.ID] = pair
	transport := RTCTransportStats{RTCStats: statsOf(pair.TransportID, StatsTypeTransport), BytesSent: int64(t.Sent), BytesReceived: int64(t.Received),
		ActiveConnection: now.DTLS == DtlsConnectionStateConnected, SelectedCandidatePairID: pair.ID}
	out[transport.ID] = transport
	for key, s := range out {
		switch s := s.(type) {
		case RTCInboundRTPStreamStats:
			s.TransportID = transport.ID
			out[key] = s
		case RTCOutboundRTPStreamStats:
			s.TransportID = transport.ID
			out[key] = s
		}
	}
	return out
}

// pairPriority is RFC 8445's (6.1.2.3), with the peer controlling.
func pairPriority(ours, theirs int64) int64 {
	p := min(ours, theirs)<<32 + 2*max(ours, theirs)
	if theirs > ours {
		p++
	}
	return p
}

// candidateStats reads a candidate (RFC 8839 5.1).
func candidateStats(id string, kind StatsType, text string) (s RTCIceCandidateAttributes, ok bool) {
	f := strings.Fields(strings.TrimPrefix(text, "candidate:"))
	if len(f) < 8 || f[6] != "typ" {
		return s, false
	}
	priority, err := strconv.ParseInt(f[3], 10, 64)
	port, err2 := strconv.ParseInt(f[5], 10, 64)
	if err != nil || err2 != nil {
		return s, false
	}
	types := map[string]RTCStatsIceCandidateType{"host": RTCStatsIceCandidateTypeHost, "srflx": RTCStatsIceCandidateTypeServerreflexive,
		"prflx": RTCStatsIceCandidateTypePeerreflexive, "relay": RTCStatsIceCandidateTypeRelayed}
	return RTCIceCandidateAttributes{RTCStats: statsOf(id, kind), IpAddress: f[4], PortNumber: port, Transport: strings.ToLower(f[2]),
		CandidateType: types[f[7]], Priority: priority}, true
}
