package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento/kurentotest"
)

// waveFile is a WAV of a tone at 8 kHz.
func waveFile(length time.Duration) []byte {
	n := int(length * 8000 / time.Second)
	b := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, uint32(36+2*n))...)
	b = append(b, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(2*n))
	for i := range n {
		b = binary.LittleEndian.AppendUint16(b, uint16(int16(8000*math.Sin(float64(i)/8*math.Pi*2))))
	}
	return b
}

// mediaClient is a program that is connected to a server.
type mediaClient struct {
	*testing.T
	*kurentotest.WebSocket
	pipe  string
	heard []rpc.Event
}

func newMediaClient(t *testing.T, s *running) *mediaClient {
	ws, err := kurentotest.Dial(t.Context(), "ws://"+s.plain+"/kurento")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	c := &mediaClient{T: t, WebSocket: ws}
	if c.pipe, err = ws.Create("MediaPipeline", nil); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *mediaClient) make(class string, params map[string]any, events ...string) string {
	c.Helper()
	params["mediaPipeline"] = c.pipe
	id, err := c.Create(class, params)
	if err != nil {
		c.Fatalf("create %s %v: %v", class, params, err)
	}
	for _, e := range events {
		if _, err := c.Subscribe(id, e); err != nil {
			c.Fatal(err)
		}
	}
	return id
}

func (c *mediaClient) call(id, op string, params map[string]any) string {
	c.Helper()
	b, err := c.Invoke(id, op, params)
	if err != nil {
		c.Fatalf("%s %v: %v", op, params, err)
	}
	return string(b)
}

// until waits for an event, and gives its data.
func (c *mediaClient) until(event string) map[string]any {
	c.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		c.heard = append(c.heard, c.Events()...)
		for i, e := range c.heard {
			if e.Type == event {
				var data map[string]any
				if err := json.Unmarshal(e.Data, &data); err != nil {
					c.Fatal(err)
				}
				c.heard = c.heard[i+1:]
				return data
			}
		}
	}
	c.Fatalf("no %s within 30 s: %v", event, c.heard)
	return nil
}

