package rpc

import (
	"fmt"
	"reflect"
	"strings"
)

// structure is a register or an event: a struct on the wire.
type structure struct {
	typ    *Type
	space  string // __module__
	base   *Type  // the register it extends
	fields []field
	own    int // fields from here on are its own, the others its base's
	module *Classes
}

type field struct {
	name     string
	index    []int
	codec    *codec
	optional bool
	def      reflect.Value // invalid = none
	text     string        // the default, as JSON
}

// maxFields of a register: as many as decode has bits to tick them off.
const maxFields = 64

// structure compiles a struct's fields.
func (c *Classes) structure(typ *Type) *structure {
	if s := c.structs[typ.of]; s != nil {
		return s
	}
	s := &structure{typ: typ, space: c.modules[typ.module].namespace(), module: c}
	c.structs[typ.of] = s
	c.fields(s, typ.of, nil)
	return s
}

func (c *Classes) fields(s *structure, t reflect.Type, index []int) {
	for f := range t.Fields() {
		at := append(append([]int(nil), index...), f.Index...)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			base := c.byType[f.Type]
			if len(s.fields) > 0 || !f.IsExported() || base == nil || base.form != s.typ.form {
				panic(fmt.Sprintf("rpc: %s embeds %s: only one that is registered can be, and first", s.typ.of, f.Type))
			}
			c.fields(s, f.Type, at)
			if len(index) == 0 {
				s.base, s.own = base, len(s.fields)
			}
			continue
		}
		tag, ok := f.Tag.Lookup("rpc")
		if !ok || !f.IsExported() {
			panic(fmt.Sprintf("rpc: %s, field %s: wants to be exported and tagged `rpc:\"name\"`", s.typ.of, f.Name))
		}
		name, rest, _ := strings.Cut(tag, ",")
		for _, o := range s.fields {
			if o.name == name {
				panic(fmt.Sprintf("rpc: %s has two fields %s", s.typ.of, name))
			}
		}
		fl := field{name: name, index: at, codec: c.codec(f.Type, ""), optional: rest == "optional"}
		if text, ok := f.Tag.Lookup("default"); ok {
			fl.text, fl.def = text, readDefault(s.typ, f, fl.codec, text)
		}
		if s.fields = append(s.fields, fl); len(s.fields) > maxFields {
			panic(fmt.Sprintf("rpc: %s has more than %d fields", s.typ.of, maxFields))
		}
	}
}

func readDefault(typ *Type, f reflect.StructField, k *codec, text string) reflect.Value {
	v := reflect.New(f.Type).Elem()
	err := checkJSON([]byte(text))
	if err == nil {
		err = k.decode(&decoding{path: []string{f.Name}}, []byte(text), v)
	}
	if err != nil {
		panic(fmt.Sprintf("rpc: %s, field %s, default %s: %v", typ.of, f.Name, text, err))
	}
	return v
}

func (s *structure) decode(d *decoding, raw []byte, dst reflect.Value) error {
	if isNull(raw) {
		raw = []byte("{}")
	}
	if raw[0] != '{' {
		return d.want("object", raw)
	}
	var seen uint64
	depth := len(d.path)
	for w := members(raw); w.next(); {
		if string(w.key) == "__type__" {
			if err := s.marked(d, w.val); err != nil {
				return err
			}
			continue
		}
		for i := range s.fields {
			f := &s.fields[i]
			if f.name != string(w.key) || f.optional && isNull(w.val) {
				continue
			}
			d.path = append(d.path[:depth], f.name)
			if err := f.codec.decode(d, w.val, dst.FieldByIndex(f.index)); err != nil {
				return err
			}
			seen |= 1 << i
		}
	}
	for i := range s.fields {
		f := &s.fields[i]
		switch {
		case seen&(1<<i) != 0:
		case f.def.IsValid():
			dst.FieldByIndex(f.index).Set(f.def)
		case !f.optional:
			d.path = append(d.path[:depth], f.name)
			return d.missing(kindOf(f.codec.name))
		}
	}
	d.path = d.path[:depth]
	return nil
}

// marked checks what a register says that it is. Saying nothing is as good, and so is saying that it is one that
// extends the declared one: its other fields are ignored.
func (s *structure) marked(d *decoding, raw []byte) error {
	if isNull(raw) {
		return nil
	}
	name := ""
	if raw[0] == '"' {
		name = unquote(raw)
	}
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		name = name[i+1:]
	}
	for t := s.module.types[name]; t != nil; {
		if t.name == s.typ.name {
			return nil
		}
		st := s.module.structs[t.of]
		if st == nil {
			break
		}
		t = st.base
	}
	return Errorf(Unexpected, "'%s' parameter is a register of type %s, should be %s", d.at(), brief(string(raw)), s.typ.name)
}

func (s *structure) encode(e *encoding, v reflect.Value) {
	e.raw("{")
	s.encodeFields(e, v)
	e.raw(`"__module__":`)
	e.text(s.space)
	e.raw(`,"__type__":`)
	e.text(s.typ.name)
	e.raw("}")
}

// encodeFields writes the members, each with a comma behind it. An optional one that is nil is left out.
func (s *structure) encodeFields(e *encoding, v reflect.Value) {
	for i := range s.fields {
		f := &s.fields[i]
		fv := v.FieldByIndex(f.index)
		if f.optional && fv.Kind() == reflect.Pointer && fv.IsNil() {
			continue
		}
		e.text(f.name)
		e.raw(":")
		f.codec.encode(e, fv)
		e.raw(",")
	}
}

// buildBase makes the codec of an interface: whatever register implements it is sent as itself.
func (c *Classes) buildBase(k *codec, typ *Type) {
	k.encode = func(e *encoding, v reflect.Value) {
		if v.IsNil() {
			e.raw("null")
			return
		}
		v = v.Elem()
		if v.Kind() == reflect.Pointer && !v.IsNil() {
			v = v.Elem()
		}
		s := c.structs[v.Type()]
		if s == nil || s.typ.form != registerForm {
			e.fail(fmt.Errorf("encode %s: %s is no registered register", typ.name, v.Type()))
			e.raw("null")
			return
		}
		s.encode(e, v)
	}
	k.decode = func(d *decoding, raw []byte, dst reflect.Value) error {
		if raw[0] != '{' {
			return d.want("object", raw)
		}
		name := typ.name
		for w := members(raw); w.next(); {
			if string(w.key) == "__type__" && w.val[0] == '"' {
				name = unquote(w.val)
			}
		}
		t := c.types[name]
		if t == nil || t.form != registerForm || t.of.Kind() != reflect.Struct || !t.of.Implements(typ.of) {
			return Errorf(Unexpected, "'%s' parameter is a register of type %s, should be a %s", d.at(), brief(name), typ.name)
		}
		v := reflect.New(t.of).Elem()
		if err := c.structs[t.of].decode(d, raw, v); err != nil {
			return err
		}
		dst.Set(v)
		return nil
	}
}
