package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/media/resample"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// app is an application at the other end of a stream: it answers what it likes to.
type app struct {
	*httptest.Server
	t    testing.TB
	asks chan http.Header

	mu   sync.Mutex
	live int // connections
	ws   *websocket.Conn
	got  []map[string]any
	bin  [][]byte
	err  error // that ended the connection
}

// newApp serves one connection at a time. hear, which may be nil, is called for each message of the gateway.
func newApp(t testing.TB, hear func(ws *websocket.Conn, m map[string]any)) *app {
	a := &app{t: t, asks: make(chan http.Header, 10)}
	up := websocket.Upgrader{Subprotocols: []string{Protocol}, CheckOrigin: func(*http.Request) bool { return true }}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.asks <- r.Header
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		a.mu.Lock()
		a.ws, a.live = ws, a.live+1
		a.mu.Unlock()
		defer func() {
			_ = ws.Close()
			a.mu.Lock()
			a.live--
			a.mu.Unlock()
		}()
		for {
			kind, b, err := ws.ReadMessage()
			if err != nil {
				a.mu.Lock()
				a.err = err
				a.mu.Unlock()
				return
			}
			a.mu.Lock()
			if kind == websocket.BinaryMessage {
				a.bin = append(a.bin, b)
				a.mu.Unlock()
				continue
			}
			var m map[string]any
			if err := json.Unmarshal(b, &m); err != nil {
				t.Errorf("message %q: %v", b, err)
			}
			a.got = append(a.got, m)
			a.mu.Unlock()
			if hear != nil {
				hear(ws, m)
			}
		}
	}))
	t.Cleanup(a.Close)
	return a
}

// conn is the connection, once the gateway has been told of it.
func (a *app) conn() *websocket.Conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ws
}

func (a *app) url() string { return strings.Replace(a.URL, "http", "ws", 1) + "/agent?key=secret" }

// say sends a message to the gateway.
func (a *app) say(m map[string]any) {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.ws.WriteJSON(m); err != nil {
		a.t.Fatal(err)
	}
}

// messages are those of an event so far.
func (a *app) messages(event string) (list []map[string]any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range a.got {
		if m["event"] == event {
			list = append(list, m)
		}
	}
	return list
}

func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 15 s", what)
		}
	}
}

// rig is a stream between an application and somebody who talks and listens.
type rig struct {
	*Stream
	app    *app
	clock  *media.Clock
	say    *mediatest.Talker
	hear   *mediatest.Recorder
	events chan Event
}

func open(t testing.TB, a *app, cfg Config, f *media.Format) *rig {
	t.Helper()
	reg := media.NewRegistry()
	reg.Register(g711.Conversions()...)
	reg.Register(resample.Conversions()...)
	r := &rig{app: a, clock: media.NewClock(), say: mediatest.NewTalker(reg, f), hear: mediatest.NewRecorder(f), events: make(chan Event, 1000)}
	cfg.URL, cfg.Clock, cfg.Registry = a.url(), r.clock, reg
	cfg.Post = func(e Event) { r.events <- e }
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Stream = s
	wait(t, "the connection", func() bool { return a.conn() != nil })
	r.say.Link(s.Sink(media.Pad{}))
	s.Source(media.Pad{}).Link(r.hear)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		_ = reg.Close()
		r.clock.Close()
	})
	return r
}

