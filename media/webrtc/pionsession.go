package webrtc

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	prtcp "github.com/pion/rtcp"
	pwebrtc "github.com/pion/webrtc/v4"

	"github.com/patchbay/patchbay/media/udp"
)

type pionSession struct {
	pairing
	agent *agent
}

// begin makes the PeerConnection, once there is a path for its handshake.
func (l *pionLine) begin() {
	l.r.Shaking(l)
	err := l.start(l.transport.log)
	if err == nil {
		return
	}
	l.mu.Lock()
	closed := l.closed
	l.stats.State = failed
	l.mu.Unlock()
	if !closed {
		l.r.State(l, failed, fmt.Errorf("webrtc: start PeerConnection: %w", err))
	}
}

// start tells a PeerConnection the deal: as an offer of the peer's, whoever offered.
func (l *pionLine) start(log *slog.Logger) error {
	api, err := l.api(log)
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(l.deal.identity.certificate.Certificate[0])
	if err != nil {
		return err
	}
	cert := pwebrtc.CertificateFromX509(l.deal.identity.certificate.PrivateKey, leaf)
	pc, err := api.NewPeerConnection(pwebrtc.Configuration{Certificates: []pwebrtc.Certificate{cert}})
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.pc = pc
	l.mu.Unlock()
	pc.OnConnectionStateChange(l.changed)
	pc.OnTrack(l.listen)
	if len(l.deal.formats) > 0 {
		way, err := pc.AddTransceiverFromTrack(&l.track, pwebrtc.RTPTransceiverInit{
			Direction:     pwebrtc.RTPTransceiverDirectionSendrecv,
			SendEncodings: []pwebrtc.RTPEncodingParameters{{RTPCodingParameters: pwebrtc.RTPCodingParameters{SSRC: pwebrtc.SSRC(l.deal.ssrc)}}},
		})
		if err != nil {
			return err
		}
		l.work.Go(func() { l.reports(func(b []byte) (int, error) { n, _, err := way.Sender().Read(b); return n, err }) })
	}
	if err := l.prepare(pc); err != nil {
		return err
	}
	if err := pc.SetRemoteDescription(pwebrtc.SessionDescription{Type: pwebrtc.SDPTypeOffer, SDP: l.theirs()}); err != nil {
		return err
	}
	ours, err := pc.CreateAnswer(nil)
	if err != nil {
		return err
	}
	return pc.SetLocalDescription(ours)
}

// api has the wire to the line, the deal's formats and the rules that our own stack keeps too. Audio has no interceptors: its RTCP
// is the endpoint's.
func (l *pionLine) api(log *slog.Logger) (*pwebrtc.API, error) {
	engine := &pwebrtc.MediaEngine{}
	for _, p := range l.deal.formats {
		c := pwebrtc.RTPCodecParameters{PayloadType: pwebrtc.PayloadType(p.Recv), RTPCodecCapability: pwebrtc.RTPCodecCapability{
			MimeType: "audio/" + strings.ToLower(p.Codec), ClockRate: uint32(p.Clock), SDPFmtpLine: p.Fmtp,
		}}
		if p.Channels > 1 {
			c.Channels = uint16(p.Channels)
		}
		if err := engine.RegisterCodec(c, pwebrtc.RTPCodecTypeAudio); err != nil {
			return nil, err
		}
	}
	if s := l.deal.scene; s != nil {
		if err := s.register(engine); err != nil {
			return nil, err
		}
		if s.named != 0 { // a stream that SDP doesn't name is found by it
			if err := engine.RegisterHeaderExtension(pwebrtc.RTPHeaderExtensionCapability{URI: extMid}, pwebrtc.RTPCodecTypeAudio); err != nil {
				return nil, err
			}
		}
	}
	chain, err := l.chain()
	if err != nil {
		return nil, err
	}
	list, err := profiles(l.port.cfg.Profiles)
	if err != nil {
		return nil, err
	}
	se := pwebrtc.SettingEngine{LoggerFactory: pionLog{to: log}}
	se.SetICECredentials(l.inner.ours.ufrag, l.inner.ours.pwd)
	se.SetICEUDPMux(innerMux{l.inner})
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	se.SetNetworkTypes([]pwebrtc.NetworkType{pwebrtc.NetworkTypeUDP4})
	se.SetICETimeouts(0, 0, 0) // the wire doesn't break: the network is the agent's
	se.SetSRTPProtectionProfiles(list...)
	se.SetSRTPReplayProtectionWindow(replayRTP)
	se.SetSRTCPReplayProtectionWindow(replayRTCP)
	se.SetDTLSExtendedMasterSecret(dtls.RequireExtendedMasterSecret)
	se.SetDTLSConnectContextMaker(func() (context.Context, func()) {
		return context.WithTimeout(context.Background(), l.port.cfg.shaking)
	})
	se.DisableCloseByDTLS(true) // SIP, RPC or the peer's consent end a leg
	return pwebrtc.NewAPI(pwebrtc.WithMediaEngine(engine), pwebrtc.WithSettingEngine(se), pwebrtc.WithInterceptorRegistry(chain)), nil
}

