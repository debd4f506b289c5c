package rpc

import (
	"encoding/json"
	"reflect"
	"slices"
)

// Description is what a class looks like from outside. The first three members are the answer to describe.
type Description struct {
	Type          string   `json:"type"`
	QualifiedType string   `json:"qualifiedType"`
	Hierarchy     []string `json:"hierarchy"` // qualified, nearest parent first

	Module      string            `json:"module"`
	Doc         string            `json:"-"`
	Abstract    bool              `json:"abstract"`
	Constructor []ParamDesc       `json:"constructor,omitempty"`
	Properties  []PropDescription `json:"properties"` // inherited ones last, as in Methods and Events
	Methods     []OpDescription   `json:"methods"`
	Events      []string          `json:"events"`
	OwnEvents   []string          `json:"-"` // those that it doesn't inherit
}

// ParamDesc describes a parameter, or a field of a register or an event.
type ParamDesc struct {
	Name     string          `json:"name"`
	Doc      string          `json:"doc"`
	Type     string          `json:"type"`
	Optional bool            `json:"optional,omitempty"`
	Default  json.RawMessage `json:"defaultValue,omitempty"`
}

// PropDescription describes a property.
type PropDescription struct {
	Class    string          `json:"-"` // that has it first
	Name     string          `json:"name"`
	Doc      string          `json:"doc"`
	Type     string          `json:"type"`
	ReadOnly bool            `json:"readOnly,omitempty"`
	Final    bool            `json:"final,omitempty"`
	Default  json.RawMessage `json:"defaultValue,omitempty"`
}

// OpDescription describes an operation.
type OpDescription struct {
	Class  string      `json:"-"` // that has it first
	Name   string      `json:"name"`
	Doc    string      `json:"doc"`
	Params []ParamDesc `json:"params"`
	Return *Returned   `json:"return,omitempty"`
}

// Returned describes a result.
type Returned struct {
	Type string `json:"type"`
	Doc  string `json:"doc"`
}

// Describe describes an object's class.
func (s Scope) Describe(id string) (Description, error) {
	o, err := s.Object(id)
	if err != nil {
		return Description{}, err
	}
	return s.space.classes.describe(o.entry), nil
}

// Describe describes a class with all that it inherits. name is as Lookup takes it.
func (c *Classes) Describe(name string) (Description, bool) {
	c.Seal()
	e := c.find(name)
	if e == nil {
		return Description{}, false
	}
	return c.describe(e), true
}

// Names lists all classes, bare, as registered.
func (c *Classes) Names() []string {
	var out []string
	for _, e := range c.entries {
		out = append(out, e.class.Name)
	}
	return out
}

func (c *Classes) describe(e *entry) Description {
	d := Description{Type: e.class.Name, QualifiedType: e.qualified(), Module: e.module.Name, Doc: e.class.Doc, Abstract: e.class.Abstract,
		Hierarchy: []string{}, Properties: []PropDescription{}, Methods: []OpDescription{}, Events: []string{},
		OwnEvents: e.class.Events}
	for i, k := range e.lineage() {
		if i > 0 {
			d.Hierarchy = append(d.Hierarchy, k.qualified())
		}
		props, ops := c.own(e, k)
		d.Properties = append(d.Properties, props...)
		d.Methods = append(d.Methods, ops...)
		d.Events = append(d.Events, k.class.Events...)
	}
	if e.build != nil {
		d.Constructor = c.params(e.build)
	}
	return d
}

// own describes the members that e has from k, its ancestor or itself.
func (c *Classes) own(e, k *entry) (props []PropDescription, ops []OpDescription) {
	props, ops = []PropDescription{}, []OpDescription{}
	for _, p := range k.class.Props {
		get := e.ops[accessor("get", p.name)].fn
		props = append(props, PropDescription{Class: k.class.Name, Name: p.name, Doc: p.doc, Type: get.out.name,
			ReadOnly: p.set == nil && !p.final, Final: p.final, Default: defaultText(p.def, get.out)})
	}
	for _, o := range k.class.Ops {
		f := e.ops[o.name].fn
		d := OpDescription{Class: k.class.Name, Name: o.name, Doc: o.doc, Params: c.params(f)}
		if f.out != nil {
			d.Return = &Returned{Type: f.out.name}
		}
		ops = append(ops, d)
	}
	return props, ops
}

func (c *Classes) params(f *function) []ParamDesc {
	out := []ParamDesc{}
	for i, p := range f.params {
		out = append(out, ParamDesc{Name: p.name, Doc: p.doc, Type: f.codecs[i].name, Optional: p.optional,
			Default: defaultText(p.def, f.codecs[i])})
	}
	return out
}

func defaultText(def any, k *codec) json.RawMessage {
	if def == nil {
		return nil
	}
	e := encoding{}
	if f, ok := def.(float32); ok { // as it was written: this is for people
		b, _ := json.Marshal(f)
		return b
	}
	k.encode(&e, reflect.ValueOf(def))
	return e.buf
}

// TypeDescription describes an enum, a register or an event.
type TypeDescription struct {
	Module  string      `json:"-"`
	Format  string      `json:"typeFormat,omitempty"` // ENUM, REGISTER; "" for events
	Name    string      `json:"name"`
	Doc     string      `json:"doc"`
	Extends string      `json:"extends,omitempty"`
	Values  []string    `json:"values,omitempty"`
	Fields  []ParamDesc `json:"properties,omitzero"` // its own; nil for enums
}

// DescribeTypes describes all enums and registers, and all events, by name.
func (c *Classes) DescribeTypes() (complexTypes, events []TypeDescription) {
	c.Seal()
	names := make([]string, 0, len(c.types))
	for name := range c.types {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t := c.types[name]
		d := TypeDescription{Module: t.module, Name: t.name, Doc: t.doc, Values: t.values, Extends: t.extends}
		if s := c.structs[t.of]; s != nil {
			if s.base != nil {
				d.Extends = s.base.name
			}
			d.Fields = s.describe()
		}
		switch t.form {
		case eventForm:
			events = append(events, d)
		case enumForm:
			d.Format = "ENUM"
			complexTypes = append(complexTypes, d)
		default:
			d.Format = "REGISTER"
			complexTypes = append(complexTypes, d)
		}
	}
	return complexTypes, events
}

func (s *structure) describe() []ParamDesc {
	out := []ParamDesc{}
	for _, f := range s.fields[s.own:] {
		d := ParamDesc{Name: f.name, Type: f.codec.name, Optional: f.optional}
		if f.def.IsValid() {
			d.Default = json.RawMessage(f.text)
		}
		out = append(out, d)
	}
	return out
}

// ModuleInfo is what ServerInfo tells of a module.
type ModuleInfo struct {
	Name, Version string
	Factories     []string // its classes that clients can make, by name
}

// Modules lists the modules, as the table was told of them.
func (c *Classes) Modules() []ModuleInfo {
	var out []ModuleInfo
	for _, name := range c.order {
		m := ModuleInfo{Name: name, Version: c.modules[name].Version}
		for _, e := range c.entries {
			if e.module.Name == name && e.class.New.fn != nil {
				m.Factories = append(m.Factories, e.class.Name)
			}
		}
		slices.Sort(m.Factories)
		out = append(out, m)
	}
	return out
}
