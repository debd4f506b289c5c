package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/opus"
	"github.com/patchbay/patchbay/media/rtp"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/media/webrtc"
)

// mediaPorts is one local media address and its range of ports.
type mediaPorts struct {
	MediaAddr
	ports *udp.Ports
}

func newMediaPorts(a MediaAddr, m Media) (mediaPorts, error) {
	p, err := udp.NewPorts(udp.PortsConfig{Min: m.MinPort, Max: m.MaxPort})
	if err != nil {
		return mediaPorts{}, fmt.Errorf("media address %s: %w", a.Bind, err)
	}
	return mediaPorts{a, p}, nil
}

// party is what an endpoint is made for.
type party struct {
	media   []MediaAddr // its own, else none
	ptime   int         // ms of packets; 0 = as the peer asks
	codecs  []string
	dtmf    string
	srtp    media.SRTP
	peer    netip.AddrPort // its signalling
	offers  netip.Addr     // where its own offer has media sent; zero = it has made none
	urgent  bool           // its call is one for help
	browser bool           // it speaks WebRTC
	passing bool           // its media is never converted

	preconditions sdp.Preconditions
}

// prefers tells whether the party wants Opus rather than what the far party has.
func (p party) prefers() bool { return len(p.codecs) > 0 && strings.EqualFold(p.codecs[0], "OPUS") }

// order puts a party's own formats in the order in which they are offered or answered: what the far side has first, so that
// media passes through, unless the party wants its own choice whatever that costs.
func (p party) order(other []*media.Format) []*media.Format {
	own := formats(p.codecs, p.dtmf)
	switch {
	case p.prefers() && p.browser: // every browser has Opus (RFC 7874 3); with another beside it that one would be relayed
		return narrowed(only(own), other)
	case p.prefers():
		return narrowed(own, other)
	}
	return firstOf(own, other)
}

// narrowed asks for Opus of telephone's width where the other side has no Opus: nobody would hear more, and both sides have less
// to code (RFC 7587 6.1).
func narrowed(own, other []*media.Format) []*media.Format {
	same := func(f *media.Format) bool { return f.Codec == opus.Format().Codec }
	if len(other) == 0 || slices.ContainsFunc(other, same) {
		return own
	}
	out := slices.Clone(own)
	for i, f := range out {
		if same(f) {
			narrow := *f
			narrow.Params = opus.NarrowParams
			out[i] = &narrow
		}
	}
	return out
}

// newEndpoint opens what a party's media needs: RTP ports, of IPv6 towards an IPv6 peer; of a browser its share of the
// one port that all browsers have.
func (g *Gateway) newEndpoint(p party, name string, notify func(media.Notice)) (media.Endpoint, error) {
	timeout := g.cfg.Media.Timeout
	if timeout == 0 {
		timeout = -1 // never
	}
	if p.browser {
		if g.cfg.Media.WebRTC == nil {
			return nil, errors.New("browsers are switched off: media.webrtc has no port")
		}
		return webrtc.New(webrtc.Config{Port: g.cfg.Media.WebRTC, Shared: true, Formats: formats(p.codecs, p.dtmf), Registry: g.cfg.Media.Registry,
			Metrics: g.cfg.Media.Metrics, Stack: webrtc.Own, Timeout: timeout, Notify: notify, Log: g.log, Name: name})
	}
	mp := g.portsFor(p)
	if n := mp.ports.Stats(); !p.urgent && n.Free <= portReserve(n.Free+n.Used+n.Held) {
		return nil, fmt.Errorf("%w but those kept for emergency calls", udp.ErrExhausted)
	}
	return rtp.New(rtp.Config{Net: g.cfg.Media.Net, Ports: mp.ports, Bind: mp.Bind, Advertise: mp.Advertise,
		Formats: formats(p.codecs, p.dtmf), Registry: g.cfg.Media.Registry, Signalling: p.peer.Addr().Unmap(), Ptime: p.ptime, Preconditions: p.preconditions, Metrics: g.cfg.Media.Metrics,
		Timeout: timeout, Notify: notify, Log: g.log, Name: name})
}

// MediaPorts is the first media address of a family, and its range of ports: whoever takes ports beside the gateway takes them
// from there, so that neither tries the other's. ok is false if there is no address of that family.
func (g *Gateway) MediaPorts(v6 bool) (a MediaAddr, ports *udp.Ports, ok bool) {
	for _, mp := range g.ports {
		if mp.Bind.Unmap().Is6() == v6 {
			return mp.MediaAddr, mp.ports, true
		}
	}
	return MediaAddr{}, nil, false
}

// v6 tells whether media goes over IPv6: as the peer's offer says, else as its signalling does.
func (p party) v6() bool {
	a := p.peer.Addr()
	if p.offers.IsValid() {
		a = p.offers
	}
	return a.Is6() && !a.Is4In6()
}

// portsFor picks the media address of a party: of its own, or of all there are, the first of the right family, else the first.
func (g *Gateway) portsFor(p party) mediaPorts {
	list := g.ports
	if len(p.media) > 0 {
		list = nil
		for _, a := range p.media {
			for _, mp := range g.ports {
				if mp.Bind == a.Bind {
					mp.Advertise = a.Advertise
					list = append(list, mp)
					break
				}
			}
		}
	}
	for _, mp := range list {
		if mp.Bind.Is6() == p.v6() {
			return mp
		}
	}
	if len(list) > 0 {
		return list[0]
	}
	return g.ports[0]
}

