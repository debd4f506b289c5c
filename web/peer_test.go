//go:build e2e

package web_test

import (
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
	"github.com/zaf/g711"
)

// peer is the far side's media: it speaks a tone of 880 Hz in PCMU and listens.
type peer struct {
	t       *testing.T
	pc      *webrtc.PeerConnection
	track   *webrtc.TrackLocalStaticSample
	packets atomic.Int64 // of sound that came
	loud    atomic.Int64 // of those, the ones that weren't silent
	cut     atomic.Bool  // nothing passes the cable

	mu     sync.Mutex
	digits string
}

func newPeer(t *testing.T, codec string) *peer {
	t.Helper()
	p := &peer{t: t}
	var engine webrtc.MediaEngine
	codecs := map[string]webrtc.RTPCodecParameters{
		"PCMU": {RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: 8000}, PayloadType: 0},
		"events": {RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: "audio/telephone-event", ClockRate: 8000, SDPFmtpLine: "0-16"},
			PayloadType: 101},
	}
	for _, name := range []string{codec, "events"} {
		if err := engine.RegisterCodec(codecs[name], webrtc.RTPCodecTypeAudio); err != nil {
			t.Fatal(err)
		}
	}
	var reports interceptor.Registry
	if err := webrtc.ConfigureRTCPReports(&reports); err != nil {
		t.Fatal(err)
	}
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := webrtc.NewICEUDPMux(nil, &cable{PacketConn: conn, cut: &p.cut})
	settings.SetICEUDPMux(mux)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	api := webrtc.NewAPI(webrtc.WithMediaEngine(&engine), webrtc.WithInterceptorRegistry(&reports), webrtc.WithSettingEngine(settings))
	if p.pc, err = api.NewPeerConnection(webrtc.Configuration{}); err != nil {
		t.Fatal(err)
	}
	p.track, err = webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: 8000}, "tone", "stub")
	if err != nil {
		t.Fatal(err)
	}
	sender, err := p.pc.AddTrack(p.track)
	if err != nil {
		t.Fatal(err)
	}
	go drain(func(b []byte) (int, error) { n, _, err := sender.Read(b); return n, err })
	p.pc.OnTrack(func(r *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
		go drain(func(b []byte) (int, error) { n, _, err := receiver.Read(b); return n, err })
		p.listen(r)
	})
	done, stopped := make(chan struct{}), make(chan struct{})
	go p.speak(done, stopped)
	t.Cleanup(func() {
		close(done)
		<-stopped
		_ = p.pc.Close()
		_ = mux.Close()
		_ = conn.Close()
	})
	return p
}

// answer takes an offer and gives the answer with its candidates. It may run outside the test's goroutine.
func (p *peer) answer(offer string) string {
	err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer})
	if err != nil {
		p.t.Errorf("the page's offer: %v\n%s", err, offer)
		return ""
	}
	d, err := p.pc.CreateAnswer(nil)
	if err != nil {
		p.t.Errorf("answer: %v", err)
		return ""
	}
	return p.local(d)
}

func (p *peer) offer() string {
	d, err := p.pc.CreateOffer(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.local(d)
}

func (p *peer) local(d webrtc.SessionDescription) string {
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(d); err != nil {
		p.t.Errorf("local description: %v", err)
		return ""
	}
	<-gathered
	return p.pc.LocalDescription().SDP
}

func (p *peer) answered(answer string) {
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		p.t.Fatalf("the page's answer: %v\n%s", err, answer)
	}
}

func (p *peer) speak(done <-chan struct{}, stopped chan<- struct{}) {
	defer close(stopped)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	pcm := make([]byte, 320)
	for n := 0; ; {
		for i := 0; i < len(pcm); i += 2 {
			v := int16(9000 * math.Sin(2*math.Pi*880*float64(n)/8000))
			pcm[i], pcm[i+1] = byte(v), byte(v>>8)
			n++
		}
		// Before the connection is up nobody hears it.
		_ = p.track.WriteSample(media.Sample{Data: g711.EncodeUlaw(pcm), Duration: 20 * time.Millisecond})
		select {
		case <-tick.C:
		case <-done:
			return
		}
	}
}

// cable is a socket that can be cut: what is sent or comes then is gone, and nobody is told.
type cable struct {
	net.PacketConn
	cut *atomic.Bool
}

func (c *cable) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.PacketConn.ReadFrom(b)
		if err != nil || !c.cut.Load() {
			return n, from, err
		}
	}
}

func (c *cable) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.cut.Load() {
		return len(b), nil
	}
	return c.PacketConn.WriteTo(b, to)
}

// drain reads the RTCP that comes, from which our own reports are made, until the connection is closed.
func drain(read func([]byte) (int, error)) {
	for b := make([]byte, 1500); ; {
		if _, err := read(b); err != nil {
			return
		}
	}
}

func (p *peer) listen(r *webrtc.TrackRemote) {
	for {
		packet, _, err := r.ReadRTP()
		if err != nil {
			return
		}
		if packet.PayloadType != 0 { // an event: PCMU is 0, and the page chose the events' number
			if packet.Marker && len(packet.Payload) >= 4 { // the first of an event
				p.mu.Lock()
				p.digits += string("0123456789*#"[packet.Payload[0]%12])
				p.mu.Unlock()
			}
			continue
		}
		p.packets.Add(1)
		pcm := g711.DecodeUlaw(packet.Payload)
		for i := 0; i+1 < len(pcm); i += 2 {
			if v := int16(pcm[i]) | int16(pcm[i+1])<<8; v > 500 || v < -500 {
				p.loud.Add(1)
				break
			}
		}
	}
}

// heard are the digits that came.
func (p *peer) heard() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Clone(p.digits)
}
