package wire

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Limits bound one message.
type Limits struct {
	Bytes   int // of the whole message
	Headers int // header lines
}

// Refusal says why a message is refused, and how a request is answered.
type Refusal struct {
	Status int
	Header string // the header field at fault, or ""
	Why    string
	Extra  []Header // for the answer, such as Unsupported
}

// Error names the header field and what is wrong with it.
func (r *Refusal) Error() string {
	if r.Header == "" {
		return "sip: " + r.Why
	}
	return "sip: " + r.Header + ": " + r.Why
}

// Phrase is a reason phrase that names the header field.
func (r *Refusal) Phrase() string {
	if r.Status != 400 {
		return Phrase(r.Status)
	}
	if r.Header == "" {
		return "Bad Request"
	}
	return "Bad " + r.Header + " Header"
}

func bad(header, format string, args ...any) *Refusal {
	return &Refusal{Status: 400, Header: header, Why: fmt.Sprintf(format, args...)}
}

// Message is a message as parsed and validated. Header values are as received, unfolded.
type Message struct {
	IsRequest bool
	Method    string // of the request line, or of CSeq for a response
	Status    int
	Phrase    string
	URI       URI // request-URI
	Headers   Headers
	Vias      []string // every Via value, topmost first
	Via       Via      // the topmost
	From, To  NameAddr
	CallID    string
	CSeq      uint32
	Body      []byte
}

// Parser reads messages. It holds no state and may be shared.
type Parser struct{ lim Limits }

// NewParser makes a parser with these limits.
func NewParser(lim Limits) *Parser { return &Parser{lim} }

// Parse reads one message. On error the *Refusal says why; the Message, if not nil, holds what could be read, and
// Answerable tells whether the refusal can be sent. data is not kept.
func (p *Parser) Parse(data []byte) (*Message, *Refusal) {
	if len(data) > p.lim.Bytes {
		m, _ := p.Scan(data)
		return m, &Refusal{Status: 513, Why: fmt.Sprintf("message of %d bytes: expected at most %d", len(data), p.lim.Bytes)}
	}
	m, ref := p.Scan(data)
	if ref != nil {
		return m, ref
	}
	if ref := m.validate(); ref != nil {
		return m, ref
	}
	return m, nil
}

// Scan takes a message apart into start line, header fields and body, and looks at little else: enough to answer it.
func (p *Parser) Scan(data []byte) (*Message, *Refusal) {
	begin, body, whole := bytes.Cut(data, []byte("\r\n\r\n"))
	m, head := &Message{}, string(begin) // all values are parts of this
	start, rest, _ := strings.Cut(head, "\r\n")
	if ref := m.startLine(start); ref != nil {
		if !m.IsRequest {
			return nil, ref
		}
		m.lines(rest, p.lim.Headers) // for the answer
		m.identify()
		return m, ref
	}
	ref := m.lines(rest, p.lim.Headers)
	m.identify()
	if ref != nil {
		return m, ref
	}
	if !whole {
		return m, bad("", "no empty line after the header fields")
	}
	m.Body = body
	return m, nil
}

func (m *Message) startLine(line string) *Refusal {
	first, rest, _ := strings.Cut(line, " ")
	if err := Safe("start line", line); err != nil || line == "" {
		if !IsToken(first) || !strings.HasSuffix(strings.ToUpper(rest), " SIP/2.0") {
			return bad("", "broken start line")
		}
		m.IsRequest, m.Method = true, first
		return bad("Request-URI", "holds a control character or a bare line end")
	}
	if strings.HasPrefix(strings.ToUpper(first), "SIP/") {
		code, phrase, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(code)
		if err != nil || len(code) != 3 || n < 100 || n > 699 {
			return bad("", "status %q: expected 100 to 699", clip(code))
		}
		if !strings.EqualFold(first, "SIP/2.0") {
			return bad("", "version %q: expected SIP/2.0", clip(first))
		}
		m.Status, m.Phrase = n, phrase
		return nil
	}
	uri, version, ok := strings.Cut(rest, " ")
	if !ok || !IsToken(first) || !strings.HasPrefix(strings.ToUpper(version), "SIP/") && !strings.Contains(version, " ") {
		return bad("", "start line %q: expected method, URI and SIP/2.0", clip(line))
	}
	m.IsRequest, m.Method = true, first
	if strings.Contains(version, " ") {
		return bad("Request-URI", "expected one URI between single spaces")
	}
	if !strings.EqualFold(version, "SIP/2.0") {
		return &Refusal{Status: 505, Why: fmt.Sprintf("version %q: expected SIP/2.0", clip(version))}
	}
	var err error
	if m.URI, err = ParseURI(uri); err != nil {
		return bad("Request-URI", "%v", err)
	}
	if m.URI.Headers != "" {
		return bad("Request-URI", "%q carries header fields, which may not stand there", clip(uri))
	}
	return nil
}

