package webrtc

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"
	pwebrtc "github.com/pion/webrtc/v4"

	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/udp"
)

// pion is the transport of pion's PeerConnection, with full ICE: its candidates are the shared port's, over UDP and TCP, and
// those of STUN and TURN servers. SDP stays the endpoint's: a PeerConnection has our certificate, is told what the two
// descriptions come to, and its own words never leave the process. ICE is a layer of its own below it (agent.go, inner.go):
// so one offer can have several answers here too, an answer can be taken back, and an ICE restart changes paths without a gap.
type pion struct {
	port  *Port
	log   *slog.Logger
	ice   func() ICE // as it is now
	watch func(candidateFound)

	mu     sync.Mutex
	agents map[*credentials]*agent // that have no peer yet
}

func newPion(p *Port, log *slog.Logger, now func() ICE, watch func(candidateFound)) *pion {
	return &pion{port: p, log: log, ice: now, watch: watch, agents: map[*credentials]*agent{}}
}

// Enroll makes credentials, and the agent that has them.
func (t *pion) Enroll() (*credentials, error) {
	c, err := t.port.enroll()
	if err != nil {
		return nil, err
	}
	a, err := newAgent(t.port, c, t.ice(), t.log, t.watch)
	if err != nil {
		t.port.withdraw(c)
		return nil, err
	}
	t.mu.Lock()
	t.agents[c] = a
	t.mu.Unlock()
	return c, nil
}

func (t *pion) Withdraw(c *credentials) {
	t.port.withdraw(c)
	t.mu.Lock()
	a := t.agents[c]
	delete(t.agents, c)
	t.mu.Unlock()
	if a != nil && !a.taken() {
		_ = a.Close() // it was never used
	}
}

func (t *pion) Lite() bool { return false }

func (t *pion) Gather(c *credentials) error {
	if a := t.agent(c); a != nil {
		return a.gather()
	}
	return nil
}

func (t *pion) Candidates(c *credentials) (list []string, over <-chan struct{}) {
	a := t.agent(c)
	if a == nil {
		return nil, nil
	}
	return a.candidates(), a.done
}

func (t *pion) agent(c *credentials) *agent {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.agents[c]
}

