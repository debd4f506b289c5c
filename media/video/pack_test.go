package video_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/pion/rtp/codecs"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/video"
)

type file struct{ *bytes.Reader }

func (f file) Size() (int64, bool) { return f.Reader.Size(), true }

// pictures are those of a file that ffmpeg made.
func pictures(t testing.TB, name string) (track container.Track, list []container.Unit) {
	t.Helper()
	b, err := os.ReadFile("../container/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := container.Open(file{bytes.NewReader(b)}, name, "")
	if err != nil {
		t.Fatal(err)
	}
	for {
		var u container.Unit
		if err := r.Read(&u); errors.Is(err, io.EOF) {
			return track, list
		} else if err != nil {
			t.Fatal(err)
		}
		if t := r.Tracks()[u.Track]; t.Format != nil && t.Format.Kind == media.Video {
			track = t
			u.Data = bytes.Clone(u.Data)
			list = append(list, u)
		}
	}
}

// What is cut to packets is put together as it was, with the parameter sets before key pictures of H264, H265 and AV1; key pictures are known as such
// from their first packet, and tell their size.
func TestThereAndBack(t *testing.T) {
	for _, name := range []string{"video.webm", "vp9.webm", "h264.mkv", "h265.mp4", "av1.mp4"} {
		track, list := pictures(t, name)
		codec := track.Format.Codec
		p, u := video.NewPacker(codec, track.Setup), video.NewUnpacker(codec)
		if p == nil || u == nil || len(list) != 30 {
			t.Fatalf("%s: %d pictures", name, len(list))
		}
		for i, unit := range list {
			n, ends := 0, 0
			p.Packets(unit.Data, func(payload []byte, last bool) {
				if key := video.Key(codec)(payload); n == 0 && key != unit.Key {
					t.Errorf("%s: picture %d: key %t", name, i, key)
				}
				if n++; last {
					ends++
				}
				if len(payload) > 1150 || last && ends > 1 {
					t.Errorf("%s: packet of %d bytes, %d ends", name, len(payload), ends)
				}
				u.Add(payload)
			})
			got, ok := u.Take()
			sets := codec == "H264" || codec == "H265" || codec == "AV1"
			if !ok || ends != 1 || !bytes.HasSuffix(got, unit.Data) || !sets && len(got) != len(unit.Data) {
				t.Fatalf("%s: picture %d of %d bytes comes back as %d, whole %t", name, i, len(unit.Data), len(got), ok)
			}
			if w, h, key := video.Size(codec, got); key != unit.Key || key && (w != 160 || h != 120) {
				t.Errorf("%s: picture %d is %dx%d, key %t", name, i, w, h, key)
			}
		}
		got := u.Setup()
		if codec == "H265" { // ffmpeg's has a fourth array, a message of the encoder's
			track.Setup[22] = 3
			track.Setup = track.Setup[:min(len(got), len(track.Setup))]
		}
		if !bytes.Equal(got, track.Setup) {
			t.Errorf("setup\n%x, ffmpeg's is\n%x", got, track.Setup)
		}
	}
}

// What pion cuts is put together as it was.
func TestForeignPackets(t *testing.T) {
	for name, cut := range map[string]interface {
		Payload(mtu uint16, payload []byte) [][]byte
	}{"video.webm": &codecs.VP8Payloader{EnablePictureID: true}, "vp9.webm": &codecs.VP9Payloader{}, "h264.mkv": &codecs.H264Payloader{},
		"h265.mp4": &codecs.H265Payloader{}, "av1.mp4": &codecs.AV1Payloader{}} {
		track, list := pictures(t, name)
		u := video.NewUnpacker(track.Format.Codec)
		for i, unit := range list {
			data := bytes.Clone(unit.Data)
			if codec := track.Format.Codec; codec == "H264" || codec == "H265" { // with start codes
				for b := data; len(b) > 4; {
					n := int(b[0])<<24 | int(b[1])<<16 | int(b[2])<<8 | int(b[3])
					copy(b, "\x00\x00\x00\x01")
					b = b[4+n:]
				}
			}
			for _, p := range cut.Payload(200, data) {
				u.Add(p)
			}
			if got, ok := u.Take(); !ok || !bytes.Equal(got, unit.Data) {
				t.Errorf("%s: picture %d of %d bytes comes back as %d, whole %t", name, i, len(unit.Data), len(got), ok)
			}
		}
	}
}

// A picture that lacks its beginning, or a fragment's, isn't whole.
func TestNotWhole(t *testing.T) {
	for _, name := range []string{"video.webm", "vp9.webm", "h264.mkv", "h265.mp4", "av1.mp4"} {
		track, list := pictures(t, name)
		codec := track.Format.Codec
		p, u := video.NewPacker(codec, track.Setup), video.NewUnpacker(codec)
		n := 0
		p.Packets(list[0].Data, func(payload []byte, _ bool) {
			first := n == 0
			switch codec {
			case "H264":
				first = payload[0]&0x1f == 28 && payload[1]&0x80 != 0
			case "H265":
				first = payload[0]>>1 == 49 && payload[2]&0x80 != 0
			case "AV1":
				first = payload[0]&0xc0 == 0x40
			}
			if first {
				n++
				return
			}
			u.Add(payload)
		})
		if _, ok := u.Take(); ok || n == 0 {
			t.Errorf("%s: whole without its first packet", name)
		}
	}
	if video.NewPacker("H264", []byte{1, 2}) != nil || video.NewPacker("AV1", nil) != nil || video.NewPacker("H265", []byte{1, 2}) != nil || video.NewUnpacker("H263") != nil {
		t.Error("a codec that isn't known, or has no setup, is")
	}
}

func FuzzUnpack(f *testing.F) {
	for _, name := range []string{"video.webm", "vp9.webm", "h264.mkv", "h265.mp4", "av1.mp4"} {
		track, list := pictures(f, name)
		video.NewPacker(track.Format.Codec, track.Setup).Packets(list[0].Data, func(p []byte, _ bool) { f.Add(bytes.Clone(p)) })
		f.Add(list[0].Data)
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		for _, codec := range []string{"VP8", "VP9", "H264", "H265", "AV1"} {
			u := video.NewUnpacker(codec)
			u.Add(b)
			u.Add(b)
			data, _ := u.Take()
			video.Size(codec, data)
			video.Size(codec, b)
			u.Setup()
			if p := video.NewPacker(codec, b); p != nil {
				p.Packets(b, func([]byte, bool) {})
			}
		}
	})
}
