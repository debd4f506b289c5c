package rpc

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
)

// codec knows how values of one Go type look on the wire.
type codec struct {
	name   string // Kurento's: String, int, MediaElement, Tag[], String<>
	module string // whose type it is, "" = everybody's
	decode func(d *decoding, raw []byte, dst reflect.Value) error
	encode func(e *encoding, v reflect.Value)

	class *entry // of a reference to an object
}

type codecKey struct {
	of   reflect.Type
	name string // of the class, where the Go type doesn't say
}

// codec finds or makes the codec of a type. It is called while the registry is sealed, and panics on a type that can't
// go over the wire.
func (c *Classes) codec(t reflect.Type, of string) *codec {
	key := codecKey{t, of}
	if k := c.codecs[key]; k != nil {
		return k
	}
	k := new(codec)
	c.codecs[key] = k // before its parts: a register may hold a list of itself
	c.build(k, t, of)
	return k
}

func (c *Classes) build(k *codec, t reflect.Type, of string) {
	if class := c.classOf(t, of); class != nil {
		k.reference(class, t)
		return
	}
	if typ := c.byType[t]; typ != nil {
		c.buildType(k, typ)
		return
	}
	if t == reflect.TypeFor[time.Duration]() {
		panic("rpc: time.Duration can't go over the wire: say the unit with a number")
	}
	if t.PkgPath() != "" && t.Kind() != reflect.Interface {
		panic(fmt.Sprintf("rpc: %s is neither a registered enum or register nor a class's type", t))
	}
	switch t.Kind() {
	case reflect.String:
		k.name, k.decode, k.encode = "String", decodeString, encodeString
	case reflect.Bool:
		k.name, k.decode, k.encode = "boolean", decodeBool, encodeBool
	case reflect.Int, reflect.Int32:
		k.name, k.decode, k.encode = "int", decodeInt(math.MinInt32, math.MaxInt32), encodeInt32
	case reflect.Int64:
		k.name, k.decode, k.encode = "int64", decodeInt(math.MinInt64, math.MaxInt64), encodeInt
	case reflect.Float32:
		k.name, k.decode, k.encode = "float", decodeFloat(math.MaxFloat32), encodeFloat
	case reflect.Float64:
		k.name, k.decode, k.encode = "double", decodeFloat(math.MaxFloat64), encodeFloat
	case reflect.Pointer:
		k.pointer(c.codec(t.Elem(), of))
	case reflect.Slice:
		k.list(c.codec(t.Elem(), of), t)
	case reflect.Map:
		if t.Key() != reflect.TypeFor[string]() {
			panic(fmt.Sprintf("rpc: %s: the keys of a map are strings", t))
		}
		k.dict(c.codec(t.Elem(), of), t)
	default:
		panic(fmt.Sprintf("rpc: %s can't go over the wire", t))
	}
}

// classOf says which class a Go type stands for, nil if for none.
func (c *Classes) classOf(t reflect.Type, of string) *entry {
	if k := t.Kind(); k == reflect.Slice || k == reflect.Map {
		return nil
	}
	if of != "" {
		class := c.byName[of]
		if class == nil {
			panic(fmt.Sprintf("rpc: %s is said to be a %q: no such class", t, of))
		}
		if t != objectType && !castTo(class.of, t).ok {
			panic(fmt.Sprintf("rpc: objects of class %s are %s: want %s", of, class.of, t))
		}
		return class
	}
	if t == objectType {
		if len(c.roots) != 1 {
			panic(fmt.Sprintf("rpc: *Object could be any of %d root classes: say which by Of", len(c.roots)))
		}
		return c.roots[0]
	}
	switch list := c.ofGo[t]; {
	case len(list) == 0:
		return nil
	case len(list) == 1:
		return list[0]
	default: // the one that all others extend
		for _, k := range list {
			if !slices.ContainsFunc(list, func(o *entry) bool { return !o.is(k) }) {
				return k
			}
		}
		panic(fmt.Sprintf("rpc: %s could be a %s or a %s: say which by Of", t, list[0].class.Name, list[1].class.Name))
	}
}

func (c *Classes) buildType(k *codec, typ *Type) {
	k.name, k.module = typ.name, typ.module
	switch {
	case typ.form == enumForm:
		k.enum(typ)
	case typ.form == registerForm && typ.of.Kind() == reflect.Interface:
		c.buildBase(k, typ)
	case typ.form == registerForm:
		s := c.structure(typ)
		k.decode, k.encode = s.decode, s.encode
	default:
		panic(fmt.Sprintf("rpc: %s is an event: it can be raised, nothing else", typ.of))
	}
}

