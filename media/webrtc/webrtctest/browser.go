// Package webrtctest is a headless browser leg: a full ICE agent with DTLS-SRTP made of pion's PeerConnection with its defaults,
// on sockets of its own. It offers and answers as a page does, and is an element whose sink speaks and whose source hears.
package webrtctest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	prtcp "github.com/pion/rtcp"
	pwebrtc "github.com/pion/webrtc/v4"

	"github.com/patchbay/patchbay/media"
)

// Config of a browser; the zero value is useful.
type Config struct {
	Formats  []*media.Format // best first; nil = Opus, PCMU, PCMA, telephone-event at 8000 and 48000
	Registry *media.Registry // conversions towards linked sinks; nil = none
	Address  netip.Addr      // of its socket; zero = 127.0.0.1
	Profiles []uint16        // SRTP's (RFC 5764 4.1.2), best first; nil = pion's default

	Socket net.PacketConn // the only one, which the caller closes after the browser; nil = its own

	Servers   []Server     // of STUN and TURN
	RelayOnly bool         // candidates that a TURN server relays, no others
	TCPOnly   bool         // no UDP
	Found     func(string) // is told the browser's candidates, "" at their end, and its SDP has none; nil = SDP has them all
}

// Server is one of STUN or TURN.
type Server struct{ URL, User, Password string }

// Browser is one. Negotiation is done by one goroutine at a time.
type Browser struct {
	pc     *pwebrtc.PeerConnection
	sender *pwebrtc.RTPSender
	source *media.Source
	sink   sink
	up     chan struct{}
	once   sync.Once

	trickle bool

	mu     sync.Mutex
	state  pwebrtc.PeerConnectionState
	heard  media.Stream
	work   sync.WaitGroup
	closed bool

	metrics *prtcp.VoIPMetricsReportBlock

	close sync.Once
	err   error
}

var _ media.Element = (*Browser)(nil)

