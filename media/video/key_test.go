package video

import (
	"testing"

	"github.com/patchbay/patchbay/media"
)

func TestKey(t *testing.T) {
	for _, c := range []struct {
		name, codec string
		payload     []byte
		want        bool
	}{
		{"key frame", "VP8", []byte{0x10, 0x50, 0x30, 0x00, 0x9d, 0x01, 0x2a}, true},
		{"with a picture id of two bytes", "VP8", []byte{0x90, 0x80, 0x80, 0x01, 0x50}, true},
		{"with a picture id of one byte", "VP8", []byte{0x90, 0x80, 0x01, 0x50}, true},
		{"with all of the descriptor", "VP8", []byte{0x90, 0xf0, 0x80, 0x01, 0x07, 0x20, 0x50}, true},
		{"predicted", "VP8", []byte{0x10, 0x51}, false},
		{"predicted, with a picture id", "VP8", []byte{0x90, 0x80, 0x80, 0x01, 0x51}, false},
		{"not its beginning", "VP8", []byte{0x00, 0x50}, false},
		{"another partition", "VP8", []byte{0x11, 0x50}, false},
		{"cut off", "VP8", []byte{0x90, 0x80}, false},
		{"key frame", "VP9", []byte{0x88, 0x81, 0x23, 0x00}, true},
		{"lowest spatial layer", "VP9", []byte{0xa8, 0x01, 0x00, 0x00, 0x00}, true},
		{"upper spatial layer", "VP9", []byte{0xa8, 0x01, 0x02, 0x00, 0x00}, false},
		{"predicted", "VP9", []byte{0xc8, 0x81, 0x23, 0x00}, false},
		{"not its beginning", "VP9", []byte{0x80, 0x81, 0x23, 0x00}, false},
		{"parameter sets", "H264", []byte{0x67, 0x42}, true},
		{"IDR", "H264", []byte{0x65, 0x88}, true},
		{"sets in one packet", "H264", []byte{0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce}, true},
		{"beginning of an IDR", "H264", []byte{0x7c, 0x85, 0x00}, true},
		{"middle of an IDR", "H264", []byte{0x7c, 0x05, 0x00}, false},
		{"predicted", "H264", []byte{0x41, 0x9a}, false},
		{"picture parameters alone", "H264", []byte{0x68, 0xce}, false},
		{"lengths that lie", "H264", []byte{0x78, 0xff, 0xff, 0x67}, false},
		{"video parameters", "H265", []byte{0x40, 0x01, 0x0c}, true},
		{"beginning of an IDR", "H265", []byte{0x62, 0x01, 0x93, 0x00}, true},
		{"middle of an IDR", "H265", []byte{0x62, 0x01, 0x13, 0x00}, false},
		{"predicted", "H265", []byte{0x02, 0x01, 0xd0}, false},
		{"sets in one packet", "H265", []byte{0x60, 0x01, 0, 3, 0x40, 0x01, 0x0c}, true},
		{"new sequence", "AV1", []byte{0x18, 0x0a, 0x0b}, true},
		{"predicted", "AV1", []byte{0x10, 0x32}, false},
		{"continued", "AV1", []byte{0x90, 0x32}, false},
	} {
		if got := Key(c.codec)(c.payload); got != c.want {
			t.Errorf("%s, %s: %x is a key picture: %t, expected %t", c.codec, c.name, c.payload, got, c.want)
		}
	}
	if Key("PCMU") != nil {
		t.Error("audio has key pictures")
	}
}

// Whatever a peer sends is read without a fault.
func FuzzKey(f *testing.F) {
	f.Add([]byte{0x90, 0xf0, 0x80, 0x01, 0x07, 0x20, 0x50})
	f.Add([]byte{0x78, 0, 2, 0x67, 0x42})
	f.Add([]byte{0x60, 0x01, 0, 3, 0x40})
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, codec := range []string{"VP8", "VP9", "H264", "H265", "AV1"} {
			if Key(codec)(p) && len(p) == 0 {
				t.Errorf("%s: nothing is a key picture", codec)
			}
		}
	})
}

func TestKeyAllocates(t *testing.T) {
	is, p := Key(media.VideoFormat("VP8", "").Codec), []byte{0x90, 0x80, 0x80, 0x01, 0x50}
	if n := testing.AllocsPerRun(100, func() { is(p) }); n != 0 {
		t.Errorf("%v allocations for a packet", n)
	}
}