// pointer is a value that may be absent.
func (k *codec) pointer(elem *codec) {
	k.name, k.module, k.class = elem.name, elem.module, elem.class
	k.decode = func(d *decoding, raw []byte, dst reflect.Value) error {
		if isNull(raw) {
			dst.SetZero()
			return nil
		}
		v := reflect.New(dst.Type().Elem())
		if err := elem.decode(d, raw, v.Elem()); err != nil {
			return err
		}
		dst.Set(v)
		return nil
	}
	k.encode = func(e *encoding, v reflect.Value) {
		if v.IsNil() {
			e.raw("null")
			return
		}
		elem.encode(e, v.Elem())
	}
}

func (k *codec) list(elem *codec, t reflect.Type) {
	k.name, k.module = elem.name+"[]", elem.module
	k.decode = func(d *decoding, raw []byte, dst reflect.Value) error {
		if isNull(raw) {
			dst.SetZero()
			return nil
		}
		if raw[0] != '[' {
			return d.want("list", raw)
		}
		out := reflect.MakeSlice(t, 0, 4)
		for w := items(raw); w.next(); {
			if out.Len() == maxItems {
				return Errorf(BadParam, "'%s' parameter has more than %d items", d.at(), maxItems)
			}
			v := reflect.New(t.Elem()).Elem()
			if err := elem.decode(d, w.val, v); err != nil {
				return err
			}
			out = reflect.Append(out, v)
		}
		dst.Set(out)
		return nil
	}
	k.encode = func(e *encoding, v reflect.Value) {
		e.raw("[")
		for i := range v.Len() {
			if i > 0 {
				e.raw(",")
			}
			elem.encode(e, v.Index(i))
		}
		e.raw("]")
	}
}

func (k *codec) dict(elem *codec, t reflect.Type) {
	k.name, k.module = elem.name+"<>", elem.module
	k.decode = func(d *decoding, raw []byte, dst reflect.Value) error {
		if isNull(raw) {
			dst.SetZero()
			return nil
		}
		if raw[0] != '{' {
			return d.want("map", raw)
		}
		out := reflect.MakeMap(t)
		for w := members(raw); w.next(); {
			if out.Len() == maxItems {
				return Errorf(BadParam, "'%s' parameter has more than %d members", d.at(), maxItems)
			}
			v := reflect.New(t.Elem()).Elem()
			if err := elem.decode(d, w.val, v); err != nil {
				return err
			}
			out.SetMapIndex(reflect.ValueOf(string(w.key)), v)
		}
		dst.Set(out)
		return nil
	}
	k.encode = func(e *encoding, v reflect.Value) {
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		e.raw("{")
		for i, key := range keys {
			if i > 0 {
				e.raw(",")
			}
			e.text(key.String())
			e.raw(":")
			elem.encode(e, v.MapIndex(key))
		}
		e.raw("}")
	}
}

func (k *codec) enum(typ *Type) {
	k.decode = func(d *decoding, raw []byte, dst reflect.Value) error {
		if raw[0] == '"' {
			s := unquote(raw)
			if i := slices.Index(typ.values, s); i >= 0 {
				dst.SetString(typ.values[i])
				return nil
			}
		}
		return Errorf(BadParam, "Invalid value for '%s': '%s' parameter is %s, should be one of %s",
			typ.name, d.at(), brief(string(raw)), strings.Join(typ.values, ", "))
	}
	k.encode = func(e *encoding, v reflect.Value) {
		s := v.String()
		if !slices.Contains(typ.values, s) {
			e.fail(fmt.Errorf("encode %s: %q is none of its values", typ.name, s))
		}
		e.text(s)
	}
}

// reference is an object, by its id.
func (k *codec) reference(class *entry, t reflect.Type) {
	k.name, k.module, k.class = class.class.Name, class.class.Module, class
	k.decode = func(d *decoding, raw []byte, dst reflect.Value) error {
		id := ""
		switch {
		case raw[0] == '"':
			id = unquote(raw)
		case !isNull(raw):
			return d.want("string", raw)
		}
		o, err := d.object(id, class)
		if err != nil {
			return err
		}
		if t == objectType {
			dst.Set(reflect.ValueOf(o))
			return nil
		}
		dst.Set(o.entry.as[t].do(reflect.ValueOf(o.value)))
		return nil
	}
	k.encode = func(e *encoding, v reflect.Value) {
		if v.IsNil() {
			e.raw("null")
			return
		}
		o, ok := v.Interface().(*Object)
		if !ok {
			o = e.space.of(v.Interface())
		}
		if o == nil { // released meanwhile
			e.raw("null")
			return
		}
		e.text(o.id)
	}
}