// A program plays files of its folder and of servers, in a browser's codec or a telephone's; what it may not have, or what isn't there,
// is an error with Kurento's words, and never a call that hangs.
func TestPlayerOfPrograms(t *testing.T) {
	hold := make(chan struct{})
	wave := waveFile(300 * time.Millisecond)
	var root string
	s := startServer(t, func(c *Config) {
		c.Media.URLs.Private = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		c.Media.URLs.Stall = 300 * time.Millisecond
		c.Tokens = nil // one tenant
		root = filepath.Join(c.Node.Data, "media")
	})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/a":
			_, _ = w.Write(wave)
		case "/cut":
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(wave[:2000])
		case "/stall":
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(wave[:1000])
			_ = http.NewResponseController(w).Flush()
			<-hold
		case "/film.mp4":
			http.ServeFile(w, q, "../../media/container/testdata/aac.mp4")
		case "/text":
			_, _ = io.WriteString(w, strings.Repeat("text ", 100))
		case "/away":
			http.Redirect(w, q, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(web.Close)
	t.Cleanup(func() { close(hold) })
	if err := os.MkdirAll(filepath.Join(root, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "x", "a.wav"), wave, 0o600); err != nil {
		t.Fatal(err)
	}
	c := newMediaClient(t, s)
	for _, uri := range []string{"x/a.wav", "file:///x/a.wav", "file://" + root + "/x/a.wav", web.URL + "/a"} {
		p := c.make("PlayerEndpoint", map[string]any{"uri": uri}, "EndOfStream", "Error", "MediaFlowOutStateChanged")
		c.call(p, "pause", nil)
		for end := time.Now().Add(20 * time.Second); !strings.HasPrefix(c.call(p, "getVideoInfo", nil), `{"isSeekable":true,"seekableInit":0,"seekableEnd":300,"duration":300`); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: info %s", uri, c.call(p, "getVideoInfo", nil))
			}
		}
		c.call(p, "play", nil)
		c.until("MediaFlowOutStateChanged")
		c.until("EndOfStream")
		if err := c.Release(p); err != nil {
			t.Error(err)
		}
	}
	film := c.make("PlayerEndpoint", map[string]any{"uri": web.URL + "/film.mp4"}, "EndOfStream", "Error")
	c.call(film, "setPosition", map[string]any{"position": 2900})
	c.call(film, "play", nil)
	if e := c.until("Error"); e["type"] != "STREAM_ERROR_CODEC_NOT_FOUND" || !strings.Contains(fmt.Sprint(e["description"]), "AAC") {
		t.Errorf("a film with sound that nobody knows: %v", e)
	}
	c.until("EndOfStream") // its pictures are played
	for _, bad := range []struct{ uri, kind string }{
		{web.URL + "/none", "RESOURCE_ERROR_OPEN"}, {web.URL + "/cut", "RESOURCE_ERROR_READ"}, {web.URL + "/stall", "RESOURCE_ERROR_READ"},
		{web.URL + "/text", "STREAM_ERROR_FAILED"}, {web.URL + "/away", "INVALID_URI"}, {"http://169.254.169.254/a.wav", "INVALID_URI"}, {"none.wav", "RESOURCE_ERROR_OPEN"}, {"x", "RESOURCE_ERROR_OPEN"},
		{"http://127.0.0.1:1/", "RESOURCE_ERROR_OPEN"}, {"file:///etc/passwd", "RESOURCE_ERROR_OPEN"},
	} {
		p := c.make("PlayerEndpoint", map[string]any{"uri": bad.uri}, "Error")
		c.call(p, "play", nil)
		if e := c.until("Error"); e["type"] != bad.kind || e["description"] == "" {
			t.Errorf("%s: %v, want %s", bad.uri, e, bad.kind)
		}
		if got := c.call(p, "getState", nil); got != `"STOP"` {
			t.Errorf("%s: state %s", bad.uri, got)
		}
	}
	for _, uri := range []string{"../a.wav", "file:///%2e%2e/secret", "ftp://x/y", "", "file://host/x"} {
		_, err := c.Create("PlayerEndpoint", map[string]any{"mediaPipeline": c.pipe, "uri": uri})
		if out := rpc.Outside(err); out.Code != rpc.IllegalParam || !strings.HasPrefix(out.Message, "'uri': bad URI") {
			t.Errorf("%q: %v", uri, err)
		}
	}
}

// A program records what a player says, to a file or to a server, and the recording ends with the player; it is as long as what was
// said. What can't be written is told, and so is the profile that nobody knows.
func TestRecorderOfPrograms(t *testing.T) {
	var root string
	s := startServer(t, func(c *Config) {
		c.Media.URLs.Private = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		c.Media.URLs.Stall = 300 * time.Millisecond
		c.Tokens = nil
		root = filepath.Join(c.Node.Data, "media")
	})
	var put atomic.Pointer[[]byte]
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		if q.URL.Path == "/full" {
			w.WriteHeader(http.StatusInsufficientStorage)
			return
		}
		if q.Method == http.MethodPut {
			put.Store(&b)
		}
	}))
	t.Cleanup(web.Close)
	if err := os.MkdirAll(filepath.Join(root, "dir.webm"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "a.wav"), waveFile(700*time.Millisecond), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newMediaClient(t, s)
	for _, uri := range []string{"b/a.webm", "b.wav", "c.mkv", "d.mp4", web.URL + "/x.webm"} {
		profile := "WEBM"
		if strings.HasSuffix(uri, ".mkv") {
			profile = "MKV_AUDIO_ONLY"
		}
		if strings.HasSuffix(uri, ".mp4") {
			profile = "MP4_AUDIO_ONLY"
		}
		p := c.make("PlayerEndpoint", map[string]any{"uri": "a.wav"})
		r := c.make("RecorderEndpoint", map[string]any{"uri": uri, "mediaProfile": profile, "stopOnEndOfStream": true}, "Recording", "Paused", "Stopped", "Error", "UriEndpointStateChanged")
		c.call(p, "connect", map[string]any{"sink": r})
		c.call(r, "record", nil)
		c.call(p, "play", nil)
		if e := c.until("UriEndpointStateChanged"); e["state"] != "START" {
			t.Errorf("%s: %v", uri, e)
		}
		c.until("Recording")
		c.until("Stopped")
		c.call(r, "record", nil)
		c.call(r, "stopAndWait", nil)
		var b []byte
		if strings.HasPrefix(uri, "http") {
			b = *put.Load()
		} else {
			b, _ = os.ReadFile(filepath.Join(root, uri))
		}
		file, err := container.Open(inMemory{bytes.NewReader(b)}, uri, "")
		if err != nil {
			t.Fatalf("%s: %v", uri, err)
		}
		if d := file.Duration(); (d - 700*time.Millisecond).Abs() > 40*time.Millisecond {
			t.Errorf("%s: %s, want 700ms", uri, d)
		}
		for _, id := range []string{p, r} {
			if err := c.Release(id); err != nil {
				t.Error(err)
			}
		}
	}
	for _, bad := range []struct{ uri, kind string }{{"dir.webm", "RESOURCE_ERROR_OPEN"}, {"a.wav/b.webm", "RESOURCE_ERROR_OPEN"}, {web.URL + "/full", "RESOURCE_ERROR_WRITE"}, {"http://169.254.169.254/x", "INVALID_URI"}} {
		r := c.make("RecorderEndpoint", map[string]any{"uri": bad.uri}, "Error")
		c.call(r, "record", nil)
		c.call(r, "stop", nil)
		if e := c.until("Error"); e["type"] != bad.kind {
			t.Errorf("%s: %v, want %s", bad.uri, e, bad.kind)
		}
	}
	for _, profile := range []string{"JPEG_VIDEO_ONLY", "KURENTO_SPLIT_RECORDER"} {
		if _, err := c.Create("RecorderEndpoint", map[string]any{"mediaPipeline": c.pipe, "uri": "a", "mediaProfile": profile}); rpc.Outside(err).Code != rpc.NotSupported {
			t.Errorf("%s: %v", profile, err)
		}
	}
}

