package sdp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// What a description may hold; more is refused. Real ones are below a tenth of it.
const (
	MaxSize    = 64 << 10 // bytes
	maxLines   = 1000
	maxMedia   = 32
	maxFormats = 64 // of one line
)

// SyntaxError says what is wrong with a description, and where.
type SyntaxError struct {
	Line int    // counted from 1; 0 = the whole
	Text string // the line, cut to 80 bytes
	Want string // what was expected
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return "sdp: expected " + e.Want
	}
	return fmt.Sprintf("sdp: line %d: %q: expected %s", e.Line, e.Text, e.Want)
}

// Parse reads a description. Lines may end in CRLF, LF or CR and stand in any order within their section; fields that
// play no part in offer/answer (i=, u=, e=, p=, t=, r=, z=, k=) are passed over. The error is a *SyntaxError.
func Parse(body []byte) (*Description, error) {
	if len(body) > MaxSize {
		return nil, &SyntaxError{Want: fmt.Sprintf("at most %d bytes, got %d", MaxSize, len(body))}
	}
	p := parser{d: &Description{}}
	text := strings.ReplaceAll(strings.ReplaceAll(string(body), "\r\n", "\n"), "\r", "\n")
	for line := range strings.SplitSeq(text, "\n") {
		p.line++
		if p.line > maxLines {
			return nil, p.fail(line, fmt.Sprintf("at most %d lines", maxLines))
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		if err := p.read(line); err != nil {
			return nil, err
		}
	}
	if !p.version {
		return nil, &SyntaxError{Want: "v=0 in the first line, found none"}
	}
	if !p.origin {
		return nil, &SyntaxError{Want: "an o= line, found none"}
	}
	p.finish()
	return p.d, nil
}

type parser struct {
	d               *Description
	line            int
	version, origin bool

	session section // defaults of the media lines
	media   []section
}

// section is what can stand at both levels.
type section struct {
	conn         bool
	addr         netip.Addr
	host         string
	dir          Direction
	directed     bool
	ptime        int
	maxPtime     int
	rtpmap, fmtp map[uint8]string
	rtcp         string
	mux          bool
	bandwidth    []Bandwidth
	crypto       []string
	rest         []Attribute
}

func (p *parser) fail(line, want string) error {
	if len(line) > 80 {
		line = line[:80]
	}
	return &SyntaxError{Line: p.line, Text: line, Want: want}
}

func (p *parser) read(line string) error {
	if len(line) < 2 || line[1] != '=' || line[0] < 'a' || line[0] > 'z' {
		return p.fail(line, "a letter and =")
	}
	if strings.IndexByte(line, 0) >= 0 {
		return p.fail(line, "no NUL byte")
	}
	value := strings.TrimSpace(line[2:])
	if !p.version && line[0] != 'v' {
		return p.fail(line, "v=0 in the first line")
	}
	sec := &p.session
	if n := len(p.media); n > 0 {
		sec = &p.media[n-1]
	}
	switch line[0] {
	case 'v':
		if value != "0" {
			return p.fail(line, "version 0")
		}
		p.version = true
		return nil
	case 'o':
		return p.readOrigin(line, value)
	case 's':
		p.d.Name = value
		return nil
	case 'm':
		return p.readMedia(line, value)
	case 'c':
		return p.readConnection(sec, line, value)
	case 'b':
		return p.readBandwidth(sec, line, value)
	case 'a':
		return p.readAttribute(sec, line, value)
	case 'i', 'u', 'e', 'p', 't', 'r', 'z', 'k':
		return nil
	}
	return p.fail(line, "one of the letters v o s i u e p c b t r z k a m")
}

func (p *parser) readOrigin(line, value string) error {
	f := strings.Fields(value)
	if len(f) == 5 { // some phones leave the user empty
		f = append([]string{"-"}, f...)
	}
	if len(f) != 6 || f[3] != "IN" || f[4] != "IP4" && f[4] != "IP6" {
		return p.fail(line, "user, session id, version, IN, IP4 or IP6, address")
	}
	for _, s := range f[1:3] {
		if s == "" || strings.Trim(s, "0123456789") != "" {
			return p.fail(line, "a numeric session id and version")
		}
	}
	version, err := strconv.ParseUint(f[2], 10, 64)
	if err != nil {
		version = 1<<64 - 1 // only ever compared
	}
	p.d.Origin = Origin{User: f[0], ID: f[1], Version: version, Addr: f[5]}
	p.origin = true
	return nil
}

func (p *parser) readMedia(line, value string) error {
	f := strings.Fields(value)
	if len(f) < 4 {
		return p.fail(line, "media, port, transport and at least one format")
	}
	if len(p.d.Media) == maxMedia {
		return p.fail(line, fmt.Sprintf("at most %d media lines", maxMedia))
	}
	if len(f)-3 > maxFormats {
		return p.fail(line, fmt.Sprintf("at most %d formats", maxFormats))
	}
	port, count, ranged := strings.Cut(f[1], "/")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return p.fail(line, "a port from 0 to 65535")
	}
	m := Media{Kind: strings.ToLower(f[0]), Port: uint16(n), Proto: f[2], Tokens: f[3:]}
	if ranged {
		if m.Ports, err = strconv.Atoi(count); err != nil || m.Ports < 1 || m.Ports > 1000 {
			return p.fail(line, "a number of ports from 1 to 1000 behind the /")
		}
	}
	if m.RTP() {
		if err := p.readTypes(&m, line); err != nil {
			return err
		}
	}
	p.d.Media = append(p.d.Media, m)
	p.media = append(p.media, section{})
	return nil
}

func (p *parser) readTypes(m *Media, line string) error {
	var seen [128]bool
	for _, s := range m.Tokens {
		pt, err := strconv.ParseUint(s, 10, 8)
		if err != nil || pt > 127 {
			return p.fail(line, fmt.Sprintf("payload types from 0 to 127, not %q", s))
		}
		if !seen[pt] { // one twice is a slip that harms nobody
			seen[pt] = true
			m.Formats = append(m.Formats, Format{PT: uint8(pt)})
		}
	}
	return nil
}

func (p *parser) readConnection(sec *section, line, value string) error {
	f := strings.Fields(value)
	if len(f) != 3 || f[0] != "IN" || f[1] != "IP4" && f[1] != "IP6" {
		return p.fail(line, "IN, IP4 or IP6, address")
	}
	if sec.conn { // layers of a multicast session; the first is the base
		return nil
	}
	sec.conn, sec.host = true, f[2]
	host, _, _ := strings.Cut(f[2], "/") // TTL or count of a multicast address
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Is4() != (f[1] == "IP4") {
			return p.fail(line, "an address of family "+f[1])
		}
		sec.addr = a
	}
	return nil
}

func (p *parser) readBandwidth(sec *section, line, value string) error {
	kind, rate, ok := strings.Cut(value, ":")
	n, err := strconv.ParseUint(strings.TrimSpace(rate), 10, 64)
	if !ok || kind == "" || err != nil {
		return p.fail(line, "a type, a colon and a number")
	}
	sec.bandwidth = append(sec.bandwidth, Bandwidth{kind, n})
	return nil
}
