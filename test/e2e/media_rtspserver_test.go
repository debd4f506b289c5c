//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/rtsp"
	"github.com/patchbay/patchbay/media/uri"
	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
	"github.com/patchbay/patchbay/web/webtest"
)

// Pieces of pipelines of GStreamer's.
const (
	fromMP4  = "filesrc location=%s ! qtdemux name=d "
	fromWebM = "filesrc location=%s ! matroskademux name=d "
	fromWAV  = "filesrc location=%s ! wavparse ! audioconvert ! "
	picture  = "d.video_0 ! queue ! "
	sound    = " d.audio_0 ! queue ! rtpopuspay name=pay1 pt=97"
)

// films are what a foreign server has: files of this repository, and a tone.
func films(t *testing.T, tone string) map[string]string {
	t.Helper()
	file := func(name string) string {
		path, err := filepath.Abs("../../media/container/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	return map[string]string{
		"/h264":  fmt.Sprintf(fromMP4, file("h264.mp4")) + picture + "rtph264pay name=pay0 pt=96" + sound,
		"/h265":  fmt.Sprintf(fromMP4, file("h265.mp4")) + picture + "rtph265pay name=pay0 pt=96" + sound,
		"/vp8":   fmt.Sprintf(fromWebM, file("video.webm")) + picture + "rtpvp8pay name=pay0 pt=96" + sound,
		"/vp9":   fmt.Sprintf(fromWebM, file("vp9.webm")) + picture + "rtpvp9pay name=pay0 pt=96" + sound,
		"/aac":   fmt.Sprintf(fromMP4, file("aac.mp4")) + "d.audio_0 ! queue ! rtpmp4gpay name=pay0 pt=96",
		"/opus":  fmt.Sprintf(fromWebM, file("tone.webm")) + "d.audio_0 ! queue ! rtpopuspay name=pay0 pt=96",
		"/ulaw":  fmt.Sprintf(fromWAV, tone) + "mulawenc ! rtppcmupay name=pay0 pt=0",
		"/alaw":  fmt.Sprintf(fromWAV, tone) + "alawenc ! rtppcmapay name=pay0 pt=8",
		"/l16":   fmt.Sprintf(fromWAV, tone) + "rtpL16pay name=pay0 pt=96",
		"/never": "videotestsrc is-live=true ! video/x-raw,width=256,height=144,framerate=15/1 ! vp8enc deadline=1 cpu-used=8 keyframe-max-dist=100000 ! rtpvp8pay name=pay0 pt=96",
	}
}

const filmTone = 440.0

func startFilms(t *testing.T) *peers.RTSPServer {
	t.Helper()
	tone := filepath.Join(t.TempDir(), "tone.wav")
	if err := audio.WriteWAV(tone, audio.Tone(8000, filmTone, toneLevel, 5)); err != nil {
		t.Fatal(err)
	}
	baseline := filepath.Join(t.TempDir(), "baseline.mp4") // as browsers take it
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=10:duration=10", "-c:v", "libx264", "-preset", "ultrafast",
		"-profile:v", "baseline", "-pix_fmt", "yuv420p", "-g", "10", baseline).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	all := films(t, tone)
	all["/baseline"] = fmt.Sprintf(fromMP4, baseline) + picture + "rtph264pay name=pay0 pt=96 config-interval=-1"
	return peers.StartRTSPServer(t, all)
}

// A server of somebody else's, GStreamer's, over UDP and in the connection: all that its films have comes, in time, and ends when they do; they are
// sought and paused. A phone hears what it has, whatever it is coded as; H265, which no browser here takes, is recorded.
func TestMediaRTSP(t *testing.T) {
	addr := address(t)
	server := startFilms(t)
	var all sync.WaitGroup // beside the phone, for they take their time
	for _, f := range []struct {
		path, formats string
		tcp           bool
	}{{"/h264", "H264 OPUS", false}, {"/h264", "H264 OPUS", true}, {"/h265", "H265 OPUS", false}, {"/vp8", "VP8 OPUS", true}, {"/vp9", "VP9 OPUS", false}} {
		all.Go(func() {
			for _, do := range []func(*rtsp.Stream) error{func(s *rtsp.Stream) error { return watches(s, f.formats) }, seeks} {
				s, err := openFilm(t, server, f.path, f.tcp)
				if err == nil {
					err = errors.Join(do(s), s.Close())
				}
				if err != nil {
					t.Errorf("%s, TCP %t: %v", f.path, f.tcp, err)
				}
			}
		})
	}
	hearsFilms(t, addr, server)
	all.Wait()
}

