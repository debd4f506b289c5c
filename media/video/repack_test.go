package video_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/pion/rtp/codecs"

	"github.com/patchbay/patchbay/media/video"
)

// join is a picture of payloads, and back says what becomes of it.
func repacked(t *testing.T, codec string, payloads ...[]byte) (list [][]byte) {
	t.Helper()
	var picture []byte
	for _, p := range payloads {
		picture = video.Join(picture, p)
	}
	last := false
	video.NewRepacker(codec).Packets(picture, func(p []byte, end bool) {
		if last || len(p) == 0 || len(p) > 1150 {
			t.Errorf("%s: packet of %d bytes, after the last: %t", codec, len(p), last)
		}
		last = end
		list = append(list, bytes.Clone(p))
	})
	if !last {
		t.Errorf("%s: no packet is the last", codec)
	}
	return list
}

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// What is short stays as it is.
func TestRepackShort(t *testing.T) {
	for _, codec := range []string{"VP8", "VP9", "H264", "H265", "AV1"} {
		in := [][]byte{noise(1150), noise(1), noise(30)}
		if out := repacked(t, codec, in...); !bytes.Equal(bytes.Join(out, []byte("|")), bytes.Join(in, []byte("|"))) {
			t.Errorf("%s: %d packets of 3", codec, len(out))
		}
	}
	if video.NewRepacker("OPUS") != nil {
		t.Error("sound is packed as video")
	}
}

// Pictures of a real encoder in packets that are too long are the same pictures, as a reader that isn't ours puts them together.
func TestRepackH264(t *testing.T) {
	_, list := pictures(t, "h264.mkv")
	for i, unit := range list {
		var want, got []byte
		reader := &codecs.H264Packet{IsAVC: true}
		var payloads [][]byte
		for data := unit.Data; len(data) > 4; {
			n := int(data[2])<<8 | int(data[3])
			payloads = append(payloads, data[4:4+n])
			want = append(want, data[:4+n]...)
			data = data[4+n:]
		}
		for _, p := range repacked(t, "H264", payloads...) {
			b, err := reader.Unmarshal(p)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("picture %d of %d bytes comes back as %d", i, len(want), len(got))
		}
	}
	long := append([]byte{0x65}, noise(5000)...)
	stap := append([]byte{0x78, 0, 3, 0x67, 0x42, 1, byte(len(long) >> 8), byte(len(long))}, long...)
	fragments := [][]byte{append([]byte{0x7c, 0x85}, long[1:1401]...), append([]byte{0x7c, 0x05}, long[1401:4000]...), append([]byte{0x7c, 0x45}, long[4000:]...)}
	for name, in := range map[string][][]byte{"whole": {long}, "several in one": {stap}, "fragments": fragments} {
		reader := &codecs.H264Packet{IsAVC: true}
		var got []byte
		for _, p := range repacked(t, "H264", in...) {
			b, err := reader.Unmarshal(p)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b...)
		}
		if !bytes.HasSuffix(got, long) || name == "several in one" && !video.Sets("H264", in[0]) {
			t.Errorf("%s: %d bytes of %d come back", name, len(got), len(long))
		}
	}
}

func TestRepackH265(t *testing.T) {
	long := append([]byte{0x26, 0x01}, noise(4000)...)
	sets := []byte{0x42, 0x01, 0x01}
	ap := append([]byte{0x60, 0x01, 0, 3, 0x42, 0x01, 0x01, byte(len(long) >> 8), byte(len(long))}, long...)
	fragments := [][]byte{append([]byte{0x62, 0x01, 0x93}, long[2:2000]...), append([]byte{0x62, 0x01, 0x53}, long[2000:]...)}
	for name, in := range map[string][][]byte{"whole": {sets, long}, "several in one": {ap}, "fragments": fragments} {
		var got []byte
		begun, ended := 0, 0
		for _, p := range repacked(t, "H265", in...) {
			if p[0]>>1 != 49 {
				if !video.Sets("H265", p) {
					t.Errorf("%s: unit of kind %d", name, p[0]>>1)
				}
				continue
			}
			if p[2]&0x80 != 0 {
				begun++
				got = append(got, p[0]&0x81|p[2]&0x3f<<1, p[1])
			}
			if p[2]&0x40 != 0 {
				ended++
			}
			got = append(got, p[3:]...)
		}
		if !bytes.Equal(got, long) || begun != 1 || ended != 1 {
			t.Errorf("%s: %d bytes of %d come back, %d begin, %d end", name, len(got), len(long), begun, ended)
		}
	}
}

