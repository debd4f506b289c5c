package webrtc

import (
	"fmt"
	"strings"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/twcc"
	pwebrtc "github.com/pion/webrtc/v4"

	"github.com/patchbay/patchbay/media/udp"
)

// register makes an engine know the picture's formats, and header extensions.
func (s *scene) register(engine *pwebrtc.MediaEngine) error {
	p := s.picture
	if p == nil {
		return nil
	}
	for _, f := range p.formats {
		c := pwebrtc.RTPCodecParameters{PayloadType: pwebrtc.PayloadType(f.Recv), RTPCodecCapability: pwebrtc.RTPCodecCapability{
			MimeType: "video/" + f.Codec, ClockRate: uint32(f.Clock), SDPFmtpLine: f.Fmtp,
		}}
		for _, what := range p.feedback[f.PT] {
			kind, parameter, _ := strings.Cut(what, " ")
			c.RTCPFeedback = append(c.RTCPFeedback, pwebrtc.RTCPFeedback{Type: kind, Parameter: parameter})
		}
		if err := engine.RegisterCodec(c, pwebrtc.RTPCodecTypeVideo); err != nil {
			return err
		}
	}
	for _, f := range p.rtx {
		c := pwebrtc.RTPCodecParameters{PayloadType: pwebrtc.PayloadType(f.PT), RTPCodecCapability: pwebrtc.RTPCodecCapability{
			MimeType: pwebrtc.MimeTypeRTX, ClockRate: uint32(f.Clock), SDPFmtpLine: f.Fmtp,
		}}
		if err := engine.RegisterCodec(c, pwebrtc.RTPCodecTypeVideo); err != nil {
			return err
		}
	}
	for _, x := range p.extensions {
		if err := engine.RegisterHeaderExtension(pwebrtc.RTPHeaderExtensionCapability{URI: x.uri}, pwebrtc.RTPCodecTypeVideo); err != nil {
			return err
		}
	}
	return nil
}

// chain is what stands between a PeerConnection and its packets of pictures: requests for lost ones, the feedback of what came
// when, and the estimate of what the path takes. Reports and answers to requests are the endpoint's.
func (l *pionLine) chain() (*interceptor.Registry, error) {
	chain := &interceptor.Registry{}
	s := l.deal.scene
	if s == nil || s.picture == nil {
		return chain, nil
	}
	asks, err := nack.NewGeneratorInterceptor()
	if err != nil {
		return nil, err
	}
	chain.Add(tallyFactory{l})
	chain.Add(asks)
	if s.picture.has(extTWCC) {
		tells, err := twcc.NewSenderInterceptor()
		if err != nil {
			return nil, err
		}
		numbers, err := twcc.NewHeaderExtensionInterceptor()
		if err != nil {
			return nil, err
		}
		chain.Add(tells)
		chain.Add(estimatorFactory{l})
		chain.Add(numbers)
	}
	return chain, nil
}

// scene adds the other lines of the peer's description.
func (l *pionLine) scene(line func(string, ...any), transport string) {
	s := l.deal.scene
	if s == nil {
		return
	}
	if p := s.picture; p != nil {
		var pts []string
		for _, f := range p.formats {
			pts = append(pts, fmt.Sprint(f.Send))
		}
		for _, f := range p.rtx {
			pts = append(pts, fmt.Sprint(f.PT))
		}
		line("m=video 9 UDP/TLS/RTP/SAVPF %s\r\nc=IN IP4 0.0.0.0\r\na=mid:%s\r\na=rtcp-mux\r\na=sendrecv", strings.Join(pts, " "), p.mid)
		for _, f := range p.formats {
			line("a=rtpmap:%d %s/%d", f.Send, f.Codec, f.Clock)
			if f.Fmtp != "" {
				line("a=fmtp:%d %s", f.Send, f.Fmtp)
			}
			for _, what := range p.feedback[f.PT] {
				line("a=rtcp-fb:%d %s", f.Send, what)
			}
		}
		for _, f := range p.rtx {
			line("a=rtpmap:%d rtx/%d\r\na=fmtp:%d %s", f.PT, f.Clock, f.PT, f.Fmtp)
		}
		for _, x := range p.extensions {
			line("a=extmap:%d %s", x.id, x.uri)
		}
		for _, name := range p.layers {
			line("a=rid:%s send", name)
		}
		if len(p.layers) > 0 {
			line("a=msid:peer video\r\na=simulcast:send %s", strings.Join(p.layers, ";")) // by its msid pion knows that there are tracks
		} else {
			for _, a := range p.theirs {
				line("a=%s:%s", a.Key, a.Value)
			}
		}
		line("%s", transport)
	}
	if d := s.data; d != nil {
		line("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:%s\r\na=sctp-port:%d\r\na=max-message-size:%d\r\n%s", d.mid, dataPort, dataMax, transport)
	}
}

