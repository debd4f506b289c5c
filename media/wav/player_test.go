package wav

import (
	"bytes"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
)

func play(t *testing.T, cfg PlayerConfig, f *media.Format, d time.Duration) (r *mediatest.Recorder, ended time.Duration) {
	t.Helper()
	r = mediatest.NewRecorder(f)
	synctest.Test(t, func(t *testing.T) {
		cfg.Clock = media.NewClock()
		defer cfg.Clock.Close()
		begin := time.Now()
		cfg.Post = func(media.Notice) { ended = time.Since(begin) }
		p, err := NewPlayer(cfg)
		if err != nil {
			t.Fatal(err)
		}
		p.Source(media.Pad{}).Link(r)
		p.Start()
		p.Start()
		time.Sleep(d)
		p.Close()
	})
	return r, ended
}

func TestPlaysTheVeryCodes(t *testing.T) {
	codes := make([]byte, 1000) // 6 frames and a quarter
	for i := range codes {
		codes[i] = byte(i * 31)
	}
	for _, c := range []struct {
		clip *Clip
		to   *media.Format
		want []byte
		rest byte
	}{
		{FromMu(codes), media.PCMU(), codes, 0xff},
		{FromA(codes), media.PCMA(), codes, 0xd5},
		{FromMu(codes), media.PCMA(), g711.Mu().Cross(nil, codes), 0xd5},
	} {
		r, ended := play(t, PlayerConfig{Clip: c.clip}, c.to, time.Second)
		want := append(bytes.Clone(c.want), bytes.Repeat([]byte{c.rest}, 120)...)
		if !bytes.Equal(r.Audio(), want) {
			t.Errorf("%s: %d bytes came, want the clip and silence to the end of the frame", c.to, len(r.Audio()))
		}
		if ended < 120*time.Millisecond || ended > 160*time.Millisecond {
			t.Errorf("ended after %s, want 140 ms", ended)
		}
		for i, f := range r.Frames() {
			if f.Sequence != uint16(i) || f.Timestamp != uint32(160*i) || f.Marker != (i == 0) {
				t.Errorf("frame %d: %+v", i, f)
			}
		}
	}
}

func TestLoopsWithoutAGap(t *testing.T) {
	for _, n := range []int{1, 7, 160, 1000, 3200} {
		codes := make([]byte, n)
		for i := range codes {
			codes[i] = byte(i % 251)
		}
		r, ended := play(t, PlayerConfig{Clip: FromMu(codes), Loop: true}, media.PCMU(), time.Second)
		got := r.Audio()
		if len(got) < 7800 || ended != 0 {
			t.Errorf("%d bytes in a second, ended after %s", len(got), ended)
		}
		for i, c := range got {
			if c != codes[i%n] {
				t.Fatalf("clip of %d: byte %d is %d, want %d", n, i, c, codes[i%n])
			}
		}
	}
}

func TestLevelOfAClip(t *testing.T) {
	var samples []int16
	for _, p := range mediatest.Tone(media.L16(8000), 880, -15, 100) {
		samples = append(samples, mediatest.Linear(media.L16(8000), p)...)
	}
	r, _ := play(t, PlayerConfig{Clip: FromSamples(samples)}, media.PCMA(), 3*time.Second)
	if l := mediatest.Level(mediatest.Linear(media.PCMA(), r.Audio()), 8000, 880, g711.A().Peak()); math.Abs(l+15) > 0.1 {
		t.Errorf("%.2f dBm0, want -15", l)
	}
}

func TestPlayerNeedsAClip(t *testing.T) {
	c := media.NewClock()
	defer c.Close()
	for _, cfg := range []PlayerConfig{{Clock: c}, {Clock: c, Clip: FromMu(nil)}, {Clip: FromMu([]byte{1})}} {
		if _, err := NewPlayer(cfg); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
}

func TestPlayerConforms(t *testing.T) {
	mediatest.Element(t, func() (media.Element, func()) {
		c := media.NewClock()
		p, err := NewPlayer(PlayerConfig{Clip: FromMu(make([]byte, 1000)), Loop: true, Clock: c})
		if err != nil {
			t.Fatal(err)
		}
		p.Start()
		return p, c.Close
	})
}

func TestTickDoesNotAllocate(t *testing.T) {
	c := media.NewClock()
	defer c.Close()
	p, _ := NewPlayer(PlayerConfig{Clip: FromMu(make([]byte, 1000)), Loop: true, Clock: c})
	p.Source(media.Pad{}).Link(mediatest.NewCounter(media.PCMU()))
	if n := testing.AllocsPerRun(100, func() { p.tick(time.Time{}) }); n != 0 {
		t.Errorf("a tick allocates %v times", n)
	}
}