// lines reads the header fields. Folded lines are joined (RFC 3261 7.3.1). A request with a broken line is refused, and
// holds what could be read of that line for the answer. A response can't be refused, and losing it is worse than losing
// a header field: broken ones are left out, unless the dialog or the body hangs on them.
func (m *Message) lines(data string, limit int) *Refusal {
	var firstBad *Refusal
	m.Headers = make(Headers, 0, min(strings.Count(data, "\r\n")+1, limit))
	skip := false // continuations of a line that was left out
	for len(data) > 0 {
		var line string
		line, data, _ = strings.Cut(data, "\r\n")
		h, folded, ref := parseLine(line)
		switch {
		case ref != nil && folded && len(m.Headers) > 0 && !skip:
			ref = bad(m.Headers[len(m.Headers)-1].Name, "%s", ref.Why)
			if !m.IsRequest && !vital(ref.Header) {
				m.Headers, skip = m.Headers[:len(m.Headers)-1], true
				continue
			}
		case ref != nil && !m.IsRequest && !vital(h.Name):
			skip = true
			continue
		}
		if ref != nil && firstBad == nil {
			firstBad = ref
		}
		switch {
		case folded && skip:
		case folded && len(m.Headers) == 0:
			return bad("", "the first header line is a continuation")
		case folded:
			last := &m.Headers[len(m.Headers)-1]
			last.Value = strings.TrimSpace(last.Value + " " + h.Value)
		case h.Name == "":
			skip = true
		case len(m.Headers) >= limit:
			if firstBad == nil {
				firstBad = &Refusal{Status: 513, Why: fmt.Sprintf("more than %d header lines", limit)}
			}
			return firstBad
		default:
			m.Headers, skip = append(m.Headers, h), false
		}
	}
	return firstBad
}

// parseLine reads one header line; folded tells that it continues the one before. On a refusal h is what can be read,
// control characters made spaces; its name is "" if there is none.
func parseLine(line string) (h Header, folded bool, ref *Refusal) {
	unsafe := Safe("header line", line) != nil
	if line != "" && (line[0] == ' ' || line[0] == '\t') {
		h.Value, folded = line, true
	} else {
		name, value, ok := strings.Cut(line, ":")
		name = strings.TrimRight(name, " \t")
		if h.Value = value; ok && IsToken(name) {
			h.Name = name
		} else {
			ref = bad(nameOr(name), "expected a name, a colon and a value")
		}
	}
	if unsafe {
		name, _, _ := strings.Cut(line, ":")
		ref = bad(nameOr(strings.TrimRight(name, " \t")), "holds a control character or a bare line end")
		b := []byte(h.Value)
		for i, c := range b {
			if c < ' ' || c == 0x7f {
				b[i] = ' '
			}
		}
		h.Value = string(b)
	}
	h.Value = strings.TrimSpace(h.Value)
	return h, folded, ref
}

// vital tells whether a response is worth nothing without this header field.
func vital(name string) bool {
	switch Canonical(name) {
	case "via", "from", "to", "call-id", "cseq", "contact", "record-route", "content-length", "content-type", "content-encoding":
		return true
	}
	return false
}

func nameOr(name string) string {
	if IsToken(name) && len(name) <= 40 {
		return name
	}
	return "Unnamed"
}

// identify reads what an answer needs.
func (m *Message) identify() {
	m.CallID = m.Headers.Get("Call-ID")
	m.Vias = m.Headers.Values("Via")
	if len(m.Vias) > 0 {
		m.Via, _ = parseVia(m.Vias[0], true) // who speaks another version is told so
	}
}

// Answerable tells whether the sender of a broken request can be told: what RFC 3261 8.2.6.2 copies is there, and it
// is no ACK.
func (m *Message) Answerable() bool {
	return m != nil && m.IsRequest && m.Method != "ACK" && len(m.Vias) > 0 && m.Via.Host != "" &&
		m.CallID != "" && m.Headers.Has("From") && m.Headers.Has("To") && m.Headers.Has("CSeq")
}

// Key names a transaction (RFC 3261 17.2.3), for a request of that method: an ACK is looked for as the INVITE of it. A branch of
// the old kind is no name, so that of RFC 2543 is made of what all requests of a transaction have in common.
func (m *Message) Key(method string) string {
	if method == "ACK" {
		method = "INVITE"
	}
	if strings.HasPrefix(m.Via.Branch, magic) {
		return m.Via.Branch + "|" + m.Via.Host + "|" + strconv.Itoa(int(m.Via.Port)) + "|" + method
	}
	return strings.Join([]string{m.Vias[0], m.URI.String(), m.CallID, m.From.Tag(), strconv.FormatUint(uint64(m.CSeq), 10), method}, "|")
}

// Via is a Via value.
type Via struct {
	Transport string // upper case
	Host      string // without brackets
	Port      uint16 // 0 = none
	Branch    string
	Received  string
	RPort     string
	HasRPort  bool
}

// ParseVia reads a Via value (RFC 3261 20.42). Space around the slashes and the colon is allowed there.
func ParseVia(s string) (Via, error) { return parseVia(s, false) }

func parseVia(s string, anyVersion bool) (Via, error) {
	var v Via
	parts := SplitParams(s)
	if len(parts) == 0 {
		return v, fmt.Errorf("sip: Via is empty")
	}
	name, rest, ok1 := strings.Cut(parts[0], "/")
	version, rest, ok2 := strings.Cut(rest, "/")
	rest = strings.TrimSpace(rest)
	end := strings.IndexAny(rest, " \t")
	if !ok1 || !ok2 || end < 0 || !strings.EqualFold(strings.TrimSpace(name), "SIP") || strings.TrimSpace(version) != "2.0" && !anyVersion {
		return v, fmt.Errorf("sip: Via %q: expected SIP/2.0/transport host", clip(s))
	}
	v.Transport = strings.ToUpper(rest[:end])
	if !IsToken(v.Transport) {
		return v, fmt.Errorf("sip: Via %q: the transport is no token", clip(s))
	}
	sentBy := unspaced(rest[end:])
	var err error
	if v.Host, v.Port, err = splitHostPort(sentBy); err != nil {
		return Via{}, fmt.Errorf("sip: Via %q: %w", clip(s), err)
	}
	for _, p := range parts[1:] {
		k, val, _ := strings.Cut(p, "=")
		val = strings.TrimSpace(val)
		switch strings.ToLower(strings.TrimSpace(k)) {
		case "branch":
			v.Branch = val
		case "received":
			v.Received = val
		case "rport":
			v.HasRPort, v.RPort = true, val
		}
	}
	return v, nil
}
