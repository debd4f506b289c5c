//go:build e2e

package e2e

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// A program of kurento-client takes a phone's call, plays it a file of a web server, and records the phone: the phone hears the file
// at its level; ffmpeg decodes the recordings without an error, as long as they say they are and as the call was, at the phone's level.
func TestMediaFiles(t *testing.T) {
	addr := address(t)
	root := t.TempDir()
	greeting := filepath.Join(t.TempDir(), "greeting.wav")
	if err := audio.WriteWAV(greeting, audio.Tone(8000, 440, toneLevel, 7)); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(greeting))))
	t.Cleanup(web.Close)
	capture := peers.StartCapture(t)
	g := startGateway(t, addr, settings{
		users:  "  - {id: alice, password: wonder-land-1, numbers: [\"4930101\"]}\n",
		routes: "  - {id: service, source: user, number: [\"700\"], to: [{app: ivr, ring: 5s}]}\n",
		more:   "apps:\n  - {id: ivr}\n",
		media:  "  root: " + root + "\n  urls: {private: [127.0.0.0/8]}\n",
	})
	alice := peers.StartBaresip(t, peers.BaresipConfig{User: "alice", Password: "wonder-land-1", Domain: "test.local", Proxy: g.sip.String(), Codecs: "PCMU/8000/1",
		Audio: audio.Tone(8000, 880, toneLevel, 60)})
	module, err := filepath.Abs("../../rpc/js")
	if err != nil {
		t.Fatal(err)
	}
	app := startApp(t, "media.js", fmt.Sprintf("ws://%s:8888/kurento", addr), "PATCHBAY_MODULE="+module, "GREETING="+web.URL+"/greeting.wav")
	from := time.Now()
	alice.Dial(t, "sip:700@test.local")
	alice.Expect(t, "CALL_ESTABLISHED", 10*time.Second)
	says(t, app, "webm Recording", 5*time.Second)
	says(t, app, "recorded ", 30*time.Second)
	says(t, app, "webm Stopped", 5*time.Second)
	to := time.Now()
	alice.Hangup(t)
	if strings.Contains(app.Tail(1000), "Error") {
		t.Errorf("the program says\n%s", app.Tail(40))
	}
	said := regexp.MustCompile(`recorded (\d+) ms, state STOP`).FindStringSubmatch(app.Tail(1000))
	if said == nil {
		t.Fatalf("the program says\n%s", app.Tail(40))
	}
	elapsed, _ := strconv.Atoi(said[1])
	var lengths []float64
	for _, name := range []string{"x.webm", "x.wav"} {
		file := filepath.Join(root, "calls", name)
		stated := probe(t, file)
		clip := decode(t, file)
		lengths = append(lengths, stated)
		if d := math.Abs(clip.Seconds() - stated); d > 0.04 {
			t.Errorf("%s says %.3f s and has %.3f s of sound", name, stated, clip.Seconds())
		}
		if late := float64(elapsed)/1000 - stated; math.Abs(late) > 2 { // what the program itself took
			t.Errorf("%s: %.3f s, the program recorded for %d ms", name, stated, elapsed)
		}
		if level := bestSecond(clip, 880); math.Abs(level-toneLevel) > levelWithin {
			t.Errorf("%s: 880 Hz at %.2f dBFS in the best second, expected %g ± %g", name, level, toneLevel, levelWithin)
		}
	}
	if math.Abs(lengths[0]-lengths[1]) > 0.5 { // they were stopped one after the other
		t.Errorf("the recordings of one call are %.3f s and %.3f s long", lengths[0], lengths[1])
	}
	if stream, ok := reached(t, alice, capture, from, to); ok {
		clip := stream.Clip()
		if level := bestSecond(clip, 440); math.Abs(level-toneLevel) > levelWithin || clip.Seconds() < 5 {
			t.Errorf("alice: 440 Hz at %.2f dBFS in the best second of %.1f, expected %g ± %g", level, clip.Seconds(), toneLevel, levelWithin)
		}
	}
}

// bestSecond is the level of a frequency in the second that has most of it: a busy machine leaves gaps in what is played.
func bestSecond(clip audio.Clip, hz float64) float64 {
	best := math.Inf(-1)
	for at := 0.0; at+1 <= clip.Seconds(); at += 0.25 {
		best = max(best, audio.Level(clip.Cut(at, 1), hz))
	}
	return best
}

// probe is how long a file says it is, in seconds.
func probe(t *testing.T, file string) float64 {
	t.Helper()
	out, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", file).CombinedOutput()
	s, parse := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil || parse != nil {
		t.Fatalf("ffprobe %s: %v: %s", file, err, out)
	}
	return s
}

// decode is what ffmpeg makes of a file, which it must read without a complaint.
func decode(t *testing.T, file string) audio.Clip {
	t.Helper()
	wav := filepath.Join(t.TempDir(), "decoded.wav")
	out, err := exec.Command("ffmpeg", "-v", "error", "-xerror", "-err_detect", "explode", "-y", "-i", file, "-ac", "1", "-ar", "8000", "-c:a", "pcm_s16le", wav).CombinedOutput()
	if err != nil || len(out) != 0 {
		t.Fatalf("ffmpeg %s: %v: %s", file, err, out)
	}
	clip, err := audio.ReadWAV(wav)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
	return clip
}
