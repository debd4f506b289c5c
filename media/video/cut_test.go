package video_test

import (
	"bytes"
	"testing"

	"github.com/pion/rtp/codecs"

	"github.com/patchbay/patchbay/media/video"
)

// What a stream becomes that is cut has numbers without a gap, pieces that are short enough, and says the same.
func TestCut(t *testing.T) {
	data := noise(40_000)
	for _, most := range []int{video.LeastPayload, 100, 588, 1188} {
		c := video.NewCutter("VP8", most)
		var got []byte
		next, rest := uint16(0), data
		for i, n := range []int{1400, 1400, 20, 3, 900, 1188, 1500, 700} {
			number := uint16(65530 + i)
			payload := append([]byte{0x90, 0x80, 0x81, 0x23}, rest[:n]...)
			rest = rest[n:]
			pieces, first, ok := c.Cut(payload, number, 1)
			if !ok || i > 0 && first != next || i == 0 && first != number {
				t.Fatalf("%d: payload %d: %t, begins at %d, expected %d", most, i, ok, first, next)
			}
			next = first + uint16(len(pieces))
			for j, p := range pieces {
				var r codecs.VP8Packet
				b, err := r.Unmarshal(p)
				if err != nil || len(p) > most || (r.S == 1) != (j == 0) {
					t.Fatalf("%d: payload %d, piece %d: %d bytes, begins %d, %v", most, i, j, len(p), r.S, err)
				}
				got = append(got, b...)
			}
			if len(payload) <= most && len(pieces) != 1 {
				t.Errorf("%d: %d bytes are %d pieces", most, len(payload), len(pieces))
			}
		}
		if !bytes.Equal(got, data[:len(data)-len(rest)]) {
			t.Errorf("%d: %d bytes come out, not as they were", most, len(got))
		}
	}
	if c := video.NewCutter("OPUS", 1000); c != nil {
		t.Error("sound is cut as video")
	}
}

// What comes late fills the place that was left for it, however long it is; what is damaged, or much too late, has none.
func TestCutLate(t *testing.T) {
	payload := func(n int) []byte { return append([]byte{0x10, 0x50}, noise(n)...) }
	for _, late := range []int{5, 400, 1000, 1390} {
		c := video.NewCutter("VP8", 500)
		used := map[uint16]int{}
		cut := func(number uint16, n int) bool {
			pieces, first, ok := c.Cut(payload(n), number, 1)
			for i := range pieces {
				used[first+uint16(i)]++
			}
			return ok
		}
		for number, n := range []int{100, 900, -1, 100, 1300, 100, -1, 900} {
			if n >= 0 && !cut(uint16(number), n) {
				t.Fatalf("%d of %d bytes has no place", number, n)
			}
		}
		// 2 was left two places, 6 one.
		if ok := cut(2, late); ok != (late > 5) {
			t.Errorf("%d bytes late for two places: %t", late, ok)
		}
		if late == 5 {
			cut(2, 600)
		}
		if !cut(6, late) {
			t.Errorf("%d bytes late for one place aren't taken", late)
		}
		for n := range uint16(13) {
			if used[n] != 1 {
				t.Errorf("%d bytes late: number %d goes out %d times: %v", late, n, used[n], used)
			}
		}
		if len(used) != 13 {
			t.Errorf("%d numbers go out, expected 13", len(used))
		}
		for number := uint16(8); number < 300; number++ {
			cut(number, 10)
		}
		if cut(20, 10) {
			t.Error("what is much too late has a place")
		}
	}
	c := video.NewCutter("H264", 100)
	if _, _, ok := c.Cut(nil, 1, 1); ok {
		t.Error("nothing is something")
	}
	if _, _, ok := c.Cut(append([]byte{0x7f}, noise(500)...), 1, 1); ok {
		t.Error("a long payload of no known kind is cut")
	}
}

// Cutting allocates nothing once it has come to the longest payload, in each codec.
func TestCutAllocates(t *testing.T) {
	for codec, head := range map[string][]byte{"VP8": {0x10}, "VP9": {0x08}, "H264": {0x65}, "H265": {0x26, 0x01}, "AV1": {0x10}} {
		c, p, number := video.NewCutter(codec, 300), append(bytes.Clone(head), noise(1390)...), uint16(0)
		if codec == "H264" {
			p = append([]byte{0x78, byte(len(p) >> 8), byte(len(p))}, p...)
		}
		if n := testing.AllocsPerRun(500, func() {
			number++
			if pieces, _, ok := c.Cut(p, number, 1); !ok || len(pieces) < 5 {
				t.Fatalf("%s: %d pieces", codec, len(pieces))
			}
		}); n != 0 {
			t.Errorf("%s: a payload allocates %v times", codec, n)
		}
	}
}
