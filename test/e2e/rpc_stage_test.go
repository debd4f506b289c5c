//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
	"github.com/patchbay/patchbay/web/webtest"
)

// appToken is the one of the examples.
const appToken = "an-example-token-of-32-characters"

const rpcTokens = `tokens: [{id: examples, secret: "` + appToken + `", roles: control}]
`

const (
	pageTone  = 440.0 // Hz, what each page's microphone hears
	bobTone   = 880.0
	carolTone = 660.0
)

// stage is what the examples play on: a gateway with two phones, and a browser.
type stage struct {
	*gateway
	capture    *peers.Capture
	bob, carol *peers.Baresip
	browser    *webtest.Browser
	web        netip.AddrPort // of the example's own server
	calls      int            // on record so far
}

func setStage(t *testing.T) *stage {
	t.Helper()
	addr := address(t)
	s := &stage{capture: peers.StartCapture(t), web: netip.AddrPortFrom(addr, 8080)}
	s.gateway = startGateway(t, addr, settings{
		users:  "  - {id: bob, password: builder-site-2, numbers: [\"100\"]}\n  - {id: carol, password: christmas-2, numbers: [\"102\"]}\n",
		more:   rpcTokens + "apps: [{id: page}, {id: monitor}, {id: conference}]\n",
		routes: "  - {id: to-page, number: \"700\", to: [{app: page}]}\n  - {id: to-monitor, number: \"701\", to: [{app: monitor}]}\n  - {id: to-conference, number: \"702\", to: [{app: conference}]}\n",
	})
	s.bob, s.carol = s.phone(t, "bob", "builder-site-2", bobTone), s.phone(t, "carol", "christmas-2", carolTone)
	mic := filepath.Join(peers.Folder(t), "microphone.wav")
	if err := audio.WriteWAV(mic, audio.Tone(48000, pageTone, toneLevel, 10)); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.browser, err = webtest.Start(t.Context(), webtest.Config{Microphone: mic}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.browser.Close() })
	return s
}

func (s *stage) phone(t *testing.T, user, password string, hz float64) *peers.Baresip {
	return peers.StartBaresip(t, peers.BaresipConfig{User: user, Password: password, Domain: "test.local", Proxy: s.sip.String(), Codecs: "PCMU/8000/1",
		Audio: audio.Tone(8000, hz, toneLevel, 60)})
}

// example starts one of docs/examples.
func (s *stage) example(t *testing.T, script, ready string, args ...string) *peers.Process {
	t.Helper()
	return peers.StartNode(t, peers.NodeConfig{Name: script, Dir: examples(t), Script: script + ".js", Args: args, Ready: ready,
		Env: []string{"PATCHBAY_URL=ws://" + netip.AddrPortFrom(s.addr, 8888).String() + "/kurento", "PATCHBAY_TOKEN=" + appToken,
			"HOST=" + s.web.Addr().String(), fmt.Sprintf("PORT=%d", s.web.Port())}})
}

// passes asserts that media flows out of so many of the pipelines' elements, and that none converts it.
func (s *stage) passes(t *testing.T, elements int) {
	t.Helper()
	c := openRPC(t, "ws://"+netip.AddrPortFrom(s.addr, 8888).String()+"/kurento?access_token="+appToken)
	var pipelines []string
	if err := json.Unmarshal(c.invoke(t, manager, "getPipelines", o{}), &pipelines); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, p := range pipelines {
		var children []string
		if err := json.Unmarshal(c.invoke(t, p, "getChildren", o{}), &children); err != nil {
			t.Fatal(err)
		}
		for _, e := range children {
			var flows, converted bool
			for op, v := range map[string]*bool{"isMediaFlowingOut": &flows, "isMediaTranscoding": &converted} {
				if err := json.Unmarshal(c.invoke(t, e, op, o{"mediaType": "AUDIO"}), v); err != nil {
					t.Fatal(err)
				}
			}
			if flows {
				seen++
			}
			if converted {
				t.Errorf("what flows out of %s is converted; expected it to pass through", e)
			}
		}
	}
	if seen != elements {
		t.Errorf("media flows out of %d elements of %v, expected %d", seen, pipelines, elements)
	}
}

// open opens the example's page.
func (s *stage) open(t *testing.T) *softphone {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	p := &softphone{t: t, ctx: ctx}
	var err error
	if p.page, err = s.browser.Open(ctx, fmt.Sprintf("http://%s/", s.web)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			p.shot("failed")
			t.Logf("errors of the page: %q", p.page.Errors())
		}
	})
	// A tone is what those would take away.
	p.must(p.page.Eval(ctx, `{
		const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices)
		navigator.mediaDevices.getUserMedia = () => open({audio: {echoCancellation: false, noiseSuppression: false, autoGainControl: false}})
	}`, nil))
	p.state("ready")
	return p
}

