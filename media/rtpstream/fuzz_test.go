package rtpstream

import (
	"testing"

	prtp "github.com/pion/rtp"
)

// FuzzHeader: what we take for a packet of RTP another parser takes too, and finds the same in it.
func FuzzHeader(f *testing.F) {
	f.Add([]byte{0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4, 0xff})
	f.Add([]byte{0x90, 0x80, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4, 0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0, 0xff})
	f.Add([]byte{0xa1, 8, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4, 9, 9, 9, 9, 0xff, 0, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Header
		if !h.Parse(b) {
			return
		}
		var other prtp.Packet
		if err := other.Unmarshal(b); err != nil {
			return // of extensions it looks at the elements as well
		}
		if h.Seq != other.SequenceNumber || h.SSRC != other.SSRC {
			t.Errorf("%x: %+v, expected %+v", b, h, other.Header)
		}
		if p, ok := h.Payload(b); ok && len(p) > len(b)-HeaderSize {
			t.Errorf("%x: a payload of %d bytes", b, len(p))
		}
	})
}

// FuzzReports: nothing that is no compound packet is taken for one, and what is taken has no bounds of ours to break.
func FuzzReports(f *testing.F) {
	f.Add([]byte{0x80, 201, 0, 1, 0, 0, 0, 1})
	f.Add([]byte{0x81, 200, 0, 12, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if list, err := Unmarshal(b); err == nil && len(list) == 0 {
			t.Errorf("%x: neither packets nor an error", b)
		}
	})
}
