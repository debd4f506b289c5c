//go:build e2e

package e2e

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// A phone's call is recorded, its own side alone and both sides mixed, while what curl posts is said to it. Then the disk is full: each
// recording ends with an Error, and can be played up to there; the call goes on, and hears what is posted when there is room again.
func TestMediaPhone(t *testing.T) {
	addr := address(t)
	g := startRPCWith(t, addr, rpcSettings{
		more: "users:\n  - {id: alice, password: wonder-land-1, numbers: [\"100\"]}\nroutes:\n  - {id: service, source: user, number: \"700\", to: [{app: ivr}]}\napps: [{id: ivr}]\n",
		disk: "16m", billing: ", min_free: 4MiB, reserve: 1MiB",
	})
	alice := peers.StartBaresip(t, peers.BaresipConfig{User: "alice", Password: "wonder-land-1", Domain: "test.local", Proxy: addr.String() + ":5060", Codecs: "PCMU/8000/1",
		Audio: audio.Tone(8000, 880, toneLevel, 60)})
	c := openRPC(t, g.url)
	p := &phoned{t: t, rpcClient: c, pipeline: c.create(t, "MediaPipeline", nil)}
	phone := p.answer(alice)
	post, room := p.make("HttpPostEndpoint", o{}, "EndOfStream", "Error"), p.make("AudioMixer", o{})
	var ports []string
	for range 3 {
		ports = append(ports, c.create(t, "HubPort", o{"hub": room}))
	}
	one, both := p.make("RecorderEndpoint", o{"uri": "one.wav"}, "Error", "Stopped"), p.make("RecorderEndpoint", o{"uri": "both.webm", "mediaProfile": "WEBM_AUDIO_ONLY"}, "Error", "Stopped")
	for _, link := range [][2]string{{post, phone}, {post, ports[0]}, {phone, ports[1]}, {ports[2], both}, {phone, one}} {
		c.invoke(t, link[0], "connect", o{"sink": link[1], "mediaType": "AUDIO"})
	}
	for _, r := range []string{one, both} {
		c.invoke(t, r, "record", nil)
	}
	url := c.text(t, "invoke", o{"object": post, "operation": "getUrl"})
	p.upload(post, url, tone(t, "greeting.wav", 440))
	files := []string{g.Data("media/one.wav"), g.Data("media/both.webm")}
	for _, f := range files { // 2 s at least
		if !eventually(videoPatience, func() bool { n, _ := soFar(t, f); return n >= 100 }) {
			t.Fatalf("nothing is in %s", f)
		}
	}
	ballast := g.Data("ballast")
	fillTo(t, ballast, 0)
	for _, r := range []string{one, both} {
		if e := c.expect(t, r, "Error", 30*time.Second); e.Data["type"] != "RESOURCE_ERROR_NO_SPACE_LEFT" {
			t.Errorf("of a full disk the Error says %v", e.Data)
		}
		c.expect(t, r, "Stopped", 10*time.Second)
	}
	dir := t.TempDir()
	for i, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		files[i] = filepath.Join(dir, filepath.Base(f))
		if err := os.WriteFile(files[i], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	p.upload(post, url, tone(t, "later.mp4", 660))
	alice.Hangup(t)
	c.expect(t, phone, "Ended", 10*time.Second)
	hears(t, "alice", alice.Heard(t), 440, 660)
	for i, want := range [][]float64{{880}, {880, 440}} {
		clip := decode(t, files[i])
		if d := probe(t, files[i]); math.Abs(clip.Seconds()-d) > 0.04 {
			t.Errorf("%s has %.3f s of sound and says %.3f", files[i], clip.Seconds(), d)
		}
		hears(t, files[i], clip, want...)
	}
	if level := bestSecond(decode(t, files[0]), 440); level > toneLevel-30 {
		t.Errorf("the phone's own side has what was said to it, at %.1f dBFS", level)
	}
}

// phoned is a program, and its pipeline.
type phoned struct {
	*rpcClient
	t        *testing.T
	pipeline string
}

// make makes an element, and subscribes to its events.
func (p *phoned) make(class string, params o, events ...string) string {
	p.t.Helper()
	params["mediaPipeline"] = p.pipeline
	e := p.create(p.t, class, params)
	for _, event := range events {
		p.value(p.t, "subscribe", o{"object": e, "type": event})
	}
	return e
}

// answer takes the call of a phone.
func (p *phoned) answer(phone *peers.Baresip) string {
	p.t.Helper()
	const telephony = "manager_TelephonyManager"
	p.value(p.t, "subscribe", o{"object": telephony, "type": "IncomingCall"})
	p.invoke(p.t, telephony, "listen", o{"app": "ivr"})
	phone.Dial(p.t, "sip:700@test.local")
	call := p.expect(p.t, telephony, "IncomingCall", 20*time.Second)
	e := p.make("SipEndpoint", o{"callId": call.Data["callId"]}, "Ended")
	p.invoke(p.t, e, "accept", nil)
	phone.Expect(p.t, "CALL_ESTABLISHED", 20*time.Second)
	return e
}

// upload posts a file by curl, as it is or in a form, and waits until it was played.
func (p *phoned) upload(post, url, file string) {
	p.t.Helper()
	args := []string{"-sS", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", "@" + file, "-H", "Content-Type: audio/wav", url}
	if strings.HasSuffix(file, ".mp4") {
		args = []string{"-sS", "-o", "/dev/null", "-w", "%{http_code}", "-F", "file=@" + file, url}
	}
	if out, err := exec.Command("curl", args...).CombinedOutput(); err != nil || string(out) != "200" {
		p.t.Fatalf("curl %s: %v: %s", file, err, out)
	}
	p.expect(p.t, post, "EndOfStream", 30*time.Second)
}

// tone is a file of a good second of a tone, in the form that its name says.
func tone(t *testing.T, name string, hz float64) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	wav := strings.TrimSuffix(file, filepath.Ext(file)) + ".wav"
	if err := audio.WriteWAV(wav, audio.Tone(8000, hz, toneLevel, 1.3)); err != nil {
		t.Fatal(err)
	}
	if wav != file {
		if out, err := exec.Command("ffmpeg", "-v", "error", "-i", wav, "-ar", "48000", "-c:a", "libopus", file).CombinedOutput(); err != nil {
			t.Fatalf("ffmpeg: %v: %s", err, out)
		}
	}
	return file
}

// hears holds a clip to tones, each at its level in the best second.
func hears(t *testing.T, who string, clip audio.Clip, hz ...float64) {
	t.Helper()
	for _, f := range hz {
		if level := bestSecond(clip, f); math.Abs(level-toneLevel) > 1.5 {
			t.Errorf("%s: %s at %.2f dBFS in the best second of %.1f, expected %g ± 1.5", who, fmt.Sprintf("%g Hz", f), level, clip.Seconds(), toneLevel)
		}
	}
}
