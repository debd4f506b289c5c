package peers

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	prtp "github.com/pion/rtp"

	"github.com/patchbay/patchbay/test/audio"
)

// Stream is the RTP packets of one SSRC from one address to another, in the
// order in which they were seen.
type Stream struct {
	Src, Dst netip.AddrPort
	SSRC     uint32
	Packets  []StreamPacket
}

// StreamPacket is one RTP packet of a stream.
type StreamPacket struct {
	At time.Time
	prtp.Packet
}

// Streams finds the RTP streams among those packets that match takes, longest first.
func Streams(packets []Packet, match func(Packet) bool) []Stream {
	type key struct {
		src, dst netip.AddrPort
		ssrc     uint32
	}
	found := map[key]*Stream{}
	for _, p := range packets {
		if len(p.Data) < 13 || p.Data[0]>>6 != 2 || p.Data[1] >= 200 && p.Data[1] <= 207 {
			continue
		}
		if !match(p) {
			continue
		}
		var r prtp.Packet
		if r.Unmarshal(p.Data) != nil || len(r.Payload) == 0 {
			continue
		}
		k := key{p.Src, p.Dst, r.SSRC}
		if found[k] == nil {
			found[k] = &Stream{Src: p.Src, Dst: p.Dst, SSRC: r.SSRC}
		}
		found[k].Packets = append(found[k].Packets, StreamPacket{p.At, r})
	}
	out := make([]Stream, 0, len(found))
	for _, s := range found {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b Stream) int { return cmp.Compare(len(b.Packets), len(a.Packets)) })
	return out
}

// Lost is how many sequence numbers between the first and the last packet never came.
func (s Stream) Lost() int {
	seen := map[uint16]bool{}
	var high, first int
	for i, p := range s.Packets {
		n := int(p.SequenceNumber)
		if i == 0 {
			first, high = n, n
		}
		high = max(high, high+int(int16(uint16(n)-uint16(high))))
		seen[p.SequenceNumber] = true
	}
	if len(s.Packets) == 0 {
		return 0
	}
	return max(0, high-first+1-len(seen))
}

// Pause is the longest time between two packets of the stream that follow each other.
func (s Stream) Pause() time.Duration {
	var longest time.Duration
	for i := 1; i < len(s.Packets); i++ {
		longest = max(longest, s.Packets[i].At.Sub(s.Packets[i-1].At))
	}
	return longest
}

// Behind is the stream as it would have come had the sender of from, the stream that somebody relayed as this one, kept
// its clock: each packet at the time that its timestamp says plus the delay that the relay added. What the sender did
// late or in bursts is not in it, what the relay lost or held back is. Timestamps may differ by a constant. The second
// value is the longest delay added. A packet that nobody sent keeps its time.
func (s Stream) Behind(from Stream) (Stream, time.Duration) {
	shift, ok := s.shift(from)
	if !ok {
		return s, 0
	}
	sent := map[uint32]time.Time{}
	for _, p := range from.Packets {
		if _, twice := sent[p.Timestamp]; !twice {
			sent[p.Timestamp] = p.At
		}
	}
	first := from.Packets[0]
	out, most := s, time.Duration(0)
	out.Packets = append([]StreamPacket(nil), s.Packets...)
	for i, p := range s.Packets {
		at, known := sent[p.Timestamp-shift]
		if !known {
			continue
		}
		added := p.At.Sub(at)
		most = max(most, added)
		samples := int32(p.Timestamp - shift - first.Timestamp)
		out.Packets[i].At = first.At.Add(time.Duration(samples)*time.Second/8000 + added)
	}
	return out, most
}

// shift is how much further the timestamps of s are than those of from: what most packets say that
// left right after one came in.
func (s Stream) shift(from Stream) (uint32, bool) {
	votes, best, most := map[uint32]int{}, uint32(0), 0
	next := 0
	for _, p := range s.Packets {
		for next < len(from.Packets) && !from.Packets[next].At.After(p.At) {
			next++
		}
		if next == 0 {
			continue
		}
		d := p.Timestamp - from.Packets[next-1].Timestamp
		if votes[d]++; votes[d] > most {
			best, most = d, votes[d]
		}
	}
	return best, most > 0
}

// Between is the part of the stream that came in [from, to).
func (s Stream) Between(from, to time.Time) Stream {
	out := s
	out.Packets = nil
	for _, p := range s.Packets {
		if !p.At.Before(from) && p.At.Before(to) {
			out.Packets = append(out.Packets, p)
		}
	}
	return out
}

// playout is the fixed delay of Clip's listener: packets later than this are lost.
const playout = 60 * time.Millisecond

// Clip is what a phone with a jitter buffer of 60 ms plays: the G.711 packets
// (payload types 0 and 8) at their timestamps, silence where one is missing or
// came over 60 ms later than the earliest one, relative to its timestamp. At most
// ten minutes.
func (s Stream) Clip() audio.Clip {
	const rate, most = 8000, 8000 * 600
	c := audio.Clip{Rate: rate}
	var t0 uint32
	var at0 time.Time
	first := true
	for _, p := range s.Packets {
		law := audio.MuLaw
		switch p.PayloadType {
		case 0:
		case 8:
			law = audio.ALaw
		default:
			continue
		}
		if first {
			t0, at0, first = p.Timestamp, p.At, false
		}
		offset := int(int32(p.Timestamp - t0))
		late := p.At.Sub(at0) - time.Duration(offset)*time.Second/rate
		if offset < 0 || offset+len(p.Payload) > most || late > playout {
			continue
		}
		if late < 0 { // an earlier one sets the clock
			at0 = at0.Add(late)
		}
		if need := offset + len(p.Payload); need > len(c.Samples) {
			c.Samples = append(c.Samples, make([]int16, need-len(c.Samples))...)
		}
		for i, code := range p.Payload {
			c.Samples[offset+i] = law.Decode(code)
		}
	}
	return c
}

// Digits is the telephone-events (RFC 4733) of payload type pt, each counted
// once by its timestamp, however often its packets are repeated.
func (s Stream) Digits(pt uint8) string {
	const names = "0123456789*#ABCD"
	var out []byte
	seen := map[uint32]bool{}
	for _, p := range s.Packets {
		if p.PayloadType != pt || len(p.Payload) < 4 || seen[p.Timestamp] || int(p.Payload[0]) >= len(names) {
			continue
		}
		seen[p.Timestamp] = true
		out = append(out, names[p.Payload[0]])
	}
	return string(out)
}
