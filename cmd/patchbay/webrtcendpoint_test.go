package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/cmd/patchbay/telephony"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/media/webrtc"
	"github.com/patchbay/patchbay/media/webrtc/webrtctest"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// webRig is a client's pipeline on a server with browsers' media.
type webRig struct {
	testing.TB
	space *rpc.Space
	port  *webrtc.Port
	scope rpc.Scope
	pipe  *rpc.Object
}

func newWebRig(t testing.TB, change ...func(*server, *webrtc.PortConfig)) *webRig {
	t.Helper()
	n, err := udp.New(udp.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	s := &server{log: slog.New(slog.DiscardHandler)}
	pc := webrtc.PortConfig{Net: n, Bind: []netip.AddrPort{at}, Streams: []netip.AddrPort{at}, RSA: true}
	for _, f := range change {
		f(s, &pc)
	}
	port, err := webrtc.NewPort(pc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = port.Close() })
	registry := media.NewRegistry()
	registry.Register(g711.Conversions()...)
	s.browsers = port
	classes, core, _ := elementClasses(kurento.Config{Pipeline: media.Config{Registry: registry}, WebRTC: s.webEndpoints(), Now: udp.Now}, telephony.Config{})
	space, err := core.Open(classes, rpc.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := space.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	r := &webRig{TB: t, space: space, port: port, scope: space.Tenant("a")}
	r.pipe = r.create("MediaPipeline", map[string]any{})
	return r
}

func (r *webRig) create(class string, params map[string]any) *rpc.Object {
	r.Helper()
	b, err := json.Marshal(params)
	if err != nil {
		r.Fatal(err)
	}
	o, err := r.scope.New(context.Background(), class, b)
	if err != nil {
		r.Fatalf("create %s: %v", class, err)
	}
	return o
}

func (r *webRig) invoke(o *rpc.Object, op string, params map[string]any) (out any, code rpc.Code, text string) {
	r.Helper()
	b, err := json.Marshal(params)
	if err != nil {
		r.Fatal(err)
	}
	got, err := r.scope.Invoke(context.Background(), o.ID(), op, b)
	if err != nil {
		e := rpc.Outside(err)
		return nil, e.Code, e.Message
	}
	if err := json.Unmarshal(got, &out); err != nil {
		r.Fatalf("%s returns %s: %v", op, got, err)
	}
	return out, 0, ""
}

func (r *webRig) call(o *rpc.Object, op string, params map[string]any) any {
	r.Helper()
	out, code, text := r.invoke(o, op, params)
	if code != 0 {
		r.Fatalf("%s: %d %s", op, code, text)
	}
	return out
}

// webPeer is a browser and the endpoint that serves it. Candidates travel by themselves.
type webPeer struct {
	*webRig
	endpoint *rpc.Object
	browser  *webrtctest.Browser

	mu     sync.Mutex
	events []map[string]any
	ours   chan string
}

// Event is what the endpoint tells.
func (p *webPeer) Event(e rpc.Event) {
	var m map[string]any
	if err := json.Unmarshal(e.Data, &m); err != nil {
		panic(err)
	}
	m["event"] = e.Type
	p.mu.Lock()
	p.events = append(p.events, m)
	p.mu.Unlock()
	if c, ok := m["candidate"].(map[string]any); ok {
		p.ours <- c["candidate"].(string)
	}
}

// told are the events so far, each as one word.
func (p *webPeer) told() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, m := range p.events {
		word := m["event"].(string)
		if s, ok := m["state"].(string); ok {
			word += " " + s
		}
		out = append(out, word)
	}
	return out
}