// speak says a tone of 20 ms frames as fast as they are taken.
func (r *rig) speak(tone [][]byte) {
	for _, b := range tone {
		r.say.Say(b)
		for {
			r.ear.mu.Lock()
			full := r.ear.count > ring/2
			r.ear.mu.Unlock()
			if !full {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// pcm16 is a tone as an application sends it.
func pcm16(rate int, hz, dbm0 float64, frames int) []byte {
	var out []byte
	for _, b := range mediatest.Tone(media.L16(rate), hz, dbm0, frames) {
		for i := 0; i < len(b); i += 2 {
			out = append(out, b[i+1], b[i])
		}
	}
	return out
}

// An application that sends back what it hears: through each encoding the tone comes back as loud as it was.
func TestEchoOfAnApplication(t *testing.T) {
	for _, c := range []Config{{}, {Rate: 8000}, {Rate: 24000, Binary: true}, {Encoding: PCMU}, {Encoding: PCMA, Binary: true}} {
		cfg := c
		t.Run(string(cfg.encoding()), func(t *testing.T) {
			a := newApp(t, func(ws *websocket.Conn, m map[string]any) {
				if m["event"] == "media" {
					_ = ws.WriteJSON(map[string]any{"event": "media", "payload": m["payload"]})
				}
			})
			cfg.Start = Start{ID: "s1", Call: "c1", From: "100", To: "200", Headers: map[string]string{"X-A": "b"}, Parameters: map[string]string{"lang": "de"}}
			cfg.Header = http.Header{"Authorization": {"Bearer x"}}
			r := open(t, a, cfg, media.PCMU())
			r.speak(mediatest.Tone(media.PCMU(), 1000, -10, 60))
			if cfg.Binary {
				wait(t, "binary audio", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.bin) == 60 })
				a.mu.Lock()
				for _, b := range a.bin {
					if err := a.ws.WriteMessage(websocket.BinaryMessage, b); err != nil {
						t.Error(err)
					}
				}
				a.mu.Unlock()
			}
			loud := func() int {
				n := 0
				for _, f := range r.hear.Frames() {
					if mediatest.Level(mediatest.Linear(media.PCMU(), f.Payload), 8000, 1000, g711.Mu().Peak()) > -11 {
						n++
					}
				}
				return n
			}
			wait(t, "1.2 s of the tone", func() bool { return loud() >= 57 })
			var audio []int16
			for _, f := range r.hear.Frames() {
				if x := mediatest.Linear(media.PCMU(), f.Payload); mediatest.Level(x, 8000, 1000, g711.Mu().Peak()) > -11 {
					audio = append(audio, x...)
				}
			}
			// Frames where it paused begin anew, so each is measured by itself.
			sum := 0.0
			for i := 0; i+160 <= len(audio); i += 160 {
				sum += mediatest.Level(audio[i:i+160], 8000, 1000, g711.Mu().Peak())
			}
			if got := sum / float64(len(audio)/160); math.Abs(got+10) > 0.3 {
				t.Errorf("the tone came back at %.2f dBm0, want -10", got)
			}
			asked := <-a.asks
			if asked.Get("Authorization") != "Bearer x" || asked.Get("Sec-Websocket-Protocol") != Protocol {
				t.Errorf("asked with %v", asked)
			}
			first := a.messages("start")
			if len(first) != 1 {
				t.Fatalf("%d start messages", len(first))
			}
			b, _ := json.Marshal(first[0])
			for _, want := range []string{`"stream":"s1"`, `"from":"100"`, `"to":"200"`, `"X-A":"b"`, `"lang":"de"`, `"version":1`, `"encoding":"` + string(cfg.encoding()) + `"`} {
				if !strings.Contains(string(b), want) {
					t.Errorf("start is %s, has no %s", b, want)
				}
			}
			if !cfg.Binary {
				last := int64(-20)
				for i, m := range a.messages("media") {
					at := int64(m["timestamp"].(float64))
					if int(m["sequence"].(float64)) != i+1 || at != last+20 {
						t.Fatalf("message %d: sequence %v at %d ms, after %d ms", i, m["sequence"], at, last)
					}
					last = at
				}
			}
		})
	}
}

// Marks come back when what was sent before them has been played; those that are cleared say so, and nothing more is heard.
func TestMarksAndClear(t *testing.T) {
	a := newApp(t, nil)
	r := open(t, a, Config{}, media.PCMU())
	a.say(map[string]any{"event": "mark", "name": "at once"})
	wait(t, "a mark with nothing before it", func() bool { return len(a.messages("mark")) == 1 })
	began := time.Now()
	a.say(map[string]any{"event": "media", "payload": pcm16(16000, 500, -10, 15)})
	a.say(map[string]any{"event": "mark", "name": "played"})
	a.say(map[string]any{"event": "media", "payload": pcm16(16000, 500, -10, 1000)})
	a.say(map[string]any{"event": "mark", "name": "never"})
	wait(t, "the second mark", func() bool { return len(a.messages("mark")) == 2 })
	if d := time.Since(began); d < 250*time.Millisecond {
		t.Errorf("300 ms of audio were played after %s", d)
	}
	a.say(map[string]any{"event": "clear"})
	wait(t, "the third mark", func() bool { return len(a.messages("mark")) == 3 })
	for i, want := range []struct {
		name    string
		cleared any
	}{{"at once", nil}, {"played", nil}, {"never", true}} {
		if m := a.messages("mark")[i]; m["name"] != want.name || m["cleared"] != want.cleared {
			t.Errorf("mark %d is %v, want %v", i, m, want)
		}
		if e := <-r.events; e.Kind != Marked || e.Text != want.name || e.Missed != (want.cleared == true) {
			t.Errorf("told %+v, want %v", e, want)
		}
	}
	n := r.hear.Len()
	wait(t, "five more frames", func() bool { return r.hear.Len() > n+8 })
	for _, f := range r.hear.Frames()[n+2:] {
		for _, s := range mediatest.Linear(media.PCMU(), f.Payload) {
			if s > 8 || s < -8 {
				t.Fatalf("a sample of %d after clear", s)
			}
		}
	}
}

func TestDigitsBothWays(t *testing.T) {
	a := newApp(t, nil)
	r := open(t, a, Config{}, media.PCMU())
	r.Digit('5', 120)
	wait(t, "a digit", func() bool { return len(a.messages("dtmf")) == 1 })
	if m := a.messages("dtmf")[0]; m["digit"] != "5" || m["duration"] != 120.0 {
		t.Errorf("told %v", m)
	}
	a.say(map[string]any{"event": "dtmf", "digits": "12#"})
	if e := <-r.events; e.Kind != Dial || e.Text != "12#" {
		t.Errorf("told %+v", e)
	}
}

// With Digits the element hears and sends telephone-events itself.
func TestDigitsInMedia(t *testing.T) {
	a := newApp(t, nil)
	r := open(t, a, Config{Digits: true}, media.PCMU())
	r.hear.Take(media.PCMU(), media.TelephoneEvent(8000))
	media.Renegotiate(r.Stream)
	r.Source(media.Pad{}).Unlink(r.hear)
	r.Source(media.Pad{}).Link(r.hear)
	keys := mediatest.NewTalker(nil, media.TelephoneEvent(8000))
	r.say.Unlink(r.Sink(media.Pad{}))
	keys.Link(r.Sink(media.Pad{}))
	for i := range 3 {
		f := media.Frame{Kind: media.Event, Format: keys.Format, Payload: []byte{7, 0x8a, 3, 32}, Timestamp: 5000, Sequence: uint16(i), Marker: i == 0}
		keys.Send(&f)
	}
	wait(t, "a digit", func() bool { return len(a.messages("dtmf")) == 1 })
	if m := a.messages("dtmf")[0]; m["digit"] != "7" || m["duration"] != 100.0 {
		t.Errorf("told %v", m)
	}
	a.say(map[string]any{"event": "dtmf", "digits": "4"})
	wait(t, "the digit in media", func() bool {
		for _, f := range r.hear.Frames() {
			if f.Kind == media.Event && len(f.Payload) == 4 && f.Payload[0] == 4 && f.Payload[1]&0x80 != 0 {
				return true
			}
		}
		return false
	})
	n := r.hear.Len()
	wait(t, "audio again", func() bool {
		for _, f := range r.hear.Frames()[n:] {
			if f.Kind == media.Audio {
				return true
			}
		}
		return false
	})
}

// Whatever an application says wrongly is told to it, and changes nothing; too much of it ends the stream.
func TestWrongMessages(t *testing.T) {
	a := newApp(t, nil)
	r := open(t, a, Config{Buffer: time.Second}, media.PCMU())
	wrong := []struct {
		m    map[string]any
		says string
	}{
		{map[string]any{"event": "sing"}, `event is "sing", expected media, mark, clear, dtmf or stop`},
		{map[string]any{}, `event is "", expected media, mark, clear, dtmf or stop`},
		{map[string]any{"event": "media"}, "payload has 0 bytes, expected a whole number of samples of 2 bytes, at least one"},
		{map[string]any{"event": "media", "payload": []byte{1}}, "payload has 1 bytes, expected a whole number"},
		{map[string]any{"event": "media", "payload": make([]byte, 32002)}, "payload has 32002 bytes: 0s of audio wait to be played, and no more than 1s may"},
		{map[string]any{"event": "media", "payload": "§"}, "illegal base64"},
		{map[string]any{"event": "mark"}, "name of a mark has 0 bytes, expected 1 to 256"},
		{map[string]any{"event": "dtmf", "digits": "12x"}, `digits is "12x", expected 1 to 64 of 0-9*#A-D`},
		{map[string]any{"event": 5}, "message isn't JSON of the form"},
	}
	for i, w := range wrong {
		a.say(w.m)
		wait(t, "an error", func() bool { return len(a.messages("error")) == i+1 })
		if got := a.messages("error")[i]["message"].(string); !strings.Contains(got, w.says) {
			t.Errorf("%v: says %q, want %q", w.m, got, w.says)
		}
	}
	for range maxWrong - len(wrong) {
		a.say(map[string]any{"event": "sing"})
	}
	e := <-r.events
	if e.Kind != Stopped || e.Text != "too many wrong messages" || e.Failed == nil {
		t.Errorf("told %+v", e)
	}
	wait(t, "stop", func() bool { return len(a.messages("stop")) == 1 })
}

// However a stream ends, its owner is told once, and the application as well if it is there.
func TestEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(a *app)
		text string
		fail string
	}{
		{"the application says stop", func(a *app) { a.say(map[string]any{"event": "stop", "reason": "done\nnow"}) }, "done now", ""},
		{"the application says stop without a reason", func(a *app) { a.say(map[string]any{"event": "stop"}) }, "application stopped", ""},
		{"the application closes", func(a *app) {
			_ = a.conn().WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
		}, "application closed", ""},
		{"the connection breaks", func(a *app) { _ = a.conn().NetConn().Close() }, "connection lost", "read from ws://127.0.0.1"},
		{"a message too large", func(a *app) { _ = a.conn().WriteMessage(websocket.BinaryMessage, make([]byte, maxMessage+1)) }, "message too large", "more than 1048576 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newApp(t, nil)
			r := open(t, a, Config{}, media.PCMU())
			wait(t, "start", func() bool { return len(a.messages("start")) == 1 })
			c.do(a)
			e := <-r.events
			if e.Kind != Stopped || e.Text != c.text || (c.fail == "") != (e.Failed == nil) || e.Failed != nil && !strings.Contains(e.Failed.Error(), c.fail) {
				t.Errorf("told %+v, want %s, %q", e, c.text, c.fail)
			}
			if e.Failed != nil && strings.Contains(e.Failed.Error(), "secret") {
				t.Errorf("the error tells the query of the URL: %v", e.Failed)
			}
			_ = r.Hangup("later")
			select {
			case e := <-r.events:
				t.Errorf("told %+v after the end", e)
			default:
			}
		})
	}
	a := newApp(t, nil)
	r := open(t, a, Config{}, media.PCMU())
	if err := r.Hangup("caller hung up"); err != nil {
		t.Error(err)
	}
	wait(t, "stop", func() bool { return len(a.messages("stop")) == 1 })
	if m := a.messages("stop")[0]; m["reason"] != "caller hung up" {
		t.Errorf("told %v", m)
	}
}

