package wire

import (
	"errors"
	"fmt"
	"iter"
	"strings"
)

// ErrUnsafe is wrapped by every refusal of a value that could break out of its place in a message.
var ErrUnsafe = errors.New("value holds a control character")

// Header is one header field: its name as it was written and its value without folding or surrounding space.
type Header struct{ Name, Value string }

// Headers are header fields in the order of the message. Names are compared without case, and compact forms
// (RFC 3261 7.3.3 and the later registrations) count as the long ones.
type Headers []Header

// Get returns the first value of the named header field, or "".
func (h Headers) Get(name string) string {
	for i := range h {
		if same(h[i].Name, name) {
			return h[i].Value
		}
	}
	return ""
}

// Has tells whether the named header field is there, even if empty.
func (h Headers) Has(name string) bool {
	for i := range h {
		if same(h[i].Name, name) {
			return true
		}
	}
	return false
}

func (h Headers) count(name string) (n int) {
	for i := range h {
		if same(h[i].Name, name) {
			n++
		}
	}
	return n
}

// Lines returns the values of all header fields of that name as they stand, one per line of the message.
func (h Headers) Lines(name string) []string {
	var out []string
	for i := range h {
		if same(h[i].Name, name) {
			out = append(out, h[i].Value)
		}
	}
	return out
}

// Values returns the elements of a comma separated header field (RFC 3261 7.3.1) over all its lines, in order.
// Commas within quotes or angle brackets do not separate. Don't use it for header fields whose grammar is not
// a list (Authorization, Date, Subject).
func (h Headers) Values(name string) []string {
	var out []string
	for i := range h {
		if same(h[i].Name, name) {
			out = append(out, SplitList(h[i].Value)...)
		}
	}
	return out
}

// compact holds the compact forms registered with IANA.
func long(c byte) string {
	switch c {
	case 'a':
		return "accept-contact"
	case 'b':
		return "referred-by"
	case 'c':
		return "content-type"
	case 'd':
		return "request-disposition"
	case 'e':
		return "content-encoding"
	case 'f':
		return "from"
	case 'i':
		return "call-id"
	case 'j':
		return "reject-contact"
	case 'k':
		return "supported"
	case 'l':
		return "content-length"
	case 'm':
		return "contact"
	case 'n':
		return "identity-info"
	case 'o':
		return "event"
	case 'r':
		return "refer-to"
	case 's':
		return "subject"
	case 't':
		return "to"
	case 'u':
		return "allow-events"
	case 'v':
		return "via"
	case 'x':
		return "session-expires"
	case 'y':
		return "identity"
	}
	return ""
}

// same tells whether two names mean the same header field, in whatever case and form.
func same(a, b string) bool {
	if len(a) == len(b) && len(a) != 1 {
		return strings.EqualFold(a, b)
	}
	if len(a) == 1 || len(b) == 1 {
		return Canonical(a) == Canonical(b)
	}
	return false
}

// Canonical returns the lower case long form of a header field name.
func Canonical(name string) string {
	if len(name) == 1 {
		c := name[0]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if l := long(c); l != "" {
			return l
		}
	}
	return strings.ToLower(name)
}

// SplitList splits the value of a comma separated header field, dropping empty elements.
func SplitList(value string) []string { return splitOutside(value, ',') }

// SplitParams splits "value;a=b;c" at its semicolons, those within quotes or angle brackets excepted.
func SplitParams(value string) []string { return splitOutside(value, ';') }

func splitOutside(value string, sep byte) []string {
	const most = 8 // that room is made for at once: what stands between may be nothing
	out := make([]string, 0, min(strings.Count(value, string(sep))+1, most))
	for s := range outside(value, sep) {
		out = append(out, s)
	}
	return out
}

// outside goes through what stands between separators that are neither in quotes nor in angle brackets, without spaces around;
// nothing between two is left out.
func outside(value string, sep byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		quoted, angle, start := false, 0, 0
		for i := 0; i < len(value); i++ {
			switch c := value[i]; {
			case quoted && c == '\\':
				i++
			case c == '"':
				quoted = !quoted
			case quoted:
			case c == '<':
				angle++
			case c == '>' && angle > 0:
				angle--
			case c == sep && angle == 0:
				if s := strings.TrimSpace(value[start:i]); s != "" && !yield(s) {
					return
				}
				start = i + 1
			}
		}
		if s := strings.TrimSpace(value[start:]); s != "" {
			yield(s)
		}
	}
}

// Param returns the value of a parameter of a header field value such as "Digest;x=y" or "<sip:a@b>;tag=1",
// without quotes, and whether it is there. Names are compared without case.
func Param(value, name string) (string, bool) {
	first := true
	for p := range outside(value, ';') {
		if first {
			first = false
			continue
		}
		k, v, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(k), name) {
			return Unquote(strings.TrimSpace(v)), true
		}
	}
	return "", false
}

// Unquote takes the quotes and escapes off a quoted-string (RFC 3261 25.1); other values are returned as they are.
func Unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Quote makes a quoted-string of s. The caller has checked s with Safe.
func Quote(s string) string { return string(appendQuoted(make([]byte, 0, len(s)+2), s)) }

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// Safe refuses a value that holds CR, LF, NUL or another control character (TAB excepted): such a value could
// end its header field and begin another. what names the value in the error.
func Safe(what, value string) error {
	for i := 0; i < len(value); i++ {
		if c := value[i]; (c < 0x20 && c != '\t') || c == 0x7f {
			return fmt.Errorf("sip: %s %q, byte %d is 0x%02x: %w", what, clip(value), i, c, ErrUnsafe)
		}
	}
	return nil
}

// CheckHeader refuses a header field that must not be sent: a name that is no token, or an unsafe value.
func CheckHeader(h Header) error {
	if !IsToken(h.Name) {
		return fmt.Errorf("sip: header name %q: expected a token (RFC 3261 25.1): %w", clip(h.Name), ErrUnsafe)
	}
	return Safe("header "+h.Name, h.Value)
}

// IsToken tells whether s is a token of RFC 3261 25.1.
func IsToken(s string) bool {
	if s == "" {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return true
}

func isTokenByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("-.!%*_+`'~", c) >= 0
}

// unspaced is s without spaces and tabs.
func unspaced(s string) string {
	if !strings.ContainsAny(s, " \t") {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' {
			return -1
		}
		return r
	}, s)
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
