//go:build e2e

package e2e

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/web/webtest"
)

// recording is one that recordAndPlay makes.
type recording struct{ name, profile, from, codec string }

// recordAndPlay: what pages show and say is recorded; ffmpeg decodes all of it without a complaint, also of a file that isn't whole yet;
// both tracks are as long; another page is shown it.
func (r *tutorials) recordAndPlay(t *testing.T, mirror *viewer) {
	maker := r.page("maker", webtest.CallConfig{Camera: "320x180", Codec: "H264"}, false)
	list := []recording{{"both.webm", "WEBM", mirror.name, "vp8"}, {"video.mkv", "MKV_VIDEO_ONLY", mirror.name, "vp8"}, {"both.mp4", "MP4", maker.name, "h264"}}
	for _, f := range list {
		r.step("make", o{"name": f.name, "type": "RecorderEndpoint", "params": o{"uri": "tutorial/" + f.name, "mediaProfile": f.profile}}, nil)
		r.step("connect", o{"from": f.from, "to": f.name}, nil)
	}
	begin := time.Now()
	for _, f := range list {
		r.step("invoke", o{"name": f.name, "method": "record"}, nil)
	}
	path := func(name string) string { return filepath.Join(r.files, "tutorial", name) }
	for _, f := range list {
		var sounds, pictures int
		if !eventually(videoPatience, func() bool {
			sounds, pictures = soFar(t, path(f.name))
			return pictures >= 15 && (sounds >= 100 || f.name == "video.mkv")
		}) {
			t.Fatalf("%s has %d packets of sound and %d pictures so far", f.name, sounds, pictures)
		}
	}
	r.must(os.WriteFile(path("dead.mp4"), still(t, path("both.mp4")), 0o600)) // as a crash would leave it
	for _, f := range list {
		r.step("invoke", o{"name": f.name, "method": "stopAndWait"}, nil)
	}
	elapsed := time.Since(begin).Seconds()
	if sound, picture := tracks(t, path("dead.mp4")); sound.Codec != "opus" || picture.Codec != "h264" {
		t.Errorf("of a file amid a recording there are %+v and %+v", sound, picture)
	}
	for _, f := range list {
		recorded(t, f, path(f.name), elapsed)
		r.step("release", o{"name": f.name}, nil)
	}
	r.step("release", o{"name": maker.name}, nil)
	r.must(maker.page.Close(r.ctx))
	for _, name := range []string{"both.webm", "both.mp4"} {
		v := r.page("audience", webtest.CallConfig{Watches: true}, false)
		r.step("make", o{"name": "player", "type": "PlayerEndpoint", "params": o{"uri": "tutorial/" + name}}, nil)
		r.step("connect", o{"from": "player", "to": v.name}, nil)
		r.step("invoke", o{"name": "player", "method": "play"}, nil)
		v.sees(320, 180)
		r.step("release", o{"name": "player"}, nil)
		r.step("release", o{"name": v.name}, nil)
		r.must(v.page.Close(r.ctx))
	}
}

// still is what a file has that is being recorded, at a moment at which nothing is being written to it.
func still(t *testing.T, file string) (b []byte) {
	t.Helper()
	if !eventually(videoPatience, func() bool {
		now, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		same := b != nil && bytes.Equal(now, b)
		b = now
		if !same {
			time.Sleep(50 * time.Millisecond)
		}
		return same
	}) {
		t.Fatalf("%s is never still", file)
	}
	return b
}

// soFar counts what is in a file that is being recorded.
func soFar(t *testing.T, file string) (sounds, pictures int) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := container.Open(readable{onDisk{f}}, file, "")
	for err == nil {
		var u container.Unit
		if err = r.Read(&u); err != nil {
			break
		}
		if r.Tracks()[u.Track].Format.Kind == media.Video {
			pictures++
		} else {
			sounds++
		}
	}
	return sounds, pictures
}

// recorded sees that a file has what was recorded in so many seconds.
func recorded(t *testing.T, f recording, file string, elapsed float64) {
	t.Helper()
	sound, picture := tracks(t, file)
	if picture.Width != 320 || picture.Height != 180 || picture.Codec != f.codec || picture.count < 15 {
		t.Errorf("%s has the video %+v", f.name, picture)
	}
	if f.name == "video.mkv" {
		if sound.Codec != "" {
			t.Errorf("%s has sound", f.name)
		}
		return
	}
	stated, clip := probe(t, file), decode(t, file)
	const packet, last = 0.02, 0.1 // how long a packet of sound is, and how long the last picture is shown at most
	if long := sound.end + packet - sound.begin; math.Abs(clip.Seconds()-long) > 0.04 {
		t.Errorf("%s has %.3f s of sound, packets for %.3f", f.name, clip.Seconds(), long)
	}
	if end := max(sound.end+packet, picture.end); stated < end-0.04 || stated > end+last+0.04 || stated > elapsed+0.5 {
		t.Errorf("%s says %.3f s, its tracks end at %.3f and %.3f; it took %.3f s", f.name, stated, sound.end, picture.end, elapsed)
	}
	if sound.Codec != "opus" || math.Abs(sound.end-picture.end) > 2 { // a busy browser shows fewer pictures
		t.Errorf("%s: sound %+v and pictures %+v", f.name, sound, picture)
	}
	if level := bestSecond(clip, iceTone); level < -14 || level > -6 {
		t.Errorf("%s: the tone is at %.1f dBFS in the best second, expected -10", f.name, level)
	}
}