// An application that reads nothing holds nobody up: the oldest audio is dropped.
func TestSlowApplication(t *testing.T) {
	release := make(chan struct{})
	a := newApp(t, func(*websocket.Conn, map[string]any) { <-release })
	t.Cleanup(func() { close(release) })
	r := open(t, a, Config{Rate: 24000}, media.L16(24000))
	tone := mediatest.Tone(media.L16(24000), 400, -10, 50)
	for i := 0; ; i++ {
		began := time.Now()
		r.say.Say(tone[i%50])
		if d := time.Since(began); d > time.Second {
			t.Fatalf("Push took %s", d)
		}
		if _, dropped := r.ear.counts(); dropped > 100 {
			break
		}
		if i > 100000 {
			t.Fatal("nothing is dropped, where is it all?")
		}
	}
	_ = a.conn().NetConn().Close() // ends the writer that is stuck
}

func TestRefusedConnections(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }))
	defer plain.Close()
	clock := media.NewClock()
	defer clock.Close()
	gone := errors.New("not allowed")
	for _, c := range []struct {
		cfg  Config
		says string
	}{
		{Config{URL: "http://127.0.0.1/"}, `url is http://127.0.0.1: expected ws:// or wss:// with a host`},
		{Config{URL: "ws://u:p@127.0.0.1/"}, "without user"},
		{Config{URL: "ws://h", Encoding: "mp3"}, `encoding is mp3: expected pcm16, pcmu or pcma`},
		{Config{URL: "ws://h", Rate: 11025}, "rate is 11025: expected 8000, 16000 or 24000"},
		{Config{URL: "ws://h", Encoding: PCMU, Rate: 16000}, "rate is 16000: expected 8000, as pcmu has no other"},
		{Config{URL: "ws://h", Buffer: time.Hour}, "buffer is 1h0m0s: expected 1s to 10m"},
		{Config{URL: strings.Replace(plain.URL, "http", "ws", 1) + "/?key=secret"}, "answered 403 Forbidden instead of 101"},
		{Config{URL: "ws://127.0.0.1:1", Dial: func(context.Context, string, string) (net.Conn, error) { return nil, gone }}, "not allowed"},
	} {
		c.cfg.Clock = clock
		s, err := Open(t.Context(), c.cfg)
		if err == nil {
			_ = s.Close()
			t.Fatalf("%+v: no error", c.cfg)
		}
		if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("says %q, want %q", err, c.says)
		}
	}
}

