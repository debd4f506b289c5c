package rpc

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// Classes is the table of what there can be. It is filled by Types and Register at start; the first look into it (Seal,
// Open, Describe, Kmd) seals it, and then it never changes.
type Classes struct {
	modules map[string]*Module
	order   []string // of modules

	types  map[string]*Type
	byType map[reflect.Type]*Type

	byName  map[string]*entry // bare name
	entries []*entry          // as registered
	roots   []*entry
	ofGo    map[reflect.Type][]*entry

	seal    sync.Once
	kmds    sync.Map // texts by module
	sealed  bool
	codecs  map[codecKey]*codec
	structs map[reflect.Type]*structure
}

// entry is a class with everything that it inherits.
type entry struct {
	class  *Class
	module *Module
	base   *entry
	of     reflect.Type // Go type of its objects; nil for an abstract class that needs none
	ops    map[string]*operation
	events map[string]bool
	build  *function
	owner  int                   // which of build's parameters, -1 = none
	as     map[reflect.Type]cast // how its objects are given to parameters
	parts  []cast                // what ancestors' functions know its objects as, where that is a struct embedded in them
}

// operation is what one name leads to on objects of one class.
type operation struct {
	fn   *function
	self bool // the receiver is the *Object
	how  cast // else the value, cast so

	needs Role
	waits bool
}

// NewClasses makes an empty table for classes of these modules.
func NewClasses(modules ...Module) *Classes {
	c := &Classes{
		modules: map[string]*Module{}, types: map[string]*Type{}, byType: map[reflect.Type]*Type{},
		byName: map[string]*entry{}, ofGo: map[reflect.Type][]*entry{},
		codecs: map[codecKey]*codec{}, structs: map[reflect.Type]*structure{},
	}
	for _, m := range modules {
		if m.Name == "" || m.Version == "" || c.modules[m.Name] != nil {
			panic(fmt.Sprintf("rpc: module %q version %q: nameless, without version or repeated", m.Name, m.Version))
		}
		c.modules[m.Name] = &m
		c.order = append(c.order, m.Name)
	}
	return c
}

// Types adds enums, registers and events. It panics on a repeated or empty name, on a Go type named twice, on an unknown
// module, and on a sealed table: mistakes of the program all.
func (c *Classes) Types(types ...Type) {
	for _, t := range types {
		c.open(t.module, t.name, "type")
		other := c.types[t.name]
		if c.byType[t.of] != nil || other != nil && !t.stands(other) {
			panic(fmt.Sprintf("rpc: type %s (%s) is registered twice", t.name, t.of))
		}
		c.byType[t.of] = &t
		if other == nil {
			c.types[t.name] = &t
		}
	}
}

// Register adds classes. It panics as Types does, and on a class that extends an unknown one, that has a member twice
// or one that it inherits already, or that can neither be abstract nor be made.
func (c *Classes) Register(classes ...*Class) {
	for _, k := range classes {
		c.open(k.Module, k.Name, "class")
		if c.byName[k.Name] != nil {
			panic(fmt.Sprintf("rpc: class %s is registered twice", k.Name))
		}
		e := &entry{class: k, module: c.modules[k.Module], of: k.Type, owner: -1}
		if k.Extends != nil {
			e.base = c.byName[k.Extends.Name]
			if e.base == nil || e.base.class != k.Extends {
				panic(fmt.Sprintf("rpc: class %s extends %s, which isn't registered", k.Name, k.Extends.Name))
			}
		} else {
			c.roots = append(c.roots, e)
		}
		e.checkNew()
		e.checkMembers()
		if e.of != nil {
			c.ofGo[e.of] = append(c.ofGo[e.of], e)
		}
		c.byName[k.Name] = e
		c.entries = append(c.entries, e)
	}
}

func (c *Classes) open(module, name, what string) {
	switch {
	case c.sealed:
		panic(fmt.Sprintf("rpc: %s %s comes after the table was first used", what, name))
	case name == "" || strings.ContainsAny(name, "._/ "):
		panic(fmt.Sprintf("rpc: %s has the name %q: empty, or with a dot, slash, blank or underscore", what, name))
	case c.modules[module] == nil:
		panic(fmt.Sprintf("rpc: %s %s is of module %q, which isn't one of %s", what, name, module, strings.Join(c.order, ", ")))
	}
}

