// Package wire checks and reads what RFC 3261 says about bytes: URIs, name-addrs, header fields and their lists,
// and whole messages.
package wire

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// URI is a SIP, SIPS or other URI as a value. For schemes other than sip and sips only Scheme and Opaque are set
// ("tel:+4930…": Opaque is "+4930…").
type URI struct {
	Scheme   string // lower case
	User     string // as written on the wire: escapes are kept; see Unescape
	Password string
	Host     string // lower case name, IPv4, or IPv6 without brackets
	Port     uint16 // 0 = none given
	Params   []Parameter
	Headers  string // what follows "?", as written
	Opaque   string // the rest of a URI that is neither sip nor sips
}

// Parameter is one name and value of a parameter; an empty value is a parameter without "=".
type Parameter struct{ Name, Value string }

// IsZero tells whether no URI was set.
func (u URI) IsZero() bool { return u.Scheme == "" }

// Param returns the value of a URI parameter, and whether it is there.
func (u URI) Param(name string) (string, bool) {
	for _, p := range u.Params {
		if strings.EqualFold(p.Name, name) {
			return p.Value, true
		}
	}
	return "", false
}

// With returns a copy with the parameter set; an empty value makes a parameter without "=".
func (u URI) With(name, value string) URI {
	params := make([]Parameter, 0, len(u.Params)+1)
	for _, p := range u.Params {
		if !strings.EqualFold(p.Name, name) {
			params = append(params, p)
		}
	}
	u.Params = append(params, Parameter{name, value})
	return u
}

// Without returns a copy without the parameter.
func (u URI) Without(name string) URI {
	params := make([]Parameter, 0, len(u.Params))
	for _, p := range u.Params {
		if !strings.EqualFold(p.Name, name) {
			params = append(params, p)
		}
	}
	u.Params = params
	return u
}

// Bare returns scheme, user, host and port only: an address-of-record (RFC 3261 10.3 step 5).
func (u URI) Bare() URI {
	u.Password, u.Params, u.Headers = "", nil, ""
	return u
}

// String writes the URI. It does not check; a URI from ParseURI or NewURI is safe to write.
func (u URI) String() string {
	return string(u.AppendTo(make([]byte, 0, room)))
}

// room is what is kept free for on the stack before something is written: few URIs and addresses are longer.
const room = 128

// AppendTo appends what String returns.
func (u URI) AppendTo(b []byte) []byte {
	if u.Scheme == "" {
		return b
	}
	b = append(append(b, u.Scheme...), ':')
	if u.Scheme != "sip" && u.Scheme != "sips" {
		return append(b, u.Opaque...)
	}
	if u.User != "" {
		b = append(b, u.User...)
		if u.Password != "" {
			b = append(append(b, ':'), u.Password...)
		}
		b = append(b, '@')
	}
	b = appendParams(appendHostPort(b, u.Host, u.Port), u.Params)
	if u.Headers != "" {
		b = append(append(b, '?'), u.Headers...)
	}
	return b
}

func appendParams(b []byte, params []Parameter) []byte {
	for i := range params {
		p := &params[i]
		b = append(append(b, ';'), p.Name...)
		if p.Value != "" {
			b = append(append(b, '='), p.Value...)
		}
	}
	return b
}

// Check refuses a URI that must not be sent: control characters, spaces or delimiters where they would change
// what the URI says.
func (u URI) Check() error {
	switch u.Scheme {
	case "":
		return fmt.Errorf("sip: URI: expected a scheme such as sip, got none")
	case "sip", "sips":
		if u.Host == "" {
			return fmt.Errorf("sip: URI %q: expected a host, got none", u.String())
		}
	default:
		if u.Opaque == "" {
			return fmt.Errorf("sip: URI %q: expected something after the scheme", u.String())
		}
	}
	text := u.String()
	if err := safeURI(text); err != nil {
		return err
	}
	back, err := ParseURI(text)
	if err != nil {
		return err
	}
	if back.User != u.User || !strings.EqualFold(back.Host, u.Host) || back.Port != u.Port || len(back.Params) != len(u.Params) {
		return fmt.Errorf("sip: URI %q: a part holds a delimiter: %w", clip(text), ErrUnsafe)
	}
	return nil
}

func safeURI(text string) error {
	if len(text) > 2048 {
		return fmt.Errorf("sip: URI of %d bytes: expected at most 2048", len(text))
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c <= 0x20, c == 0x7f, c == '<', c == '>', c == '"':
			return fmt.Errorf("sip: URI %q: byte 0x%02x is not allowed: %w", clip(text), c, ErrUnsafe)
		}
	}
	return nil
}

// NewURI makes a sip URI of parts and checks them. user may be empty; it is escaped as RFC 3261 19.1.2 asks.
// host is a name or an address, IPv6 with or without brackets.
func NewURI(user, host string, port uint16) (URI, error) {
	if err := Safe("URI user", user); err != nil {
		return URI{}, err
	}
	u := URI{Scheme: "sip", User: EscapeUser(user), Host: strings.ToLower(strings.Trim(host, "[]")), Port: port}
	if !validHost(u.Host) {
		return URI{}, fmt.Errorf("sip: URI host %q: expected a name or an address", clip(host))
	}
	return u, u.Check()
}

