package player

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/media/video"
)

// Each picture of a file comes once, whole, at its time, with its sound; after a seek they begin with a key picture before it.
func TestPlaysVideo(t *testing.T) {
	for _, name := range []string{"video.webm", "vp9.webm", "h264.mkv", "h264.mp4", "parts.mp4", "h265.mp4", "av1.mp4"} {
		b, err := os.ReadFile("../container/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, 0, opens(b, name))
			defer s.close()
			format, want := pictures(t, b)
			r, ear := mediatest.NewRecorder(format), mediatest.NewRecorder(&media.Format{Codec: "OPUS", Clock: 48000, Channels: 2})
			s.Source(media.Pad{Kind: media.Video}).Link(r)
			s.Source(media.Pad{}).Link(ear)
			if err := s.Play(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			if i := s.Info(); !i.Seekable || (i.Duration-3*time.Second).Abs() > 30*time.Millisecond {
				t.Errorf("%s: %+v", name, i)
			}
			before := len(r.Frames())
			if got := shown(t, format, r.Frames()); len(got) < 19 || len(got) > 21 {
				t.Errorf("%s: %d pictures in 2 s", name, len(got))
			}
			if err := s.Seek(t.Context(), 1500*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Second)
			list := r.Frames()
			first, again := shown(t, format, list[:before]), shown(t, format, list[before:])
			if !list[before].Key || list[before].Epoch == list[0].Epoch || len(again) != 20 {
				t.Errorf("%s: %d pictures after the seek, the first %+v", name, len(again), list[before])
			}
			for i, data := range append(first[:10:10], again...) {
				if !bytes.HasSuffix(data, want[i]) {
					t.Errorf("%s: picture %d has %d bytes of %d", name, i, len(data), len(want[i]))
				}
			}
			if n := len(ear.Frames()); n < 170 || n > 180 {
				t.Errorf("%s: %d units of sound in 3.5 s", name, n)
			}
		})
	}
}

// Sound whose codec nobody knows is told by its name, once, and the pictures beside it are played; alone it is a failure. Pictures that are
// shown in another order than they come stand in the order of decoding.
func TestLacksSound(t *testing.T) {
	b, err := os.ReadFile("../container/testdata/aac.mp4")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 0, opens(b, "aac.mp4"))
		defer s.close()
		format, want := pictures(t, b)
		r := mediatest.NewRecorder(format)
		s.Source(media.Pad{Kind: media.Video}).Link(r)
		if err := s.Play(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		u, n := video.NewUnpacker("H264"), 0
		for _, f := range r.Frames() {
			u.Add(f.Payload)
			if !f.Marker {
				continue
			}
			if data, ok := u.Take(); !ok || !bytes.HasSuffix(data, want[n]) {
				t.Errorf("picture %d has %d bytes of %d", n, len(data), len(want[n]))
			}
			n++
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		slices.Sort(s.told) // opening is beside
		if n != 30 || !slices.Equal(s.told, []string{`lacks: player: a part of it can't be played: it has ["AAC (mp4a)"]`, "media.Ended", "state 0", "state 1"}) {
			t.Errorf("%d pictures, told %q", n, s.told)
		}
	})
	b = bytes.ReplaceAll(b, []byte("avc1"), []byte("mp4v"))
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 0, opens(b, "aac.mp4"))
		defer s.close()
		if err := s.Play(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		s.mu.Lock()
		defer s.mu.Unlock()
		if last := s.told[len(s.told)-1]; last != `failed: player: nothing in it can be played: it has ["MPEG-4 Visual (mp4v)" "AAC (mp4a)"]` {
			t.Errorf("told %q", s.told)
		}
	})
}

// shown puts pictures together, and sees that each comes after a tenth of a second.
func shown(t *testing.T, format *media.Format, frames []media.Frame) (list [][]byte) {
	u := video.NewUnpacker(format.Codec)
	for i, f := range frames {
		if i > 0 {
			last := frames[i-1]
			if step := f.Timestamp - last.Timestamp; f.Sequence != last.Sequence+1 || last.Marker && (step < 8900 || step > 9100) || !last.Marker && step != 0 {
				t.Fatalf("frame %d: %d %d after %d %d", i, f.Sequence, f.Timestamp, last.Sequence, last.Timestamp)
			}
		}
		u.Add(f.Payload)
		if f.Marker {
			data, ok := u.Take()
			if !ok {
				t.Errorf("picture %d isn't whole", len(list))
			}
			list = append(list, bytes.Clone(data))
		}
	}
	return list
}

// pictures are those of a file.
func pictures(t *testing.T, b []byte) (format *media.Format, list [][]byte) {
	r, err := container.Open(file{bytes.NewReader(b)}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for {
		var u container.Unit
		if err := r.Read(&u); errors.Is(err, io.EOF) {
			return format, list
		} else if err != nil {
			t.Fatal(err)
		}
		if f := r.Tracks()[u.Track].Format; f.Kind == media.Video {
			format = f
			list = append(list, bytes.Clone(u.Data))
		}
	}
}
