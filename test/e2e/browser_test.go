//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
	"github.com/patchbay/patchbay/web/webtest"
)

// webrtcPort is the one that all browsers send to (media.webrtc.port).
const webrtcPort = 8890

// softphone is the page in a headless browser whose microphone plays a tone.
type softphone struct {
	t       *testing.T
	ctx     context.Context
	browser *webtest.Browser
	page    *webtest.Page
}

func openSoftphone(t *testing.T, url string, hz float64) *softphone {
	t.Helper()
	mic := filepath.Join(peers.Folder(t), "microphone.wav")
	if err := audio.WriteWAV(mic, audio.Tone(48000, hz, toneLevel, 10)); err != nil {
		t.Fatal(err)
	}
	// The browser outlives the test, to show what the page looked like when it failed.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 100*time.Second)
	t.Cleanup(cancel)
	b, err := webtest.Start(ctx, webtest.Config{Microphone: mic, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return (&softphone{t: t, ctx: ctx, browser: b}).another(url)
}

// another is one more page in the same browser, in a profile of its own.
func (s *softphone) another(url string) *softphone {
	s.t.Helper()
	o := &softphone{t: s.t, ctx: s.ctx, browser: s.browser}
	var err error
	if o.page, err = s.browser.Open(s.ctx, url); err != nil {
		s.t.Fatal(err)
	}
	o.must(o.page.WatchConnections(o.ctx))
	s.t.Cleanup(func() {
		if s.t.Failed() {
			o.shot("failed")
			s.t.Logf("errors of the page: %q", o.page.Errors())
		}
	})
	return o
}

func (s *softphone) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *softphone) wait(expression string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 20*time.Second)
	defer cancel()
	s.must(s.page.Wait(ctx, expression))
}

// call waits for an attribute of the call in front.
func (s *softphone) call(name, value string) {
	s.t.Helper()
	s.wait(fmt.Sprintf(`document.querySelector('[data-testid=call]')?.dataset[%q] === %q`, name, value))
}

func (s *softphone) click(selector string) { s.t.Helper(); s.must(s.page.Click(s.ctx, selector)) }

func (s *softphone) login(user, password string) {
	s.t.Helper()
	s.wait(`document.getElementById('login')`)
	s.must(s.page.Fill(s.ctx, "#user", user))
	s.must(s.page.Fill(s.ctx, "#password", password))
	s.click("#login")
	s.wait(`document.getElementById('page').dataset.line === 'ready'`)
	// A level can be measured only if nobody works on it.
	s.must(s.page.Eval(s.ctx, `(e => { if (e.checked) e.click() })(document.getElementById('echo'))`, nil))
}

func (s *softphone) dial(number string) {
	s.t.Helper()
	s.must(s.page.Fill(s.ctx, "#number", number))
	s.click("#dial")
}

// screens is where pictures of the page are left, for people to look at.
const screens = "../../out/page"

// shots keeps pictures of the page at a desk's and a telephone's width, light and dark.
func (s *softphone) shots(name string) {
	s.t.Helper()
	for _, width := range []int{1280, 390} {
		for _, scheme := range []string{"light", "dark"} {
			s.must(s.page.Screen(s.ctx, width, 820, scheme == "dark"))
			time.Sleep(250 * time.Millisecond) // for bars and transitions to settle
			s.shot(fmt.Sprintf("%s-%d-%s", name, width, scheme))
		}
	}
	s.must(s.page.Screen(s.ctx, 1280, 820, false))
}

// shot keeps one picture.
func (s *softphone) shot(name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), 10*time.Second)
	defer cancel()
	b, err := s.page.Screenshot(ctx)
	if err == nil {
		err = os.MkdirAll(screens, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(screens, strings.ReplaceAll(s.t.Name(), "/", "-")+"-"+name+".png"), b, 0o644)
	}
	if err != nil {
		s.t.Logf("picture %s: %v", name, err)
	}
}

