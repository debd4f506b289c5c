package wire

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// magic begins every branch of RFC 3261 (8.1.1.7).
const magic = "z9hG4bK"

// validate finds what taking a message apart lets pass: missing, repeated and contradicting header fields, and values that
// are not what their grammar asks.
func (m *Message) validate() *Refusal {
	for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
		if !m.Headers.Has(name) {
			return bad(name, "is missing")
		}
	}
	for _, name := range []string{"From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length", "Content-Type", "Expires", "Date"} {
		if n := m.Headers.count(name); n > 1 {
			return bad(name, "stands %d times: expected once", n)
		}
	}
	if len(m.CallID) > 512 || !printable(m.CallID) {
		return bad("Call-ID", "%q: expected a word", clip(m.CallID))
	}
	for _, check := range []func() *Refusal{m.checkVia, m.checkParties, m.checkCSeq, m.checkLength, m.checkRest} {
		if ref := check(); ref != nil {
			return ref
		}
	}
	return nil
}

func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}

func (m *Message) checkVia() *Refusal {
	if len(m.Vias) == 0 {
		return bad("Via", "is empty")
	}
	via, err := ParseVia(m.Vias[0])
	if err != nil {
		return bad("Via", "%v", err)
	}
	switch {
	case via.Branch == magic || len(via.Branch) > 512 || via.Branch != "" && !printable(via.Branch):
		return bad("Via", "branch %q: expected %s and more", clip(via.Branch), magic)
	case !m.IsRequest && !strings.HasPrefix(via.Branch, magic): // requests may have one of RFC 2543's, or none; see Key
		return bad("Via", "branch %q: expected %s and more", clip(via.Branch), magic)
	}
	for _, v := range m.Vias {
		if emptyParam(v) {
			return bad("Via", "%q: a parameter is empty", clip(v))
		}
	}
	if !m.IsRequest && len(m.Vias) > 1 {
		return bad("Via", "a response with %d values: it isn't ours (RFC 3261 8.1.3.3)", len(m.Vias))
	}
	if len(m.Vias) > 70 {
		return bad("Via", "%d values: expected at most 70", len(m.Vias))
	}
	m.Via = via
	return nil
}

// emptyParam tells whether nothing stands before, between or after semicolons.
func emptyParam(v string) bool {
	last := byte(';')
	for i := range len(v) {
		switch c := v[i]; {
		case c == ' ' || c == '\t':
		case c == ';' && last == ';':
			return true
		default:
			last = c
		}
	}
	return last == ';'
}

func (m *Message) checkParties() *Refusal {
	var err error
	if m.From, err = ParseNameAddr(m.Headers.Get("From")); err != nil {
		return bad("From", "%v", err)
	}
	if m.To, err = ParseNameAddr(m.Headers.Get("To")); err != nil {
		return bad("To", "%v", err)
	}
	if tag := m.From.Tag(); !IsToken(tag) || len(tag) > 256 {
		return bad("From", "tag %q: expected a token", clip(tag))
	}
	if tag, ok := m.To.Param("tag"); ok && (!IsToken(tag) || len(tag) > 256) {
		return bad("To", "tag %q: expected a token", clip(tag))
	}
	return nil
}

func (m *Message) checkCSeq() *Refusal {
	number, method, _ := strings.Cut(m.Headers.Get("CSeq"), " ")
	method = strings.TrimSpace(method)
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n >= 1<<31 {
		return bad("CSeq", "number %q: expected 0 to 2147483647", clip(number))
	}
	if !IsToken(method) {
		return bad("CSeq", "method %q: expected a token", clip(method))
	}
	if m.IsRequest && method != m.Method {
		return bad("CSeq", "method %s in a %s request", clip(method), clip(m.Method))
	}
	m.CSeq, m.Method = uint32(n), method
	return nil
}

// checkLength compares Content-Length with what came (RFC 3261 18.3): less is an error, more is cut off.
func (m *Message) checkLength() *Refusal {
	if !m.Headers.Has("Content-Length") {
		return nil
	}
	value := m.Headers.Get("Content-Length")
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return bad("Content-Length", "%q: expected a number of bytes", clip(value))
	}
	if int(n) > len(m.Body) {
		return bad("Content-Length", "%d, but only %d bytes came", n, len(m.Body))
	}
	m.Body = m.Body[:n]
	return nil
}

