//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/media/webrtc"
	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
	"github.com/patchbay/patchbay/web/webtest"
)

// iceTone is what the pages' microphones hear, Hz.
const iceTone = 660

// iceRoom is a browser, and a port that it can reach.
type iceRoom struct {
	t       *testing.T
	ctx     context.Context
	browser *webtest.Browser
	url     string
	port    *webrtc.Port
}

func openIceRoom(t *testing.T) *iceRoom {
	t.Helper()
	r := &iceRoom{t: t}
	var cancel func()
	r.ctx, cancel = context.WithTimeout(t.Context(), 150*time.Second)
	t.Cleanup(cancel)
	mic := filepath.Join(peers.Folder(t), "microphone.wav")
	if err := audio.WriteWAV(mic, audio.Tone(48000, iceTone, -10, 10)); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.browser, err = webtest.Start(r.ctx, webtest.Config{Microphone: mic}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.browser.Close() })
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>call</title><body></body>"))
	}))
	t.Cleanup(page.Close)
	r.url = page.URL
	n, err := udp.New(udp.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	if r.port, err = webrtc.NewPort(webrtc.PortConfig{Net: n, Bind: []netip.AddrPort{at}, Streams: []netip.AddrPort{at}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.port.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *iceRoom) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// iceCall is one call of a page's with an endpoint that sends back what it hears.
type iceCall struct {
	*iceRoom
	page     *webtest.Call
	endpoint *webrtc.Endpoint
	events   chan webrtc.Event
}

func (r *iceRoom) call(cfg webtest.CallConfig, change func(*webrtc.Config)) *iceCall {
	r.t.Helper()
	p, err := r.browser.Open(r.ctx, r.url)
	r.must(err)
	c := &iceCall{iceRoom: r, events: make(chan webrtc.Event, 200)}
	c.page, err = p.Call(r.ctx, cfg)
	r.must(err)
	ec := webrtc.Config{Port: r.port, Trickle: true, Key: webrtc.RSA, Watch: func(e webrtc.Event) { c.events <- e }, Name: "call"}
	if change != nil {
		change(&ec)
	}
	c.endpoint, err = webrtc.New(ec)
	r.must(err)
	r.t.Cleanup(func() {
		if err := c.endpoint.Close(); err != nil {
			r.t.Error(err)
		}
	})
	zero := media.Pad{}
	c.endpoint.Source(zero).Link(c.endpoint.Sink(zero))
	return c
}

// offers lets the page offer and the endpoint answer.
func (c *iceCall) offers(restart bool) string {
	c.t.Helper()
	offer, err := c.page.Offer(c.ctx, restart)
	c.must(err)
	p, err := c.endpoint.Answer(c.ctx, []byte(offer), media.Want{Formats: []*media.Format{media.PCMU()}})
	c.must(err)
	c.must(p.Commit())
	c.must(c.page.Accept(c.ctx, string(p.SDP())))
	return string(p.SDP())
}

// offered lets the endpoint offer and the page answer.
func (c *iceCall) offered() {
	c.t.Helper()
	o, err := c.endpoint.Offer(c.ctx, media.Want{Formats: []*media.Format{media.PCMU()}, Video: true})
	c.must(err)
	answer, err := c.page.Answer(c.ctx, string(o.SDP()))
	c.must(err)
	c.must(o.Accept("", []byte(answer)))
	c.must(o.Commit(""))
}

// connects carries candidates both ways until the page is connected. only says which of ours the page is told.
func (c *iceCall) connects(only func(string) bool) {
	c.t.Helper()
	c.must(c.endpoint.Gather())
	ctx, cancel := context.WithTimeout(c.ctx, 30*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.page.Connected(ctx) }()
	for {
		select {
		case e := <-c.events:
			if f, ok := e.(webrtc.CandidateFound); ok && (only == nil || only(f.Candidate)) {
				c.must(c.page.AddCandidate(ctx, webtest.Candidate{Candidate: f.Candidate, MID: f.MID, Line: f.Line}))
			}
		case err := <-done:
			c.must(err)
			return
		case <-time.After(100 * time.Millisecond):
			list, _, err := c.page.Found(ctx)
			c.must(err)
			for _, f := range list {
				c.must(c.endpoint.AddCandidate(f.Candidate, f.MID, f.Line))
			}
		}
	}
}

// echoes asserts that the page hears its own microphone back.
func (c *iceCall) echoes() {
	c.t.Helper()
	var hz, level float64
	for range 6 {
		var err error
		hz, level, err = c.page.Hears(c.ctx)
		c.must(err)
		if hz > iceTone-5 && hz < iceTone+5 && level > -14 && level < -6 {
			return
		}
	}
	c.t.Errorf("the page hears %.0f Hz at %.1f dB, expected its own %d Hz at -10", hz, level, iceTone)
}

func (c *iceCall) pair() webtest.Pair {
	c.t.Helper()
	p, err := c.page.Pair(c.ctx)
	c.must(err)
	return p
}

// A browser connects over UDP, TCP and a relay, with candidates told one by one, whoever offers, on either stack; a restart
// in mid-call is heard by nobody.
func TestIce(t *testing.T) {
	r := openIceRoom(t)
	turn := peers.StartCoturn(t)
	at := turn.At.String()
	relay := []webtest.ServerConfig{{URLs: []string{"turn:" + at + "?transport=udp"}, Username: turn.User, Credential: turn.Password}}
	t.Run("own stack", func(t *testing.T) {
		c := r.on(t).call(webtest.CallConfig{}, nil)
		c.offers(false)
		c.connects(nil)
		c.echoes()
		if p := c.pair(); p.Protocol != "udp" {
			t.Errorf("the pair is %+v", p)
		}
		c.offers(true)
		c.connects(nil)
		c.echoes()
	})
	t.Run("full ICE on UDP", func(t *testing.T) {
		c := r.on(t).call(webtest.CallConfig{}, func(c *webrtc.Config) { c.ICE.STUN = at })
		c.offers(false)
		c.connects(nil)
		c.echoes()
		if p := c.pair(); p.Protocol != "udp" {
			t.Errorf("the pair is %+v", p)
		}
		c.offers(true)
		c.connects(nil)
		c.echoes()
	})
	t.Run("our offer", func(t *testing.T) {
		for _, stun := range []string{"", at} {
			c := r.on(t).call(webtest.CallConfig{}, func(c *webrtc.Config) { c.ICE.STUN = stun })
			c.offered()
			c.connects(nil)
			c.echoes()
		}
	})
	t.Run("TCP only", func(t *testing.T) {
		c := r.on(t).call(webtest.CallConfig{Data: true}, nil)
		c.offers(false)
		c.connects(func(v string) bool { return strings.Contains(v, "tcptype passive") })
		c.echoes()
		if p := c.pair(); p.Protocol != "tcp" {
			t.Errorf("the pair is %+v, expected TCP", p)
		}
	})
	t.Run("the browser's relay only", func(t *testing.T) {
		c := r.on(t).call(webtest.CallConfig{RelayOnly: true, Servers: relay}, func(c *webrtc.Config) { c.Stack = webrtc.PeerConnection })
		c.offers(false)
		c.connects(nil)
		c.echoes()
		if p := c.pair(); p.Local != "relay" {
			t.Errorf("the pair is %+v, expected a relay at the browser", p)
		}
	})
	for _, transport := range []string{"udp", "tcp"} {
		t.Run("our relay only, "+transport, func(t *testing.T) {
			c := r.on(t).call(webtest.CallConfig{RelayOnly: true, Servers: relay}, func(c *webrtc.Config) {
				c.ICE.TURN = webrtc.TURN{Address: at, Transport: transport, User: turn.User, Password: turn.Password}
			})
			c.offers(false)
			c.connects(func(v string) bool { return strings.Contains(v, "typ relay") })
			c.echoes()
			if p := c.pair(); p.Local != "relay" || p.Remote != "relay" {
				t.Errorf("the pair is %+v, expected relays on both sides", p)
			}
		})
	}
	t.Run("with video and data", func(t *testing.T) {
		c := r.on(t).call(webtest.CallConfig{Video: true, Data: true}, nil)
		answer := c.offers(false)
		if !strings.Contains(answer, "a=group:BUNDLE 0\r\n") || strings.Count(answer, "\r\nm=") != 3 || bytes.Count([]byte(answer), []byte(" 0 UDP/")) != 2 {
			t.Errorf("the answer doesn't refuse video and data alone:\n%s", answer)
		}
		c.connects(nil)
		c.echoes()
	})
}

// on is the room for a subtest.
func (r *iceRoom) on(t *testing.T) *iceRoom {
	s := *r
	s.t = t
	return &s
}