// hears measures the strongest frequency that the page plays, and its level against full scale, in dB.
func (s *softphone) hears() (hz, level float64) {
	s.t.Helper()
	var got struct{ Hz, Level float64 }
	s.must(s.page.Eval(s.ctx, `(async () => {
		const sounds = [...document.querySelectorAll('audio')].map(a => a.srcObject).filter(Boolean)
		const context = new AudioContext()
		await context.resume()
		const analyser = new AnalyserNode(context, {fftSize: 32768, smoothingTimeConstant: 0})
		for (const sound of sounds) context.createMediaStreamSource(sound).connect(analyser)
		await new Promise(done => setTimeout(done, 1500))
		const bins = new Float32Array(analyser.frequencyBinCount)
		analyser.getFloatFrequencyData(bins)
		const wave = new Float32Array(analyser.fftSize)
		analyser.getFloatTimeDomainData(wave)
		let best = 5
		for (let i = 5; i < bins.length; i++) if (bins[i] > bins[best]) best = i
		const rms = Math.sqrt(wave.reduce((sum, v) => sum + v * v, 0) / wave.length)
		const out = {Hz: best * context.sampleRate / analyser.fftSize, Level: 20 * Math.log10(rms * Math.SQRT2 + 1e-9)}
		await context.close()
		return out
	})()`, &got))
	return got.Hz, got.Level
}

// listenForDigits begins to take down the digits whose pairs of tones (ITU-T Q.23) the page plays.
func (s *softphone) listenForDigits() {
	s.t.Helper()
	s.must(s.page.Eval(s.ctx, `(async () => {
		const context = new AudioContext()
		await context.resume()
		const analyser = new AnalyserNode(context, {fftSize: 2048, smoothingTimeConstant: 0})
		for (const a of document.querySelectorAll('audio')) if (a.srcObject) context.createMediaStreamSource(a.srcObject).connect(analyser)
		const wave = new Float32Array(analyser.fftSize)
		const level = hz => { // of a tone, against full scale, in dB
			let re = 0, im = 0
			for (let i = 0; i < wave.length; i++) {
				const v = wave[i] * (1 - Math.cos(2 * Math.PI * i / wave.length)), turn = 2 * Math.PI * hz * i / context.sampleRate
				re += v * Math.cos(turn); im += v * Math.sin(turn)
			}
			return 20 * Math.log10(2 * Math.hypot(re, im) / wave.length + 1e-9)
		}
		const strongest = list => { // the one tone that stands out
			const levels = list.map(level), best = Math.max(...levels), i = levels.indexOf(best)
			return best > -40 && levels.every((v, j) => j === i || v < best - 12) ? i : -1
		}
		window.digits = ''
		let before = '', at = 0
		setInterval(() => {
			analyser.getFloatTimeDomainData(wave)
			const row = strongest([697, 770, 852, 941]), column = strongest([1209, 1336, 1477])
			const now = row >= 0 && column >= 0 ? '123456789*0#'[3 * row + column] : ''
			if (now === '') return
			// A jitter buffer may stretch a short tone, with a seam in it; the next digit is further off.
			if (now !== before || performance.now() - at > 150) window.digits += now
			before = now
			at = performance.now()
		}, 20)
	})()`, nil))
}

// heardDigits is what listenForDigits took down so far.
func (s *softphone) heardDigits() (digits string) {
	s.t.Helper()
	s.must(s.page.Eval(s.ctx, `window.digits`, &digits))
	return digits
}

// toneAt waits until half a second after from, and measures a tone in what reached a phone in that half second.
func toneAt(c *peers.Capture, who *peers.Baresip, hz float64, from time.Time) float64 {
	time.Sleep(time.Until(from.Add(600 * time.Millisecond)))
	streams := peers.Streams(c.Packets(), func(p peers.Packet) bool {
		return who.Hears(p) && !p.At.Before(from) && p.At.Before(from.Add(500*time.Millisecond))
	})
	if len(streams) == 0 {
		return math.Inf(-1)
	}
	return audio.Level(streams[0].Clip(), hz)
}

// toneBack measures like toneAt, again while the level isn't the one that was sent: a browser on a busy machine pauses.
func toneBack(c *peers.Capture, who *peers.Baresip, hz float64, from time.Time) (level float64) {
	for range 6 {
		if level = toneAt(c, who, hz, from); math.Abs(level-toneLevel) <= 2 {
			break
		}
		from = time.Now()
	}
	return level
}

