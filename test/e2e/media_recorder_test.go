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
)

// A program records what players play for as long as it likes: recordings that come and go leave nothing behind; each profile has what it
// says, as long as it was, a pause left out; and what a process that is killed was recording can be played, in each form.
func TestMediaRecorder(t *testing.T) {
	t.Parallel() // most of it is waiting
	root := t.TempDir()
	g := startRPCMedia(t, "  root: "+root+"\n", "")
	c := openRPC(t, g.url)
	r := &recorders{t: t, rpcClient: c, root: root, pipeline: c.create(t, "MediaPipeline", nil)}
	r.players = map[string]string{"vp9": r.endless("vp9.webm"), "h264": r.endless("h264.mkv")}
	r.cycles(g)
	kept, dead := r.begin(recordKept()), r.begin(recordDead())
	if recordPause > 0 {
		r.pauses(kept)
	}
	r.filled(append(dead, kept...))
	for _, f := range kept {
		c.invoke(t, f.element, "stopAndWait", nil)
		f.took = time.Since(f.began) - f.paused
		c.expect(t, f.element, "Stopped", 10*time.Second)
	}
	g.Kill()
	for _, f := range kept {
		r.whole(f)
	}
	for _, f := range dead {
		sound, picture := tracks(t, f.file)
		hears, sees := !strings.HasSuffix(f.profile, "VIDEO_ONLY"), !strings.HasSuffix(f.profile, "AUDIO_ONLY") && f.name != "dead.wav"
		if hears && sound.end < 0.5 || sees && picture.count < 5 {
			t.Errorf("of %s a crash leaves %+v and %+v", f.name, sound, picture)
		}
	}
}

// recorders are those of a test, and what feeds them.
type recorders struct {
	*rpcClient
	t        *testing.T
	root     string
	pipeline string
	players  map[string]string // by their video
}

// taping is a recording: what it is called, its profile, and the video of the player that it is of.
type taping struct{ name, profile, video string }

// taped is one that has begun.
type taped struct {
	taping
	element, file string
	began         time.Time
	paused        time.Duration // at least
	took          time.Duration // without the pause, at most
}

