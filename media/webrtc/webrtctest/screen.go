package webrtctest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"
	pwebrtc "github.com/pion/webrtc/v4"
)

// ScreenConfig of a Screen; the zero value watches, and has neither a camera nor data channels.
type ScreenConfig struct {
	Address netip.Addr            // of its socket; zero = 127.0.0.1
	Codecs  []string              // VP8, VP9, H264, H265, AV1: those that it knows, best first; nil = VP8
	Camera  bool                  // it sends pictures too
	Layers  []string              // of a simulcast that the camera sends, by their names; nil = one stream
	Mirror  bool                  // the camera shows what the screen is shown, which has one codec then
	Audio   bool                  // it has a line of audio too, on which it is silent
	Data    string                // label of a data channel that it opens; "" = none
	Lose    func(seq uint16) bool // packets of pictures that are lost on their way to it, the first time; nil = none
}

// Screen is a headless peer for pictures and data: pion's PeerConnection with its default interceptors and retransmissions, on a
// socket of its own.
type Screen struct {
	pc     *pwebrtc.PeerConnection
	up     chan struct{}
	once   sync.Once
	sends  []*pwebrtc.TrackLocalStaticRTP
	sender *pwebrtc.RTPSender
	asked  atomic.Int64 // key pictures, of the camera

	mu     sync.Mutex
	seen   Seen
	last   time.Time
	have   map[uint16]bool // numbers since the last picture's end
	next   uint16
	began  bool
	mirror bool
	data   *pwebrtc.DataChannel
	said   []string
	lost   map[uint16]bool
	closed bool
	work   sync.WaitGroup
	remb   float64
}

// Seen is what a Screen was shown.
type Seen struct {
	Pictures int           // complete, each in its turn
	Packets  int           // of which
	First    time.Duration // from when it was made to the first picture
	Freeze   time.Duration // the longest time between two pictures
	Codec    string        // of the latest
	SSRC     uint32
	Lost     int // packets that Lose took
	Repaired int // of which came again
}

// NewScreen makes one. The caller closes it.
func NewScreen(cfg ScreenConfig) (*Screen, error) {
	if !cfg.Address.IsValid() {
		cfg.Address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if cfg.Codecs == nil {
		cfg.Codecs = []string{"VP8"}
	}
	cfg.Camera = cfg.Camera || cfg.Mirror
	s := &Screen{up: make(chan struct{}), mirror: cfg.Mirror, have: map[uint16]bool{}, lost: map[uint16]bool{}, last: time.Now()}
	api, err := s.api(&cfg)
	if err != nil {
		return nil, fmt.Errorf("webrtctest: %w", err)
	}
	if s.pc, err = api.NewPeerConnection(pwebrtc.Configuration{}); err != nil {
		return nil, fmt.Errorf("webrtctest: %w", err)
	}
	if err := s.lines(&cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("webrtctest: %w", err), s.pc.Close())
	}
	return s, nil
}

func (s *Screen) lines(cfg *ScreenConfig) error {
	s.pc.OnConnectionStateChange(func(st pwebrtc.PeerConnectionState) {
		if st == pwebrtc.PeerConnectionStateConnected {
			s.once.Do(func() { close(s.up) })
		}
	})
	s.pc.OnTrack(s.watch)
	s.pc.OnDataChannel(s.channel)
	if cfg.Audio {
		if _, err := s.pc.AddTransceiverFromKind(pwebrtc.RTPCodecTypeAudio); err != nil {
			return err
		}
	}
	if cfg.Data != "" {
		dc, err := s.pc.CreateDataChannel(cfg.Data, nil)
		if err != nil {
			return err
		}
		s.channel(dc)
	}
	if !cfg.Camera {
		_, err := s.pc.AddTransceiverFromKind(pwebrtc.RTPCodecTypeVideo, pwebrtc.RTPTransceiverInit{Direction: pwebrtc.RTPTransceiverDirectionRecvonly})
		return err
	}
	layers := cfg.Layers
	if layers == nil {
		layers = []string{""}
	}
	var sender *pwebrtc.RTPSender
	for i, name := range layers {
		var options []func(*pwebrtc.TrackLocalStaticRTP)
		if name != "" {
			options = append(options, pwebrtc.WithRTPStreamID(name))
		}
		t, err := pwebrtc.NewTrackLocalStaticRTP(pwebrtc.RTPCodecCapability{MimeType: "video/" + cfg.Codecs[0], ClockRate: 90000}, "camera", "camera", options...)
		if err != nil {
			return err
		}
		s.sends = append(s.sends, t)
		if i == 0 {
			if sender, err = s.pc.AddTrack(t); err != nil {
				return err
			}
			continue
		}
		if err := sender.AddEncoding(t); err != nil {
			return err
		}
	}
	s.sender = sender
	for _, name := range layers {
		s.work.Go(func() { s.heed(sender, name) })
	}
	return nil
}