func (r *webRig) peer(cfg webrtctest.Config, params map[string]any) *webPeer {
	r.Helper()
	if params == nil {
		params = map[string]any{}
	}
	params["mediaPipeline"] = r.pipe.ID()
	p := &webPeer{webRig: r, ours: make(chan string, 100), endpoint: r.create("WebRtcEndpoint", params)}
	for _, name := range []string{"IceCandidateFound", "IceGatheringDone", "IceComponentStateChanged", "NewCandidatePairSelected",
		"DtlsConnectionStateChange", "ConnectionStateChanged", "MediaStateChanged", "MediaSessionStarted"} {
		if _, err := r.scope.Subscribe(p.endpoint.ID(), name, p); err != nil {
			r.Fatal(err)
		}
	}
	theirs := make(chan string, 100)
	cfg.Found = func(c string) { theirs <- c }
	var err error
	if p.browser, err = webrtctest.New(cfg); err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for {
			select {
			case c := <-theirs:
				params, _ := json.Marshal(map[string]any{"candidate": map[string]any{"candidate": c, "sdpMid": "0", "sdpMLineIndex": 0}})
				if _, err := r.scope.Invoke(ctx, p.endpoint.ID(), "addIceCandidate", params); err != nil && ctx.Err() == nil {
					r.Errorf("addIceCandidate %q: %v", c, err)
				}
			case c := <-p.ours:
				if err := p.browser.AddCandidate(c); err != nil {
					r.Errorf("candidate %q: %v", c, err)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	r.Cleanup(func() {
		cancel()
		work.Wait()
		if err := p.browser.Close(); err != nil {
			r.Error(err)
		}
	})
	return p
}

// calls lets the browser offer.
func (p *webPeer) calls() {
	p.Helper()
	offer, err := p.browser.Offer(context.Background(), false)
	if err != nil {
		p.Fatal(err)
	}
	answer := p.call(p.endpoint, "processOffer", map[string]any{"offer": string(offer)}).(string)
	if strings.Contains(answer, "a=candidate") {
		p.Errorf("the answer has candidates:\n%s", answer)
	}
	if err := p.browser.Accept([]byte(answer)); err != nil {
		p.Fatal(err)
	}
}

// called lets the endpoint offer.
func (p *webPeer) called() {
	p.Helper()
	offer := p.call(p.endpoint, "generateOffer", map[string]any{"options": map[string]any{"offerToReceiveVideo": false}}).(string)
	answer, err := p.browser.Answer(context.Background(), []byte(offer))
	if err != nil {
		p.Fatal(err)
	}
	p.call(p.endpoint, "processAnswer", map[string]any{"answer": string(answer)})
}

func (p *webPeer) gathers() {
	p.Helper()
	p.call(p.endpoint, "gatherCandidates", nil)
	select {
	case <-p.browser.Connected():
	case <-time.After(15 * time.Second):
		p.Fatalf("not connected within 15 s; told %v", p.told())
	}
}

// hears asserts that a tone which one browser says comes out of another.
func (p *webPeer) hears(from *webPeer, hz float64) {
	p.Helper()
	f, zero := media.PCMU(), media.Pad{}
	ear, mouth := mediatest.NewRecorder(f), mediatest.NewTalker(nil, f)
	p.browser.Source(zero).Link(ear)
	defer p.browser.Source(zero).Unlink(ear)
	mouth.Link(from.browser.Sink(zero))
	defer mouth.Close()
	tone := mediatest.Tone(f, hz, -10, 400)
	for i := 0; i < len(tone) && len(ear.Audio()) < 8000; i++ {
		mouth.Say(tone[i])
		ear.Take(f)
		media.Renegotiate(p.browser)
		time.Sleep(5 * time.Millisecond)
	}
	audio := ear.Audio()
	if len(audio) < 8000 {
		p.Fatalf("the browser hears %d bytes", len(audio))
	}
	if at := mediatest.Level(mediatest.Linear(f, audio[len(audio)-1600:]), 8000, hz, g711.Mu().Peak()); at < -11 || at > -9 {
		p.Errorf("the browser hears %v Hz at %.1f dBm0, want -10", hz, at)
	}
}

func (p *webPeer) awaits(word string) {
	p.Helper()
	for end := time.Now().Add(15 * time.Second); !slices.Contains(p.told(), word); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			p.Fatalf("told %v, want %s", p.told(), word)
		}
	}
}

// pcmu are browsers that know one format, so that tones can be measured.
func pcmu() webrtctest.Config { return webrtctest.Config{Formats: []*media.Format{media.PCMU()}} }

// A browser hears itself through an endpoint that is connected to itself, whoever offers, with either kind of key.
func TestWebRtcEndpointLoopback(t *testing.T) {
	for _, key := range []string{"RSA", "ECDSA"} {
		for _, calls := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, browser offers %t", key, calls), func(t *testing.T) {
				p := newWebRig(t).peer(pcmu(), map[string]any{"certificateKeyType": key})
				p.call(p.endpoint, "connect", map[string]any{"sink": p.endpoint.ID()})
				if calls {
					p.calls()
				} else {
					p.called()
				}
				if told := p.told(); slices.Contains(told, "IceCandidateFound") {
					t.Errorf("before it gathers the endpoint tells %v", told)
				}
				p.gathers()
				p.hears(p, 440)
				p.awaits("IceComponentStateChanged READY")
				p.awaits("MediaStateChanged")
				told := p.told()
				last := -1
				for _, word := range []string{"IceCandidateFound", "IceComponentStateChanged GATHERING", "IceComponentStateChanged CONNECTING",
					"NewCandidatePairSelected", "IceComponentStateChanged CONNECTED", "IceComponentStateChanged READY"} {
					i := slices.Index(told, word)
					if i <= last {
						t.Errorf("told %v, expected %s behind what comes before it", told, word)
					}
					last = i
				}
				for _, word := range []string{"IceGatheringDone", "DtlsConnectionStateChange CONNECTED", "ConnectionStateChanged", "MediaSessionStarted"} {
					if !slices.Contains(told, word) {
						t.Errorf("told %v, want %s too", told, word)
					}
				}
				local := p.call(p.endpoint, "getLocalSessionDescriptor", nil).(string)
				if !strings.Contains(local, "a=candidate:") {
					t.Errorf("the local description has no candidates after gathering:\n%s", local)
				}
				if s := fmt.Sprint(p.call(p.endpoint, "getIceConnectionState", nil)); !strings.Contains(s, "state:READY") {
					t.Errorf("IceConnectionState is %s", s)
				}
				if s := fmt.Sprint(p.call(p.endpoint, "getDtlsConnectionState", nil)); !strings.Contains(s, "state:CONNECTED") {
					t.Errorf("DtlsConnectionState is %s", s)
				}
				if s := fmt.Sprint(p.call(p.endpoint, "getICECandidatePairs", nil)); !strings.Contains(s, "localCandidate:candidate:") {
					t.Errorf("ICECandidatePairs are %s", s)
				}
				if s := fmt.Sprint(p.call(p.endpoint, "getConnectionState", nil)); s != "CONNECTED" {
					t.Errorf("connectionState is %s", s)
				}
			})
		}
	}
}