// What is posted to an endpoint's URL, as it is or as a form's file, is played; what can't be played is told, and nobody posts to an
// endpoint that is busy, or gone.
func TestPostOfPrograms(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Tokens = nil })
	c := newMediaClient(t, s)
	e := c.make("HttpPostEndpoint", map[string]any{"disconnectionTimeout": 0}, "EndOfStream", "Error", "MediaSessionStarted", "MediaSessionTerminated", "MediaFlowOutStateChanged")
	var url string
	if err := json.Unmarshal([]byte(c.call(e, "getUrl", nil)), &url); err != nil {
		t.Fatal(err)
	}
	post := func(kind string, body []byte) int {
		t.Helper()
		r, err := http.Post(url, kind, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		return r.StatusCode
	}
	wave := waveFile(300 * time.Millisecond)
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, _ := w.CreateFormFile("file", "a.wav")
	_, _ = part.Write(wave)
	_ = w.Close()
	for _, b := range []struct {
		kind string
		body []byte
	}{{"audio/wav", wave}, {w.FormDataContentType(), form.Bytes()}} {
		if code := post(b.kind, b.body); code != http.StatusOK {
			t.Errorf("%s: status %d", b.kind, code)
		}
		if code := post(b.kind, b.body); code != http.StatusConflict {
			t.Errorf("%s while it plays: status %d", b.kind, code)
		}
		c.until("MediaSessionStarted")
		c.until("EndOfStream")
	}
	if code := post("text/plain", bytes.Repeat([]byte("text "), 100)); code != http.StatusOK && code != http.StatusGone {
		t.Errorf("text: status %d", code)
	}
	if e := c.until("Error"); e["type"] != "STREAM_ERROR_FAILED" {
		t.Errorf("text: %v", e)
	}
	if err := c.Release(e); err != nil {
		t.Error(err)
	}
	if code := post("audio/wav", wave); code != http.StatusNotFound {
		t.Errorf("after the release: status %d", code)
	}
}

// inMemory is a file to read.
type inMemory struct{ *bytes.Reader }

func (m inMemory) Size() (int64, bool) { return m.Reader.Size(), true }