// mids are those of the lines, as a=group has them.
func (s *scene) mids(audio string) string {
	var list []string
	if s == nil || s.audio {
		list = append(list, audio)
	}
	if s != nil && s.picture != nil {
		list = append(list, s.picture.mid)
	}
	if s != nil && s.data != nil {
		list = append(list, s.data.mid)
	}
	return strings.Join(list, " ")
}

// prepare gives the PeerConnection what it sends and takes beside audio.
func (l *pionLine) prepare(pc *pwebrtc.PeerConnection) error {
	s := l.deal.scene
	if s == nil {
		return nil
	}
	if s.data != nil {
		pc.OnDataChannel(func(c *pwebrtc.DataChannel) { s.rich.data.opened(l, c) })
	}
	if s.picture == nil {
		return nil
	}
	l.pictures.video = true
	way, err := pc.AddTransceiverFromTrack(&l.pictures, pwebrtc.RTPTransceiverInit{
		Direction:     pwebrtc.RTPTransceiverDirectionSendrecv,
		SendEncodings: []pwebrtc.RTPEncodingParameters{{RTPCodingParameters: pwebrtc.RTPCodingParameters{SSRC: pwebrtc.SSRC(s.rich.out.SSRC)}}},
	})
	if err != nil {
		return err
	}
	l.work.Go(func() {
		l.hear(func(b []byte) (int, error) { n, _, err := way.Sender().Read(b); return n, err })
	})
	l.work.Go(func() { l.lane.drain(l.pictures.write) })
	return nil
}

// hear hands the peer's RTCP about pictures on.
func (l *pionLine) hear(read func([]byte) (int, error)) {
	for b := make([]byte, udp.MaxDatagram); ; {
		n, err := read(b)
		if err != nil {
			return
		}
		l.deal.scene.rich.heard(l, b[:n], udp.Now())
	}
}

// look hands the peer's pictures on, one stream at a time.
func (l *pionLine) look(t *pwebrtc.TrackRemote, r *pwebrtc.RTPReceiver) {
	s := l.deal.scene
	if s == nil || s.picture == nil {
		return
	}
	layer := uint8(0)
	for i, name := range s.picture.layers {
		if name == t.RID() {
			layer = uint8(i + 1)
		}
	}
	if t.RID() != "" && layer == 0 {
		return
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.work.Add(1)
	l.work.Go(func() {
		l.hear(func(b []byte) (int, error) {
			if t.RID() != "" {
				n, _, err := r.ReadSimulcast(b, t.RID())
				return n, err
			}
			n, _, err := r.Read(b)
			return n, err
		})
	})
	l.mu.Unlock()
	defer l.work.Done()
	for b := make([]byte, udp.MaxDatagram); ; {
		n, _, err := t.Read(b)
		if err != nil {
			return
		}
		l.proved()
		s.rich.in.receive(l, layer, b[:n], udp.Now())
	}
}

// ready reports whether there are keys.
func (l *pionLine) ready() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.closed && l.stats.State == connected
}

// sendPicture puts a packet of pictures on its way.
func (l *pionLine) sendPicture(b []byte) error { return l.lane.put(b) }