// ParseURI reads a URI (RFC 3261 19.1). sip and sips URIs are taken apart, others keep what follows the scheme.
func ParseURI(s string) (URI, error) {
	if err := safeURI(s); err != nil {
		return URI{}, err
	}
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !validScheme(scheme) {
		return URI{}, fmt.Errorf("sip: URI %q: expected a scheme such as sip", clip(s))
	}
	u := URI{Scheme: strings.ToLower(scheme)}
	if u.Scheme != "sip" && u.Scheme != "sips" {
		if rest == "" {
			return URI{}, fmt.Errorf("sip: URI %q: expected something after the scheme", clip(s))
		}
		u.Opaque = rest
		return u, nil
	}
	if at := userEnd(rest); at >= 0 {
		u.User, u.Password, _ = strings.Cut(rest[:at], ":")
		if u.User == "" {
			return URI{}, fmt.Errorf("sip: URI %q: the user before @ is empty", clip(s))
		}
		rest = rest[at+1:]
	}
	rest, u.Headers, _ = strings.Cut(rest, "?")
	hostport, params, _ := strings.Cut(rest, ";")
	for p := range strings.SplitSeq(params, ";") {
		if p == "" {
			continue
		}
		k, v, _ := strings.Cut(p, "=")
		if k == "" {
			return URI{}, fmt.Errorf("sip: URI %q: a parameter without a name", clip(s))
		}
		u.Params = append(u.Params, Parameter{k, v})
	}
	var err error
	if u.Host, u.Port, err = splitHostPort(hostport); err != nil {
		return URI{}, fmt.Errorf("sip: URI %q: %w", clip(s), err)
	}
	return u, nil
}

// userEnd finds the @ that ends the userinfo. It comes before any ";" or "?" is looked at, since both may stand in
// a user; an @ elsewhere in a URI is always escaped.
func userEnd(s string) int { return strings.IndexByte(s, '@') }

func validScheme(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		if ('a' <= c && c <= 'z') || (i > 0 && ('0' <= s[i] && s[i] <= '9' || s[i] == '+' || s[i] == '-' || s[i] == '.')) {
			continue
		}
		return false
	}
	return true
}

func splitHostPort(s string) (string, uint16, error) {
	host, port := s, ""
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", 0, fmt.Errorf("host %q: no closing bracket", clip(s))
		}
		host = mendIPv6(s[1:end])
		if rest := s[end+1:]; rest != "" {
			if rest[0] != ':' {
				return "", 0, fmt.Errorf("host %q: expected a port after the bracket", clip(s))
			}
			port = rest[1:]
			if port == "" {
				return "", 0, fmt.Errorf("host %q: the port is empty", clip(s))
			}
		}
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() {
			return "", 0, fmt.Errorf("host %q: expected an IPv6 address in brackets", clip(s))
		}
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i+1:]
		if port == "" {
			return "", 0, fmt.Errorf("host %q: the port is empty", clip(s))
		}
	}
	if !validHost(host) {
		return "", 0, fmt.Errorf("host %q: expected a name or an address", clip(host))
	}
	if port == "" {
		return strings.ToLower(host), 0, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("port %q: expected 1 to 65535", clip(port))
	}
	return strings.ToLower(host), uint16(n), nil
}

// mendIPv6 takes the third colon that RFC 3261's grammar puts before an IPv4 address within an IPv6 one (RFC 5118 4.10,
// RFC 5954).
func mendIPv6(host string) string {
	i := strings.Index(host, ":::")
	if i < 0 || strings.IndexByte(host[i+3:], '.') < 0 || strings.IndexByte(host[i+3:], ':') >= 0 {
		return host
	}
	return host[:i+2] + host[i+3:]
}

func validHost(h string) bool {
	if h == "" || len(h) > 253 {
		return false
	}
	if strings.IndexByte(h, ':') >= 0 {
		a, err := netip.ParseAddr(h)
		return err == nil && a.Is6()
	}
	for i := 0; i < len(h); i++ {
		c := h[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return true
}

// HostPort joins a host and a port as SIP writes them: brackets around IPv6, no port when it is 0.
func HostPort(host string, port uint16) string {
	if port == 0 && strings.IndexByte(host, ':') < 0 {
		return host
	}
	return string(appendHostPort(make([]byte, 0, room), host, port))
}

func appendHostPort(b []byte, host string, port uint16) []byte {
	if strings.IndexByte(host, ':') >= 0 {
		b = append(append(append(b, '['), host...), ']')
	} else {
		b = append(b, host...)
	}
	if port != 0 {
		b = strconv.AppendUint(append(b, ':'), uint64(port), 10)
	}
	return b
}

// EscapeUser escapes what may not stand in the user part of a SIP URI (RFC 3261 25.1, user-unreserved).
func EscapeUser(s string) string {
	const hex = "0123456789ABCDEF"
	i := 0
	for i < len(s) && unreservedInUser(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	b := make([]byte, i, 3*len(s))
	for copy(b, s); i < len(s); i++ {
		if c := s[i]; unreservedInUser(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func unreservedInUser(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.!~*'()&=+$,;?/", c) >= 0
}

// Unescape undoes %HH escapes; a broken escape stays as it is. The result may hold any byte.
func Unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