func TestRepackVP(t *testing.T) {
	data := noise(3000)
	vp8 := [][]byte{append([]byte{0x90, 0x80, 0x81, 0x23}, data[:1400]...), append([]byte{0x80, 0x80, 0x81, 0x23}, data[1400:]...)}
	var got []byte
	for i, p := range repacked(t, "VP8", vp8...) {
		var r codecs.VP8Packet
		b, err := r.Unmarshal(p)
		if err != nil || r.PictureID != 0x123 || (r.S == 1) != (i == 0) {
			t.Errorf("VP8, packet %d: S %d, picture %x, %v", i, r.S, r.PictureID, err)
		}
		got = append(got, b...)
	}
	if !bytes.Equal(got, data) {
		t.Errorf("VP8: %d bytes of %d come back", len(got), len(data))
	}
	got = nil
	list := repacked(t, "VP9", append([]byte{0x88, 0x81, 0x23}, data[:1400]...), append([]byte{0x84, 0x81, 0x23}, data[1400:]...))
	for i, p := range list {
		var r codecs.VP9Packet
		b, err := r.Unmarshal(p)
		if err != nil || r.PictureID != 0x123 || r.B != (i == 0) || r.E != (i == len(list)-1) {
			t.Errorf("VP9, packet %d: B %t, E %t, picture %x, %v", i, r.B, r.E, r.PictureID, err)
		}
		got = append(got, b...)
	}
	if !bytes.Equal(got, data) {
		t.Errorf("VP9: %d bytes of %d come back", len(got), len(data))
	}
}

// Elements of AV1 come back as they were, whichever way their lengths are told and wherever packets cut them.
func TestRepackAV1(t *testing.T) {
	a, b, c := append([]byte{0x08}, noise(9)...), append([]byte{0x30}, noise(2500)...), append([]byte{0x30}, noise(300)...)
	length := func(e []byte) []byte { return []byte{byte(len(e))&0x7f | 0x80, byte(len(e) >> 7)} }
	for name, in := range map[string][][]byte{
		"counted":     {bytes.Join([][]byte{{0x38}, length(a), a, length(b), b, c}, nil)},
		"with length": {bytes.Join([][]byte{{0x08}, length(a), a, length(b), b, length(c), c}, nil)},
		"cut":         {bytes.Join([][]byte{{0x68}, length(a), a, b[:1300]}, nil), bytes.Join([][]byte{{0xa0}, length(b[1300:]), b[1300:], c}, nil)},
	} {
		var elements [][]byte
		open := false
		for i, p := range repacked(t, "AV1", in...) {
			if continues := p[0]&0x80 != 0; continues != open {
				t.Errorf("%s: packet %d continues: %t", name, i, continues)
			}
			if (p[0]&0x08 != 0) != (i == 0) {
				t.Errorf("%s: packet %d begins a sequence", name, i)
			}
			if rest := elementsOf(p); len(rest) > 0 {
				if open && len(elements) > 0 {
					elements[len(elements)-1] = append(elements[len(elements)-1], rest[0]...)
					rest = rest[1:]
				}
				elements = append(elements, rest...)
			}
			open = p[0]&0x40 != 0
		}
		if fmt.Sprintf("%x", elements) != fmt.Sprintf("%x", [][]byte{a, b, c}) {
			t.Errorf("%s: %d elements come back", name, len(elements))
		}
	}
}

// elementsOf are those of a packet of AV1.
func elementsOf(p []byte) (list [][]byte) {
	count, rest := int(p[0]>>4&3), p[1:]
	for i := 1; len(rest) > 0; i++ {
		n := len(rest)
		if count == 0 || i < count {
			n = int(rest[0] & 0x7f)
			size := 1
			if rest[0]&0x80 != 0 {
				n |= int(rest[1]) << 7
				size = 2
			}
			rest = rest[size:]
		}
		list = append(list, bytes.Clone(rest[:n]))
		rest = rest[n:]
	}
	return list
}

// What is damaged is left out, and nothing is read that isn't there.
func FuzzRepack(f *testing.F) {
	f.Add(uint8(0), append([]byte{0x7c, 0x85}, noise(3000)...))
	f.Add(uint8(4), append([]byte{0x38, 0xff, 0xff, 0xff, 0xff}, noise(2000)...))
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		codec := [...]string{"H264", "H265", "VP8", "VP9", "AV1"}[which%5]
		if len(b) > 65535 {
			return
		}
		r := video.NewRepacker(codec)
		check := func(p []byte, _ bool) {
			if len(p) == 0 || len(p) > 1150 {
				t.Fatalf("packet of %d bytes", len(p))
			}
		}
		r.Packets(b, check)
		r.Packets(video.Join(nil, b), check)
		video.Sets(codec, b)
	})
}
