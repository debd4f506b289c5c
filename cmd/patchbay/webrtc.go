package main

import (
	"log/slog"
	"net/netip"

	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/media/webrtc"
)

// browsers opens the port of browsers' media, on the default addresses of RTP; nil if it is switched off.
func (c Config) browsers(net *udp.Net, log *slog.Logger) (*webrtc.Port, error) {
	if c.Media.WebRTC.Port == 0 {
		return nil, nil
	}
	pc := webrtc.PortConfig{Net: net, Endpoints: max(10_000, 4*c.Limits.Calls), Log: log, RSA: true} // two legs a call, and more while it rings
	for _, a := range c.Media.defaults() {
		pc.Bind = append(pc.Bind, netip.AddrPortFrom(a.Bind, c.Media.WebRTC.Port))
		if c.Media.WebRTC.TCP {
			pc.Streams = append(pc.Streams, netip.AddrPortFrom(a.Bind, c.Media.WebRTC.Port))
		}
		if a.Advertise.IsValid() {
			pc.Advertise = append(pc.Advertise, a.Advertise)
		} else {
			pc.Advertise = append(pc.Advertise, a.Bind) // a wildcard has an address to advertise
		}
	}
	return webrtc.NewPort(pc)
}
