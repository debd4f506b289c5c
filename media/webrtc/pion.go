package webrtc

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"
	pwebrtc "github.com/pion/webrtc/v4"

	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/udp"
)

// pion is the transport of pion's PeerConnection. SDP stays the endpoint's: a PeerConnection has our credentials and our
// certificate, is told what the two descriptions come to, and its own words never leave the process. So one offer can have
// several answers here too: one PeerConnection each, all on the shared port.
type pion struct {
	port *Port
	log  *slog.Logger
}

func newPion(p *Port, log *slog.Logger) *pion { return &pion{p, log} }

func (t *pion) Enroll() (*credentials, error) { return t.port.enroll() }
func (t *pion) Withdraw(c *credentials)       { t.port.withdraw(c) }
func (t *pion) Lite() bool                    { return false }
func (t *pion) Restarts() bool                { return false }

func (t *pion) Join(d *deal, r receiver) (line, error) {
	l := &pionLine{port: t.port, r: r, born: udp.Now(), deal: d, conns: map[*socket]*agentConn{}}
	l.ring.init()
	for _, s := range t.port.sockets {
		l.conns[s] = newAgentConn(l, s)
	}
	if err := t.port.meet(d.ours, d.theirs.ufrag, l); err != nil {
		return nil, err
	}
	if err := l.start(t.log); err != nil {
		return nil, errors.Join(fmt.Errorf("webrtc: start PeerConnection: %w", err), l.Close())
	}
	return l, nil
}

// pionLine is a line that a PeerConnection serves.
type pionLine struct {
	agentPaths
	port  *Port
	r     receiver
	born  int64
	deal  *deal
	pc    *pwebrtc.PeerConnection
	track pionTrack
	ring  ring
	conns map[*socket]*agentConn
	work  sync.WaitGroup

	mu     sync.Mutex
	stats  lineStats
	window rtpstream.Once
	closed bool
	once   sync.Once
	err    error
}

// start makes the PeerConnection and tells it the deal, in the order in which it came about: ICE's roles follow from that.
func (l *pionLine) start(log *slog.Logger) error {
	api, err := l.api(log)
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(l.port.certificate.Certificate[0])
	if err != nil {
		return err
	}
	cert := pwebrtc.CertificateFromX509(l.port.certificate.PrivateKey, leaf)
	if l.pc, err = api.NewPeerConnection(pwebrtc.Configuration{Certificates: []pwebrtc.Certificate{cert}}); err != nil {
		return err
	}
	l.pc.OnConnectionStateChange(l.changed)
	l.pc.OnTrack(l.listen)
	way, err := l.pc.AddTransceiverFromTrack(&l.track, pwebrtc.RTPTransceiverInit{
		Direction:     pwebrtc.RTPTransceiverDirectionSendrecv,
		SendEncodings: []pwebrtc.RTPEncodingParameters{{RTPCodingParameters: pwebrtc.RTPCodingParameters{SSRC: pwebrtc.SSRC(l.deal.ssrc)}}},
	})
	if err != nil {
		return err
	}
	l.work.Go(func() { l.reports(func(b []byte) (int, error) { n, _, err := way.Sender().Read(b); return n, err }) })
	l.work.Go(func() { l.ring.drain(l.track.write) })
	theirs := l.theirs()
	if l.deal.offered {
		ours, err := l.pc.CreateOffer(nil)
		if err != nil {
			return err
		}
		if err := l.pc.SetLocalDescription(ours); err != nil {
			return err
		}
		return l.pc.SetRemoteDescription(pwebrtc.SessionDescription{Type: pwebrtc.SDPTypeAnswer, SDP: theirs})
	}
	if err := l.pc.SetRemoteDescription(pwebrtc.SessionDescription{Type: pwebrtc.SDPTypeOffer, SDP: theirs}); err != nil {
		return err
	}
	ours, err := l.pc.CreateAnswer(nil)
	if err != nil {
		return err
	}
	return l.pc.SetLocalDescription(ours)
}

// api has our port, our credentials, the deal's formats and the rules that our own stack keeps too. There are no interceptors:
// RTCP is the endpoint's.
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
	list, err := profiles(l.port.cfg.Profiles)
	if err != nil {
		return nil, err
	}
	se := pwebrtc.SettingEngine{LoggerFactory: pionLog{to: log}}
	se.SetICECredentials(l.deal.ours.ufrag, l.deal.ours.pwd)
	se.SetICEUDPMux(&agentMux{l})
	se.SetIncludeLoopbackCandidate(true)
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	se.SetNetworkTypes([]pwebrtc.NetworkType{pwebrtc.NetworkTypeUDP4, pwebrtc.NetworkTypeUDP6})
	se.SetICETimeouts(l.port.cfg.consent/3, l.port.cfg.consent, 2*time.Second)
	se.SetSRTPProtectionProfiles(list...)
	se.SetSRTPReplayProtectionWindow(replayRTP)
	se.SetSRTCPReplayProtectionWindow(replayRTCP)
	se.SetDTLSExtendedMasterSecret(dtls.RequireExtendedMasterSecret)
	se.SetDTLSConnectContextMaker(func() (context.Context, func()) {
		return context.WithTimeout(context.Background(), handshakeTime)
	})
	se.DisableCloseByDTLS(true) // SIP, RPC or the peer's consent end a leg
	return pwebrtc.NewAPI(pwebrtc.WithMediaEngine(engine), pwebrtc.WithSettingEngine(se)), nil
}