// New makes a browser. The caller closes it.
func New(cfg Config) (*Browser, error) {
	if cfg.Formats == nil {
		cfg.Formats = []*media.Format{
			{Codec: "OPUS", Clock: 48000, Channels: 2}, media.PCMU(), media.PCMA(), media.TelephoneEvent(8000), media.TelephoneEvent(48000),
		}
	}
	if !cfg.Address.IsValid() {
		cfg.Address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	api, err := newAPI(&cfg)
	if err != nil {
		return nil, fmt.Errorf("webrtctest: %w", err)
	}
	b := &Browser{up: make(chan struct{}), source: media.NewSource(cfg.Registry, nil)}
	b.sink.b = b
	var servers pwebrtc.Configuration
	for _, s := range cfg.Servers {
		servers.ICEServers = append(servers.ICEServers, pwebrtc.ICEServer{URLs: []string{s.URL}, Username: s.User, Credential: s.Password})
	}
	if cfg.RelayOnly {
		servers.ICETransportPolicy = pwebrtc.ICETransportPolicyRelay
	}
	if b.pc, err = api.NewPeerConnection(servers); err != nil {
		return nil, fmt.Errorf("webrtctest: %w", err)
	}
	if b.trickle = cfg.Found != nil; b.trickle {
		b.pc.OnICECandidate(func(c *pwebrtc.ICECandidate) {
			if c == nil {
				cfg.Found("")
			} else {
				cfg.Found(c.ToJSON().Candidate)
			}
		})
	}
	b.pc.OnConnectionStateChange(func(s pwebrtc.PeerConnectionState) {
		b.mu.Lock()
		b.state = s
		b.mu.Unlock()
		if s == pwebrtc.PeerConnectionStateConnected {
			b.once.Do(func() { close(b.up) })
		}
	})
	b.pc.OnTrack(func(t *pwebrtc.TrackRemote, r *pwebrtc.RTPReceiver) { b.listen(t, r) })
	if b.sender, err = b.pc.AddTrack(&b.sink); err != nil {
		return nil, errors.Join(fmt.Errorf("webrtctest: %w", err), b.pc.Close())
	}
	b.work.Go(func() { drain(b.sender, b.told) })
	return b, nil
}

// newAPI is pion with its default interceptors, on one address.
func newAPI(cfg *Config) (*pwebrtc.API, error) {
	engine := &pwebrtc.MediaEngine{}
	next := pwebrtc.PayloadType(109)
	for _, f := range cfg.Formats {
		p := pwebrtc.RTPCodecParameters{RTPCodecCapability: capability(f)}
		switch f.Codec {
		case "PCMU":
		case "PCMA":
			p.PayloadType = 8
		default:
			p.PayloadType = next
			next++
		}
		if err := engine.RegisterCodec(p, pwebrtc.RTPCodecTypeAudio); err != nil {
			return nil, err
		}
	}
	chain := &interceptor.Registry{}
	if err := pwebrtc.RegisterDefaultInterceptors(engine, chain); err != nil {
		return nil, err
	}
	se := pwebrtc.SettingEngine{}
	se.SetIncludeLoopbackCandidate(true)
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	se.SetNetworkTypes([]pwebrtc.NetworkType{pwebrtc.NetworkTypeUDP4, pwebrtc.NetworkTypeUDP6})
	if cfg.TCPOnly {
		se.SetNetworkTypes([]pwebrtc.NetworkType{pwebrtc.NetworkTypeTCP4})
	}
	own := net.IP(cfg.Address.AsSlice())
	se.SetIPFilter(func(ip net.IP) bool { return ip.Equal(own) })
	if cfg.Socket != nil {
		se.SetICEUDPMux(pwebrtc.NewICEUDPMux(nil, cfg.Socket))
	}
	if cfg.Profiles != nil {
		se.SetSRTPProtectionProfiles(srtpProfiles(cfg.Profiles)...)
	}
	return pwebrtc.NewAPI(pwebrtc.WithMediaEngine(engine), pwebrtc.WithInterceptorRegistry(chain), pwebrtc.WithSettingEngine(se)), nil
}

func capability(f *media.Format) pwebrtc.RTPCodecCapability {
	c := pwebrtc.RTPCodecCapability{MimeType: "audio/" + f.Codec, ClockRate: uint32(f.Clock)}
	switch {
	case f.Codec == "OPUS":
		c.MimeType, c.Channels, c.SDPFmtpLine = pwebrtc.MimeTypeOpus, 2, "minptime=10;useinbandfec=1"
	case f.Kind == media.Event:
		c.MimeType = "audio/telephone-event"
	}
	return c
}

// format is what a codec of pion's is here.
func format(c pwebrtc.RTPCodecParameters) *media.Format {
	_, name, _ := strings.Cut(c.MimeType, "/")
	f := &media.Format{Codec: strings.ToUpper(name), Clock: int(c.ClockRate), Channels: max(int(c.Channels), 1), Tag: int(c.PayloadType)}
	if f.Codec == "TELEPHONE-EVENT" {
		f.Kind = media.Event
	}
	return f
}

// Offer makes an offer with all candidates in it. restart asks for an ICE restart.
func (b *Browser) Offer(ctx context.Context, restart bool) ([]byte, error) {
	o, err := b.pc.CreateOffer(&pwebrtc.OfferOptions{ICERestart: restart})
	if err != nil {
		return nil, fmt.Errorf("webrtctest: offer: %w", err)
	}
	return b.local(ctx, o)
}

// Accept takes the answer to the browser's offer.
func (b *Browser) Accept(answer []byte) error {
	err := b.pc.SetRemoteDescription(pwebrtc.SessionDescription{Type: pwebrtc.SDPTypeAnswer, SDP: string(answer)})
	if err != nil {
		return fmt.Errorf("webrtctest: answer: %w", err)
	}
	return nil
}

// AddCandidate takes a candidate of the peer's: candidate:…
func (b *Browser) AddCandidate(c string) error {
	if err := b.pc.AddICECandidate(pwebrtc.ICECandidateInit{Candidate: c}); err != nil {
		return fmt.Errorf("webrtctest: candidate: %w", err)
	}
	return nil
}

// Answer makes the answer to an offer, with all candidates in it.
func (b *Browser) Answer(ctx context.Context, offer []byte) ([]byte, error) {
	if err := b.pc.SetRemoteDescription(pwebrtc.SessionDescription{Type: pwebrtc.SDPTypeOffer, SDP: string(offer)}); err != nil {
		return nil, fmt.Errorf("webrtctest: offer: %w", err)
	}
	for _, t := range b.pc.GetTransceivers() { // pion takes a hold for its own wish; a page goes on speaking
		if t.Sender() == b.sender && (t.Direction() == pwebrtc.RTPTransceiverDirectionInactive || t.Direction() == pwebrtc.RTPTransceiverDirectionRecvonly) {
			if err := t.SetSender(b.sender, &b.sink); err != nil {
				return nil, fmt.Errorf("webrtctest: %w", err)
			}
		}
	}
	a, err := b.pc.CreateAnswer(nil)
	if err != nil {
		return nil, fmt.Errorf("webrtctest: answer: %w", err)
	}
	return b.local(ctx, a)
}

func (b *Browser) local(ctx context.Context, d pwebrtc.SessionDescription) ([]byte, error) {
	gathered := pwebrtc.GatheringCompletePromise(b.pc)
	if err := b.pc.SetLocalDescription(d); err != nil {
		return nil, fmt.Errorf("webrtctest: %w", err)
	}
	if b.trickle {
		return []byte(d.SDP), nil
	}
	select {
	case <-gathered:
		return []byte(b.pc.LocalDescription().SDP), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Connected is closed once ICE and DTLS are up.
func (b *Browser) Connected() <-chan struct{} { return b.up }

// State is pion's word for what became of the connection: connected, disconnected, failed…
func (b *Browser) State() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state.String()
}

// listen pushes what comes. The goroutine is pion's and ends with the connection.
func (b *Browser) listen(t *pwebrtc.TrackRemote, r *pwebrtc.RTPReceiver) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	b.work.Add(1)
	b.work.Go(func() { drain(r, func([]byte) {}) })
	b.mu.Unlock()
	defer b.work.Done()
	var formats [128]*media.Format
	var list []*media.Format
	for _, c := range r.GetParameters().Codecs {
		f := format(c)
		formats[f.Tag&127] = f
		list = append(list, f)
	}
	b.source.SetFormats(list...)
	var fr media.Frame
	var last uint16
	for {
		p, _, err := t.ReadRTP()
		if err != nil {
			return
		}
		now := time.Since(birth).Nanoseconds()
		b.mu.Lock()
		h := &b.heard
		if h.Packets++; h.Packets > 1 {
			h.Lost += int64(p.SequenceNumber-last) - 1
		} else {
			h.First = now
		}
		h.Inbound, h.SSRC, h.Last, h.Bytes = true, p.SSRC, now, h.Bytes+uint64(len(p.Payload))
		last = p.SequenceNumber
		f := formats[p.PayloadType&127]
		if f != nil && f.Kind == media.Audio {
			h.Format = f
		}
		b.mu.Unlock()
		if f == nil {
			continue
		}
		fr = media.Frame{Kind: f.Kind, Format: f, Payload: p.Payload, Timestamp: p.Timestamp, Sequence: p.SequenceNumber, Marker: p.Marker, Epoch: 1, Arrival: now}
		b.source.Send(&fr)
	}
}

// birth is where Arrival counts from.
var birth = time.Now()

func drain(r interface {
	Read([]byte) (int, interceptor.Attributes, error)
}, take func([]byte)) {
	for p := make([]byte, 1500); ; {
		n, _, err := r.Read(p)
		if err != nil {
			return
		}
		take(p[:n])
	}
}

// told takes reports of what the browser says.
func (b *Browser) told(p []byte) {
	list, err := prtcp.Unmarshal(p)
	if err != nil {
		return
	}
	for _, q := range list {
		x, ok := q.(*prtcp.ExtendedReport)
		if !ok {
			continue
		}
		for _, k := range x.Reports {
			if m, ok := k.(*prtcp.VoIPMetricsReportBlock); ok {
				b.mu.Lock()
				b.metrics = m
				b.mu.Unlock()
			}
		}
	}
}

// Metrics are the VoIP metrics that were told last of what the browser says (RFC 3611 4.7); nil = none.
func (b *Browser) Metrics() *prtcp.VoIPMetricsReportBlock {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.metrics
}

// Report sends a compound packet of RTCP beside those that pion sends.
func (b *Browser) Report(p ...prtcp.Packet) error { return b.pc.WriteRTCP(p) }

// Source is what the browser hears, for the zero Pad.
func (b *Browser) Source(p media.Pad) *media.Source {
	if p == (media.Pad{}) {
		return b.source
	}
	return nil
}

// Sink is what the browser says, for the zero Pad.
func (b *Browser) Sink(p media.Pad) media.Sink {
	if p == (media.Pad{}) {
		return &b.sink
	}
	return nil
}

// Stats adds one stream for each direction.
func (b *Browser) Stats(s *media.Snapshot) {
	b.mu.Lock()
	in := b.heard
	b.mu.Unlock()
	s.Streams = append(s.Streams, in, b.sink.stats())
}

// Close ends the connection. When it returns all its goroutines have ended.
func (b *Browser) Close() error {
	b.close.Do(func() {
		b.mu.Lock()
		b.closed = true
		b.mu.Unlock()
		b.sink.Detach()
		b.err = b.pc.GracefulClose()
		b.work.Wait()
		b.source.Close()
	})
	return b.err
}

// Formats lists what was negotiated, best first; nil before.
func (b *Browser) Formats() []*media.Format {
	if c := b.sink.Caps(); c != nil {
		return slices.Clone(c.Formats)
	}
	return nil
}
