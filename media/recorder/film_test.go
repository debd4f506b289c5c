package recorder

import (
	"bytes"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/media/video"
)

// camera sends the pictures of a file that ffmpeg made, ten a second.
type camera struct {
	*media.Source
	asked   atomic.Int32
	format  *media.Format
	units   []container.Unit
	frames  []media.Frame // that weren't sent yet
	pack    *video.Packer
	picture int
	numbers media.Frame
}

func newCamera(t *testing.T, name string) *camera {
	b, err := os.ReadFile("../container/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	r, all := read(t, b)
	c := &camera{}
	for _, u := range all {
		if track := r.Tracks()[u.Track]; track.Format.Kind == media.Video {
			c.format = track.Format
			c.units = append(c.units, u)
			c.pack = video.NewPacker(track.Format.Codec, track.Setup)
		}
	}
	c.Source = media.NewSource(nil, func(media.Feedback) { c.asked.Add(1) })
	c.SetFormats(c.format)
	c.numbers = media.Frame{Kind: media.Video, Format: c.format, Sequence: 65530, Timestamp: 1<<32 - 90000}
	return c
}

// cut makes the packets of the next picture.
func (c *camera) cut() []media.Frame {
	u := c.units[c.picture%len(c.units)]
	c.picture++
	f := c.numbers
	f.Key = u.Key
	c.frames = nil
	c.pack.Packets(u.Data, func(p []byte, last bool) {
		f.Payload, f.Marker = bytes.Clone(p), last
		c.frames = append(c.frames, f)
		f.Sequence++
	})
	c.numbers.Sequence = f.Sequence
	c.numbers.Timestamp += 9000
	return c.frames
}

func (c *camera) send(list ...media.Frame) {
	for i := range list {
		c.Send(&list[i])
	}
}

// show sends pictures in time, and sound with them if there is a talker.
func (c *camera) show(n int, talker *mediatest.Talker) {
	for range n {
		c.send(c.cut()...)
		for i := range 5 {
			if talker != nil {
				talker.Say([]byte{0x78, byte(c.picture), byte(i), 1})
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func newFilm(t *testing.T, form Form, silent bool, f *media.Format) *stage {
	s := &stage{T: t, file: &file{}}
	var err error
	s.Recorder, err = New(Config{Form: form, Silent: silent, Video: []*media.Format{f}, Create: func() (File, error) { return s.file, nil },
		Post: func(n media.Notice) { s.Error(n) }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// seen gives a recording's pictures and sound, and sees that all are in the order of time.
func seen(t *testing.T, b []byte) (r container.Reader, pictures, sounds []container.Unit) {
	r, all := read(t, b)
	last := time.Duration(0)
	for _, u := range all {
		if u.At < last {
			t.Errorf("track %d at %s after %s", u.Track, u.At, last)
		}
		last = u.At
		if r.Tracks()[u.Track].Format.Kind == media.Video {
			pictures = append(pictures, u)
		} else {
			sounds = append(sounds, u)
		}
	}
	return r, pictures, sounds
}

// What comes before a key picture isn't recorded, but one is asked for; from then on each picture is in the file, as it came and when it
// came, in step with the sound.
func TestRecordsVideo(t *testing.T) {
	for _, c := range []struct {
		name string
		form Form
	}{{"video.webm", WebM}, {"vp9.webm", WebM}, {"video.webm", Matroska}, {"h264.mkv", Matroska}, {"vp9.webm", MP4}, {"h264.mkv", MP4}, {"h265.mp4", MP4}, {"av1.mp4", MP4},
		{"h265.mp4", Matroska}, {"av1.mp4", Matroska}} {
		synctest.Test(t, func(t *testing.T) {
			cam, talker := newCamera(t, c.name), opusTalker()
			s := newFilm(t, c.form, false, cam.format)
			cam.Link(s.Sink(media.Pad{Kind: media.Video}))
			talker.Link(s)
			cam.picture = 6
			s.record()
			cam.show(24, talker)
			s.end()
			cam.Close()
			talker.Close()
			r, pictures, sounds := seen(t, s.bytes())
			track := container.Track{}
			for _, t := range r.Tracks() {
				if t.Format.Kind == media.Video {
					track = t
				}
			}
			if !track.Format.Same(cam.format) || track.Width != 160 || track.Height != 120 || cam.asked.Load() < 1 {
				t.Errorf("%s: track %+v, asked %d times", c.name, track, cam.asked.Load())
			}
			if len(pictures) != 20 || len(sounds) != 120 || (r.Duration()-2400*time.Millisecond).Abs() > time.Millisecond {
				t.Fatalf("%s: %d pictures, %d units of sound in %s", c.name, len(pictures), len(sounds), r.Duration())
			}
			for i, u := range pictures {
				want := cam.units[(10+i)%30]
				if !bytes.HasSuffix(u.Data, want.Data) || u.Key != want.Key || (u.At-time.Duration(4+i)*100*time.Millisecond).Abs() > time.Millisecond {
					t.Errorf("%s: picture %d at %s, key %t, %d bytes of %d", c.name, i, u.At, u.Key, len(u.Data), len(want.Data))
				}
			}
		})
	}
}

// Packets that overtake each other do no harm; where one is lost all is left out up to the next key picture, which is asked for.
func TestVideoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cam := newCamera(t, "video.webm")
		defer cam.Close()
		s := newFilm(t, WebM, true, cam.format)
		cam.Link(s.Sink(media.Pad{Kind: media.Video}))
		s.record()
		cam.show(2, nil)
		a, b := cam.cut(), cam.cut() // 2 and 3
		cam.send(b...)
		time.Sleep(200 * time.Millisecond)
		cam.send(a...)
		cam.show(1, nil) // 4
		cam.cut()        // 5 is lost
		before := cam.asked.Load()
		cam.show(20, nil) // 6 to 25
		if cam.asked.Load() == before {
			t.Error("no key picture is asked for")
		}
		s.end()
		_, pictures, sounds := seen(t, s.bytes())
		got := ""
		for _, u := range pictures {
			for i, v := range cam.units {
				if bytes.Equal(u.Data, v.Data) {
					got += fmt.Sprint(i, " ")
				}
			}
		}
		if want := "0 1 2 3 4 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 "; got != want || len(sounds) != 0 {
			t.Errorf("pictures\n%s, want\n%s", got, want)
		}
	})
}

// A track in which nothing comes, or nothing any more, keeps nobody waiting: what was recorded is there if the process dies now.
func TestOneTrackIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cam, talker := newCamera(t, "video.webm"), opusTalker()
		s := newFilm(t, WebM, false, cam.format)
		cam.Link(s.Sink(media.Pad{Kind: media.Video}))
		talker.Link(s)
		s.record()
		cam.show(60, nil)
		if r, pictures, _ := seen(t, s.bytes()); len(pictures) < 25 || r.Duration() < 2500*time.Millisecond {
			t.Errorf("video alone: %d pictures of 6 s, %s", len(pictures), r.Duration())
		}
		cam.show(20, talker) // 6 to 8 s
		cam.show(60, nil)
		_ = s.Pause()
		cam.show(30, talker)
		s.record()
		say(talker, packets(300)) // 14 to 20 s
		dead := s.bytes()
		s.end()
		cam.Close()
		talker.Close()
		if r, _, _ := seen(t, dead); r.Duration() < 16*time.Second {
			t.Errorf("killed: %s of 20", r.Duration())
		}
		r, pictures, sounds := seen(t, s.bytes())
		if (r.Duration()-20*time.Second).Abs() > 50*time.Millisecond || len(pictures) != 140 || sounds[0].At != 6*time.Second {
			t.Errorf("%s, %d pictures, sound from %s", r.Duration(), len(pictures), sounds[0].At)
		}
		for i, u := range sounds[1:] {
			if u.At-sounds[i].At != 20*time.Millisecond {
				t.Errorf("sound at %s after %s", u.At, sounds[i].At)
			}
		}
	})
}

// The suite of sinks, for both inputs.
func TestVideoSuite(t *testing.T) {
	mediatest.Sink(t, func() mediatest.Subject {
		f := &file{}
		r, err := New(Config{Form: Matroska, Video: []*media.Format{media.VideoFormat("VP8", "")}, Create: func() (File, error) { return f, nil }})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Record(); err != nil {
			t.Fatal(err)
		}
		return mediatest.Subject{Element: r, Output: f.bytes}
	})
}
