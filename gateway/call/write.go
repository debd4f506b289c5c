package call

import (
	"encoding/json"
	"math"
	"net/netip"
	"strconv"
	"time"
)

// writer appends the members of JSON objects, byte for byte as encoding/json writes them, without looking at types. What is rare it
// leaves to that package. A member of a zero value is left out where the name of the method says so (omitempty).
type writer struct {
	b   []byte
	err error
}

func (w *writer) open()  { w.b = append(w.b, '{') }
func (w *writer) close() { w.b = append(w.b, '}') }

// key begins a member. Names need no escapes.
func (w *writer) key(name string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

// other leaves a value to encoding/json.
func (w *writer) other(v any) {
	b, err := json.Marshal(v)
	if err != nil && w.err == nil {
		w.err = err
	}
	w.b = append(w.b, b...)
}

// quote appends a string.
func (w *writer) quote(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x80 || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			w.other(s)
			return
		}
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, s...)
	w.b = append(w.b, '"')
}

func (w *writer) text(name, s string) {
	w.key(name)
	w.quote(s)
}

func (w *writer) textIf(name, s string) {
	if s != "" {
		w.text(name, s)
	}
}

func (w *writer) number(name string, n int64) {
	w.key(name)
	w.b = strconv.AppendInt(w.b, n, 10)
}

func (w *writer) numberIf(name string, n int64) {
	if n != 0 {
		w.number(name, n)
	}
}

func (w *writer) numberAt(name string, n *int64) {
	if n != nil {
		w.number(name, *n)
	}
}

func (w *writer) count(name string, n uint64) {
	w.key(name)
	w.b = strconv.AppendUint(w.b, n, 10)
}

func (w *writer) real(name string, f float64) {
	w.key(name)
	if a := math.Abs(f); a == 0 || a >= 1e-6 && a < 1e21 {
		w.b = strconv.AppendFloat(w.b, f, 'f', -1, 64)
		return
	}
	w.other(f) // with an exponent, or an error
}

func (w *writer) realIf(name string, f float64) {
	if f != 0 {
		w.real(name, f)
	}
}

func (w *writer) realAt(name string, f *float64) {
	if f != nil {
		w.real(name, *f)
	}
}

func (w *writer) flag(name string, v bool) {
	w.key(name)
	w.b = strconv.AppendBool(w.b, v)
}

func (w *writer) flagIf(name string, v bool) {
	if v {
		w.flag(name, v)
	}
}

func (w *writer) id(name string, id ID) {
	const hex = "0123456789abcdef"
	w.key(name)
	w.b = append(w.b, '"')
	for i, c := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			w.b = append(w.b, '-')
		}
		w.b = append(w.b, hex[c>>4], hex[c&15])
	}
	w.b = append(w.b, '"')
}

func (w *writer) time(name string, t time.Time) {
	w.key(name)
	w.b = append(w.b, '"')
	b, err := t.AppendText(w.b)
	if err != nil {
		if w.err == nil {
			w.err = err
		}
		return
	}
	w.b = append(b, '"')
}

func (w *writer) addr(name string, a netip.AddrPort) {
	w.key(name)
	switch {
	case a == netip.AddrPort{}:
		w.b = append(w.b, '"', '"')
	case !a.IsValid() || a.Addr().Zone() != "":
		w.other(a)
	default:
		w.b = append(w.b, '"')
		w.b = append(a.AppendTo(w.b), '"')
	}
}

// raw appends JSON that somebody else has made, if it is JSON.
func (w *writer) raw(name string, b json.RawMessage) {
	w.key(name)
	if n, ok := compact(b, 0); ok && n == len(b) {
		w.b = append(w.b, b...)
		return
	}
	w.other(b)
}

func (w *writer) rawIf(name string, b json.RawMessage) {
	if len(b) > 0 {
		w.raw(name, b)
	}
}

// mostDepth is how deep JSON may be nested before encoding/json looks at it.
const mostDepth = 20

// compact reports whether b begins with a JSON value that encoding/json would write as it stands, and where that ends. It may say no
// to some that are: those with numbers but whole ones, with characters that aren't ASCII, or nested deep.
func compact(b []byte, depth int) (int, bool) {
	if len(b) == 0 || depth > mostDepth {
		return 0, false
	}
	switch c := b[0]; {
	case c == '"':
		return plain(b)
	case c == '{' || c == '[':
		return members(b, depth)
	case c >= '0' && c <= '9':
		i := 1
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		whole := i == len(b) || b[i] == ',' || b[i] == '}' || b[i] == ']'
		return i, whole && (c != '0' || i == 1)
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if n := len(word); len(b) >= n && string(b[:n]) == word {
			return n, true
		}
	}
	return 0, false
}

// plain is compact of a string.
func plain(b []byte) (int, bool) {
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1, true
		case c < ' ' || c >= 0x80 || c == '<' || c == '>' || c == '&':
			return 0, false
		case c == '\\':
			if i++; i == len(b) {
				return 0, false
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if len(b) < i+5 || !hexadecimal(b[i+1:i+5]) {
					return 0, false
				}
				i += 4
			default:
				return 0, false
			}
		}
	}
	return 0, false
}

func hexadecimal(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// members is compact of an object or an array.
func members(b []byte, depth int) (int, bool) {
	object, end := b[0] == '{', byte(']')
	if object {
		end = '}'
	}
	if len(b) > 1 && b[1] == end {
		return 2, true
	}
	for i := 1; i < len(b); i++ {
		if object {
			if b[i] != '"' {
				return 0, false
			}
			n, ok := plain(b[i:])
			if i += n; !ok || i == len(b) || b[i] != ':' {
				return 0, false
			}
			i++
		}
		n, ok := compact(b[i:], depth+1)
		if i += n; !ok || i == len(b) {
			return 0, false
		}
		if b[i] == end {
			return i + 1, true
		}
		if b[i] != ',' {
			return 0, false
		}
	}
	return 0, false
}