// take gives the agent of credentials to a line. The second answer to one offer, and a rollback to what was withdrawn, get
// another with the same credentials, whose candidates nobody is told.
func (t *pion) take(c *credentials) (*agent, error) {
	if a := t.agent(c); a != nil && a.take() {
		return a, nil
	}
	a, err := newAgent(t.port, c, t.ice(), t.log, func(candidateFound) {})
	if err != nil {
		return nil, err
	}
	a.take()
	if err := a.gather(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (t *pion) Join(d *deal, r receiver) (line, error) {
	l := &pionLine{transport: t, port: t.port, r: r, born: udp.Now(), deal: d, drained: make(chan struct{})}
	l.ring.init()
	l.inner = newInner(l.leave, l.dropped)
	l.work.Go(func() {
		defer close(l.drained)
		l.ring.drain(l.write)
	})
	if err := l.Update(d); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// pionLine is a line that a PeerConnection serves.
type pionLine struct {
	transport *pion
	port      *Port
	r         receiver
	born      int64
	deal      *deal // the first: what the PeerConnection is told doesn't change
	inner     *inner
	track     pionTrack
	ring      ring
	drained   chan struct{}
	work      sync.WaitGroup
	starting  sync.WaitGroup
	out       atomic.Pointer[agent] // what has a path

	mu     sync.Mutex
	now    *pionSession // ICE's
	was    *pionSession // and the one before a restart, until the new one has a path
	pc     *pwebrtc.PeerConnection
	stats  lineStats
	window rtpstream.Once
	begun  bool // the PeerConnection is made
	closed bool
	once   sync.Once
	err    error
}

type pionSession struct {
	pairing
	agent *agent
}

// Update lets the peer in under the deal's credentials. After a restart the old paths are used until there is a new one.
func (l *pionLine) Update(d *deal) error {
	next := pairing{d.ours, credentials{d.theirs.ufrag, d.theirs.pwd}}
	l.mu.Lock()
	now, was := l.now, l.was
	if l.closed {
		l.mu.Unlock()
		return net.ErrClosed
	}
	switch {
	case now != nil && now.pairing == next:
		l.mu.Unlock()
		for _, c := range d.theirs.lines {
			_ = now.agent.add(c) // as in start
		}
		return nil
	case was != nil && was.pairing == next: // the restart is taken back
		l.now, l.was = was, nil
		l.mu.Unlock()
		return now.agent.Close()
	}
	l.mu.Unlock()
	a, err := l.transport.take(d.ours)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.now, l.was = &pionSession{next, a}, now
	l.mu.Unlock()
	l.r.Network(l, netChecking, PairSelected{})
	if was != nil {
		err = was.agent.Close()
	}
	return errors.Join(err, a.start(l, d))
}

// AddCandidate takes one of the peer's.
func (l *pionLine) AddCandidate(value string) error {
	l.mu.Lock()
	now := l.now
	l.mu.Unlock()
	if now == nil {
		return net.ErrClosed
	}
	return now.agent.add(value)
}

// network takes an agent's state, on goroutines of pion's.
func (l *pionLine) network(a *agent, s ice.ConnectionState) {
	l.mu.Lock()
	if l.closed || l.now == nil || l.now.agent != a {
		l.mu.Unlock()
		return
	}
	var told step
	var pair PairSelected
	from := l.stats.State
	switch s {
	case ice.ConnectionStateConnected, ice.ConnectionStateCompleted:
		local, remote, ok := a.pair()
		if !ok {
			l.mu.Unlock()
			return
		}
		told, pair = netFound, PairSelected{"candidate:" + local.Marshal(), "candidate:" + remote.Marshal()}
		l.connected(a)
	case ice.ConnectionStateDisconnected:
		told = netLost
	case ice.ConnectionStateFailed:
		told = netFailed
		if l.stats.State = failed; l.stats.SetUp != 0 {
			l.stats.State = disconnected
		}
	default:
		l.mu.Unlock()
		return
	}
	now := l.stats.State
	l.mu.Unlock()
	l.r.Network(l, told, pair)
	if told == netFailed && from != now {
		var why error
		if now == failed {
			why = errors.New("webrtc: no path to the peer")
		}
		l.r.State(l, now, why)
	}
}

// connected puts an agent in force. The first has the PeerConnection made. The caller holds mu.
func (l *pionLine) connected(a *agent) {
	l.out.Store(a)
	if old := l.was; old != nil {
		l.was = nil
		l.work.Go(func() { _ = old.agent.Close() }) // what it says is of no interest any more
	}
	if l.stats.State == disconnected {
		l.stats.State = connected
	}
	if !l.begun {
		l.begun = true
		l.starting.Go(l.begin)
	}
}

// leave sends what the PeerConnection has for the network.
func (l *pionLine) leave(b []byte) error {
	if a := l.out.Load(); a != nil {
		return a.Write(b)
	}
	return errNoPath
}

func (l *pionLine) dropped() {
	l.mu.Lock()
	l.stats.Dropped++
	l.mu.Unlock()
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
	way, err := pc.AddTransceiverFromTrack(&l.track, pwebrtc.RTPTransceiverInit{
		Direction:     pwebrtc.RTPTransceiverDirectionSendrecv,
		SendEncodings: []pwebrtc.RTPEncodingParameters{{RTPCodingParameters: pwebrtc.RTPCodingParameters{SSRC: pwebrtc.SSRC(l.deal.ssrc)}}},
	})
	if err != nil {
		return err
	}
	l.work.Go(func() { l.reports(func(b []byte) (int, error) { n, _, err := way.Sender().Read(b); return n, err }) })
	if err := pc.SetRemoteDescription(pwebrtc.SessionDescription{Type: pwebrtc.SDPTypeOffer, SDP: l.theirs()}); err != nil {
		return err
	}
	ours, err := pc.CreateAnswer(nil)
	if err != nil {
		return err
	}
	return pc.SetLocalDescription(ours)
}

// api has the wire to the line, the deal's formats and the rules that our own stack keeps too. There are no interceptors:
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
	line("a=setup:%s\r\na=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=fingerprint:%s", setup, l.inner.theirs.ufrag, l.inner.theirs.pwd, t.fingerprints[len(t.fingerprints)-1])
	for _, s := range d.theirSSRCs {
		line("a=ssrc:%s", s)
	}
	line("a=candidate:%s\r\na=end-of-candidates", candidate(0, innerTheirs()))
	return b.String()
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
	l.mu.Unlock()
	var why error
	if now == connected {
		l.profile()
	} else {
		why = errors.New("webrtc: DTLS failed")
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
		l.r.Receive(l, b[:n], l.from(), udp.Now())
	}
}

// from is where the peer is.
func (l *pionLine) from() netip.AddrPort {
	if a := l.out.Load(); a != nil {
		return a.where()
	}
	return netip.AddrPort{}
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

// SendControl hands reports to the PeerConnection, behind the packets that wait.
func (l *pionLine) SendControl(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.stats.State != connected {
		return errNoKeys
	}
	if len(b) > ringSlot {
		return errLong
	}
	if l.ring.put(b) {
		return udp.ErrFull
	}
	return nil
}

// write hands the PeerConnection what has waited. What can't be sent is lost, as on a network: the state tells why.
func (l *pionLine) write(b []byte) {
	if !rtpstream.IsControl(b) {
		l.track.write(b)
		return
	}
	if list, err := prtcp.Unmarshal(b); err == nil {
		_ = l.pc.WriteRTCP(list)
	}
}

// Tick does nothing: the agent asks for consent by itself.
func (l *pionLine) Tick(int64) {}

// Stats are plain values.
func (l *pionLine) Stats() lineStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.stats
	if a := l.out.Load(); a != nil {
		st.Path, st.LastSeen, st.Checks = a.where(), a.seen.Load(), a.asked.Load()
	}
	return st
}

// Close ends the PeerConnection and its network, and awaits their goroutines.
func (l *pionLine) Close() error {
	l.once.Do(func() {
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
		l.ring.close() // a last BYE goes out
		select {
		case <-l.drained:
		case <-time.After(time.Second): // a server of TURN that doesn't read
		}
		l.starting.Wait()
		l.mu.Lock()
		pc, now, was := l.pc, l.now, l.was
		l.mu.Unlock()
		if pc != nil {
			l.err = pc.GracefulClose()
		}
		_ = l.inner.Close()
		for _, s := range []*pionSession{now, was} {
			if s != nil {
				l.err = errors.Join(l.err, s.agent.Close())
			}
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