// Audio that comes sample by sample takes no more memory than that which comes in one piece, and is played the same.
func TestSmallPieces(t *testing.T) {
	a := newApp(t, nil)
	clock := media.NewClock()
	defer clock.Close()
	s, err := Open(t.Context(), Config{URL: a.url(), Clock: clock, Buffer: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.stop() // its clock
	m := &s.mouth
	want := pcm16(16000, 440, -10, 60)
	for i := 0; i < len(want); i += 2 {
		if err := m.play(append(make([]byte, 0, 512), want[i:i+2]...)); err != nil { // as a message is read
			t.Fatal(err)
		}
	}
	room := 0
	for _, b := range m.queue {
		room += cap(b)
	}
	if room > len(want)+chunk {
		t.Errorf("%d bytes that wait take %d", len(want), room)
	}
	var got []byte
	for b := make([]byte, m.per); ; {
		n := m.fill(b)
		if n == 0 {
			break
		}
		got = append(got, b[:n]...)
		if err := m.play(want[:2]); err != nil { // while it is being played
			t.Fatal(err)
		}
		if m.waits == 2 {
			n = m.fill(b)
			got = append(got, b[:n]...)
		}
	}
	if !bytes.HasPrefix(got, want) {
		t.Errorf("%d bytes came out, which aren't those %d that were put in", len(got), len(want))
	}
}

// Marks by the hundred are told a few at a time: other streams have the same clock.
func TestManyMarks(t *testing.T) {
	a := newApp(t, nil)
	clock := media.NewClock()
	defer clock.Close()
	told := 0
	s, err := Open(t.Context(), Config{URL: a.url(), Clock: clock, Post: func(Event) { told++ }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.stop() // its clock
	for range 100 {
		if err := s.mouth.mark("x"); err != nil {
			t.Fatal(err)
		}
	}
	s.mouth.tick()
	if told != atOnce {
		t.Errorf("%d marks were told in a tick, want %d", told, atOnce)
	}
	for range 100 / atOnce {
		s.mouth.tick()
	}
	if told != 100 {
		t.Errorf("%d marks were told, want 100", told)
	}
}

func TestStreamIsAnElement(t *testing.T) {
	mediatest.Sink(t, func() mediatest.Subject {
		release := make(chan struct{})
		var stall sync.Mutex
		var once sync.Once
		a := newApp(t, func(*websocket.Conn, map[string]any) { stall.Lock(); defer stall.Unlock() })
		clock := media.NewClock()
		s, err := Open(t.Context(), Config{URL: a.url(), Clock: clock, Digits: true})
		if err != nil {
			t.Fatal(err)
		}
		wait(t, "the connection", func() bool { return a.conn() != nil })
		return mediatest.Subject{Element: s,
			Stall: func() func() {
				stall.Lock()
				return func() { once.Do(func() { stall.Unlock(); close(release) }) }
			},
			Close: func() {
				clock.Close()
				a.Close()
				wait(t, "the connection's end", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.live == 0 })
			}}
	})
}

// Audio that there is no room for is told to the application, each time, and is no mistake of its: the stream goes on.
func TestFullBuffer(t *testing.T) {
	a := newApp(t, nil)
	r := open(t, a, Config{Buffer: time.Second, Encoding: PCMU}, media.PCMU())
	for end := time.Now().Add(60 * time.Second); len(a.messages("error")) < maxWrong+20; {
		if time.Now().After(end) {
			t.Fatalf("%d errors, expected %d", len(a.messages("error")), maxWrong+20)
		}
		a.say(map[string]any{"event": "media", "payload": make([]byte, 8000)})
	}
	a.say(map[string]any{"event": "clear"})
	a.say(map[string]any{"event": "mark", "name": "still here"})
	wait(t, "the mark", func() bool { return len(a.messages("mark")) == 1 })
	if m := a.messages("error")[0]["message"].(string); !strings.Contains(m, "no more than 1s may") {
		t.Errorf("says %q", m)
	}
	if e := <-r.events; e.Kind != Marked {
		t.Errorf("told %+v", e)
	}
	if m := a.messages("start")[0]["media"].(map[string]any); m["buffer"] != 1000.0 {
		t.Errorf("start says of media %v", m)
	}
}

// A stream that its application has ended says nothing more, silence neither, though its owner hasn't released it yet.
func TestEndedIsStill(t *testing.T) {
	a := newApp(t, nil)
	r := open(t, a, Config{}, media.PCMU())
	wait(t, "silence", func() bool { return r.hear.Len() > 0 })
	a.say(map[string]any{"event": "stop"})
	if e := <-r.events; e.Kind != Stopped {
		t.Fatalf("told %+v", e)
	}
	wait(t, "the end", func() bool { return !r.mouth.tick() })
	n := r.hear.Len()
	for range 10 {
		r.mouth.tick()
	}
	if r.hear.Len() != n {
		t.Errorf("%d frames came after the end", r.hear.Len()-n)
	}
	before, _ := r.ear.counts()
	r.say.Say(bytes.Repeat([]byte{0x80}, 160))
	r.ear.mu.Lock()
	waits := r.ear.count
	r.ear.mu.Unlock()
	if sent, _ := r.ear.counts(); sent != before || waits != 0 {
		t.Errorf("%d frames were sent, %d wait, for an application that is gone", sent-before, waits)
	}
}

// An application has its caller transferred, and is told how that went; one whose stream isn't a call's can't.
func TestTransfers(t *testing.T) {
	a := newApp(t, nil)
	r := open(t, a, Config{Transfers: true}, media.PCMU())
	a.say(map[string]any{"event": "transfer"})
	wait(t, "an error", func() bool { return len(a.messages("error")) == 1 })
	if got := a.messages("error")[0]["message"].(string); !strings.Contains(got, `to is "", expected a number`) {
		t.Errorf("says %q", got)
	}
	a.say(map[string]any{"event": "transfer", "to": "+4930123"})
	if e := <-r.events; e.Kind != Transfer || e.Text != "+4930123" {
		t.Errorf("told %+v", e)
	}
	r.Wrong("to is bad")
	wait(t, "another error", func() bool { return len(a.messages("error")) == 2 })
	r.Transferred(486, "Busy Here")
	wait(t, "what became of it", func() bool { return len(a.messages("transfer")) == 1 })
	if m := a.messages("transfer")[0]; m["status"] != 486.0 || m["reason"] != "Busy Here" {
		t.Errorf("told %v", m)
	}
	a = newApp(t, nil)
	open(t, a, Config{}, media.PCMU())
	a.say(map[string]any{"event": "transfer", "to": "1"})
	wait(t, "an error", func() bool { return len(a.messages("error")) == 1 })
}