// openFilm has a server's film come here, without a gateway.
func openFilm(t *testing.T, server *peers.RTSPServer, path string, tcp bool) (*rtsp.Stream, error) {
	at, err := url.Parse(server.URL(path))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), videoPatience)
	defer cancel()
	o := uri.New(uri.Config{Schemes: []string{"rtsp"}, Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(func() { _ = o.Close() })
	return rtsp.Open(ctx, at, rtsp.Config{Network: o, Name: path, Stall: videoPatience, MaxTime: time.Hour, TCP: tcp})
}

// watches reads a film of three seconds, of ten pictures each, to its end.
func watches(s *rtsp.Stream, formats string) error {
	names := ""
	for _, tr := range s.Tracks() {
		names += tr.Format.Codec + " "
	}
	if strings.TrimSpace(names) != formats || (s.Duration()-3*time.Second).Abs() > 50*time.Millisecond {
		return fmt.Errorf("it has %sand plays for %s", names, s.Duration())
	}
	seen, heard := 0, time.Duration(0)
	for {
		var u container.Unit
		switch err := s.Read(&u); {
		case errors.Is(err, io.EOF) && seen == 30 && (heard-3*time.Second).Abs() < 60*time.Millisecond:
			return nil
		case err != nil:
			return fmt.Errorf("%d pictures and %s of sound, then %w", seen, heard, err)
		case u.Track == 1:
			heard += u.For
		case u.Key != (seen%10 == 0) || (u.At-time.Duration(seen)*100*time.Millisecond).Abs() > 30*time.Millisecond:
			return fmt.Errorf("picture %d stands at %s, key %t", seen, u.At, u.Key)
		default:
			seen++
		}
	}
}

// seeks goes to and fro in a film, each second of which begins with a key picture, pauses, and ends.
func seeks(s *rtsp.Stream) error {
	picture := func(at time.Duration) error {
		for {
			var u container.Unit
			if err := s.Read(&u); err != nil {
				return err
			}
			if u.Track != 0 {
				continue
			}
			if !u.Key || (u.At-at).Abs() > 30*time.Millisecond || (s.From()-at).Abs() > 30*time.Millisecond {
				return fmt.Errorf("at %s it goes on at %s with a picture at %s, key %t", at, s.From(), u.At, u.Key)
			}
			return nil
		}
	}
	if err := picture(0); err != nil {
		return err
	}
	for _, to := range []time.Duration{2200 * time.Millisecond, 0, 1200 * time.Millisecond} {
		if err := s.Seek(to); err != nil {
			return fmt.Errorf("seek to %s: %w", to, err)
		}
		if err := picture(to.Truncate(time.Second)); err != nil {
			return err
		}
	}
	s.Pause(true)
	s.Pause(false)
	if err := s.Seek(2200 * time.Millisecond); err != nil {
		return fmt.Errorf("seek after a pause: %w", err)
	}
	if err := picture(2 * time.Second); err != nil {
		return err
	}
	for {
		var u container.Unit
		if err := s.Read(&u); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// hearsFilms has a phone called that hears a server's films.
func hearsFilms(t *testing.T, addr netip.Addr, server *peers.RTSPServer) {
	root := t.TempDir()
	g := startRPCMediaAt(t, addr, "  root: "+root+"\n  urls: {schemes: [file, rtsp], private: [127.0.0.0/8]}\n", "users:\n  - {id: alice, password: wonder-land-1, numbers: [\"100\"]}\napps: [{id: cinema}]\n")
	alice := peers.StartBaresip(t, peers.BaresipConfig{User: "alice", Password: "wonder-land-1", Domain: "test.local", Proxy: netip.AddrPortFrom(addr, 5060).String(), Codecs: "PCMU/8000/1", AutoAnswer: true})
	c := openRPC(t, g.url)
	pipeline := c.create(t, "MediaPipeline", nil)
	call := c.create(t, "SipEndpoint", o{"mediaPipeline": pipeline})
	c.value(t, "subscribe", o{"object": call, "type": "Answered"})
	c.invoke(t, call, "dial", o{"to": "100"})
	c.expect(t, call, "Answered", videoPatience)
	film := func(path string, cache int) string {
		t.Helper()
		p := c.create(t, "PlayerEndpoint", o{"mediaPipeline": pipeline, "uri": server.URL(path), "networkCache": cache})
		for _, e := range []string{"EndOfStream", "Error"} {
			c.value(t, "subscribe", o{"object": p, "type": e})
		}
		return p
	}
	position := func(p string) (ms int64) {
		t.Helper()
		if err := json.Unmarshal(c.invoke(t, p, "getPosition", nil), &ms); err != nil {
			t.Fatal(err)
		}
		return ms
	}
	aac := film("/aac", 100)
	c.invoke(t, aac, "play", nil)

	// H265 is recorded as it comes.
	h265 := film("/h265", 100)
	tape := c.create(t, "RecorderEndpoint", o{"mediaPipeline": pipeline, "uri": "film.mkv", "mediaProfile": "MKV_VIDEO_ONLY"})
	c.invoke(t, h265, "connect", o{"sink": tape, "mediaType": "VIDEO"})
	c.invoke(t, tape, "record", nil)
	c.invoke(t, h265, "play", nil)

	// PCMA, from the second second on, paused amid it.
	p := film("/alaw", 500)
	c.invoke(t, p, "connect", o{"sink": call})
	begin := time.Now()
	c.invoke(t, p, "play", nil)
	if !eventually(videoPatience, func() bool { return position(p) > 1200 }) {
		t.Fatalf("the film stands at %d ms", position(p))
	}
	if late := time.Since(begin).Milliseconds() - 1200; late < 300 { // a server sends nothing before its time
		t.Errorf("the film is %d ms behind its server, networkCache says 500", late)
	}
	var info struct {
		IsSeekable   bool
		SeekableEnd  int64
		Duration     int64
		SeekableInit int64
	}
	if err := json.Unmarshal(c.invoke(t, p, "getVideoInfo", nil), &info); err != nil || !info.IsSeekable || info.Duration < 4950 || info.Duration > 5050 || info.SeekableEnd != info.Duration {
		t.Errorf("videoInfo %+v, %v", info, err)
	}
	c.invoke(t, p, "pause", nil)
	at := position(p)
	c.invoke(t, p, "setPosition", o{"position": 3500})
	if now := position(p); at < 1200 || now != 3500 {
		t.Errorf("it paused at %d ms, and stands at %d when sought", at, now)
	}
	c.invoke(t, p, "play", nil)
	c.expect(t, p, "EndOfStream", videoPatience)

	// Opus, another tone.
	p = film("/opus", 200)
	c.invoke(t, p, "connect", o{"sink": call})
	c.invoke(t, p, "setPosition", o{"position": 1500})
	c.invoke(t, p, "play", nil)
	c.expect(t, p, "EndOfStream", videoPatience)
	alice.Hangup(t)

	c.expect(t, h265, "EndOfStream", videoPatience)
	c.invoke(t, tape, "stopAndWait", nil)
	out, err := exec.Command("ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames", "-of", "csv=p=0", filepath.Join(root, "film.mkv")).CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != "hevc,30" {
		t.Errorf("what is recorded is %s, %v; expected 30 pictures of H265", got, err)
	}
	if e := c.expect(t, aac, "Error", videoPatience); !strings.Contains(fmt.Sprint(e), "AAC") {
		t.Errorf("a film whose sound is AAC: %+v", e)
	}
	heard := alice.Heard(t)
	for hz, want := range map[float64]float64{filmTone: toneLevel, 1000: -18} {
		if level := bestSecond(heard, hz); math.Abs(level-want) > levelWithin {
			t.Errorf("alice heard %.0f Hz at %.2f dBFS in the best second of %.1f, expected %g ± %g", hz, level, heard.Seconds(), want, levelWithin)
		}
	}
}

// films: those of a foreign server are shown to a page, whatever they are coded as; who comes late to one that has key pictures when they are asked
// for alone is shown it too.
func (r *tutorials) films(t *testing.T) {
	server := startFilms(t)
	v := r.page("audience", webtest.CallConfig{Watches: true}, false)
	for i, film := range []struct {
		path          string
		width, height int
	}{{"/baseline", 320, 240}, {"/vp9", 160, 120}, {"/never", 256, 144}} {
		name := fmt.Sprint("film ", i)
		r.step("make", o{"name": name, "type": "PlayerEndpoint", "params": o{"uri": server.URL(film.path), "networkCache": 100}}, nil)
		r.step("connect", o{"from": name, "to": v.name}, nil)
		r.step("invoke", o{"name": name, "method": "play"}, nil)
		v.sees(film.width, film.height)
	}
	late := r.page("late", webtest.CallConfig{Watches: true}, false)
	r.step("connect", o{"from": "film 2", "to": late.name}, nil)
	late.sees(256, 144)
	for _, name := range []string{"film 0", "film 1", "film 2", v.name, late.name} {
		r.step("release", o{"name": name}, nil)
	}
}
