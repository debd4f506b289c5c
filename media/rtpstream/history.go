package rtpstream

import (
	"encoding/binary"
	"time"
)

const (
	// HistorySize is how many packets a History has: about a second of 4 Mbit/s.
	HistorySize = 512
	// KeptSize is how many bytes a packet in it has at most, with what SRTP adds.
	KeptSize = HeaderSize + 1400 + 64
	// AgainEvery is how long after a packet went it isn't sent again, in ns: a peer asks before it can know.
	AgainEvery = int64(20 * time.Millisecond)
)

// History is the latest packets of a stream by their numbers, for a peer that asks for some again (RFC 4585 6.2.1). It allocates at the first
// packet, once. It isn't safe for concurrent use.
type History struct {
	slots []Kept
	top   uint16
	begun bool
}

// Clear forgets all packets.
func (h *History) Clear() {
	h.begun = false
	for i := range h.slots {
		h.slots[i].valid = false
	}
}

// Kept is a packet of a History.
type Kept struct {
	Sent  int64 // when it went last, ns; 0 = it waits
	seq   uint16
	valid bool
	size  uint16
	p     [KeptSize]byte
}

// Keep takes a copy of a packet of at most KeptSize bytes, in place of the one that was HistorySize before. nil: its number was used, or is too old
// for that to be known.
func (h *History) Keep(p []byte) *Kept {
	if h.slots == nil {
		h.slots = make([]Kept, HistorySize)
	}
	seq := binary.BigEndian.Uint16(p[2:])
	k := &h.slots[seq%HistorySize]
	switch d := int16(seq - h.top); {
	case !h.begun || d > 0:
		h.begun, h.top = true, seq
	case d <= -HistorySize || k.valid && k.seq == seq:
		return nil
	}
	k.size, k.seq, k.Sent, k.valid = uint16(copy(k.p[:], p)), seq, 0, true
	return k
}

// Get is the packet of that number, nil if there is none, or none any more.
func (h *History) Get(seq uint16) *Kept {
	if h.slots == nil {
		return nil
	}
	if k := &h.slots[seq%HistorySize]; k.valid && k.seq == seq {
		return k
	}
	return nil
}

// Again is Get for a packet that is to be sent again now: nil too if it hasn't gone at all, or went a moment ago.
func (h *History) Again(seq uint16, now int64) *Kept {
	if k := h.Get(seq); k != nil && k.Sent != 0 && now-k.Sent >= AgainEvery {
		return k
	}
	return nil
}

// Packet is the packet as it was kept, until its place is needed.
func (k *Kept) Packet() []byte { return k.p[:k.size] }

// Type is its payload type.
func (k *Kept) Type() uint8 { return k.p[1] & 0x7f }

// Beside writes the packet, which has a header without list and extension, into b as a stream of retransmissions has it (RFC 4588 4): with that
// stream's payload type, number and SSRC, and its own number before its payload. It needs 2 bytes more.
func (k *Kept) Beside(b []byte, pt uint8, seq uint16, ssrc uint32) []byte {
	copy(b, k.p[:HeaderSize])
	b[1] = b[1]&0x80 | pt
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	binary.BigEndian.PutUint16(b[HeaderSize:], k.seq)
	return b[:HeaderSize+2+copy(b[HeaderSize+2:], k.p[HeaderSize:k.size])]
}

// Restore makes of a packet of a stream of retransmissions, in place, the one that it repeats. h is its header, and then the other's. false: there
// is none in it.
func Restore(p []byte, h *Header, pt uint8, ssrc uint32) ([]byte, bool) {
	if len(p) < h.Size+2 || h.Padded && len(p)-int(p[len(p)-1]) < h.Size+2 {
		return nil, false
	}
	h.Seq, h.PT, h.SSRC = binary.BigEndian.Uint16(p[h.Size:]), pt, ssrc
	copy(p[2:], p[:h.Size])
	p = p[2:]
	p[1] = p[1]&0x80 | pt
	binary.BigEndian.PutUint16(p[2:], h.Seq)
	binary.BigEndian.PutUint32(p[8:], ssrc)
	return p, true
}
