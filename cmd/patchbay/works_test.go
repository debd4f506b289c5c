package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/webrtc/webrtctest"
	"github.com/patchbay/patchbay/rpc/kurento"
	"github.com/patchbay/patchbay/rpc/kurento/kurentotest"
)

// proof has what a player says reach a recorder through an object of a class.
type proof struct {
	*mediaClient
	said   []byte // the file that is played
	player string
	to     string // the recorder
	file   string // what it writes
}

// link connects one element with the next, and so on.
func (p *proof) link(elements ...string) {
	p.Helper()
	for i, e := range elements[1:] {
		p.call(elements[i], "connect", map[string]any{"sink": e})
	}
}

// text is what an operation returns.
func text(c *mediaClient, id, op string, params map[string]any) (s string) {
	c.Helper()
	if err := json.Unmarshal([]byte(c.call(id, op, params)), &s); err != nil {
		c.Fatal(err)
	}
	return s
}

// hub makes one with a port for the player and one for the recorder.
func (p *proof) hub(class string) (hub, from, to string) {
	p.Helper()
	hub = p.make(class, map[string]any{})
	port := func() string {
		id, err := p.Create("HubPort", map[string]any{"hub": hub})
		if err != nil {
			p.Fatal(err)
		}
		return id
	}
	from, to = port(), port()
	p.link(p.player, from)
	p.link(to, p.to)
	return hub, from, to
}

// proofs are one for each class of Kurento's that can be created: who adds a class that answers says here how it is seen to work.
func proofs() map[string]func(*proof) {
	direct := func(p *proof) { p.link(p.player, p.to) }
	return map[string]func(*proof){
		"MediaPipeline": direct, "PlayerEndpoint": direct, "RecorderEndpoint": direct,
		"PassThrough": func(p *proof) { p.link(p.player, p.make("PassThrough", map[string]any{}), p.to) },
		"Mixer": func(p *proof) {
			hub, from, to := p.hub("Mixer")
			p.call(hub, "connect", map[string]any{"media": "AUDIO", "source": from, "sink": to})
		},
		"Composite": func(p *proof) { p.hub("Composite") },
		"HubPort":   func(p *proof) { p.hub("Composite") },
		"Dispatcher": func(p *proof) {
			hub, from, to := p.hub("Dispatcher")
			p.call(hub, "connect", map[string]any{"source": from, "sink": to})
		},
		"DispatcherOneToMany": func(p *proof) {
			hub, from, _ := p.hub("DispatcherOneToMany")
			p.call(hub, "setSource", map[string]any{"source": from})
		},
		"RtpEndpoint": func(p *proof) {
			a, b := p.make("RtpEndpoint", map[string]any{}), p.make("RtpEndpoint", map[string]any{})
			p.link(p.player, a)
			p.link(b, p.to)
			offer := text(p.mediaClient, a, "generateOffer", nil)
			text(p.mediaClient, a, "processAnswer", map[string]any{"answer": text(p.mediaClient, b, "processOffer", map[string]any{"offer": offer})})
		},
		"WebRtcEndpoint": func(p *proof) {
			browser, err := webrtctest.New(webrtctest.Config{Formats: []*media.Format{media.PCMU()}}) // that says back what it hears
			if err != nil {
				p.Fatal(err)
			}
			p.Cleanup(func() { _ = browser.Close() })
			browser.Source(media.Pad{}).Link(browser.Sink(media.Pad{}))
			e := p.make("WebRtcEndpoint", map[string]any{}, "IceCandidateFound")
			p.link(p.player, e, p.to)
			offer, err := browser.Offer(p.Context(), false)
			if err != nil {
				p.Fatal(err)
			}
			if err := browser.Accept([]byte(text(p.mediaClient, e, "processOffer", map[string]any{"offer": string(offer)}))); err != nil {
				p.Fatal(err)
			}
			p.call(e, "gatherCandidates", nil)
			found := p.until("IceCandidateFound")["candidate"].(map[string]any)
			if err := browser.AddCandidate(found["candidate"].(string)); err != nil {
				p.Fatal(err)
			}
		},
		"HttpPostEndpoint": func(p *proof) {
			e := p.make("HttpPostEndpoint", map[string]any{})
			p.link(e, p.to)
			r, err := http.Post(text(p.mediaClient, e, "getUrl", nil), "audio/wav", bytes.NewReader(p.said))
			if err != nil {
				p.Fatal(err)
			}
			_ = r.Body.Close()
		},
	}
}

// Every class of Kurento's that can be created does what it is there for: sound comes through it, as loud as it was. Those that can't be are the ones
// that decode video, or run GStreamer.
func TestEveryClassWorks(t *testing.T) {
	table, err := os.ReadFile("../../rpc/kurento/testdata/api.json")
	if err != nil {
		t.Fatal(err)
	}
	api, err := kurentotest.ReadTable(table)
	if err != nil {
		t.Fatal(err)
	}
	missing := api.Creatable(kurento.Missing())
	if got, want := slices.Sorted(maps.Keys(missing)), []string{"AlphaBlending", "FaceOverlayFilter", "GStreamerFilter", "ImageOverlayFilter", "ZBarFilter"}; !slices.Equal(got, want) {
		t.Errorf("missing are %q, want %q", got, want)
	}
	said := waveFile(60 * time.Second)
	var root string
	s := startServer(t, func(c *Config) {
		c.Tokens = nil
		root = filepath.Join(c.Node.Data, "media")
	})
	if err := errors.Join(os.MkdirAll(root, 0o700), os.WriteFile(filepath.Join(root, "said.wav"), said, 0o600)); err != nil {
		t.Fatal(err)
	}
	list := proofs()
	for name, class := range api.Classes {
		if _, no := missing[name]; !no && !class.Abstract && list[name] == nil {
			t.Errorf("nobody has seen %s work", name)
		}
	}
	t.Run("", func(t *testing.T) {
		for name, through := range list {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := &proof{mediaClient: newMediaClient(t, s), said: said, file: filepath.Join(root, name+".wav")}
				p.player = p.make("PlayerEndpoint", map[string]any{"uri": "said.wav"})
				p.to = p.make("RecorderEndpoint", map[string]any{"uri": name + ".wav"})
				p.call(p.to, "record", nil)
				p.call(p.player, "play", nil)
				through(p)
				var level float64
				for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
					if level = loudest(p.file); level > 7000 {
						break
					}
				}
				if level < 7000 || level > 8500 {
					t.Errorf("what comes through has an amplitude of %.0f, expected 8000", level)
				}
			})
		}
	})
}

// loudest is the amplitude of the tone of waveFile in the loudest fifth of a second of a recording.
func loudest(name string) (best float64) {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	if _, err := container.Open(inMemory{bytes.NewReader(b)}, name, ""); err != nil || len(b) < 100 {
		return 0
	}
	const part, period = 1600, 8
	for data := b[44:]; len(data) >= 2*part; data = data[2*part:] {
		var re, im float64
		for i := range part {
			v := float64(int16(uint16(data[2*i]) | uint16(data[2*i+1])<<8))
			re += v * math.Cos(2*math.Pi*float64(i)/period)
			im += v * math.Sin(2*math.Pi*float64(i)/period)
		}
		best = max(best, 2*math.Hypot(re, im)/part)
	}
	return best
}
