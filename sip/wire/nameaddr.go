package wire

import (
	"fmt"
	"strings"
)

// NameAddr is a name-addr or addr-spec with its header parameters: the value of From, To, Contact and their kin.
type NameAddr struct {
	Display string // without quotes
	URI     URI
	Params  []Parameter // header parameters, such as tag; values with their quotes
}

// Tag returns the tag parameter, or "".
func (n NameAddr) Tag() string {
	v, _ := n.Param("tag")
	return v
}

// Param returns a header parameter without quotes, and whether it is there.
func (n NameAddr) Param(name string) (string, bool) {
	for _, p := range n.Params {
		if strings.EqualFold(p.Name, name) {
			return Unquote(p.Value), true
		}
	}
	return "", false
}

// WithTag returns a copy whose only tag is the given one; "" removes it.
func (n NameAddr) WithTag(tag string) NameAddr {
	params := make([]Parameter, 0, len(n.Params)+1)
	for _, p := range n.Params {
		if !strings.EqualFold(p.Name, "tag") {
			params = append(params, p)
		}
	}
	if tag != "" {
		params = append(params, Parameter{"tag", tag})
	}
	n.Params = params
	return n
}

// String writes the name-addr, always with angle brackets.
func (n NameAddr) String() string {
	b := make([]byte, 0, room)
	if n.Display != "" {
		b = append(appendQuoted(b, n.Display), ' ')
	}
	b = append(n.URI.AppendTo(append(b, '<')), '>')
	return string(appendParams(b, n.Params))
}

// Check refuses a name-addr that must not be sent.
func (n NameAddr) Check() error {
	if err := Safe("display name", n.Display); err != nil {
		return err
	}
	for _, p := range n.Params {
		if !IsToken(p.Name) {
			return fmt.Errorf("sip: parameter name %q: expected a token: %w", clip(p.Name), ErrUnsafe)
		}
		if err := Safe("parameter "+p.Name, p.Value); err != nil {
			return err
		}
		if !strings.HasPrefix(p.Value, `"`) && strings.ContainsAny(p.Value, ";,<> \"") {
			return fmt.Errorf("sip: parameter %s %q holds a delimiter: %w", p.Name, clip(p.Value), ErrUnsafe)
		}
	}
	return n.URI.Check()
}

// ParseNameAddr reads a name-addr or addr-spec (RFC 3261 20.10): parameters after an addr-spec without angle
// brackets belong to the header field.
func ParseNameAddr(s string) (NameAddr, error) {
	s = strings.TrimSpace(s)
	if err := Safe("address", s); err != nil {
		return NameAddr{}, err
	}
	var n NameAddr
	var uri, rest string
	if lt := indexOutsideQuotes(s, '<'); lt >= 0 {
		display := strings.TrimSpace(s[:lt])
		if !displayName(display) {
			return NameAddr{}, fmt.Errorf("sip: address %q: the display name is broken", clip(s))
		}
		n.Display = Unquote(display)
		gt := strings.IndexByte(s[lt:], '>')
		if gt < 0 {
			return NameAddr{}, fmt.Errorf("sip: address %q: no closing >", clip(s))
		}
		uri, rest = s[lt+1:lt+gt], strings.TrimSpace(s[lt+gt+1:])
		if rest != "" && rest[0] != ';' {
			return NameAddr{}, fmt.Errorf("sip: address %q: expected ; after >", clip(s))
		}
	} else {
		uri = s
		if i := strings.IndexByte(s, ';'); i >= 0 {
			uri, rest = strings.TrimSpace(s[:i]), s[i:]
		}
		if strings.ContainsAny(uri, "?,") {
			return NameAddr{}, fmt.Errorf("sip: address %q: a URI with ? or , needs angle brackets", clip(s))
		}
	}
	var err error
	if n.URI, err = ParseURI(uri); err != nil {
		return NameAddr{}, err
	}
	for _, p := range SplitParams(rest) {
		k, v, _ := strings.Cut(p, "=")
		k, v = strings.TrimSpace(k), strings.TrimSpace(v)
		if !IsToken(k) {
			return NameAddr{}, fmt.Errorf("sip: address %q: parameter name %q is no token", clip(s), clip(k))
		}
		n.Params = append(n.Params, Parameter{k, v})
	}
	return n, nil
}

// displayName tells a display-name (RFC 3261 25.1): nothing, words, or one quoted-string, whose quotes inside are escaped.
// What peers really write between words is taken, as long as it is clear where the name ends.
func displayName(s string) bool {
	if !strings.HasPrefix(s, `"`) {
		return !strings.ContainsAny(s, `;,<>"`)
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i == len(s)-1
		}
	}
	return false
}

func indexOutsideQuotes(s string, want byte) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && c == want:
			return i
		}
	}
	return -1
}