// A browser with our page calls through a trunk that is registered at Kamailio to a desk phone: both tones arrive, in
// the phone's own codec from end to end.
func TestBrowserToTrunk(t *testing.T) {
	addr := address(t)
	capture := peers.StartCapture(t)
	k := peers.StartKamailio(t, peers.KamailioConfig{Users: map[string]string{"trunk": "carried", "bob": "builder"},
		Numbers: map[string]peers.Number{"4930111": {Target: "bob"}}})
	bob := peers.StartBaresip(t, peers.BaresipConfig{User: "bob", Password: "builder", Domain: "test.local", Proxy: k.SIP.String(), Codecs: "PCMU/8000/1",
		Audio: audio.Tone(8000, 880, toneLevel, 60)})
	g := startGateway(t, addr, settings{
		users:  "  - {id: alice, password: wonder-land-1, numbers: [\"+4930100\"]}\n",
		trunks: fmt.Sprintf("  - {id: telco, mode: register, registrar: \"%s\", domain: test.local, user: trunk, password: carried}\n", k.SIP),
		routes: "  - {id: out, source: user, number: \"*\", to: [{trunk: telco}]}\n",
	})
	peers.Wait(t, 5*time.Second, "the trunk to register", func() bool { return len(k.Registered(t, "trunk")) == 1 })
	alice := openSoftphone(t, fmt.Sprintf("http://%s:8888/", addr), 440)
	alice.login("alice", "wonder-land-1")
	alice.shots("idle")

	alice.dial("4930111")
	bob.Expect(t, "CALL_INCOMING", 10*time.Second)
	bob.Accept(t)
	bob.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	alice.call("state", "talking")
	alice.call("codec", "PCMU")
	from := time.Now()
	time.Sleep(3 * time.Second)
	if hz, level := alice.hears(); math.Abs(hz-880) > 5 || math.Abs(level-toneLevel) > 1.5 {
		t.Errorf("the page plays %.1f Hz at %.2f dBFS, expected 880 Hz at %g", hz, level, toneLevel)
	} else {
		t.Logf("the page plays %.1f Hz at %.2f dBFS", hz, level)
	}
	alice.shots("call")
	if rest := 6*time.Second - time.Since(from); rest > 0 {
		time.Sleep(rest)
	}
	to := time.Now()

	alice.click("#pad")
	for _, key := range "159#" {
		alice.click(fmt.Sprintf(`[data-testid="key-%c"]`, key))
	}
	if !eventually(5*time.Second, func() bool { return bob.DTMF() == "159#" }) {
		t.Errorf("bob got the digits %q, expected 159#", bob.DTMF())
	}
	alice.click("#pad")
	// Digits of the phone come as telephone-events; the browser plays what they stand for.
	bob.Command(t, "mute", "")
	alice.listenForDigits()
	for _, key := range "38*" {
		time.Sleep(400 * time.Millisecond)
		bob.SendDTMF(t, string(key))
	}
	if got := ""; !eventually(3*time.Second, func() bool { got = alice.heardDigits(); return got == "38*" }) {
		t.Errorf("the page played the digits %q, expected 38*", got)
	}
	bob.Command(t, "mute", "")
	alice.click("#hold")
	alice.call("held", "true")
	// A browser on hold goes on sending, but nothing of what is said.
	if level := toneAt(capture, bob, 440, time.Now().Add(700*time.Millisecond)); level > toneLevel-40 {
		t.Errorf("on hold bob hears 440 Hz at %.1f dBFS, expected silence", level)
	}
	alice.click("#hold")
	alice.call("held", "false")
	if level := toneBack(capture, bob, 440, time.Now().Add(time.Second)); math.Abs(level-toneLevel) > 2 {
		t.Errorf("resumed: bob hears 440 Hz at %.1f dBFS, expected %g", level, toneLevel)
	}
	alice.click("#mute")
	alice.call("muted", "true")
	if level := toneAt(capture, bob, 440, time.Now().Add(500*time.Millisecond)); level > toneLevel-40 {
		t.Errorf("muted: bob hears 440 Hz at %.1f dBFS, expected silence", level)
	}
	alice.click("#hangup")
	bob.Expect(t, "CALL_CLOSED", 5*time.Second)
	capture.Stop(t)
	said := func(p peers.Packet) bool { return p.Dst.Addr() == addr && p.Dst.Port() == webrtcPort }
	arrived(t, bob, capture, said, from.Add(500*time.Millisecond), to, 440, 880, audio.MuLaw)

	if rows := g.records(t, 1); len(rows) == 1 {
		if got, want := recordOf(rows[0]), (record{"closed", "caller", 200, 16}); got != want {
			t.Errorf("the record says %+v, expected %+v", got, want)
		}
		if rows[0]["transcoded"] != false {
			t.Errorf("the record says transcoded %v, expected PCMU to pass through", rows[0]["transcoded"])
		}
	}
	for _, l := range g.db.Query(t, "select kind, srtp, codec_rx from patchbay.leg where role = 'caller'") {
		if l["kind"] != "webrtc" || l["srtp"] != "dtls" {
			t.Errorf("the browser's leg is on record as %v with SRTP %v, expected webrtc with dtls", l["kind"], l["srtp"])
		}
	}
}

