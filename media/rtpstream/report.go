package rtpstream

import (
	"encoding/binary"
	"time"
)

// Types of RTCP packets (RFC 3550 12.1).
const (
	typeSR   = 200
	typeRR   = 201
	typeSDES = 202
	typeBye  = 203

	itemName = 1 // CNAME (RFC 3550 12.2)
)

// MaxReport holds the longest compound packet that Append makes: a sender report with a block, our name, VoIP metrics and a BYE.
const MaxReport = 28 + 24 + (4 + 4 + 2 + maxName + 4) + (8 + 4 + voipBody) + 8

// maxName bounds the CNAME, which has 16 bytes.
const maxName = 32

// Report is our stream as a report tells it, and what it tells of the peer's. Reports are written by hand: a thousand legs
// send some hundred of them a second, beside the packets, and nothing on that way allocates.
type Report struct {
	SSRC           uint32
	NTP            uint64
	TS             uint32 // at the same instant
	Packets, Bytes uint64
	Last           int64 // when the latest packet went
	About          Block
	Hears          bool // there is a stream that About is of
	Metrics        Metrics
	Measures       bool // Metrics are of that stream, and the peer has asked for them
}

// Block is a reception report (RFC 3550 6.4.1).
type Block struct {
	SSRC     uint32
	Fraction uint8  // lost since the one before, in 256ths
	Lost     int32  // 24 bits
	Highest  uint32 // sequence number, with its cycles
	Jitter   uint32 // timestamp units
	NTP      uint32 // middle 32 bits of the NTP time of the peer's latest sender report; 0 = there was none
	Delay    uint32 // since it came, in 1/65536 s
}

// Append appends a compound packet: a report, our name, VoIP metrics if there are, and a BYE if asked for. mean is the time between reports: who sent
// within the last two is a sender (RFC 3550 6.4).
func (r *Report) Append(b []byte, name string, now int64, mean time.Duration, bye bool) []byte {
	if r.Packets > 0 && now-r.Last < 2*int64(mean) {
		b = r.appendSR(b)
	} else {
		b = r.appendRR(b)
	}
	b = appendName(b, r.SSRC, name)
	if r.Measures {
		b = r.appendMetrics(b)
	}
	if bye {
		b = appendBye(b, r.SSRC)
	}
	return b
}

// appendSR appends a sender report (RFC 3550 6.4.1).
func (r *Report) appendSR(b []byte) []byte {
	b = r.begin(b, typeSR, 6)
	b = binary.BigEndian.AppendUint64(b, r.NTP)
	b = binary.BigEndian.AppendUint32(b, r.TS)
	b = binary.BigEndian.AppendUint32(b, uint32(r.Packets))
	b = binary.BigEndian.AppendUint32(b, uint32(r.Bytes))
	return r.appendBlock(b)
}

// appendRR appends a receiver report (RFC 3550 6.4.2).
func (r *Report) appendRR(b []byte) []byte { return r.appendBlock(r.begin(b, typeRR, 1)) }

// begin appends the head of a report with so many words of its own behind the first.
func (r *Report) begin(b []byte, kind byte, words uint16) []byte {
	count := byte(0)
	if r.Hears {
		count, words = 1, words+6
	}
	b = append(b, 0x80|count, kind)
	b = binary.BigEndian.AppendUint16(b, words)
	return binary.BigEndian.AppendUint32(b, r.SSRC)
}

func (r *Report) appendBlock(b []byte) []byte {
	if !r.Hears {
		return b
	}
	k := &r.About
	b = binary.BigEndian.AppendUint32(b, k.SSRC)
	b = binary.BigEndian.AppendUint32(b, uint32(k.Fraction)<<24|uint32(k.Lost)&0xffffff)
	b = binary.BigEndian.AppendUint32(b, k.Highest)
	b = binary.BigEndian.AppendUint32(b, k.Jitter)
	b = binary.BigEndian.AppendUint32(b, k.NTP)
	return binary.BigEndian.AppendUint32(b, k.Delay)
}

// appendMetrics appends an extended report with a block of VoIP metrics (RFC 3611 2, 4.7). Who relays has neither a jitter buffer nor ears:
// nothing is discarded, there is no delay of ours to tell, and levels, ratings and scores are unavailable.
func (r *Report) appendMetrics(b []byte) []byte {
	const head, unknown = 1 + 1 + voipBody/4, unsaid
	m := &r.Metrics
	b = append(b, 0x80, typeXR, 0, head)
	b = binary.BigEndian.AppendUint32(b, r.SSRC)
	b = append(b, blockVoIP, 0, 0, voipBody/4)
	b = binary.BigEndian.AppendUint32(b, m.SSRC)
	b = append(b, m.Loss, 0, m.BurstDensity, m.GapDensity)
	b = binary.BigEndian.AppendUint16(b, m.Burst)
	b = binary.BigEndian.AppendUint16(b, m.Gap)
	b = binary.BigEndian.AppendUint16(b, m.Trip)
	b = append(b, 0, 0, unknown, unknown, unknown, leastGap, unknown, unknown, unknown, unknown)
	return append(b, 0, 0, 0, 0, 0, 0, 0, 0) // no concealment, no jitter buffer
}

// appendName appends a source description with one chunk, our CNAME (RFC 3550 6.5). An item ends with a zero byte at least, and
// the chunk at a multiple of 32 bits.
func appendName(b []byte, ssrc uint32, name string) []byte {
	name = name[:min(len(name), maxName)]
	size := (2 + len(name) + 1 + 3) &^ 3
	b = append(b, 0x81, typeSDES)
	b = binary.BigEndian.AppendUint16(b, uint16(1+size/4))
	b = binary.BigEndian.AppendUint32(b, ssrc)
	b = append(b, itemName, byte(len(name)))
	b = append(b, name...)
	for n := 2 + len(name); n < size; n++ {
		b = append(b, 0)
	}
	return b
}

// appendBye appends a BYE without a reason (RFC 3550 6.6).
func appendBye(b []byte, ssrc uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0x81, typeBye, 0, 1), ssrc)
}

// NTP is a time as NTP's 64 bits: seconds since 1900 and their fraction.
func NTP(t time.Time) uint64 {
	const since1900 = 2208988800
	return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/1e9
}