// Tenants have folders of their own: none reaches another's.
func TestTenantsFiles(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Media.Root = filepath.Join(c.Node.Data, "media") })
	if !s.cfg.severalTenants() {
		t.Fatal("the test's tokens are of one tenant")
	}
	for _, tenant := range []string{"default", "other"} {
		dir := filepath.Join(s.cfg.Media.Root, tenant)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "a.wav"), []byte(tenant), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tenant := range []string{"default", "other"} {
		p, err := s.place("a.wav", tenant)
		if err != nil {
			t.Fatal(err)
		}
		f, err := s.files.Open(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(io.NewSectionReader(f, 0, 100))
		if string(b) != tenant || err != nil {
			t.Errorf("%s reads %q, %v", tenant, b, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if _, err := s.place(fmt.Sprintf("../%s/a.wav", "other"), tenant); err == nil {
			t.Errorf("%s reaches another's folder", tenant)
		}
	}
}

// An application's WebSocket at an address that isn't public is refused to clients, unless the settings list it.
func TestStreamsReachPublicServersAlone(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) }))
	defer app.Close()
	url := strings.Replace(app.URL, "http", "ws", 1)
	for private, says := range map[string]string{"": "address isn't allowed", "127.0.0.0/8": "answered 418"} {
		s := startServer(t, func(c *Config) {
			if private != "" {
				c.Media.URLs.Private = []netip.Prefix{netip.MustParsePrefix(private)}
			}
		})
		client := newMediaClient(t, s)
		for _, target := range []string{url, strings.Replace(url, "127.0.0.1", "localhost", 1)} {
			ep := client.make("telephony.StreamEndpoint", map[string]any{"url": target})
			if _, err := client.Invoke(ep, "start", nil); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("private %q, to %s: %v, expected %q", private, target, err, says)
			}
		}
	}
}

// A recording for which there is no room any more is told so, and ends; what it is of goes on, and what was recorded until then is there.
func TestRecorderWithoutRoom(t *testing.T) {
	wave := waveFile(3 * time.Second)
	most := len(wave) + 8000
	var root string
	s := startServer(t, func(c *Config) {
		c.Media.URLs.MaxFiles = Size(most)
		c.Tokens = nil
		root = filepath.Join(c.Node.Data, "media")
	})
	if err := errors.Join(os.MkdirAll(root, 0o700), os.WriteFile(filepath.Join(root, "a.wav"), wave, 0o600)); err != nil {
		t.Fatal(err)
	}
	c := newMediaClient(t, s)
	p := c.make("PlayerEndpoint", map[string]any{"uri": "a.wav"}, "EndOfStream")
	r := c.make("RecorderEndpoint", map[string]any{"uri": "b.webm", "mediaProfile": "WEBM_AUDIO_ONLY"}, "Error", "Stopped")
	c.call(p, "connect", map[string]any{"sink": r})
	c.call(r, "record", nil)
	c.call(p, "play", nil)
	got := map[string]string{}
	for end := time.Now().Add(60 * time.Second); len(got) < 3; time.Sleep(5 * time.Millisecond) {
		for _, e := range c.Events() {
			got[e.Type] = string(e.Data)
		}
		if time.Now().After(end) {
			t.Fatalf("told of %v, expected EndOfStream, Error and Stopped", got)
		}
	}
	if !strings.Contains(got["Error"], "RESOURCE_ERROR_NO_SPACE_LEFT") || !strings.Contains(got["Error"], "no room for recordings") {
		t.Errorf("the error is %s", got["Error"])
	}
	b, err := os.ReadFile(filepath.Join(root, "b.webm"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := container.Open(inMemory{bytes.NewReader(b)}, "b.webm", "")
	if err != nil || len(b) < 1000 || len(b)+len(wave) > most {
		t.Fatalf("%d bytes were recorded, expected up to %d: %v", len(b), most-len(wave), err)
	}
	if d := file.Duration(); d > 2500*time.Millisecond {
		t.Errorf("%s were recorded, expected less", d)
	}
	r = c.make("RecorderEndpoint", map[string]any{"uri": "c.webm", "mediaProfile": "WEBM_AUDIO_ONLY"}, "Error")
	p = c.make("PlayerEndpoint", map[string]any{"uri": "a.wav"})
	c.call(p, "connect", map[string]any{"sink": r})
	c.call(r, "record", nil)
	c.call(p, "play", nil)
	if e := c.until("Error"); e["type"] != "RESOURCE_ERROR_NO_SPACE_LEFT" {
		t.Errorf("another one: %v", e)
	}
}