// Two browsers hear each other through two endpoints, one of them with full ICE.
func TestWebRtcEndpointsJoined(t *testing.T) {
	r := newWebRig(t)
	a, b := r.peer(pcmu(), nil), r.peer(pcmu(), nil)
	r.call(b.endpoint, "setStunServerAddress", map[string]any{"stunServerAddress": "127.0.0.1"})
	r.call(b.endpoint, "setStunServerPort", map[string]any{"stunServerPort": 9}) // nobody answers there: that is no error
	r.call(a.endpoint, "connect", map[string]any{"sink": b.endpoint.ID()})
	r.call(b.endpoint, "connect", map[string]any{"sink": a.endpoint.ID(), "mediaType": "AUDIO"})
	for _, p := range []*webPeer{a, b} {
		p.calls()
		p.gathers()
	}
	b.hears(a, 440)
	a.hears(b, 600)
	if !slices.ContainsFunc(b.candidates(), func(c string) bool { return strings.Contains(c, "tcptype passive") }) {
		t.Errorf("the endpoint with full ICE has candidates %q, want one of TCP", b.candidates())
	}
	if slices.ContainsFunc(a.candidates(), func(c string) bool { return strings.Contains(c, "tcptype") }) {
		t.Errorf("the other has candidates %q", a.candidates())
	}
}

func (p *webPeer) candidates() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, m := range p.events {
		if c, ok := m["candidate"].(map[string]any); ok {
			out = append(out, c["candidate"].(string))
		}
	}
	return out
}

