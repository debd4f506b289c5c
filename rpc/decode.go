package rpc

import (
	"math"
	"reflect"
	"strconv"
	"strings"
)

// Resolver finds the objects that a caller may know of. An object that it doesn't give doesn't exist for the caller.
type Resolver interface {
	Object(id string) (*Object, error)
}

// decoding is the reading of one call's parameters. The objects that they name are held until release.
type decoding struct {
	resolve Resolver
	held    []*Object
	path    []string // to the parameter that is being read
}

func (d *decoding) release() {
	for _, o := range d.held {
		o.leave()
	}
}

func (d *decoding) object(id string, class *entry) (*Object, error) {
	if id == "" {
		return nil, notFound(id)
	}
	o, err := d.resolve.Object(id)
	if err != nil {
		return nil, err
	}
	if !o.entry.is(class) {
		return nil, Errorf(ObjectNotFound, "Object '%s' not found as '%s' parameter: it is a %s, should be a %s",
			brief(id), d.at(), o.entry.class.Name, class.class.Name)
	}
	if !o.enter() {
		return nil, notFound(id)
	}
	d.held = append(d.held, o)
	return o, nil
}

func (d *decoding) at() string { return strings.Join(d.path, ".") }

func (d *decoding) want(kind string, raw []byte) error {
	return Errorf(BadParam, "'%s' parameter should be a %s, not %s", d.at(), kind, brief(string(raw)))
}

func (d *decoding) missing(kind string) error {
	return Errorf(BadParam, "'%s' parameter should be a %s: it is missing", d.at(), kind)
}

// kindOf is what Kurento's messages call a type.
func kindOf(name string) string {
	switch {
	case strings.HasSuffix(name, "[]"):
		return "list"
	case strings.HasSuffix(name, "<>"):
		return "map"
	case name == "String":
		return "string"
	case name == "int", name == "int64":
		return "integer"
	case name == "float", name == "double":
		return "double"
	case name == "boolean":
		return "boolean"
	}
	return "object"
}

// args reads parameters into what the function takes.
//
// The rules are Kurento's: names that nobody asked for are ignored; null stands for the zero value, and for absence
// where a parameter is optional; optional parameters of an operation count only while each earlier one is present
// (chain); those of a constructor each for itself.
func (f *function) args(d *decoding, raw []byte, block string, chain bool, into []reflect.Value) ([]reflect.Value, error) {
	var given [maxParams][]byte
	raw = trim(raw)
	switch {
	case len(raw) == 0 || isNull(raw):
		if f.needed {
			return nil, Errorf(BadParam, "'%s' is required", block)
		}
	case checkJSON(raw) != nil:
		return nil, Errorf(BadParam, "'%s' can't be read: %v", block, checkJSON(raw))
	case raw[0] != '{':
		return nil, Errorf(BadParam, "'%s' parameter should be a object, not %s", block, brief(string(raw)))
	default:
		for w := members(raw); w.next(); {
			for i := range f.params {
				if f.params[i].name == string(w.key) {
					given[i] = w.val
				}
			}
		}
	}
	ended := false
	for i := range f.params {
		p := &f.params[i]
		v := reflect.New(f.ins[i]).Elem()
		if p.optional && (given[i] == nil || isNull(given[i]) || ended) {
			if f.defaults[i].IsValid() {
				v.Set(f.defaults[i])
			}
			ended = ended || chain && given[i] == nil
			into = append(into, v)
			continue
		}
		d.path = append(d.path[:0], p.name)
		if given[i] == nil {
			return nil, d.missing(kindOf(f.codecs[i].name))
		}
		if err := f.codecs[i].decode(d, given[i], v); err != nil {
			return nil, err
		}
		into = append(into, v)
	}
	return into, nil
}

func decodeString(d *decoding, raw []byte, dst reflect.Value) error {
	switch raw[0] {
	case '"':
		dst.SetString(unquote(raw))
	case 'n':
		dst.SetString("")
	case '{', '[':
		return d.want("string", raw)
	default: // numbers and booleans are taken by their text
		dst.SetString(string(raw))
	}
	return nil
}

func decodeBool(d *decoding, raw []byte, dst reflect.Value) error {
	switch raw[0] {
	case 't':
		dst.SetBool(true)
	case 'f', 'n':
		dst.SetBool(false)
	case '"', '{', '[':
		return d.want("boolean", raw)
	default:
		f, err := strconv.ParseFloat(string(raw), 64)
		if err != nil {
			return d.want("boolean", raw)
		}
		dst.SetBool(f != 0)
	}
	return nil
}

func decodeInt(low, high int64) func(*decoding, []byte, reflect.Value) error {
	return func(d *decoding, raw []byte, dst reflect.Value) error {
		n, ok := integer(raw)
		if !ok || n < low || n > high {
			return d.want("integer", raw)
		}
		dst.SetInt(n)
		return nil
	}
}

// integer reads a whole number; a fraction is cut off.
func integer(raw []byte) (int64, bool) {
	switch raw[0] {
	case 't':
		return 1, true
	case 'f', 'n':
		return 0, true
	case '"', '{', '[':
		return 0, false
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f < math.MinInt64 || f >= math.MaxInt64 { // the float next to MaxInt64 is above it
		return 0, false
	}
	return int64(f), true
}

func decodeFloat(most float64) func(*decoding, []byte, reflect.Value) error {
	return func(d *decoding, raw []byte, dst reflect.Value) error {
		var f float64
		switch raw[0] {
		case 't':
			f = 1
		case 'f', 'n':
		case '"', '{', '[':
			return d.want("double", raw)
		default:
			var err error
			if f, err = strconv.ParseFloat(string(raw), 64); err != nil || math.Abs(f) > most {
				return d.want("double", raw)
			}
		}
		dst.SetFloat(f)
		return nil
	}
}