// checkRest looks at fields that a response may get wrong without harm: losing it would be worse.
func (m *Message) checkRest() *Refusal {
	if !m.IsRequest {
		return nil
	}
	if m.Headers.Has("Max-Forwards") {
		if n, err := strconv.Atoi(m.Headers.Get("Max-Forwards")); err != nil || n < 0 || n > 255 {
			return bad("Max-Forwards", "%q: expected 0 to 255", clip(m.Headers.Get("Max-Forwards")))
		}
	}
	if m.Headers.Has("Date") {
		if _, err := time.Parse(time.RFC1123, m.Headers.Get("Date")); err != nil || !strings.HasSuffix(m.Headers.Get("Date"), " GMT") {
			return bad("Date", "%q: expected RFC 1123 in GMT", clip(m.Headers.Get("Date")))
		}
	}
	if m.Headers.Has("Expires") {
		if _, err := strconv.ParseUint(m.Headers.Get("Expires"), 10, 32); err != nil {
			return bad("Expires", "%q: expected seconds", clip(m.Headers.Get("Expires")))
		}
	}
	if len(m.Body) > 0 {
		if ct := m.Headers.Get("Content-Type"); !strings.Contains(ct, "/") {
			return bad("Content-Type", "%q: expected type/subtype for a body", clip(ct))
		}
	}
	return m.checkContacts()
}

func (m *Message) checkContacts() *Refusal {
	contacts := m.Headers.Values("Contact")
	for _, c := range contacts {
		if c == "*" {
			if m.Method != "REGISTER" || len(contacts) > 1 {
				return bad("Contact", "* stands alone, in REGISTER only")
			}
			continue
		}
		if _, err := ParseNameAddr(c); err != nil {
			return bad("Contact", "%v", err)
		}
	}
	if m.Method == "INVITE" && len(contacts) != 1 {
		return bad("Contact", "%d values in INVITE: expected 1", len(contacts))
	}
	for _, name := range []string{"Record-Route", "Route"} {
		for _, v := range m.Headers.Values(name) {
			if _, err := ParseNameAddr(v); err != nil {
				return bad(name, "%v", err)
			}
		}
	}
	return nil
}

// Policy is what a user agent takes.
type Policy struct {
	Methods    []string // for Allow
	Extensions []string // option tags for Require
	Bodies     []string // content types of INVITE and UPDATE
}

// Refuse finds why a well-formed request can't be served, in the order of RFC 3261 8.2: method, URI scheme,
// extensions, content. nil: it can.
func (m *Message) Refuse(p Policy) *Refusal {
	// Who only takes a request needs no hop more (RFC 3261 16.3 binds proxies); a call would go on from here.
	if n, err := strconv.Atoi(m.Headers.Get("Max-Forwards")); err == nil && n == 0 && m.Method == "INVITE" && m.To.Tag() == "" {
		return &Refusal{Status: 483, Header: "Max-Forwards", Why: "is used up"}
	}
	if !slices.Contains(p.Methods, m.Method) { // case counts (RFC 3261 7.1)
		return &Refusal{Status: 405, Why: "method " + clip(m.Method), Extra: []Header{{"Allow", strings.Join(p.Methods, ", ")}}}
	}
	if !known(m.URI) {
		return m.foreign()
	}
	var missing []string
	if m.Method != "CANCEL" {
		for _, tag := range m.Headers.Values("Require") {
			if !contains(p.Extensions, tag) {
				missing = append(missing, tag)
			}
		}
	}
	if missing != nil {
		return &Refusal{Status: 420, Header: "Require", Why: strings.Join(missing, ", "),
			Extra: []Header{{"Unsupported", strings.Join(missing, ", ")}}}
	}
	if m.Method == "INVITE" || m.Method == "UPDATE" {
		return m.refuseContent(p)
	}
	return nil
}

func known(u URI) bool {
	switch u.Scheme {
	case "sip", "sips", "tel":
		return true
	case "urn": // services, of which emergency calls are for one (RFC 5031)
		return len(u.Opaque) > 8 && strings.EqualFold(u.Opaque[:8], "service:")
	}
	return false
}

func (m *Message) foreign() *Refusal {
	return &Refusal{Status: 416, Header: "Request-URI", Why: "scheme " + m.URI.Scheme}
}

func (m *Message) refuseContent(p Policy) *Refusal {
	accept := Header{"Accept", strings.Join(p.Bodies, ", ")}
	if len(m.Body) > 0 && !contains(p.Bodies, MediaType(m.Headers.Get("Content-Type"))) {
		if _, optional := Param(m.Headers.Get("Content-Disposition"), "handling"); !optional {
			return &Refusal{Status: 415, Header: "Content-Type", Why: clip(m.Headers.Get("Content-Type")), Extra: []Header{accept}}
		}
	}
	if enc := m.Headers.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return &Refusal{Status: 415, Header: "Content-Encoding", Why: clip(enc), Extra: []Header{{"Accept-Encoding", "identity"}}}
	}
	wanted := m.Headers.Values("Accept")
	if len(wanted) == 0 {
		return nil
	}
	for _, w := range wanted {
		switch MediaType(w) {
		case "*/*", "application/*", "application/sdp", "multipart/mixed":
			return nil
		}
	}
	return &Refusal{Status: 406, Header: "Accept", Why: clip(m.Headers.Get("Accept"))}
}

// MediaType returns type/subtype in lower case, without parameters.
func MediaType(v string) string {
	t, _, _ := strings.Cut(v, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if strings.EqualFold(l, s) {
			return true
		}
	}
	return false
}
