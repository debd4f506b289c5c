package sdp

import (
	"net/netip"
	"strconv"
	"strings"
)

// finish hands down what the session level says and names the payload types.
func (p *parser) finish() {
	p.d.Bandwidth, p.d.Attributes = p.session.bandwidth, p.session.rest
	for i := range p.d.Media {
		m, sec := &p.d.Media[i], &p.media[i]
		conn, dir := sec, sec
		if !sec.conn {
			conn = &p.session
		}
		if !sec.directed {
			dir = &p.session
		}
		m.Addr, m.Host, m.Direction = conn.addr, conn.host, dir.dir
		m.Ptime, m.MaxPtime = first(sec.ptime, p.session.ptime), first(sec.maxPtime, p.session.maxPtime)
		m.Mux, m.Crypto, m.Attributes = sec.mux, sec.crypto, sec.rest
		m.Bandwidth = sec.bandwidth
		for _, b := range p.session.bandwidth { // RS and RR at session level hold for all lines (RFC 3556 2)
			if k := strings.ToUpper(b.Type); (k == "RS" || k == "RR") && m.Rate(k) < 0 {
				m.Bandwidth = append(m.Bandwidth, b)
			}
		}
		for _, a := range p.session.rest { // so does what is asked for of extended reports (RFC 3611 5.1)
			if _, own := m.Attribute(a.Key); a.Key == "rtcp-xr" && !own {
				m.Attributes = append(m.Attributes, a)
			}
		}
		if m.Addr.IsValid() && m.Addr.IsUnspecified() {
			m.Direction = m.Direction.And(SendOnly)
		}
		m.RTCP = control(sec.rtcp, m.Addr)
		for j := range m.Formats {
			m.Formats[j] = p.name(m.Formats[j].PT, sec)
		}
	}
}

func first(a, b int) int {
	if a != 0 {
		return a
	}
	return b
}

func control(v string, addr netip.Addr) netip.AddrPort {
	f := strings.Fields(v)
	if len(f) == 0 {
		return netip.AddrPort{}
	}
	port, err := strconv.ParseUint(f[0], 10, 16)
	if err != nil {
		return netip.AddrPort{}
	}
	if len(f) == 4 {
		a, err := netip.ParseAddr(f[3])
		if err != nil {
			return netip.AddrPort{}
		}
		addr = a
	}
	if !addr.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, uint16(port))
}

func (p *parser) name(pt uint8, sec *section) Format {
	f, _ := static(pt)
	if v, ok := sec.rtpmap[pt]; ok {
		f, _ = readMap(v)
	}
	f.PT, f.Fmtp = pt, sec.fmtp[pt]
	return f
}