// heed reads what the other side says of the camera's pictures.
func (s *Screen) heed(sender *pwebrtc.RTPSender, layer string) {
	for b := make([]byte, 1500); ; {
		var n int
		var err error
		if layer == "" {
			n, _, err = sender.Read(b)
		} else {
			n, _, err = sender.ReadSimulcast(b, layer)
		}
		if err != nil {
			return
		}
		list, _ := prtcp.Unmarshal(b[:n])
		for _, p := range list {
			switch p := p.(type) {
			case *prtcp.PictureLossIndication:
				s.asked.Add(1)
				if s.mirror {
					_ = s.AskKey() // it is asked for again while none comes
				}
			case *prtcp.ReceiverEstimatedMaximumBitrate:
				s.mu.Lock()
				s.remb = float64(p.Bitrate)
				s.mu.Unlock()
			}
		}
	}
}

func (s *Screen) api(cfg *ScreenConfig) (*pwebrtc.API, error) {
	engine, chain := &pwebrtc.MediaEngine{}, &interceptor.Registry{}
	if cfg.Audio {
		c := pwebrtc.RTPCodecCapability{MimeType: pwebrtc.MimeTypePCMU, ClockRate: 8000}
		if err := engine.RegisterCodec(pwebrtc.RTPCodecParameters{RTPCodecCapability: c}, pwebrtc.RTPCodecTypeAudio); err != nil {
			return nil, err
		}
	}
	pt := pwebrtc.PayloadType(102)
	for _, name := range cfg.Codecs {
		c := pwebrtc.RTPCodecCapability{MimeType: "video/" + name, ClockRate: 90000, RTCPFeedback: []pwebrtc.RTCPFeedback{
			{Type: "goog-remb"}, {Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}}
		if name == "H264" {
			c.SDPFmtpLine = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
		}
		rtx := pwebrtc.RTPCodecCapability{MimeType: pwebrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: fmt.Sprintf("apt=%d", pt)}
		if err := errors.Join(
			engine.RegisterCodec(pwebrtc.RTPCodecParameters{RTPCodecCapability: c, PayloadType: pt}, pwebrtc.RTPCodecTypeVideo),
			engine.RegisterCodec(pwebrtc.RTPCodecParameters{RTPCodecCapability: rtx, PayloadType: pt + 1}, pwebrtc.RTPCodecTypeVideo)); err != nil {
			return nil, err
		}
		pt += 2
	}
	if cfg.Lose != nil {
		chain.Add(losses{s, cfg.Lose})
	}
	if err := pwebrtc.RegisterDefaultInterceptors(engine, chain); err != nil {
		return nil, err
	}
	se := pwebrtc.SettingEngine{}
	se.SetIncludeLoopbackCandidate(true)
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	se.SetNetworkTypes([]pwebrtc.NetworkType{pwebrtc.NetworkTypeUDP4})
	own := net.IP(cfg.Address.AsSlice())
	se.SetIPFilter(func(ip net.IP) bool { return ip.Equal(own) })
	return pwebrtc.NewAPI(pwebrtc.WithMediaEngine(engine), pwebrtc.WithInterceptorRegistry(chain), pwebrtc.WithSettingEngine(se)), nil
}

// losses takes packets away, each number once, before anything of the peer sees them.
type losses struct {
	s    *Screen
	lose func(uint16) bool
}

func (l losses) NewInterceptor(string) (interceptor.Interceptor, error) {
	return &loser{losses: l}, nil
}

type loser struct {
	interceptor.NoOp
	losses
}

func (l *loser) BindRemoteStream(info *interceptor.StreamInfo, r interceptor.RTPReader) interceptor.RTPReader {
	if info.MimeType == pwebrtc.MimeTypeRTX || info.ClockRate != 90000 {
		return r
	}
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		for {
			n, attr, err := r.Read(b, a)
			var h prtp.Header
			if err != nil {
				return n, attr, err
			}
			if _, bad := h.Unmarshal(b[:n]); bad != nil || h.SSRC != info.SSRC || !l.lose(h.SequenceNumber) {
				return n, attr, nil
			}
			l.s.mu.Lock()
			again := l.s.lost[h.SequenceNumber]
			if !again {
				l.s.lost[h.SequenceNumber] = true
				l.s.seen.Lost++
			}
			l.s.mu.Unlock()
			if again {
				return n, attr, nil
			}
		}
	})
}