// What can't be is refused with Kurento's codes, and says what was expected.
func TestWebRtcEndpointRefuses(t *testing.T) {
	r := newWebRig(t)
	p := r.peer(pcmu(), nil)
	for _, c := range []struct {
		op, name string
		value    any
		want     string
	}{
		{"setStunServerAddress", "stunServerAddress", "no host", "should be an IP address or a host name"},
		{"setStunServerPort", "stunServerPort", 0, "should be 1 to 65535"},
		{"setStunServerPort", "stunServerPort", 70000, "should be 1 to 65535"},
		{"setTurnUrl", "turnUrl", "127.0.0.1:3478", "user:password@host:port"},
		{"setTurnUrl", "turnUrl", "user:secret@127.0.0.1", "user:password@host:port"},
		{"setTurnUrl", "turnUrl", "user:secret@127.0.0.1:3478?transport=sctp", "user:password@host:port"},
		{"setExternalIPv4", "externalIPv4", "::1", "should be an IPv4 address"},
		{"setExternalIPv6", "externalIPv6", "127.0.0.1", "should be an IPv6 address"},
		{"setNetworkInterfaces", "networkInterfaces", "none9", "should be names of network interfaces"},
		{"setNetworkInterfaces", "networkInterfaces", "a\nlevel=INFO msg=\"all is well\"", `"a\nlevel=INFO msg=\"all is well\""`},
		{"setStunServerAddress", "stunServerAddress", "\x1b[2J" + strings.Repeat("x", 10_000), `"\x1b[2Jxxx`},
		{"setExternalIPv4", "externalIPv4", "1\r\n2", `"1\r\n2"`},
		{"setExternalIPv6", "externalIPv6", "::1\u202e", `"::1\u202e"`},
	} {
		_, code, text := r.invoke(p.endpoint, c.op, map[string]any{c.name: c.value})
		if code != rpc.IllegalParam || !strings.Contains(text, c.want) || strings.Contains(text, "secret") || len(text) > 500 {
			t.Errorf("%s(%v): %d %q, want %d with %q", c.op, c.value, code, text, rpc.IllegalParam, c.want)
		}
	}
	for _, c := range []struct {
		name  string
		value any
	}{
		{"StunServerAddress", "stun.example.com"}, {"StunServerPort", 3479.0}, {"TurnUrl", "u:p:@@127.0.0.1:3478?transport=tls"}, {"TurnUrl", ""},
		{"ExternalIPv4", "203.0.113.1"}, {"ExternalIPv6", "2001:db8::1"}, {"NetworkInterfaces", "lo"}, {"NetworkInterfaces", ""}, {"IceTcp", false},
	} {
		r.call(p.endpoint, "set"+c.name, map[string]any{strings.ToLower(c.name[:1]) + c.name[1:]: c.value})
		if got := r.call(p.endpoint, "get"+c.name, nil); got != c.value {
			t.Errorf("%s is %v, was set to %v", c.name, got, c.value)
		}
	}
	for params, want := range map[string]rpc.Code{"nonsense": rpc.AddCandidate, "non\nsense": rpc.AddCandidate, "": 0, "candidate:1 1 udp 1 127.0.0.1 5000 typ host": 0} {
		_, code, text := r.invoke(p.endpoint, "addIceCandidate", map[string]any{"candidate": map[string]any{"candidate": params, "sdpMid": "0", "sdpMLineIndex": 0}})
		if code != want || strings.Contains(text, "\n") {
			t.Errorf("addIceCandidate %q: %d %q, want %d", params, code, text, want)
		}
	}
	if _, code, text := r.invoke(p.endpoint, "createDataChannel", nil); code != rpc.NotSupported || !strings.Contains(text, "Data channels") {
		t.Errorf("createDataChannel: %d %q", code, text)
	}
	if _, code, _ := r.invoke(p.endpoint, "processOffer", map[string]any{"offer": "nonsense"}); code != rpc.SDPParse {
		t.Errorf("a malformed offer: %d, want %d", code, rpc.SDPParse)
	}
	p = r.peer(pcmu(), nil)
	p.calls()
	if _, code, _ := r.invoke(p.endpoint, "processOffer", map[string]any{"offer": "v=0"}); code != rpc.AlreadyNegotiated {
		t.Errorf("a second offer: %d, want %d", code, rpc.AlreadyNegotiated)
	}
	if _, err := r.scope.New(context.Background(), "WebRtcEndpoint", []byte(`{"mediaPipeline":"`+r.pipe.ID()+`","recvonly":true,"sendonly":true}`)); rpc.Outside(err).Code != rpc.IllegalParam {
		t.Errorf("both recvonly and sendonly: %v", err)
	}
}

// Programs leave some of browsers' endpoints for phone calls, and some for other tenants; phone calls may have all.
func TestWebRtcEndpointsLeaveRoom(t *testing.T) {
	r := newWebRig(t, func(s *server, c *webrtc.PortConfig) { s.webShare.several, c.Endpoints = true, 10 })
	fillShares(t, r.space, "WebRtcEndpoint", 4, 8)
	for range 2 {
		e, err := webrtc.New(webrtc.Config{Port: r.port})
		if err != nil {
			t.Fatalf("a call's: %v", err)
		}
		defer e.Close()
	}
}

