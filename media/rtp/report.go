package rtp

import "encoding/binary"

// Types of RTCP packets (RFC 3550 12.1).
const (
	typeSR   = 200
	typeRR   = 201
	typeSDES = 202
	typeBye  = 203

	itemName = 1 // CNAME (RFC 3550 12.2)
)

// maxReport holds the longest compound packet that we send: a sender report with a block, our name and a BYE.
const maxReport = 28 + 24 + (4 + 4 + 2 + maxName + 4) + 8

// maxName bounds the CNAME, which has 16 bytes.
const maxName = 32

// reported is our stream as a report tells it, and what it tells of the peer's. Reports are written by hand: a thousand legs
// send some hundred of them a second, beside the packets, and nothing on that way allocates.
type reported struct {
	ssrc           uint32
	ntp            uint64
	ts             uint32 // at the same instant
	packets, bytes uint64
	last           int64 // when the latest packet went
	about          block
	hears          bool // there is a stream that about is of
}

// block is a reception report (RFC 3550 6.4.1).
type block struct {
	ssrc     uint32
	fraction uint8  // lost since the one before, in 256ths
	lost     int32  // 24 bits
	highest  uint32 // sequence number, with its cycles
	jitter   uint32 // timestamp units
	ntp      uint32 // middle 32 bits of the NTP time of the peer's latest sender report; 0 = there was none
	delay    uint32 // since it came, in 1/65536 s
}

// appendSR appends a sender report (RFC 3550 6.4.1).
func (r *reported) appendSR(b []byte) []byte {
	b = r.begin(b, typeSR, 6)
	b = binary.BigEndian.AppendUint64(b, r.ntp)
	b = binary.BigEndian.AppendUint32(b, r.ts)
	b = binary.BigEndian.AppendUint32(b, uint32(r.packets))
	b = binary.BigEndian.AppendUint32(b, uint32(r.bytes))
	return r.appendBlock(b)
}

// appendRR appends a receiver report (RFC 3550 6.4.2).
func (r *reported) appendRR(b []byte) []byte { return r.appendBlock(r.begin(b, typeRR, 1)) }

// begin appends the head of a report with so many words of its own behind the first.
func (r *reported) begin(b []byte, kind byte, words uint16) []byte {
	count := byte(0)
	if r.hears {
		count, words = 1, words+6
	}
	b = append(b, 0x80|count, kind)
	b = binary.BigEndian.AppendUint16(b, words)
	return binary.BigEndian.AppendUint32(b, r.ssrc)
}

func (r *reported) appendBlock(b []byte) []byte {
	if !r.hears {
		return b
	}
	k := &r.about
	b = binary.BigEndian.AppendUint32(b, k.ssrc)
	b = binary.BigEndian.AppendUint32(b, uint32(k.fraction)<<24|uint32(k.lost)&0xffffff)
	b = binary.BigEndian.AppendUint32(b, k.highest)
	b = binary.BigEndian.AppendUint32(b, k.jitter)
	b = binary.BigEndian.AppendUint32(b, k.ntp)
	return binary.BigEndian.AppendUint32(b, k.delay)
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