// Offer makes an offer with all candidates in it.
func (s *Screen) Offer(ctx context.Context) ([]byte, error) {
	o, err := s.pc.CreateOffer(nil)
	if err != nil {
		return nil, fmt.Errorf("webrtctest: offer: %w", err)
	}
	return s.local(ctx, o)
}

// Accept takes the answer to the offer.
func (s *Screen) Accept(answer []byte) error {
	if err := s.pc.SetRemoteDescription(pwebrtc.SessionDescription{Type: pwebrtc.SDPTypeAnswer, SDP: string(answer)}); err != nil {
		return fmt.Errorf("webrtctest: answer: %w", err)
	}
	return nil
}

// Answer makes the answer to an offer, with all candidates in it.
func (s *Screen) Answer(ctx context.Context, offer []byte) ([]byte, error) {
	if err := s.pc.SetRemoteDescription(pwebrtc.SessionDescription{Type: pwebrtc.SDPTypeOffer, SDP: string(offer)}); err != nil {
		return nil, fmt.Errorf("webrtctest: offer: %w", err)
	}
	a, err := s.pc.CreateAnswer(nil)
	if err != nil {
		return nil, fmt.Errorf("webrtctest: answer: %w", err)
	}
	return s.local(ctx, a)
}

func (s *Screen) local(ctx context.Context, d pwebrtc.SessionDescription) ([]byte, error) {
	gathered := pwebrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(d); err != nil {
		return nil, fmt.Errorf("webrtctest: %w", err)
	}
	select {
	case <-gathered:
		return []byte(s.pc.LocalDescription().SDP), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// AddCandidate takes a candidate of the peer's: candidate:…
func (s *Screen) AddCandidate(c string) error {
	if err := s.pc.AddICECandidate(pwebrtc.ICECandidateInit{Candidate: c}); err != nil {
		return fmt.Errorf("webrtctest: candidate: %w", err)
	}
	return nil
}

// Connected is closed once ICE and DTLS are up.
func (s *Screen) Connected() <-chan struct{} { return s.up }

// Show sends one packet of the camera's picture: of a layer, counted from 0.
func (s *Screen) Show(layer int, p *prtp.Packet) error {
	if t := s.sends[layer]; t.RID() != "" { // how the other side tells the layers apart is the sender's to write
		for _, x := range s.sender.GetParameters().HeaderExtensions {
			value := ""
			switch x.URI {
			case "urn:ietf:params:rtp-hdrext:sdes:mid":
				value = s.mid()
			case "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id":
				value = t.RID()
			}
			if value == "" {
				continue
			}
			if err := p.SetExtension(uint8(x.ID), []byte(value)); err != nil {
				return err
			}
		}
	}
	return s.sends[layer].WriteRTP(p)
}

// mid is that of the camera's line.
func (s *Screen) mid() string {
	for _, t := range s.pc.GetTransceivers() {
		if t.Sender() == s.sender {
			return t.Mid()
		}
	}
	return ""
}

// Asked counts the key pictures that the other side asked for.
func (s *Screen) Asked() int { return int(s.asked.Load()) }

// Bound is what the other side said last that the camera may send, in bit/s; 0 = nothing.
func (s *Screen) Bound() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remb
}

// AskKey asks for a key picture (PLI).
func (s *Screen) AskKey() error {
	return s.pc.WriteRTCP([]prtcp.Packet{&prtcp.PictureLossIndication{MediaSSRC: s.Seen().SSRC}})
}

// Report sends a compound packet of RTCP beside those that pion sends.
func (s *Screen) Report(p ...prtcp.Packet) error { return s.pc.WriteRTCP(p) }

// Seen is what it was shown up to now.
func (s *Screen) Seen() Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// Forget begins the measure of freezes anew.
func (s *Screen) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.Freeze, s.last = 0, time.Now()
}

