package webtest

import (
	"context"
	"encoding/json"
	"fmt"
)

// Call is a page's RTCPeerConnection, which trickles: its SDP has no candidates.
type Call struct {
	page *Page
	name string
}

// CallConfig says what a page brings to a call. The zero value is its microphone alone.
type CallConfig struct {
	Name      string         // of several in one page
	Video     bool           // offers a picture too
	Data      bool           // and a data channel
	Camera    string         // offers that one's picture, WIDTHxHEIGHT; "" = none
	Codec     string         // of the camera's pictures, the only one that is offered; "" = all that the browser has
	Layers    []Layer        // the camera's pictures are a simulcast; nil = they have one size
	Drawn     bool           // they are drawn: a browser's camera has the size of who opened it first
	Watches   bool           // brings nothing, not the microphone either: it wants to hear and see
	RelayOnly bool           // candidates that a TURN server relays, no others
	Servers   []ServerConfig // of STUN and TURN
}

// ServerConfig is an RTCIceServer of WebRTC's API (W3C webrtc 4.2.4).
type ServerConfig struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// Call makes one. The page must come from a server of this host or over HTTPS, else it gets no microphone.
func (p *Page) Call(ctx context.Context, cfg CallConfig) (*Call, error) {
	servers := cfg.Servers
	if servers == nil {
		servers = []ServerConfig{}
	}
	policy := "all"
	if cfg.RelayOnly {
		policy = "relay"
	}
	settings, err := json.Marshal(map[string]any{"iceServers": servers, "iceTransportPolicy": policy})
	if err != nil {
		return nil, err
	}
	layers, err := json.Marshal(append([]Layer{}, cfg.Layers...))
	if err != nil {
		return nil, err
	}
	c := &Call{page: p, name: "call_" + cfg.Name}
	return c, p.Eval(ctx, fmt.Sprintf(`(async () => {
		const pc = new RTCPeerConnection(%s)
		const c = window[%q] = {pc, found: [], ended: false}
		pc.onicecandidate = e => { if (e.candidate?.candidate) c.found.push(e.candidate.toJSON()); else c.ended = true }
		pc.ontrack = e => {
			if (e.track.kind === 'video') {
				const p = c.picture = {frames: 0, width: 0, height: 0, last: performance.now(), longest: 0, sizes: []}
				const frames = new MediaStreamTrackProcessor({track: e.track}).readable.getReader()
				const look = ({value, done}) => {
					if (done) return
					const now = performance.now()
					p.longest = Math.max(p.longest, now - p.last)
					p.last = now
					p.frames++
					if (value.displayWidth !== p.width || value.displayHeight !== p.height) {
						p.sizes.push({At: performance.timeOrigin + now, Width: value.displayWidth, Height: value.displayHeight})
					}
					p.width = value.displayWidth
					p.height = value.displayHeight
					value.close()
					frames.read().then(look)
				}
				frames.read().then(look)
				return
			}
			const a = document.createElement('audio')
			a.autoplay = true
			a.srcObject = new MediaStream([e.track])
			document.body.append(a)
			c.sound = a.srcObject
		}
		c.said = []
		const talk = d => {
			c.channel = d
			d.binaryType = 'arraybuffer'
			d.onmessage = e => c.said.push(typeof e.data === 'string' ? e.data : 'bytes ' + new Uint8Array(e.data).join())
		}
		pc.ondatachannel = e => talk(e.channel)
		if (%t) {
			pc.addTransceiver('audio', {direction: 'recvonly'})
			pc.addTransceiver('video', {direction: 'recvonly'})
		} else {
			const [width, height] = %q.split('x').map(Number)
			const video = width ? {width, height, frameRate: 15} : false
			const drawn = %t
			const m = await navigator.mediaDevices.getUserMedia({video: drawn ? false : video, audio: {echoCancellation: false, noiseSuppression: false, autoGainControl: false}})
			if (drawn) {
				const canvas = new OffscreenCanvas(width, height), pen = canvas.getContext('2d')
				const track = new MediaStreamTrackGenerator({kind: 'video'}), out = track.writable.getWriter()
				m.addTrack(track)
				c.drawing = setInterval(() => {
					for (let i = 0; i < 40; i++) {
						pen.fillStyle = 'hsl(' + Math.random() * 360 + ' 80%% 50%%)'
						pen.fillRect(Math.random() * width, Math.random() * height, width / 16, height / 16)
					}
					out.write(new VideoFrame(canvas, {timestamp: performance.now() * 1000})).catch(() => clearInterval(c.drawing))
				}, 66)
			}
			c.tracks = m.getTracks()
			const sendEncodings = %s
			for (const track of m.getTracks()) {
				if (track.kind === 'video' && sendEncodings.length) pc.addTransceiver(track, {streams: [m], sendEncodings})
				else pc.addTrack(track, m)
			}
			const codec = %q
			for (const t of codec ? pc.getTransceivers() : []) {
				if (t.sender.track.kind !== 'video') continue
				const all = RTCRtpReceiver.getCapabilities('video').codecs
				t.setCodecPreferences(all.filter(f => ['video/' + codec, 'video/rtx'].includes(f.mimeType)))
			}
		}
		if (%t) pc.addTransceiver('video')
		if (%t) talk(pc.createDataChannel('data'))
	})()`, settings, c.name, cfg.Watches, cfg.Camera, cfg.Drawn, layers, cfg.Codec, cfg.Video, cfg.Data), nil)
}

func (c *Call) eval(ctx context.Context, out any, format string, args ...any) error {
	return c.page.Eval(ctx, fmt.Sprintf("(async c => { %s })(window[%q])", fmt.Sprintf(format, args...), c.name), out)
}

