package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/cmd/patchbay/phone"
	"github.com/patchbay/patchbay/gateway/call"
)

// ben's phone answers the next call and hears what the browser plays.
func (s *running) answers(t *testing.T, codecs ...string) <-chan phone.Result {
	t.Helper()
	p, err := phone.New(t.Context(), phone.Config{Server: s.sip.String(), User: "ben", Password: "ben-secret", Codecs: codecs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := p.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	sound, err := phone.ParseSound("tone:700@-12")
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan phone.Result, 1)
	go func() {
		r, err := p.Answer(t.Context(), phone.Plan{Play: sound})
		if err != nil {
			t.Errorf("ben: %v", err)
		}
		out <- r
	}()
	return out
}

// A browser without a window calls a phone: relayed where both have G.711, transcoded where the browser's user prefers Opus.
func TestCallFromBrowser(t *testing.T) {
	s := startServer(t)
	for _, c := range []struct {
		user, codec string
		within      float64 // dB
	}{{"anna", "PCMU/8000", 0.3}, {"cora", "OPUS/48000/2", 1.5}} {
		t.Run(c.codec, func(t *testing.T) {
			heard := s.answers(t, "pcmu")
			args := "call 402 --browser --user " + c.user + " --password " + c.user + "-secret --play tone:440@-10 --dtmf 42 --duration 4s --json --http " + s.plain
			out, err := command(t.Context(), strings.Fields(args)...)
			var r phone.Result
			if err != nil || json.Unmarshal([]byte(out), &r) != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			ben := <-heard
			if r.Codec != c.codec || !strings.Contains(r.Cipher, "AEAD_AES_128_GCM") || r.SetUp <= 0 || r.Remote.Port() != s.cfg.Media.WebRTC.Port {
				t.Errorf("the browser has %s, %q after %.0f ms, and sends to %s; expected %s and the shared port %d", r.Codec, r.Cipher, r.SetUp, r.Remote, c.codec, s.cfg.Media.WebRTC.Port)
			}
			if ben.Codec != "PCMU/8000" || ben.Cipher != "" || ben.Digits != "42" {
				t.Errorf("ben has %s, %q and hears the digits %q", ben.Codec, ben.Cipher, ben.Digits)
			}
			if h := r.Heard.Strongest; math.Abs(h.Hz-700) > 2 || math.Abs(h.Level+12) > c.within {
				t.Errorf("the browser hears %+v, expected 700 Hz at -12 dBm0", h)
			}
			if h := ben.Heard.Strongest; math.Abs(h.Hz-440) > 2 || math.Abs(h.Level+10) > c.within {
				t.Errorf("ben hears %+v, expected 440 Hz at -10 dBm0", h)
			}
			if legs := s.recordOf(t, r.CallID).Legs; !legs[0].Media.Remote.IsValid() || legs[0].Media.SRTP != "dtls" || legs[0].Kind != "webrtc" ||
				legs[0].Media.Local.Port() != s.cfg.Media.WebRTC.Port || legs[1].Media.SRTP != "none" {
				t.Errorf("the legs on record have media %+v and %+v, expected WebRTC with the address that ICE found, and RTP", legs[0].Media, legs[1].Media)
			}
		})
	}
}

// recordOf waits for the closed record of the call with a leg of this SIP Call-ID.
func (s *running) recordOf(t *testing.T, id string) *call.Call {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		reader, err := billing.OpenReader(t.Context(), s.cfg.billing(nil))
		if err != nil {
			t.Fatal(err)
		}
		list, err := reader.List(t.Context(), billing.Filter{State: call.Closed})
		if err = errors.Join(err, reader.Close()); err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			if slices.ContainsFunc(c.Legs, func(l *call.Leg) bool { return l.SIPCallID == id }) {
				return c
			}
		}
		if time.Now().After(end) {
			t.Fatalf("no closed record has a leg with Call-ID %s", id)
		}
	}
}

// A browser is called as a phone is.
func TestBrowserAnswers(t *testing.T) {
	s := startServer(t)
	b, err := phone.New(t.Context(), phone.Config{Page: "http://" + s.plain, User: "anna", Password: "anna-secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := b.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	answered := make(chan phone.Result, 1)
	go func() {
		r, err := b.Answer(t.Context(), phone.Plan{Ring: 30 * time.Second})
		if err != nil {
			t.Errorf("anna: %v", err)
		}
		answered <- r
	}()
	args := fmt.Sprintf("call 401 --user ben --password ben-secret --server %s --duration 2s", s.sip)
	out, err := command(t.Context(), strings.Fields(args)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if r := <-answered; r.Cipher == "" || math.Abs(r.Heard.Strongest.Hz-440) > 2 || math.Abs(r.Heard.Strongest.Level+10) > 0.3 {
		t.Errorf("the browser has %q and hears %+v, expected 440 Hz at -10 dBm0", r.Cipher, r.Heard.Strongest)
	}
}

// Calls that are answered, but in which no media can come, since the gateway tells an address that isn't its own: they fail, unless
// that was asked for.
func TestCallWithoutMedia(t *testing.T) {
	s := startServer(t, func(c *Config) {
		c.Media.Addresses = []MediaInterface{{Bind: netip.MustParseAddr("127.0.0.1"), Advertise: netip.MustParseAddr("127.0.0.99")}}
	})
	p, err := phone.New(t.Context(), phone.Config{Server: s.sip.String(), User: "ben", Password: "ben-secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := p.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	const phoneWay, keys, packets = "--server ", "no keys for SRTP were agreed", "not one packet of media came"
	for _, c := range []struct{ args, want string }{
		{"--browser --http " + s.plain, keys}, {phoneWay + s.sip.String(), packets}, {phoneWay + s.sip.String() + " --silent", ""},
	} {
		answered := make(chan error, 1)
		go func() {
			_, err := p.Answer(t.Context(), phone.Plan{Ring: 30 * time.Second})
			answered <- err
		}()
		out, err := command(t.Context(), strings.Fields("call 402 --user anna --password anna-secret --duration 1s "+c.args)...)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q\n%s", c.args, err, c.want, out)
		}
		if err := <-answered; err == nil || !strings.Contains(err.Error(), packets) {
			t.Errorf("%s: ben: %v, want %q", c.args, err, packets)
		}
	}
}

func TestBrowserMistakes(t *testing.T) {
	s := startServer(t)
	for _, c := range []struct{ args, want string }{
		{"--password wrong", "the password is wrong"},
		{"--server 127.0.0.1", "--server is a phone's: a browser goes to --http"},
		{"--transport tcp", "--transport is a phone's"},
		{"--codecs g729", `codec "g729": expected pcmu, pcma or opus`},
		{"--http ftp://x", "expected a URL such as http://127.0.0.1:8888"},
		{"--http http://127.0.0.1:99999", "expected 1 to 65535"},
		{"--http 127.0.0.1:1", "nobody answers at http://127.0.0.1:1: is the server running?"},
		{"--http https://" + s.plain, "nobody answers at https://"},
		{"--browser=false --http " + s.plain, "--http is a browser's"},
	} {
		args := strings.Fields("call 402 --browser --user anna --password anna-secret")
		if !strings.Contains(c.args, "--http") {
			args = append(args, "--http", s.plain)
		}
		if out, err := command(t.Context(), append(args, strings.Fields(c.args)...)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q\n%s", c.args, err, c.want, out)
		}
	}
}