// state waits until the page says so.
func (s *softphone) state(text string) {
	s.t.Helper()
	s.wait(fmt.Sprintf(`document.getElementById('state').textContent.includes(%q)`, text))
}

// plays measures how loud a tone is in what the page plays, in dB against full scale.
func (s *softphone) plays(hz ...float64) []float64 {
	s.t.Helper()
	var got []float64
	s.must(s.page.Eval(s.ctx, fmt.Sprintf(`(async () => {
		const sounds = [...document.querySelectorAll('audio')].map(a => a.srcObject).filter(Boolean)
		const context = new AudioContext()
		await context.resume()
		const analyser = new AnalyserNode(context, {fftSize: 32768, smoothingTimeConstant: 0})
		for (const sound of sounds) context.createMediaStreamSource(sound).connect(analyser)
		await new Promise(done => setTimeout(done, 1500))
		const wave = new Float32Array(analyser.fftSize)
		analyser.getFloatTimeDomainData(wave)
		const out = %s.map(hz => {
			let a = 0, b = 0
			wave.forEach((v, i) => {
				const window = 1 - Math.cos(2 * Math.PI * i / wave.length), phase = 2 * Math.PI * hz * i / context.sampleRate
				a += v * window * Math.cos(phase)
				b += v * window * Math.sin(phase)
			})
			return 20 * Math.log10(2 * Math.hypot(a, b) / wave.length + 1e-9)
		})
		await context.close()
		return out
	})()`, strings.ReplaceAll(fmt.Sprint(hz), " ", ",")), &got))
	return got
}

// hearsAll holds what a page plays to the tones that it should, and to one that it shouldn't.
func (s *softphone) hearsAll(not float64, hz ...float64) {
	s.t.Helper()
	levels := s.plays(append(hz, not)...)
	s.t.Logf("the page plays %v Hz at %.2f dBFS, and %g Hz at %.2f", hz, levels[:len(hz)], not, levels[len(hz)])
	for i, level := range levels[:len(hz)] {
		if math.Abs(level-toneLevel) > 2 {
			s.t.Errorf("the page plays %g Hz at %.2f dBFS, expected %g ± 2", hz[i], level, toneLevel)
		}
	}
	if level := levels[len(hz)]; level > toneLevel-crosstalk+10 {
		s.t.Errorf("the page plays %g Hz at %.2f dBFS, expected %g at most", not, level, toneLevel-crosstalk+10)
	}
}

// pageHeard holds what reached a phone of a page's microphone to its tone. It comes from Opus, at the browser's pace: a busy
// machine leaves gaps in it, so the best second counts.
func (s *stage) pageHeard(t *testing.T, who *peers.Baresip, from, to time.Time, own float64) {
	t.Helper()
	stream, ok := reached(t, who, s.capture, from, to)
	if !ok {
		return
	}
	clip := stream.Clip()
	best := math.Inf(-1)
	for at := 0.0; at+1 <= clip.Seconds(); at += 0.5 {
		part := clip.Cut(at, 1)
		if level := audio.Level(part, pageTone); math.Abs(level-toneLevel) < math.Abs(best-toneLevel) && audio.Level(part, own) < level-crosstalk+10 {
			best = level
		}
	}
	t.Logf("%s: %g Hz at %.2f dBFS in the best second of %.1f", who.User, pageTone, best, clip.Seconds())
	if math.Abs(best-toneLevel) > 2 {
		t.Errorf("%s: %g Hz at %.2f dBFS in the best second, expected %g ± 2, and %g Hz %g dB below", who.User, pageTone, best, toneLevel, own, crosstalk-10)
	}
}

// recorded waits for so many calls more on record, ended, and checks the newest of them.
func (s *stage) recorded(t *testing.T, more int) []map[string]any {
	t.Helper()
	s.calls += more
	rows := s.records(t, s.calls)
	rows = rows[min(len(rows), s.calls-more):]
	for _, r := range rows {
		if got := recordOf(r); got.status != 200 || got.cause != 16 {
			t.Errorf("the record says %+v, expected status 200 and cause 16", got)
		}
		if r["origin"] != "jsonrpc" && r["session_id"] == nil {
			t.Errorf("the record has origin %v and session %v, expected an application's", r["origin"], r["session_id"])
		}
	}
	return rows
}