// Offer makes an offer.
func (c *Call) Offer(ctx context.Context, restart bool) (sdp string, err error) {
	err = c.eval(ctx, &sdp, "const o = await c.pc.createOffer({iceRestart: %t}); await c.pc.setLocalDescription(o); return o.sdp", restart)
	return sdp, err
}

// Accept takes the answer to the page's offer.
func (c *Call) Accept(ctx context.Context, sdp string) error {
	return c.eval(ctx, nil, "await c.pc.setRemoteDescription({type: 'answer', sdp: %s})", quoted(sdp))
}

// Answer answers an offer.
func (c *Call) Answer(ctx context.Context, offer string) (sdp string, err error) {
	err = c.eval(ctx, &sdp, `await c.pc.setRemoteDescription({type: 'offer', sdp: %s}); const a = await c.pc.createAnswer()
		await c.pc.setLocalDescription(a); return a.sdp`, quoted(offer))
	return sdp, err
}

// Candidate is an RTCIceCandidateInit.
type Candidate struct {
	Candidate string `json:"candidate"`
	MID       string `json:"sdpMid"`
	Line      int    `json:"sdpMLineIndex"`
}

// AddCandidate takes a candidate of the other side's.
func (c *Call) AddCandidate(ctx context.Context, cand Candidate) error {
	b, err := json.Marshal(cand)
	if err != nil {
		return err
	}
	return c.eval(ctx, nil, "await c.pc.addIceCandidate(%s)", b)
}

// Found takes the candidates that the page has found since the last time. ended says that there will be no more.
func (c *Call) Found(ctx context.Context) (list []Candidate, ended bool, err error) {
	var got struct {
		List  []Candidate
		Ended bool
	}
	err = c.eval(ctx, &got, "return {List: c.found.splice(0), Ended: c.ended}")
	return got.List, got.Ended, err
}

// Connected returns when the page is connected, and an error when ctx ends before.
func (c *Call) Connected(ctx context.Context) error {
	return c.page.Wait(ctx, fmt.Sprintf("window[%q].pc.connectionState === 'connected'", c.name))
}

// Hears measures the strongest frequency that the page is sent, and its level against full scale, in dB.
func (c *Call) Hears(ctx context.Context) (hz, level float64, err error) {
	var got struct{ Hz, Level float64 }
	err = c.eval(ctx, &got, `if (!c.sound) return {Hz: 0, Level: -200}
		const context = new AudioContext()
		await context.resume()
		const analyser = new AnalyserNode(context, {fftSize: 32768, smoothingTimeConstant: 0})
		context.createMediaStreamSource(c.sound).connect(analyser)
		await new Promise(done => setTimeout(done, 1500))
		const bins = new Float32Array(analyser.frequencyBinCount), wave = new Float32Array(analyser.fftSize)
		analyser.getFloatFrequencyData(bins)
		analyser.getFloatTimeDomainData(wave)
		const top = bins.indexOf(Math.max(...bins)), power = wave.reduce((sum, x) => sum + x * x, 0) / wave.length
		const rate = context.sampleRate
		await context.close()
		return {Hz: top * rate / analyser.fftSize, Level: power > 0 ? 10 * Math.log10(2 * power) : -200}`)
	return got.Hz, got.Level, err
}

// Picture is what the page is shown: frames that it has decoded, their size, and the longest time without one since the last
// time that it was asked, in ms.
type Picture struct {
	Frames, Width, Height int
	Longest               float64
}

// Sees tells what the page is shown; of a page that is shown nothing yet it is zero.
func (c *Call) Sees(ctx context.Context) (p Picture, err error) {
	err = c.eval(ctx, &p, `const p = c.picture
		if (!p || !p.frames) return {}
		const longest = Math.max(p.longest, performance.now() - p.last)
		p.longest = 0
		return {Frames: p.frames, Width: p.width, Height: p.height, Longest: longest}`)
	return p, err
}

// Say sends a message on the data channel that was opened last.
func (c *Call) Say(ctx context.Context, text string) error {
	return c.eval(ctx, nil, "c.channel.send(%s)", quoted(text))
}

// Said are the messages that came to the page, and the state of its data channel: connecting, open…; "" = it has none.
func (c *Call) Said(ctx context.Context) (list []string, state string, err error) {
	var got struct {
		List  []string
		State string
	}
	err = c.eval(ctx, &got, "return {List: c.said, State: c.channel?.readyState ?? ''}")
	return got.List, got.State, err
}

// Pair is the pair of candidates that is used: kinds and transports, as the page sees them.
type Pair struct{ Local, Remote, Protocol string }

// Pair tells which pair of candidates is used.
func (c *Call) Pair(ctx context.Context) (p Pair, err error) {
	err = c.eval(ctx, &p, `const all = new Map(); (await c.pc.getStats()).forEach(s => all.set(s.id, s))
		const t = [...all.values()].find(s => s.type === 'transport'), p = all.get(t?.selectedCandidatePairId)
		const l = all.get(p?.localCandidateId), r = all.get(p?.remoteCandidateId)
		return {Local: l?.candidateType ?? '', Remote: r?.candidateType ?? '', Protocol: l?.protocol ?? ''}`)
	return p, err
}

// Close hangs up, and gives microphone and camera back.
func (c *Call) Close(ctx context.Context) error {
	return c.eval(ctx, nil, "c.pc.close(); clearInterval(c.drawing); for (const t of c.tracks ?? []) t.stop()")
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string is always JSON
	}
	return string(b)
}