// endless plays a file of ten minutes.
func (r *recorders) endless(name string) string {
	r.t.Helper()
	from, err := filepath.Abs(filepath.Join("../../media/container/testdata", name))
	if err != nil {
		r.t.Fatal(err)
	}
	long := "long-" + name
	if out, err := exec.Command("ffmpeg", "-v", "error", "-stream_loop", "200", "-i", from, "-c", "copy", filepath.Join(r.root, long)).CombinedOutput(); err != nil {
		r.t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	p := r.create(r.t, "PlayerEndpoint", o{"mediaPipeline": r.pipeline, "uri": long})
	r.invoke(r.t, p, "play", nil)
	return p
}

func (r *recorders) begin(list []taping) (out []*taped) {
	r.t.Helper()
	for _, f := range list {
		e := r.create(r.t, "RecorderEndpoint", o{"mediaPipeline": r.pipeline, "uri": f.name, "mediaProfile": f.profile})
		for _, event := range []string{"Recording", "Paused", "Stopped", "Error"} {
			r.value(r.t, "subscribe", o{"object": e, "type": event})
		}
		r.invoke(r.t, r.players[f.video], "connect", o{"sink": e})
		began := time.Now()
		r.invoke(r.t, e, "record", nil)
		r.expect(r.t, e, "Recording", 10*time.Second)
		out = append(out, &taped{taping: f, element: e, file: filepath.Join(r.root, f.name), began: began})
	}
	return out
}

// pauses leaves a time out of recordings.
func (r *recorders) pauses(list []*taped) {
	r.t.Helper()
	r.filled(list)
	for _, f := range list {
		r.invoke(r.t, f.element, "pause", nil)
		r.expect(r.t, f.element, "Paused", 10*time.Second)
	}
	time.Sleep(recordPause)
	for _, f := range list {
		r.invoke(r.t, f.element, "record", nil)
		r.expect(r.t, f.element, "Recording", 10*time.Second)
		f.paused = recordPause
	}
}

// filled waits until files that are being recorded have something in each of their tracks.
func (r *recorders) filled(list []*taped) {
	r.t.Helper()
	for _, f := range list {
		var sounds, pictures int
		if !eventually(videoPatience, func() bool {
			if f.profile == "FLV" { // which nobody here reads
				info, err := os.Stat(f.file)
				return err == nil && info.Size() > 20_000
			}
			sounds, pictures = soFar(r.t, f.file)
			return (sounds >= 40 || strings.HasSuffix(f.profile, "VIDEO_ONLY")) && (pictures >= 5 || strings.HasSuffix(f.profile, "AUDIO_ONLY") || f.name == "dead.wav")
		}) {
			r.t.Fatalf("%s has %d packets of sound and %d pictures so far", f.name, sounds, pictures)
		}
	}
}

// whole sees that a recording has the tracks of its profile, is as long as it says, and no longer than it took.
func (r *recorders) whole(f *taped) {
	r.t.Helper()
	sound, picture := tracks(r.t, f.file)
	stated := probe(r.t, f.file)
	codec := "opus"
	if f.profile == "FLV" {
		codec = "pcm_mulaw"
	}
	if hears, sees := !strings.HasSuffix(f.profile, "VIDEO_ONLY"), !strings.HasSuffix(f.profile, "AUDIO_ONLY"); hears != (sound.Codec == codec) || sees != (picture.Codec == f.video) {
		r.t.Errorf("%s (%s) has the tracks %+v and %+v", f.name, f.profile, sound, picture)
	}
	const packet, last = 0.02, 0.1 // how long a packet of sound is, and how long the last picture is shown at most
	if end := max(sound.end+packet, picture.end); stated < end-0.04 || stated > end+last+0.04 {
		r.t.Errorf("%s says %.3f s, its tracks end at %.3f and %.3f", f.name, stated, sound.end, picture.end)
	}
	if stated > f.took.Seconds()+0.3 {
		r.t.Errorf("%s says %.3f s, and was recorded for %s at most", f.name, stated, f.took)
	}
	if sound.Codec != "" {
		if clip := decode(r.t, f.file); math.Abs(clip.Seconds()-(sound.end+packet-max(sound.begin, 0))) > 0.04 {
			r.t.Errorf("%s has %.3f s of sound, packets from %.3f to %.3f", f.name, clip.Seconds(), sound.begin, sound.end)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Object == f.element && e.Type == "Error" {
			r.t.Errorf("%s: %v", f.name, e.Data)
		}
	}
}

// left is what a process has.
type left struct {
	goroutines float64
	heap, fds  int
}

func (r *recorders) left(g *rpcGateway) left {
	r.t.Helper()
	heap := g.Heap(r.t)
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.PID()))
	if err != nil {
		r.t.Fatal(err)
	}
	return left{g.Metric(r.t, "go_goroutines"), heap, len(list)}
}

const recordBatch = 16 // recordings at a time

// cycles makes recordings that end soon, and sees that nothing is left of them.
func (r *recorders) cycles(g *rpcGateway) {
	r.t.Helper()
	round := func(n int) {
		var list []taping
		for i := range n {
			list = append(list, []taping{{fmt.Sprintf("round-%d.webm", i), "WEBM", "vp9"}, {fmt.Sprintf("round-%d.mkv", i), "MKV", "h264"},
				{fmt.Sprintf("round-%d.mp4", i), "MP4", "h264"}, {fmt.Sprintf("round-%d.wav", i), "WEBM", "vp9"}}[i%4])
		}
		begun := r.begin(list)
		time.Sleep(100 * time.Millisecond) // of media
		for _, f := range begun {
			r.invoke(r.t, f.element, "stopAndWait", nil)
			if _, err := r.call("release", o{"object": f.element}); err != nil {
				r.t.Fatal(err)
			}
		}
		r.mu.Lock()
		r.events = nil
		r.mu.Unlock()
	}
	round(recordBatch) // pools and caches get their size
	before := r.left(g)
	began := time.Now()
	for n := recordCycles; n > 0; n -= recordBatch {
		round(min(n, recordBatch))
	}
	took := time.Since(began)
	const goroutines, fds, heap = 5, 3, 4 << 20
	var after left
	ok := eventually(20*time.Second, func() bool {
		after = r.left(g)
		return after.goroutines <= before.goroutines+goroutines && after.fds <= before.fds+fds && after.heap <= before.heap+heap
	})
	r.t.Logf("%d recordings in %v: %+v, then %+v", recordCycles, took.Round(time.Millisecond), before, after)
	if !ok {
		r.t.Errorf("%+v after %d recordings, %+v before, expected %d goroutines, %d file descriptors and %d bytes more at most", after, recordCycles, before, goroutines, fds, heap)
	}
}
