package container

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/media/opus"
)

// memory is a file in memory; partly says that there is more to come.
type memory struct {
	*bytes.Reader
	partly bool
}

func (m memory) Size() (int64, bool) { return m.Reader.Size(), !m.partly }

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func openFile(t testing.TB, name string) Reader {
	t.Helper()
	r, err := Open(memory{Reader: bytes.NewReader(readFile(t, name))}, name, "")
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return r
}

// units are copies of all that is left.
func units(t testing.TB, r Reader) (out []Unit) {
	t.Helper()
	for {
		var u Unit
		err := r.Read(&u)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		u.Data = bytes.Clone(u.Data)
		out = append(out, u)
	}
}

// hear decodes what a track says to 8 kHz.
func hear(t testing.TB, f *media.Format, list []Unit) []int16 {
	t.Helper()
	if f.Codec != "OPUS" {
		var b []int16
		for _, u := range list {
			b = append(b, mediatest.Linear(f, u.Data)...)
		}
		return b
	}
	reg := media.NewRegistry()
	reg.Register(opus.Conversions()...)
	defer func() { _ = reg.Close() }()
	s, k := mediatest.NewTalker(reg, f), mediatest.NewRecorder(media.L16(8000))
	defer s.Close()
	s.Link(k)
	for i, u := range list {
		s.Say(u.Data)
		k.Wait(t, i, 20*time.Second)
	}
	var b []int16
	for _, p := range k.Frames() {
		b = append(b, mediatest.Linear(media.L16(8000), p.Payload)...)
	}
	return b
}

// Files of another maker are read: what is in them, how long, in time, and at their level.
func TestForeignFiles(t *testing.T) {
	for _, c := range []struct {
		name, audio, video string
		length             time.Duration
		pictures           int
	}{
		{"tone.webm", "OPUS/48000/2", "", 3 * time.Second, 0},
		{"live.mkv", "OPUS/48000/2", "", 3 * time.Second, 0},
		{"tone.ogg", "OPUS/48000/2", "", 3 * time.Second, 0},
		{"video.webm", "OPUS/48000/2", "VP8/90000", 3 * time.Second, 30},
		{"vp9.webm", "OPUS/48000/2", "VP9/90000", 3 * time.Second, 30},
		{"h264.mkv", "OPUS/48000/2", "H264/90000;level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f", 3 * time.Second, 30},
		{"mulaw.wav", "PCMU/8000", "", time.Second, 0},
		{"h264.mp4", "OPUS/48000/2", "H264/90000;level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f", 3 * time.Second, 30},
		{"parts.mp4", "OPUS/48000/2", "VP9/90000", 3 * time.Second, 30},
		{"h265.mp4", "OPUS/48000/2", "H265/90000", 3 * time.Second, 30},
		{"av1.mp4", "OPUS/48000/2", "AV1/90000", 3 * time.Second, 30},
		{"dash.mp4", "OPUS/48000/2", "H264/90000;level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f", 3 * time.Second, 30},
		{"law.mkv", "PCMA/8000", "", time.Second, 0},
		{"s24.wav", "L16/44100", "", time.Second / 10, 0},
		{"f32.wav", "L16/22050", "", time.Second / 10, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := openFile(t, c.name)
			if d := r.Duration(); (d - c.length).Abs() > 30*time.Millisecond {
				t.Errorf("duration %s, want %s", d, c.length)
			}
			var sound, pictures []Unit
			var f *media.Format
			last := -time.Second
			for _, u := range units(t, r) {
				switch g := r.Tracks()[u.Track].Format; {
				case g == nil:
				case g.Kind == media.Video:
					pictures = append(pictures, u)
					if want := len(pictures)%10 == 1; u.Key != want || g.String() != c.video {
						t.Errorf("picture %d of %s: key %t", len(pictures), g, u.Key)
					}
				default:
					if f = g; u.At <= last || u.For <= 0 {
						t.Errorf("unit at %s after one at %s, for %s", u.At, last, u.For)
					}
					last = u.At
					sound = append(sound, u)
				}
			}
			if f.String() != c.audio || len(pictures) != c.pictures {
				t.Fatalf("%s and %d pictures, want %s and %d", f, len(pictures), c.audio, c.pictures)
			}
			pcm, rate := hear(t, f, sound), float64(f.Clock)
			if f.Codec == "OPUS" {
				rate = 8000
			}
			want := -18.0
			if c.name == "s24.wav" {
				want = -21 // in each of two channels
			}
			if l := mediatest.Level(pcm[len(pcm)/4:], rate, 1000, math.MaxInt16); math.Abs(l-want) > 1 {
				t.Errorf("level %.1f dB, want %.0f", l, want)
			}
			if n := float64(len(pcm)) / rate; math.Abs(n-c.length.Seconds()) > 0.05 {
				t.Errorf("%.3f s of sound, want %s", n, c.length)
			}
		})
	}
}

