package main

import (
	"fmt"
	"net/netip"
)

// socket is a local address that a setting claims.
type socket struct {
	network string // udp, tcp
	addr    netip.AddrPort
	field   string
	what    string
}

// clash reports whether both can't be bound: same port, and the same address or one that stands for all.
func (s socket) clash(o socket) bool {
	return s.network == o.network && s.addr.Port() == o.addr.Port() && s.addr.Port() != 0 && overlap(s.addr.Addr(), o.addr.Addr())
}

func overlap(a, b netip.Addr) bool {
	return a == b || a.IsUnspecified() && (a.Is6() || b.Is4()) || b.IsUnspecified() && (b.Is6() || a.Is4())
}

// sockets reports settings that claim the same local port.
func (d *document) sockets(c *Config) {
	list := []socket{{"tcp", c.HTTP.Listen, "http.listen", "HTTP"}, {"tcp", c.https(), "https.listen", "HTTPS"}}
	for i, l := range c.SIP.Listen {
		network := l.Transport
		if network == "tls" {
			network = "tcp"
		}
		list = append(list, socket{network, l.Address, fmt.Sprintf("sip.listen[%d].address", i), "SIP"})
	}
	for i, t := range c.Trunks {
		network := t.Transport
		if network == "" {
			network = "udp"
		}
		if network == "udp" { // what leaves over TCP takes a port of its own for each connection
			list = append(list, socket{network, t.Bind, fmt.Sprintf("trunks[%d].bind", i), "the trunk's SIP"})
		}
	}
	for _, a := range c.Media.defaults() {
		if p := c.Media.WebRTC.Port; p != 0 {
			list = append(list, socket{"udp", netip.AddrPortFrom(a.Bind, p), "media.webrtc.port", "browsers' media"})
			if c.Media.WebRTC.TCP {
				list = append(list, socket{"tcp", netip.AddrPortFrom(a.Bind, p), "media.webrtc.port", "browsers' media over TCP (media.webrtc.tcp)"})
			}
		}
	}
	for i, s := range list {
		if !s.addr.IsValid() {
			continue
		}
		for _, o := range list[:i] {
			if o.addr.IsValid() && s.clash(o) {
				d.bad(s.field, "%s needs a port of its own, this one is taken by %s%s", s.what, o.field, d.line(o.field))
			}
		}
		if s.network == "udp" {
			d.inRange(c, s)
		}
	}
}

// inRange reports a port of another use among those that RTP is received on.
func (d *document) inRange(c *Config, s socket) {
	p := c.Media.Ports
	if s.addr.Port() < p.Min || s.addr.Port() > p.Max {
		return
	}
	for _, a := range c.Media.Addresses {
		if a.Bind.IsValid() && overlap(a.Bind, s.addr.Addr()) {
			d.bad(s.field, "%s needs a port outside of media.ports, which are %d to %d", s.what, p.Min, p.Max)
			return
		}
	}
}