// theirs is the peer's description as the PeerConnection has to know it: one line of audio, both ways.
func (l *pionLine) theirs() string {
	d, t := l.deal, l.deal.theirs
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\r\n", a...) }
	line("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0")
	if t.lite {
		line("a=ice-lite")
	}
	var pts []string
	for _, p := range d.formats {
		pts = append(pts, fmt.Sprint(p.Send))
	}
	line("m=audio 9 UDP/TLS/RTP/SAVPF %s\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=rtcp-mux\r\na=sendrecv", strings.Join(pts, " "))
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
	setup := "active"
	if d.client {
		setup = "passive"
	}
	line("a=setup:%s\r\na=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=fingerprint:%s", setup, t.ufrag, t.pwd, t.fingerprints[len(t.fingerprints)-1])
	for _, s := range d.theirSSRCs {
		line("a=ssrc:%s", s)
	}
	for i, a := range t.candidates {
		line("a=candidate:%s", candidate(i, a))
	}
	return b.String()
}

// changed takes the PeerConnection's state. It comes on goroutines of pion's.
func (l *pionLine) changed(s pwebrtc.PeerConnectionState) {
	now := failed
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	switch {
	case s == pwebrtc.PeerConnectionStateConnected:
		now = connected
		if l.stats.SetUp == 0 {
			l.stats.SetUp = time.Duration(udp.Now() - l.born)
		}
	case s != pwebrtc.PeerConnectionStateFailed:
		l.mu.Unlock()
		return
	case l.stats.SetUp != 0:
		now = disconnected
	}
	l.stats.State = now
	l.mu.Unlock()
	if now == connected {
		l.profile()
	}
	var why error
	if now == failed {
		why = errors.New("webrtc: ICE or DTLS failed")
	}
	l.r.State(l, now, why)
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
		l.r.Receive(l, b[:n], l.latest(), udp.Now())
	}
}

// reports hands the peer's RTCP on.
func (l *pionLine) reports(read func([]byte) (int, error)) {
	for b := make([]byte, udp.MaxDatagram); ; {
		n, err := read(b)
		if err != nil {
			return
		}
		l.r.ReceiveControl(l, b[:n], udp.Now())
	}
}

// Update takes another agreement with the same peer. Formats and directions are the endpoint's: there is nothing to tell.
func (l *pionLine) Update(d *deal) error {
	if d.ours != l.deal.ours || d.theirs.ufrag != l.deal.theirs.ufrag || d.theirs.pwd != l.deal.theirs.pwd {
		return errNoRestart
	}
	return nil
}

var errNoRestart = sdp.Refuse(sdp.ErrTransport, "ICE can't be restarted here")

// Send hands a packet on to the PeerConnection, whose locks and allocations are none of the packet path's.
func (l *pionLine) Send(b []byte) error {
	if len(b) < rtpstream.HeaderSize {
		return errShort
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed || l.stats.State != connected:
		return errNoKeys
	case !l.window.Take(binary.BigEndian.Uint16(b[2:])):
		l.stats.Reused++
		return ErrReused
	}
	if l.ring.put(b) {
		return udp.ErrFull // an earlier one's
	}
	return nil
}

// SendControl hands reports to the PeerConnection.
func (l *pionLine) SendControl(b []byte) error {
	l.mu.Lock()
	ok := !l.closed && l.stats.State == connected
	l.mu.Unlock()
	if !ok {
		return errNoKeys
	}
	list, err := prtcp.Unmarshal(b)
	if err != nil {
		return err
	}
	return l.pc.WriteRTCP(list)
}

// Tick does nothing: the agent asks for consent by itself.
func (l *pionLine) Tick(int64) {}

// Stats are plain values.
func (l *pionLine) Stats() lineStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.stats
	st.Path, st.LastSeen, st.Checks = l.latest(), l.seen.Load(), l.asked.Load()
	return st
}

// Close ends the PeerConnection and awaits its goroutines.
func (l *pionLine) Close() error {
	l.once.Do(func() {
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
		l.ring.close()
		if l.pc != nil {
			l.err = l.pc.GracefulClose()
		}
		l.port.part(l.deal.ours, l.deal.theirs.ufrag, l)
		l.forget(l)
		for _, c := range l.conns {
			_ = c.Close()
		}
		l.work.Wait()
	})
	return l.err
}

// pionTrack is what the PeerConnection sends: packets of any of the deal's formats.
type pionTrack struct {
	mu     sync.Mutex
	out    pwebrtc.TrackLocalWriter
	header prtp.Header
}

func (t *pionTrack) Bind(ctx pwebrtc.TrackLocalContext) (pwebrtc.RTPCodecParameters, error) {
	codecs := ctx.CodecParameters()
	if len(codecs) == 0 {
		return pwebrtc.RTPCodecParameters{}, pwebrtc.ErrUnsupportedCodec
	}
	t.mu.Lock()
	t.out = ctx.WriteStream()
	t.mu.Unlock()
	return codecs[0], nil
}

func (t *pionTrack) Unbind(pwebrtc.TrackLocalContext) error {
	t.mu.Lock()
	t.out = nil
	t.mu.Unlock()
	return nil
}

func (t *pionTrack) ID() string                 { return "audio" }
func (t *pionTrack) RID() string                { return "" }
func (t *pionTrack) StreamID() string           { return "patchbay" }
func (t *pionTrack) Kind() pwebrtc.RTPCodecType { return pwebrtc.RTPCodecTypeAudio }

// write sends a packet. One that can't be sent is lost, as on a network: the state tells why.
func (t *pionTrack) write(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n, err := t.header.Unmarshal(b); err == nil && t.out != nil {
		_, _ = t.out.WriteRTP(&t.header, b[n:])
	}
}
