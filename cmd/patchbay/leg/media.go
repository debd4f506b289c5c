package leg

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/opus"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/media/webrtc"
)

// MediaConfig says where RTP is received.
type MediaConfig struct {
	Bind             netip.Addr // one address: it stands in SDP
	MinPort, MaxPort uint16     // range of ports, a pair for each leg; 0 = 30000 to 39999
	Browsers         bool       // legs are browsers' (ICE, DTLS-SRTP by pion's PeerConnection) on one port rather than phones'
	Log              *slog.Logger
}

// Media is what all legs of a process share: sockets, ports, clock and conversions.
type Media struct {
	bind     netip.Addr
	net      *udp.Net
	ports    *udp.Ports
	browsers *webrtc.Port // nil: legs are phones'
	clock    *media.Clock
	registry *media.Registry
}

// OpenMedia starts what legs share.
func OpenMedia(cfg MediaConfig) (*Media, error) {
	if !cfg.Bind.IsValid() || cfg.Bind.IsUnspecified() {
		return nil, fmt.Errorf("media address is %s, expected one that a peer can send to", cfg.Bind)
	}
	if cfg.MinPort == 0 && cfg.MaxPort == 0 {
		cfg.MinPort, cfg.MaxPort = 30000, 39999
	}
	ports, err := udp.NewPorts(udp.PortsConfig{Min: cfg.MinPort, Max: cfg.MaxPort})
	if err != nil {
		return nil, err
	}
	n, err := udp.New(udp.Config{Log: cfg.Log, Loops: 1})
	if err != nil {
		return nil, fmt.Errorf("media sockets: %w", err)
	}
	m := &Media{bind: cfg.Bind, net: n, ports: ports, clock: media.NewClock(), registry: media.NewRegistry()}
	m.registry.Register(g711.Conversions()...)
	m.registry.Register(opus.Conversions()...)
	if cfg.Browsers {
		if err := m.openBrowsers(cfg); err != nil {
			return nil, errors.Join(fmt.Errorf("media port of browsers: %w", err), m.Close())
		}
	}
	return m, nil
}

// Clock paces what is played into legs.
func (m *Media) Clock() *media.Clock { return m.clock }

// Registry are the conversions between formats.
func (m *Media) Registry() *media.Registry { return m.registry }

// Close stops the sockets and the clock; close all legs first. Twice is as good as once.
func (m *Media) Close() error {
	m.clock.Close()
	return errors.Join(m.closeEndpoints(), m.net.Close(), m.registry.Close())
}

// Formats are the audio formats of codec names (PCMU, PCMA, OPUS, in any case; best first) and telephone-events. None: PCMU, then
// PCMA.
func Formats(codecs []string) ([]*media.Format, error) {
	if len(codecs) == 0 {
		codecs = []string{"PCMU", "PCMA"}
	}
	var out []*media.Format
	for _, name := range codecs {
		var f *media.Format
		switch strings.ToUpper(strings.TrimSpace(name)) {
		case "PCMU":
			f = media.PCMU()
		case "PCMA":
			f = media.PCMA()
		case "OPUS":
			f = opus.Format()
		default:
			return nil, fmt.Errorf("codec %q: expected pcmu, pcma or opus", name)
		}
		for _, g := range out {
			if g.Same(f) {
				return nil, fmt.Errorf("codec %q stands there twice", name)
			}
		}
		out = append(out, f)
	}
	return append(out, media.TelephoneEvent(8000)), nil
}

var errNoAnswer = errors.New("the peer has accepted the call without answering the offer")