// offersAt is where a peer's offer has media sent; zero if that isn't known.
func offersAt(body []byte) netip.Addr {
	d, err := sdp.Parse(body)
	if err != nil || d.Audio() == nil {
		return netip.Addr{}
	}
	if a := d.Audio().Addr; !a.IsUnspecified() {
		return a
	}
	return netip.Addr{}
}

// formats are those of a list of codec names, and telephone-events when DTMF travels in media.
func formats(codecs []string, dtmf string) []*media.Format {
	var out []*media.Format
	wide := false
	for _, c := range codecs {
		switch strings.ToUpper(c) {
		case "PCMU":
			out = append(out, media.PCMU())
		case "PCMA":
			out = append(out, media.PCMA())
		case "OPUS":
			out = append(out, opus.Format())
			wide = true
		}
	}
	if dtmf == "rfc4733" {
		out = append(out, media.TelephoneEvent(8000))
		if wide { // events have the clock of the audio that they interrupt (RFC 4733 2.1)
			out = append(out, media.TelephoneEvent(48000))
		}
	}
	return out
}

// firstOf orders own by what the other side prefers: formats that both know come first, in the other's order, so that
// media passes through; then own ones that can be converted to.
func firstOf(own, other []*media.Format) []*media.Format {
	var out []*media.Format
	for _, o := range other {
		if f := find(own, o); f != nil && find(out, f) == nil {
			out = append(out, f)
		}
	}
	for _, f := range own {
		if find(out, f) == nil {
			out = append(out, f)
		}
	}
	return out
}

// only keeps the first audio format, and events: an answer with one codec leaves nobody in doubt which one flows.
func only(list []*media.Format) []*media.Format {
	var out []*media.Format
	seen := false
	for _, f := range list {
		if f.Kind == media.Event || !seen {
			out = append(out, f)
		}
		seen = seen || f.Kind == media.Audio
	}
	return out
}

func find(list []*media.Format, f *media.Format) *media.Format {
	for _, g := range list {
		if g.Same(f) {
			return g
		}
	}
	return nil
}

// webrtcOffer tells whether a description is a browser's: media under keys that DTLS makes (RFC 5764), along ICE.
func webrtcOffer(body []byte) bool {
	d, err := sdp.Parse(body)
	if err != nil {
		return false
	}
	m := d.Audio()
	return m != nil && strings.Contains(m.Proto, "UDP/TLS/RTP/")
}

// offered reads the audio formats of a description, in its order.
func offered(d *sdp.Description) []*media.Format {
	m := d.Audio()
	if m == nil {
		return nil
	}
	var out []*media.Format
	for _, f := range m.Formats {
		mf := &media.Format{Codec: f.Codec, Clock: f.Clock, Channels: f.Channels, Params: f.Params()}
		if f.Event() {
			mf = media.TelephoneEvent(f.Clock)
		}
		out = append(out, mf)
	}
	return out
}

// terms is an endpoint's agreement, whatever it speaks.
type terms struct {
	Codec         string // as media.Format writes it; "" before SDP
	Ptime         int
	Events        bool
	Direction     sdp.Direction
	Local, Remote netip.AddrPort
	SRTP          string // none, sdes, dtls
}

// agreed reads an endpoint's agreement.
func agreed(e media.Endpoint) terms {
	switch e := e.(type) {
	case *rtp.Endpoint:
		n := e.Negotiated()
		srtp := "none"
		if n.SRTP != "" {
			srtp = "sdes"
		}
		return terms{n.Codec, n.Ptime, n.Events, n.Direction, n.Local, n.Remote, srtp}
	case *webrtc.Endpoint:
		n := e.Negotiated()
		return terms{n.Codec, n.Ptime, n.Events, n.Direction, n.Local, n.Remote, "dtls"}
	}
	return terms{Direction: sdp.Inactive, SRTP: "none"}
}

// negotiated is an endpoint's agreement for the record.
func negotiated(e media.Endpoint, dtmf string) call.Negotiated {
	n := agreed(e)
	m := call.Media{Codec: n.Codec, Ptime: n.Ptime, SRTP: n.SRTP, Direction: n.Direction.String(),
		Local: n.Local, Remote: n.Remote, DTMF: dtmf}
	if dtmf == "rfc4733" && !n.Events {
		m.DTMF = "none"
	}
	return call.Negotiated{Media: m}
}

// transcodes tells whether the codec that either side agreed to send is converted for the other. Other formats that an
// answer allows beside count only if they come.
func transcodes(a, b media.Endpoint) bool {
	for _, p := range [][2]media.Endpoint{{a, b}, {b, a}} {
		codec := agreed(p[0]).Codec
		for _, path := range p[0].Source(media.Pad{}).Path(p[1].Sink(media.Pad{})) {
			if path.Converted && path.From.String() == codec {
				return true
			}
		}
	}
	return false
}

// noCodec is the refusal of an offer that shares no codec with us (RFC 3261 13.3.1.3, Warning 305).
func noCodec(list []string) call.Cause {
	c := call.NoCodec
	c.Text = fmt.Sprintf("no codec in common; this side takes %s", strings.Join(list, ", "))
	return c
}