// Seek goes to where the time can be reached from, and all that follows comes.
func TestSeek(t *testing.T) {
	for name, early := range map[string]time.Duration{"tone.webm": 5 * time.Second, "live.mkv": 5 * time.Second, "tone.ogg": time.Second, "video.webm": 5 * time.Second,
		"mulaw.wav": 20 * time.Millisecond, "law.mkv": 5 * time.Second, "h264.mp4": time.Second, "parts.mp4": time.Second, "dash.mp4": time.Second} {
		r := openFile(t, name)
		all := units(t, r)
		for _, at := range []time.Duration{2100 * time.Millisecond, 0, 500 * time.Millisecond, 10 * time.Second} {
			if err := r.Seek(at); err != nil {
				t.Errorf("%s: seek to %s: %v", name, at, err)
				continue
			}
			got := units(t, r)
			if len(got) == 0 && at >= r.Duration() {
				continue
			}
			if len(got) == 0 || got[0].At > at || at < time.Second*5 && got[0].At < at-early {
				t.Errorf("%s: sought %s, %d units", name, at, len(got))
				continue
			}
			if at == 0 && len(got) != len(all) {
				t.Errorf("%s: %d of %d units from the beginning", name, len(got), len(all))
			}
			for _, u := range got {
				if f := r.Tracks()[u.Track].Format; f != nil && f.Kind == media.Video {
					if !u.Key && name[0] != 'v' {
						t.Errorf("%s: sought %s, the first picture at %s is no key", name, at, u.At)
					}
					break
				}
			}
		}
	}
}

func TestUnknownCodec(t *testing.T) {
	r := openFile(t, "vorbis.webm")
	if tr := r.Tracks(); len(tr) != 1 || tr[0].Format != nil || tr[0].Name != "A_VORBIS" {
		t.Errorf("tracks %+v", tr)
	}
	for _, b := range []string{"", "x", "hello, this is a text", "RIFF\x00\x00\x00\x00AVI "} {
		if _, err := Open(memory{Reader: bytes.NewReader([]byte(b))}, "a.txt", "text/plain"); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", b, err)
		}
	}
}

func TestRawFiles(t *testing.T) {
	for _, c := range []struct{ name, kind, want string }{
		{"a.ulaw", "", "PCMU/8000"}, {"a.AL", "", "PCMA/8000"}, {"a.sln16", "", "L16/16000"}, {"a.raw", "", "L16/8000"}, {"a", "audio/basic", "PCMU/8000"},
		{"x.wav", "audio/L16;rate=16000", "L16/16000"}, {"x", "audio/PCMA", "PCMA/8000"}, {"x", "audio/L16; rate=8000; channels=1", "L16/8000"},
	} {
		r, err := Open(memory{Reader: bytes.NewReader(make([]byte, 1601))}, c.name, c.kind)
		if err != nil || r.Tracks()[0].Format.String() != c.want {
			t.Errorf("%s %s: %v, want %s", c.name, c.kind, err, c.want)
			continue
		}
		n := 0
		for _, u := range units(t, r) {
			n += len(u.Data)
		}
		if n != 1601 && n != 1600 {
			t.Errorf("%s: %d bytes", c.name, n)
		}
	}
}

// exhaust reads a file that may be anything to its end, which comes.
func exhaust(b []byte, name string) {
	for _, partly := range []bool{false, true} {
		r, err := Open(memory{bytes.NewReader(b), partly}, name, "")
		if err != nil {
			continue
		}
		r.Duration()
		for i := range 1 << 20 {
			var u Unit
			if r.Read(&u) != nil {
				break
			}
			if i == 3 {
				_ = r.Seek(u.At / 2)
			}
		}
		_ = r.Seek(time.Hour)
	}
}

// Files that end early, or have a bit turned over, are read as far as they go.
func TestDamage(t *testing.T) {
	for _, name := range []string{"tone.webm", "live.mkv", "tone.ogg", "mulaw.wav", "law.mkv", "h264.mp4", "aac.mp4", "parts.mp4", "dash.mp4"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(b); n += 1 + n/20 {
			exhaust(b[:n], name)
			c := bytes.Clone(b)
			c[n] ^= 1 << (n % 8)
			exhaust(c, name)
		}
	}
}

func FuzzOpen(f *testing.F) {
	names, err := filepath.Glob("testdata/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:min(len(b), 6000)])
	}
	f.Fuzz(func(_ *testing.T, b []byte) { exhaust(b, "x.webm") })
}