// Somebody calls a number whose user is at a desk phone and at two browsers: all ring, the first to answer wins, the others
// hear that it was answered elsewhere. A page that is closed in the call ends it.
func TestBrowserCalled(t *testing.T) {
	addr := address(t)
	capture := peers.StartCapture(t)
	g := startGateway(t, addr, settings{
		users: "  - {id: alice, password: wonder-land-1, numbers: [\"100\"], codecs: [opus, PCMU]}\n  - {id: carol, password: christmas-2, numbers: [\"102\"]}\n",
	})
	url := fmt.Sprintf("http://%s:8888/", addr)
	desk := peers.StartBaresip(t, peers.BaresipConfig{User: "alice", Password: "wonder-land-1", Domain: "test.local", Proxy: g.sip.String(), Codecs: "PCMU/8000/1",
		Audio: audio.Tone(8000, 660, toneLevel, 60)})
	carol := peers.StartBaresip(t, peers.BaresipConfig{User: "carol", Password: "christmas-2", Domain: "test.local", Proxy: g.sip.String(), Codecs: "PCMU/8000/1",
		Audio: audio.Tone(8000, 880, toneLevel, 60)})
	first, second := openSoftphone(t, url, 440), openSoftphone(t, url, 440)
	first.login("alice", "wonder-land-1")
	second.login("alice", "wonder-land-1")

	carol.Dial(t, "sip:100@test.local")
	desk.Expect(t, "CALL_INCOMING", 10*time.Second)
	first.call("state", "incoming")
	second.call("state", "incoming")
	first.click("#accept")
	second.call("ending", "Answered elsewhere") // shown for some seconds only
	carol.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	first.call("state", "talking")
	first.wait(`document.querySelector("[data-testid=call]")?.dataset.codec?.toLowerCase() === "opus"`) // what this user prefers, whatever the far side speaks
	desk.Expect(t, "CALL_CLOSED", 5*time.Second)
	time.Sleep(2 * time.Second)
	if hz, level := first.hears(); math.Abs(hz-880) > 5 || math.Abs(level-toneLevel) > 1.5 {
		t.Errorf("the page plays %.1f Hz at %.2f dBFS, expected 880 Hz at %g", hz, level, toneLevel)
	}
	// The browser's Opus is PCMU at the phone.
	if level := toneBack(capture, carol, 440, time.Now()); math.Abs(level-toneLevel) > 2 {
		t.Errorf("carol hears 440 Hz at %.2f dBFS, expected %g", level, toneLevel)
	} else {
		t.Logf("carol hears 440 Hz at %.2f dBFS, of the browser's Opus", level)
	}
	s := time.Now()
	first.must(first.page.Close(first.ctx))
	carol.Expect(t, "CALL_CLOSED", 15*time.Second)
	capture.Stop(t)
	t.Logf("closing the page ended the call after %v", time.Since(s).Round(time.Millisecond))
	if rows := g.records(t, 1); len(rows) == 1 && rows[0]["transcoded"] != true {
		t.Errorf("the record says transcoded %v, expected Opus to PCMU", rows[0]["transcoded"])
	}
	legs := g.db.Query(t, "select kind, q850, hung_up from patchbay.leg where role = 'callee' order by leg_no")
	elsewhere := 0
	for _, l := range legs {
		if fmt.Sprint(l["q850"]) == "26" {
			elsewhere++
		}
	}
	if len(legs) != 3 || elsewhere != 2 {
		t.Errorf("%d attempts on record, %d answered elsewhere, expected 3 and 2: %v", len(legs), elsewhere, legs)
	}
}
