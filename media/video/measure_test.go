package video_test

import (
	"bytes"
	"testing"

	"github.com/pion/rtp/codecs"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/video"
)

// What an encoder made is counted, and its size known, whoever cut it to packets.
func TestCounter(t *testing.T) {
	type payloader interface {
		Payload(mtu uint16, payload []byte) [][]byte
	}
	for name, foreign := range map[string]payloader{"video.webm": &codecs.VP8Payloader{EnablePictureID: true}, "vp9.webm": &codecs.VP9Payloader{},
		"h264.mkv": &codecs.H264Payloader{}, "h265.mp4": &codecs.H265Payloader{}, "av1.mp4": &codecs.AV1Payloader{}} {
		track, list := pictures(t, name)
		codec := track.Format.Codec
		own, keys := video.NewPacker(codec, track.Setup), uint64(0)
		var ours, theirs video.Counter
		is := video.Key(codec)
		frame := func(unit int, payload []byte, last bool) *media.Frame {
			return &media.Frame{Kind: media.Video, Format: track.Format, Payload: payload, Timestamp: uint32(unit * 3000), Marker: last, Key: is(payload)}
		}
		for i, unit := range list {
			if unit.Key {
				keys++
			}
			own.Packets(unit.Data, func(payload []byte, last bool) { ours.Count(frame(i, payload, last), int64(i)*1e8) })
			if codec == "H264" || codec == "H265" {
				continue // pion's want start codes, and sets that the file has elsewhere
			}
			packets := foreign.Payload(200, bytes.Clone(unit.Data))
			for k, payload := range packets {
				theirs.Count(frame(i, payload, k == len(packets)-1), int64(i)*1e8)
			}
		}
		counters := map[string]*video.Counter{"ours": &ours, "pion's": &theirs}
		if codec == "H264" || codec == "H265" {
			delete(counters, "pion's")
		}
		for whose, c := range counters {
			var s media.Stream
			c.Tell(&s, 29e8)
			if s.Pictures != uint64(len(list)) || s.Keys != keys || keys == 0 || s.Width != 160 || s.Height != 120 || s.PictureRate != 10 {
				t.Errorf("%s, %s packets: %d pictures, %d keys, %dx%d, %.1f a second; expected %d, %d, 160x120, 10", name, whose, s.Pictures, s.Keys, s.Width, s.Height, s.PictureRate, len(list), keys)
			}
			if c.Tell(&s, 6e9); s.PictureRate != 0 {
				t.Errorf("%s, %s packets: %.1f pictures a second long after the last", name, whose, s.PictureRate)
			}
		}
	}
}

// Forms that those files don't have.
func TestMeasure(t *testing.T) {
	_, avc := pictures(t, "h264.mkv")
	track, _ := pictures(t, "h264.mkv")
	var set []byte
	video.NewPacker("H264", track.Setup).Packets(avc[0].Data, func(p []byte, _ bool) {
		if p[0]&0x1f == 7 {
			set = bytes.Clone(p)
		}
	})
	stap := append([]byte{0x78, 0, 2, 0x09, 0x10, 0, byte(len(set))}, set...)
	for _, c := range []struct {
		name, codec   string
		payload       []byte
		width, height int
	}{
		{"two spatial layers", "VP9", []byte{0xaa, 0x01, 0x00, 0x00, 0x38, 0, 160, 0, 90, 1, 64, 0, 180, 0, 0x82}, 320, 180},
		{"structure that is cut off", "VP9", []byte{0xaa, 0x01, 0x00, 0x00, 0x38, 0, 160, 0, 90, 1, 64}, 0, 0},
		{"behind a delimiter", "H264", stap, 160, 120},
		{"no set", "H264", []byte{0x65, 0x88}, 0, 0},
		{"predicted", "VP8", []byte{0x10, 0x51, 0, 0, 0x9d, 0x01, 0x2a, 64, 1, 180, 0}, 0, 0},
		{"key picture", "VP8", []byte{0x90, 0x80, 0x81, 0x23, 0x50, 0, 0, 0x9d, 0x01, 0x2a, 64, 1, 180, 0}, 320, 180},
		{"scaled for display", "VP8", []byte{0x10, 0x50, 0, 0, 0x9d, 0x01, 0x2a, 64, 0x41, 180, 0x80}, 320, 180},
		{"nothing", "AV1", nil, 0, 0},
		{"length that lies", "AV1", []byte{0x08, 0x7f, 0x0a}, 0, 0},
	} {
		if w, h := video.Measure(c.codec)(c.payload); w != c.width || h != c.height {
			t.Errorf("%s, %s: %dx%d, expected %dx%d", c.codec, c.name, w, h, c.width, c.height)
		}
	}
	if video.Measure("PCMU") != nil {
		t.Error("audio has a size")
	}
}

func TestCounterAllocates(t *testing.T) {
	for _, name := range []string{"video.webm", "vp9.webm", "h264.mkv", "h265.mp4", "av1.mp4"} {
		track, list := pictures(t, name)
		var c video.Counter
		var frames []*media.Frame
		video.NewPacker(track.Format.Codec, track.Setup).Packets(list[0].Data, func(p []byte, last bool) {
			frames = append(frames, &media.Frame{Format: track.Format, Payload: bytes.Clone(p), Marker: last, Key: video.Key(track.Format.Codec)(p)})
		})
		if n := testing.AllocsPerRun(100, func() {
			for _, f := range frames {
				c.Count(f, 1)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations for a key picture", name, n)
		}
	}
}

// Whatever a peer sends is read without a fault.
func FuzzMeasure(f *testing.F) {
	f.Add([]byte{0xaa, 0x01, 0x00, 0x00, 0x38, 0, 160, 0, 90, 1, 64, 0, 180, 0, 0x82})
	f.Add([]byte{0x78, 0, 2, 0x67, 0x42})
	f.Add([]byte{0x60, 0x01, 0, 3, 0x42, 0x01, 0x0c})
	f.Add([]byte{0x08, 0x02, 0x0a, 0x00})
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, codec := range []string{"VP8", "VP9", "H264", "H265", "AV1"} {
			if w, h := video.Measure(codec)(p); w < 0 || h < 0 {
				t.Errorf("%s: %dx%d", codec, w, h)
			}
		}
	})
}