// theirs is the peer's description as the PeerConnection has to know it: each line goes both ways.
func (l *pionLine) theirs() string {
	d, t := l.deal, l.deal.theirs
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\r\n", a...) }
	audio := "0"
	if d.scene != nil {
		audio = d.scene.mid
	}
	line("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE %s", d.scene.mids(audio))
	setup := "active"
	if d.client {
		setup = "passive"
	}
	transport := fmt.Sprintf("a=setup:%s\r\na=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=fingerprint:%s\r\na=candidate:%s\r\na=end-of-candidates",
		setup, l.inner.theirs.ufrag, l.inner.theirs.pwd, t.fingerprints[len(t.fingerprints)-1], candidate(0, innerTheirs()))
	if len(d.formats) > 0 {
		l.sound(line, audio, transport)
	}
	l.scene(line, transport)
	return b.String()
}

// sound is the line of audio.
func (l *pionLine) sound(line func(string, ...any), mid, transport string) {
	d := l.deal
	var pts []string
	for _, p := range d.formats {
		pts = append(pts, fmt.Sprint(p.Send))
	}
	line("m=audio 9 UDP/TLS/RTP/SAVPF %s\r\nc=IN IP4 0.0.0.0\r\na=mid:%s\r\na=rtcp-mux\r\na=sendrecv", strings.Join(pts, " "), mid)
	for _, p := range d.formats {
		name := fmt.Sprintf("%s/%d", strings.ToLower(p.Codec), p.Clock)
		if p.Channels > 1 {
			name += fmt.Sprintf("/%d", p.Channels)
		}
		line("a=rtpmap:%d %s", p.Send, name)
		if p.Fmtp != "" {
			line("a=fmtp:%d %s", p.Send, p.Fmtp)
		}
	}
	if d.scene != nil && d.scene.named != 0 {
		line("a=extmap:%d %s", d.scene.named, extMid)
	}
	for _, s := range d.theirSSRCs {
		line("a=ssrc:%s", s)
	}
	line("%s", transport)
}

// changed takes the PeerConnection's state. It comes on goroutines of pion's.
func (l *pionLine) changed(s pwebrtc.PeerConnectionState) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	now := connected
	switch s {
	case pwebrtc.PeerConnectionStateConnected:
		if l.stats.SetUp == 0 {
			l.stats.SetUp = time.Duration(udp.Now() - l.born)
		}
	case pwebrtc.PeerConnectionStateFailed:
		now = failed
	default:
		l.mu.Unlock()
		return
	}
	l.stats.State = now
	l.starting.Add(1) // the PeerConnection isn't closed while it is asked
	l.mu.Unlock()
	var why error
	if now == connected {
		l.profile()
	}
	l.starting.Done()
	if now != connected {
		why = errors.New("webrtc: DTLS failed")
	}
	l.r.State(l, now, why)
}

// proved says that the peer's media comes, which the keys of DTLS have opened: pion may tell of its state later than that.
func (l *pionLine) proved() {
	l.mu.Lock()
	known := l.stats.State == connected || l.stats.State == failed
	l.mu.Unlock()
	if !known {
		l.changed(pwebrtc.PeerConnectionStateConnected)
	}
}

// profile notes what was agreed for SRTP.
func (l *pionLine) profile() {
	for _, s := range l.pc.GetStats() {
		if t, ok := s.(pwebrtc.TransportStats); ok && t.SRTPCipher != "" {
			l.mu.Lock()
			if l.stats.Profile = t.SRTPCipher; strings.HasPrefix(t.SRTPCipher, "AES_CM_128") || strings.HasPrefix(t.SRTPCipher, "AES128") {
				l.stats.Profile = profileName(dtls.SRTP_AES128_CM_HMAC_SHA1_80)
			}
			l.mu.Unlock()
		}
	}
}

// listen hands the peer's packets on, one stream at a time.
func (l *pionLine) listen(t *pwebrtc.TrackRemote, r *pwebrtc.RTPReceiver) {
	if t.Kind() == pwebrtc.RTPCodecTypeVideo {
		l.look(t, r)
		return
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.work.Add(1)
	l.work.Go(func() { l.reports(func(b []byte) (int, error) { n, _, err := r.Read(b); return n, err }) })
	l.mu.Unlock()
	defer l.work.Done()
	for b := make([]byte, udp.MaxDatagram); ; {
		n, _, err := t.Read(b)
		if err != nil {
			return
		}
		l.proved()
		l.r.Receive(l, b[:n], l.from(), udp.Now())
	}
}

// reports hands the peer's RTCP on. pion takes compound packets apart and hands each part to whom it is about: here each is a
// compound packet by itself.
func (l *pionLine) reports(read func([]byte) (int, error)) {
	for b := make([]byte, emptyReport+udp.MaxDatagram); ; {
		n, err := read(b[emptyReport:])
		if err != nil {
			return
		}
		l.r.ReceiveControl(l, compounded(b[:emptyReport+n]), udp.Now())
	}
}

const emptyReport = 8 // bytes of a receiver report without a block (RFC 3550 6.4.2)

// compounded is what stands in b behind the room for an empty report, which goes before it unless it is a report.
func compounded(b []byte) []byte {
	p := b[emptyReport:]
	if len(p) < 8 || p[1] == byte(prtcp.TypeSenderReport) || p[1] == byte(prtcp.TypeReceiverReport) {
		return p
	}
	copy(b, []byte{0x80, byte(prtcp.TypeReceiverReport), 0, 1})
	copy(b[4:emptyReport], p[4:8]) // of the same sender
	return b
}