// A client with a token has us reach no server on this machine but those that the settings list, and one that may only read sees
// no credential; a program on this host is free.
func TestWebRtcEndpointServersOfOthers(t *testing.T) {
	r := newWebRig(t, func(s *server, _ *webrtc.PortConfig) { s.cfg.RPC.ICEHosts = []string{"127.0.0.9", "Stun.Localhost"} })
	e := r.create("WebRtcEndpoint", map[string]any{"mediaPipeline": r.pipe.ID()})
	own, foreign := r.scope, r.scope.Foreign()
	for _, x := range []struct {
		name, value string
		want        bool
	}{
		{"StunServerAddress", "127.0.0.1", false}, {"StunServerAddress", "[::1]", false}, {"StunServerAddress", "localhost", false},
		{"StunServerAddress", "192.0.2.1", true}, {"StunServerAddress", "stun.example.com", true}, {"StunServerAddress", "127.0.0.9", true},
		{"StunServerAddress", "stun.localhost", true}, {"StunServerAddress", "", true},
		{"TurnUrl", "user:secret@127.0.0.1:3478", false}, {"TurnUrl", "user:secret@[fe80::1]:3478?transport=tcp", false},
		{"TurnUrl", "user:secret@169.254.169.254:80?transport=tls", false}, {"TurnUrl", "user:secret@127.0.0.9:3478", true},
	} {
		r.scope = foreign
		params := map[string]any{strings.ToLower(x.name[:1]) + x.name[1:]: x.value}
		_, code, text := r.invoke(e, "set"+x.name, params)
		if x.want && code != 0 || !x.want && (code != rpc.IllegalParam || !strings.Contains(text, "rpc.ice_hosts") || strings.Contains(text, "secret")) {
			t.Errorf("%s %s: %d %s", x.name, x.value, code, text)
		}
		r.scope = own
		if _, code, text := r.invoke(e, "set"+x.name, params); code != 0 {
			t.Errorf("%s %s on this host: %d %s", x.name, x.value, code, text)
		}
	}
	r.call(e, "setTurnUrl", map[string]any{"turnUrl": "user:secret:@@192.0.2.1:3478?transport=tcp"})
	for role, want := range map[rpc.Role]string{rpc.Read: "***:***@192.0.2.1:3478?transport=tcp", rpc.Read | rpc.Billing: "***:***@192.0.2.1:3478?transport=tcp",
		rpc.Control: "user:secret:@@192.0.2.1:3478?transport=tcp", rpc.Admin: "user:secret:@@192.0.2.1:3478?transport=tcp"} {
		r.scope = own.Only(role)
		if got := r.call(e, "getTurnUrl", nil); got != want {
			t.Errorf("getTurnUrl with %v: %v", role, got)
		}
	}
}

// An offer without audio that can be used is answered; its lines are refused.
func TestWebRtcEndpointVideoOnly(t *testing.T) {
	r := newWebRig(t)
	e := r.create("WebRtcEndpoint", map[string]any{"mediaPipeline": r.pipe.ID()})
	offer := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 9 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\na=sendrecv\r\na=mid:pic\r\nb=AS:500\r\n"
	if answer := r.call(e, "processOffer", map[string]any{"offer": offer}).(string); !strings.Contains(answer, "m=video 0 RTP/AVP 96\r\na=mid:pic\r\n") {
		t.Errorf("the answer is\n%s", answer)
	}
}

// An endpoint that is told so takes another offer, with an ICE restart or without; one that isn't doesn't.
func TestWebRtcEndpointRenegotiates(t *testing.T) {
	for _, stun := range []string{"", "127.0.0.1"} {
		t.Run("STUN "+stun, func(t *testing.T) {
			p := newWebRig(t).peer(pcmu(), nil)
			p.call(p.endpoint, "setStunServerAddress", map[string]any{"stunServerAddress": stun})
			p.call(p.endpoint, "setStunServerPort", map[string]any{"stunServerPort": 9})
			p.call(p.endpoint, "connect", map[string]any{"sink": p.endpoint.ID()})
			if _, code, _ := p.invoke(p.endpoint, "renegotiate", nil); code != rpc.NoRemoteSDP {
				t.Errorf("renegotiate before anything is agreed: %d, want %d", code, rpc.NoRemoteSDP)
			}
			p.calls()
			p.gathers()
			p.hears(p, 440)
			ufrag := func() string {
				_, rest, _ := strings.Cut(p.call(p.endpoint, "getLocalSessionDescriptor", nil).(string), "a=ice-ufrag:")
				name, _, _ := strings.Cut(rest, "\r\n")
				return name
			}
			first := ufrag()
			if _, code, _ := p.invoke(p.endpoint, "generateOffer", nil); code != rpc.AlreadyNegotiated {
				t.Errorf("another offer: %d, want %d", code, rpc.AlreadyNegotiated)
			}
			p.call(p.endpoint, "renegotiate", map[string]any{"iceRestart": true})
			p.called()
			second := ufrag()
			if second == first {
				t.Error("the credentials are the same after an ICE restart")
			}
			p.hears(p, 500)
			p.call(p.endpoint, "renegotiate", nil)
			p.called()
			if ufrag() != second {
				t.Error("the credentials changed without an ICE restart")
			}
			p.hears(p, 600)
		})
	}
}