func (e *entry) checkNew() {
	k := e.class
	build := k.New.fn
	switch {
	case build == nil && !k.Abstract && k.Type == nil:
		panic(fmt.Sprintf("rpc: class %s has neither New nor Type and isn't abstract", k.Name))
	case build == nil && k.Parent != nil && !k.Abstract, build != nil && k.Abstract:
		panic(fmt.Sprintf("rpc: class %s: Parent wants New, and an abstract class has none", k.Name))
	case build == nil:
	case k.Type != nil && !castTo(build.result, k.Type).ok:
		panic(fmt.Sprintf("rpc: class %s: New makes %s, Type is %s", k.Name, build.result, k.Type))
	case k.Type == nil || k.Type.Kind() == reflect.Interface && build.result.Kind() == reflect.Pointer:
		e.of = build.result
	}
	if e.of != nil && e.of.Kind() != reflect.Pointer && e.of.Kind() != reflect.Interface || e.of == objectType {
		panic(fmt.Sprintf("rpc: class %s: objects are %s: want a pointer or an interface", k.Name, e.of))
	}
	if e.of != nil && e.of.Kind() == reflect.Pointer && e.of.Elem().Size() == 0 {
		panic(fmt.Sprintf("rpc: class %s: %s is empty: its objects have one address and can't be told apart", k.Name, e.of))
	}
}

// checkMembers finds members that are there twice, inherited ones included.
func (e *entry) checkMembers() {
	seen := map[string]bool{}
	add := func(what, name string, own bool) {
		if own && (name == "" || seen[what+name]) {
			panic(fmt.Sprintf("rpc: class %s has %s %q, which is empty, repeated or inherited", e.class.Name, what, name))
		}
		seen[what+name] = true
	}
	for _, k := range slices.Backward(e.lineage()) {
		for _, p := range k.class.Props {
			if p.get == nil {
				panic(fmt.Sprintf("rpc: class %s has a property without getter", k.class.Name))
			}
			add("operation", accessor("get", p.name), k == e)
			if p.set != nil {
				add("operation", accessor("set", p.name), k == e)
			}
		}
		for _, o := range k.class.Ops {
			if o.fn == nil {
				panic(fmt.Sprintf("rpc: class %s has an operation without function", k.class.Name))
			}
			add("operation", o.name, k == e)
		}
		for _, name := range k.class.Events {
			add("event", name, k == e)
		}
	}
}

// accessor is the operation that reads or writes a property: only the first letter changes.
func accessor(verb, prop string) string {
	if prop == "" {
		return ""
	}
	return verb + strings.ToUpper(prop[:1]) + prop[1:]
}

// lineage is the class and its ancestors, nearest first.
func (e *entry) lineage() []*entry {
	var out []*entry
	for ; e != nil; e = e.base {
		out = append(out, e)
	}
	return out
}

// is reports whether e is the class or extends it.
func (e *entry) is(class *entry) bool {
	for ; e != nil; e = e.base {
		if e == class {
			return true
		}
	}
	return false
}

// qualified is the name with its namespace, as it stands in ids and descriptions.
func (e *entry) qualified() string { return e.module.namespace() + "." + e.class.Name }

// find looks a type name up: bare, with its module's namespace or with its module's name.
func (c *Classes) find(name string) *entry {
	prefix, bare, dotted := strings.Cut(name, ".")
	if !dotted {
		return c.byName[name]
	}
	if e := c.byName[bare]; e != nil && (prefix == e.module.namespace() || prefix == e.module.Name) {
		return e
	}
	return nil
}

// Lookup finds a class by its name: X, namespace.X or module.X.
func (c *Classes) Lookup(name string) (*Class, bool) {
	if e := c.find(name); e != nil {
		return e.class, true
	}
	return nil, false
}