func (s *Screen) watch(t *pwebrtc.TrackRemote, r *pwebrtc.RTPReceiver) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.work.Add(1)
	s.work.Go(func() { drain(r, func([]byte) {}) })
	s.mu.Unlock()
	defer s.work.Done()
	for {
		p, _, err := t.ReadRTP()
		if err != nil {
			return
		}
		if t.Kind() == pwebrtc.RTPCodecTypeVideo {
			s.take(p, t.Codec().MimeType[len("video/"):])
			if s.mirror {
				p.Extension, p.Extensions = false, nil
				_ = s.sends[0].WriteRTP(p) // lost, as on a network
			}
		}
	}
}

// take notes a packet. A picture is complete with its last packet if none before is missing.
func (s *Screen) take(p *prtp.Packet, codec string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &s.seen
	n.Packets++
	n.Codec, n.SSRC = codec, p.SSRC
	if s.lost[p.SequenceNumber] {
		n.Repaired++
		delete(s.lost, p.SequenceNumber)
	}
	if !s.began {
		s.began, s.next = true, p.SequenceNumber
	}
	if int16(p.SequenceNumber-s.next) < 0 {
		return
	}
	s.have[p.SequenceNumber] = p.Marker
	for {
		ends, ok := s.have[s.next]
		if !ok {
			break
		}
		delete(s.have, s.next)
		s.next++
		if ends {
			now := time.Now()
			if n.Pictures == 0 {
				n.First = now.Sub(s.last)
			} else {
				n.Freeze = max(n.Freeze, now.Sub(s.last))
			}
			n.Pictures, s.last = n.Pictures+1, now
		}
	}
	if len(s.have) > 400 { // what is missing won't come
		s.have, s.began = map[uint16]bool{}, false
	}
}

func (s *Screen) channel(dc *pwebrtc.DataChannel) {
	s.mu.Lock()
	s.data = dc
	s.mu.Unlock()
	dc.OnMessage(func(m pwebrtc.DataChannelMessage) {
		s.mu.Lock()
		s.said = append(s.said, string(m.Data))
		s.mu.Unlock()
	})
}

// Say sends a message on the data channel that was opened last.
func (s *Screen) Say(text string) error {
	s.mu.Lock()
	dc := s.data
	s.mu.Unlock()
	if dc == nil {
		return errors.New("webrtctest: no data channel")
	}
	return dc.SendText(text)
}

// Channel tells the state and label of the data channel that was opened last; "" = there is none.
func (s *Screen) Channel() (state, label string) {
	s.mu.Lock()
	dc := s.data
	s.mu.Unlock()
	if dc == nil {
		return "", ""
	}
	return dc.ReadyState().String(), dc.Label()
}

// Said are the messages that came.
func (s *Screen) Said() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.said...)
}

// Close ends the connection. When it returns all its goroutines have ended.
func (s *Screen) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	err := s.pc.GracefulClose()
	s.work.Wait()
	return err
}
