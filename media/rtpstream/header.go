// Package rtpstream follows the two streams of an RTP session (RFC 3550): the header, what is lost or late of the peer's stream,
// the numbering of ours, and RTCP's reports of both. It sends and receives nothing itself; media/rtp and media/webrtc do, each
// by its own transport. Nothing here allocates for a packet.
package rtpstream

import "encoding/binary"

// HeaderSize is that of a header without CSRC list and extension, in bytes.
const HeaderSize = 12

// Header is an RTP packet's (RFC 3550 5.1).
type Header struct {
	Marker, Padded bool
	PT             uint8
	Seq            uint16
	TS, SSRC       uint32
	Size           int // of header, CSRC list and extension, in bytes
}

// Parse reads what stands in the clear, also under SRTP. false is no RTP packet.
func (h *Header) Parse(p []byte) bool {
	if len(p) < HeaderSize || p[0]>>6 != 2 {
		return false
	}
	h.Size = HeaderSize + 4*int(p[0]&15)
	if p[0]&0x10 != 0 {
		if len(p) < h.Size+4 {
			return false
		}
		h.Size += 4 + 4*int(binary.BigEndian.Uint16(p[h.Size+2:]))
	}
	if h.Size > len(p) {
		return false
	}
	h.Padded = p[0]&0x20 != 0
	h.Marker, h.PT = p[1]&0x80 != 0, p[1]&0x7f
	h.Seq = binary.BigEndian.Uint16(p[2:])
	h.TS = binary.BigEndian.Uint32(p[4:])
	h.SSRC = binary.BigEndian.Uint32(p[8:])
	return true
}

// Payload cuts header and padding off a packet in the clear.
func (h *Header) Payload(p []byte) ([]byte, bool) {
	if len(p) < h.Size {
		return nil, false
	}
	end := len(p)
	if h.Padded {
		n := int(p[end-1])
		if n == 0 || n > end-h.Size {
			return nil, false
		}
		end -= n
	}
	return p[h.Size:end], true
}

// IsControl tells RTCP from RTP on one port (RFC 5761 4).
func IsControl(p []byte) bool { return len(p) > 1 && p[1] >= 192 && p[1] <= 223 }

// ComfortNoise is the static payload type of comfort noise (RFC 3551 6), by which peers send it that haven't agreed on it.
const ComfortNoise = 13
