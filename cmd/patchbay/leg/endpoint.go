package leg

import (
	"net/netip"
	"time"

	"github.com/patchbay/patchbay/media/rtp"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/webrtc"
)

// agreement is what an endpoint of either kind has negotiated.
type agreement struct {
	codec         string
	ptime         int
	events        bool
	direction     sdp.Direction
	local, remote netip.AddrPort
	profile       string        // of SRTP; "" = plain RTP, or no keys yet
	setUp         time.Duration // from the agreement to the keys
}

// openEndpoint makes the leg's endpoint: a phone's, or a browser's where Media is that. peer is the address of its signalling, if
// known.
func (l *Leg) openEndpoint(peer netip.Addr, timeout time.Duration) error {
	m := l.cfg.Media
	if m.browsers == nil {
		e, err := rtp.New(rtp.Config{Net: m.net, Ports: m.ports, Bind: m.bind, Signalling: peer, Formats: l.cfg.Formats,
			Registry: m.registry, Timeout: timeout, Notify: l.notify, Log: l.log})
		if err != nil {
			return err
		}
		l.ep, l.agreed = e, func() agreement {
			n := e.Negotiated()
			return agreement{codec: n.Codec, ptime: n.Ptime, events: n.Events, direction: n.Direction, local: n.Local, remote: n.Remote}
		}
		return nil
	}
	e, err := webrtc.New(webrtc.Config{Port: m.browsers, Formats: l.cfg.Formats, Registry: m.registry, Stack: webrtc.PeerConnection,
		Timeout: timeout, Notify: l.notify, Log: l.log, Name: "-"})
	if err != nil {
		return err
	}
	l.ep, l.agreed = e, func() agreement {
		n := e.Negotiated()
		return agreement{n.Codec, n.Ptime, n.Events, n.Direction, n.Local, n.Remote, n.Profile, n.SetUp}
	}
	return nil
}

// openBrowsers opens the one port of browsers' legs.
func (m *Media) openBrowsers(cfg MediaConfig) error {
	var err error
	m.browsers, err = webrtc.NewPort(webrtc.PortConfig{Net: m.net, Bind: []netip.AddrPort{netip.AddrPortFrom(m.bind, 0)}, Log: cfg.Log})
	return err
}

func (m *Media) closeEndpoints() error {
	if m.browsers == nil {
		return nil
	}
	return m.browsers.Close()
}
