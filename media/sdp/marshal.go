package sdp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	psdp "github.com/pion/sdp/v3"
)

// Marshal writes the description. Its error names a field that would break the lines.
func (d *Description) Marshal() ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	id, err := strconv.ParseUint(d.Origin.ID, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("sdp: origin: session id is %q, expected a number of 64 bits", d.Origin.ID)
	}
	out := &psdp.SessionDescription{
		Origin: psdp.Origin{
			Username: or(d.Origin.User, "-"), SessionID: id, SessionVersion: d.Origin.Version,
			NetworkType: "IN", AddressType: family(d.Origin.Addr), UnicastAddress: or(d.Origin.Addr, "0.0.0.0"),
		},
		SessionName:      psdp.SessionName(or(d.Name, "-")),
		TimeDescriptions: []psdp.TimeDescription{{}},
		Bandwidth:        bandwidths(d.Bandwidth),
		Attributes:       attributes(d.Attributes),
	}
	host := d.common()
	switch {
	case host != "":
		out.ConnectionInformation = connection(host)
	case d.bare():
		out.ConnectionInformation = connection(or(d.Origin.Addr, "0.0.0.0"))
	}
	for i := range d.Media {
		out.MediaDescriptions = append(out.MediaDescriptions, d.Media[i].section(host))
	}
	b, err := out.Marshal()
	if err != nil {
		return nil, fmt.Errorf("sdp: write: %w", err)
	}
	return b, nil
}

// common is the connection address that all lines in use share; "" if they don't.
func (d *Description) common() string {
	host := ""
	for i := range d.Media {
		h := d.Media[i].host()
		if h == "" || d.Media[i].Port == 0 {
			continue
		}
		if host != "" && host != h {
			return ""
		}
		host = h
	}
	return host
}

// bare tells whether a refused line has no address, as it has none of its own, and those in use don't share one: all the same each
// line must have one (RFC 4566 5.7), which nobody looks at.
func (d *Description) bare() bool {
	refused := false
	for i := range d.Media {
		m := &d.Media[i]
		if m.Port != 0 && m.host() == "" {
			return false // in use, and nowhere: the zero address would put it on hold
		}
		refused = refused || m.Port == 0
	}
	return refused
}

func (m *Media) host() string {
	if m.Addr.IsValid() && m.Host == "" {
		return m.Addr.String()
	}
	return m.Host
}

func (m *Media) section(session string) *psdp.MediaDescription {
	out := &psdp.MediaDescription{
		MediaName: psdp.MediaName{
			Media: m.Kind, Port: psdp.RangedPort{Value: int(m.Port)}, Protos: []string{m.Proto}, Formats: m.Tokens,
		},
		Bandwidth: bandwidths(m.Bandwidth),
	}
	if m.Ports > 1 {
		out.MediaName.Port.Range = &m.Ports
	}
	if len(m.Formats) > 0 {
		out.MediaName.Formats = make([]string, 0, len(m.Formats))
		for _, f := range m.Formats {
			out.MediaName.Formats = append(out.MediaName.Formats, strconv.Itoa(int(f.PT)))
		}
	}
	if m.Port == 0 { // of a refused line nothing else counts
		out.Bandwidth = nil
		return out
	}
	if h := m.host(); h != "" && h != session {
		out.ConnectionInformation = connection(h)
	}
	out.Attributes = m.lines()
	return out
}

// lines are the a= lines of a section.
func (m *Media) lines() []psdp.Attribute {
	a := make([]psdp.Attribute, 0, 2*len(m.Formats)+len(m.Crypto)+len(m.Attributes)+5)
	add := func(key, value string) { a = append(a, psdp.Attribute{Key: key, Value: value}) }
	for _, f := range m.Formats {
		if f.Codec != "" {
			add("rtpmap", rtpmap(f))
		}
		if f.Fmtp != "" {
			add("fmtp", strconv.Itoa(int(f.PT))+" "+f.Fmtp)
		}
	}
	if m.Ptime > 0 {
		add("ptime", strconv.Itoa(m.Ptime))
	}
	if m.MaxPtime > 0 {
		add("maxptime", strconv.Itoa(m.MaxPtime))
	}
	if m.RTP() || m.Direction != SendRecv {
		add(m.Direction.String(), "")
	}
	if m.RTCP.IsValid() {
		v := strconv.Itoa(int(m.RTCP.Port()))
		if m.RTCP.Addr() != m.Addr {
			v += " IN " + family(m.RTCP.Addr().String()) + " " + m.RTCP.Addr().String()
		}
		add("rtcp", v)
	}
	if m.Mux {
		add("rtcp-mux", "")
	}
	for _, c := range m.Crypto {
		add("crypto", c)
	}
	return append(a, attributes(m.Attributes)...)
}

func attributes(list []Attribute) []psdp.Attribute {
	a := make([]psdp.Attribute, 0, len(list))
	for _, o := range list {
		a = append(a, psdp.Attribute{Key: o.Key, Value: o.Value})
	}
	return a
}

func bandwidths(list []Bandwidth) []psdp.Bandwidth {
	var b []psdp.Bandwidth
	for _, o := range list {
		b = append(b, psdp.Bandwidth{Type: o.Type, Bandwidth: o.Value})
	}
	return b
}

func connection(host string) *psdp.ConnectionInformation {
	return &psdp.ConnectionInformation{NetworkType: "IN", AddressType: family(host), Address: &psdp.Address{Address: host}}
}

func family(host string) string {
	host, _, _ = strings.Cut(host, "/")
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		return "IP6"
	}
	return "IP4"
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// check refuses what would end a line early or run into the next field.
func (d *Description) check() error {
	const usual = 32 // what few descriptions have more of
	words := append(make([]string, 0, usual), d.Origin.User, d.Origin.ID, d.Origin.Addr)
	lines := append(make([]string, 0, usual), d.Name)
	words, lines = gather(words, lines, d.Bandwidth, d.Attributes)
	for i := range d.Media {
		m := &d.Media[i]
		words = append(words, m.Kind, m.Proto, m.Host)
		words = append(words, m.Tokens...)
		lines = append(lines, m.Crypto...)
		for _, f := range m.Formats {
			words, lines = append(words, f.Codec), append(lines, f.Fmtp)
		}
		words, lines = gather(words, lines, m.Bandwidth, m.Attributes)
		if m.Kind == "" || m.Proto == "" || len(m.Tokens)+len(m.Formats) == 0 {
			return fmt.Errorf("sdp: media line %d: kind is %q, transport %q, %d formats: expected all three", i+1, m.Kind, m.Proto, len(m.Tokens)+len(m.Formats))
		}
	}
	for _, w := range words {
		if strings.ContainsAny(w, " \t\r\n\x00") {
			return fmt.Errorf("sdp: %q: expected no space and no end of line", w)
		}
	}
	for _, l := range lines {
		if strings.ContainsAny(l, "\r\n\x00") {
			return fmt.Errorf("sdp: %q: expected no end of line", l)
		}
	}
	return nil
}

func gather(words, lines []string, b []Bandwidth, a []Attribute) (w, l []string) {
	for _, o := range b {
		words = append(words, o.Type)
	}
	for _, o := range a {
		words, lines = append(words, o.Key), append(lines, o.Value)
	}
	return words, lines
}
