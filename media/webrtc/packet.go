package webrtc

import "encoding/binary"

const (
	headerSize = 12
	// maxPayload keeps a packet with its SRTP tag below what every path carries (RFC 8200 5: 1280 bytes with IPv6's headers).
	maxPayload = 1188
)

// header is an RTP packet's (RFC 3550 5.1).
type header struct {
	marker, padded bool
	pt             uint8
	seq            uint16
	ts, ssrc       uint32
	size           int // of header, CSRC list and extension, in bytes
}

// parse reads what stands in the clear. false is no RTP packet.
func (h *header) parse(p []byte) bool {
	if len(p) < headerSize || p[0]>>6 != 2 {
		return false
	}
	h.size = headerSize + 4*int(p[0]&15)
	if p[0]&0x10 != 0 {
		if len(p) < h.size+4 {
			return false
		}
		h.size += 4 + 4*int(binary.BigEndian.Uint16(p[h.size+2:]))
	}
	if h.size > len(p) {
		return false
	}
	h.padded = p[0]&0x20 != 0
	h.marker, h.pt = p[1]&0x80 != 0, p[1]&0x7f
	h.seq = binary.BigEndian.Uint16(p[2:])
	h.ts = binary.BigEndian.Uint32(p[4:])
	h.ssrc = binary.BigEndian.Uint32(p[8:])
	return true
}

// payload cuts header and padding off a packet in the clear.
func (h *header) payload(p []byte) ([]byte, bool) {
	if len(p) < h.size {
		return nil, false
	}
	end := len(p)
	if h.padded {
		n := int(p[end-1])
		if n == 0 || n > end-h.size {
			return nil, false
		}
		end -= n
	}
	return p[h.size:end], true
}

// isControl tells RTCP from RTP on one port (RFC 5761 4).
func isControl(p []byte) bool { return len(p) > 1 && p[1] >= 192 && p[1] <= 223 }
