//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
	"github.com/patchbay/patchbay/web/webtest"
)

// rpcPage is a page's call with a WebRtcEndpoint, and the client that carries what they say to each other.
type rpcPage struct {
	t        *testing.T
	ctx      context.Context
	client   *rpcClient
	endpoint string
	page     *webtest.Call
	carried  int // events of the client's that were looked at
}

func (p *rpcPage) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// calls lets the page offer: the answer has no candidates.
func (p *rpcPage) calls() {
	p.t.Helper()
	offer, err := p.page.Offer(p.ctx, false)
	p.must(err)
	answer := p.client.invoked(p.t, p.endpoint, "processOffer", o{"offer": offer})
	if strings.Contains(answer, "a=candidate") {
		p.t.Errorf("the answer has candidates before they are gathered:\n%s", answer)
	}
	p.must(p.page.Accept(p.ctx, answer))
}

// connects gathers, and carries candidates both ways until the page is connected. only says which of ours the page is told.
func (p *rpcPage) connects(only func(string) bool) {
	p.t.Helper()
	p.client.invoke(p.t, p.endpoint, "gatherCandidates", nil)
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.page.Connected(ctx) }()
	for {
		select {
		case err := <-done:
			p.must(err)
			return
		case <-time.After(50 * time.Millisecond):
		}
		list, _, err := p.page.Found(ctx)
		p.must(err)
		for _, c := range list {
			p.client.invoke(p.t, p.endpoint, "addIceCandidate", o{"candidate": o{"candidate": c.Candidate, "sdpMid": c.MID, "sdpMLineIndex": c.Line}})
		}
		for _, c := range p.found() {
			if only == nil || only(c.Candidate) {
				p.must(p.page.AddCandidate(ctx, c))
			}
		}
	}
}

// found are the endpoint's candidates that were told since the last time.
func (p *rpcPage) found() []webtest.Candidate {
	p.client.mu.Lock()
	defer p.client.mu.Unlock()
	var out []webtest.Candidate
	for ; p.carried < len(p.client.events); p.carried++ {
		e := p.client.events[p.carried]
		if c, ok := e.Data["candidate"].(o); ok && e.Object == p.endpoint {
			out = append(out, webtest.Candidate{Candidate: c["candidate"].(string), MID: c["sdpMid"].(string), Line: int(c["sdpMLineIndex"].(float64))})
		}
	}
	return out
}

// hears asserts the tone of the microphones, or silence.
func (p *rpcPage) hears(tone bool) {
	p.t.Helper()
	var hz, level float64
	for range 8 {
		var err error
		hz, level, err = p.page.Hears(p.ctx)
		p.must(err)
		loud := hz > iceTone-5 && hz < iceTone+5 && level > -14 && level < -6
		if tone && loud || !tone && level < -60 {
			return
		}
	}
	p.t.Errorf("the page hears %.0f Hz at %.1f dB; expected the tone: %t", hz, level, tone)
}

// Two browsers hear each other through two endpoints that a program has connected: one directly, one by a relay; then the
// program has ICE restarted.
func TestRpcBrowsers(t *testing.T) {
	g, turn := startRPC(t, ""), peers.StartCoturn(t)
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
	defer cancel()
	mic := filepath.Join(peers.Folder(t), "microphone.wav")
	if err := audio.WriteWAV(mic, audio.Tone(48000, iceTone, -10, 10)); err != nil {
		t.Fatal(err)
	}
	b, err := webtest.Start(ctx, webtest.Config{Microphone: mic})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>call</title><body></body>"))
	}))
	defer site.Close()
	c := openRPC(t, g.url)
	pipe := c.create(t, "MediaPipeline", o{})
	open := func(cfg webtest.CallConfig) *rpcPage {
		p := &rpcPage{t: t, ctx: ctx, client: c, endpoint: c.create(t, "WebRtcEndpoint", o{"mediaPipeline": pipe})}
		for _, e := range []string{"IceCandidateFound", "IceComponentStateChanged", "NewCandidatePairSelected", "DtlsConnectionStateChange"} {
			c.value(t, "subscribe", o{"object": p.endpoint, "type": e})
		}
		page, err := b.Open(ctx, site.URL)
		p.must(err)
		p.page, err = page.Call(ctx, cfg)
		p.must(err)
		return p
	}
	direct := open(webtest.CallConfig{})
	relayed := open(webtest.CallConfig{RelayOnly: true, Video: true, Servers: []webtest.ServerConfig{
		{URLs: []string{"turn:" + turn.At.String() + "?transport=udp"}, Username: turn.User, Credential: turn.Password}}})
	c.invoke(t, relayed.endpoint, "setStunServerAddress", o{"stunServerAddress": turn.At.Addr().String()})
	c.invoke(t, relayed.endpoint, "setTurnUrl", o{"turnUrl": fmt.Sprintf("%s:%s@%s?transport=udp", turn.User, turn.Password, turn.At)})
	for _, p := range []*rpcPage{direct, relayed} {
		p.calls()
	}
	direct.connects(nil)
	relayed.connects(func(v string) bool { return strings.Contains(v, "typ relay") })
	if p, err := relayed.page.Pair(ctx); err != nil || p.Local != "relay" || p.Remote != "relay" {
		t.Errorf("the pair is %+v, %v; expected relays on both sides", p, err)
	}
	c.invoke(t, direct.endpoint, "connect", o{"sink": relayed.endpoint})
	relayed.hears(true)
	direct.hears(false)
	c.invoke(t, relayed.endpoint, "connect", o{"sink": direct.endpoint, "mediaType": "AUDIO"})
	direct.hears(true)

	c.invoke(t, direct.endpoint, "renegotiate", o{"iceRestart": true})
	offer := c.invoked(t, direct.endpoint, "generateOffer", o{"options": o{"offerToReceiveVideo": false}})
	answer, err := direct.page.Answer(ctx, offer)
	direct.must(err)
	c.invoke(t, direct.endpoint, "processAnswer", o{"answer": answer})
	direct.hears(true)
	relayed.hears(true)
}

// invoked is a text that an operation returns.
func (c *rpcClient) invoked(t testing.TB, object, operation string, params o) string {
	t.Helper()
	var s string
	if err := json.Unmarshal(c.invoke(t, object, operation, params), &s); err != nil {
		t.Fatal(err)
	}
	return s
}
