package rpc

import (
	"fmt"
	"reflect"
)

// Seal ends the filling and binds all functions to types. It panics where something doesn't fit: a type that can't go
// over the wire, an operation that the class's objects can't take, an event or a parent that nobody registered. Later
// calls do nothing.
func (c *Classes) Seal() {
	c.seal.Do(func() {
		c.sealed = true
		for _, t := range c.types {
			if t.form == registerForm && t.of.Kind() == reflect.Struct || t.form == eventForm {
				c.structure(t)
			}
			c.checkEvent(t)
		}
		for _, e := range c.entries {
			c.bind(e)
		}
		c.checkReferences()
	})
}

func (c *Classes) checkEvent(t *Type) {
	if t.form != eventForm {
		return
	}
	for e := t; e.extends != RaiseBase && e.extends != Media; {
		base := c.types[e.extends]
		if base == nil || base.form != eventForm || base == t {
			panic(fmt.Sprintf("rpc: event %s extends %s, which is no registered event", t.name, e.extends))
		}
		e = base
		t.typed = base.extends != RaiseBase
	}
	for _, f := range c.structs[t.of].fields {
		if f.name == "type" {
			t.typed = false // it has one of its own
		}
		if f.name == "source" || f.name == "tags" || f.name == "timestampMillis" {
			panic(fmt.Sprintf("rpc: event %s has a field %s of its own: every event has one", t.name, f.name))
		}
	}
}

func (c *Classes) bind(e *entry) {
	e.ops, e.events, e.as = map[string]*operation{}, map[string]bool{}, map[reflect.Type]cast{}
	for _, k := range e.lineage() {
		if how := castTo(e.of, k.of); how.path != nil {
			e.parts = append(e.parts, how)
		}
		for _, p := range k.class.Props {
			e.ops[accessor("get", p.name)] = c.operation(e, p.get, p.of, p.reads)
			if p.set != nil {
				set := *p.set
				set.params = []Param{Arg(p.name).Of(p.of)}
				e.ops[accessor("set", p.name)] = c.operation(e, &set, "", p.writes)
			}
		}
		for _, o := range k.class.Ops {
			e.ops[o.name] = c.operation(e, o.fn, o.of, o.needs)
			e.ops[o.name].waits = o.waits
		}
		for _, name := range k.class.Events {
			if t := c.types[name]; t == nil || t.form != eventForm {
				panic(fmt.Sprintf("rpc: class %s has event %s, which isn't registered", k.class.Name, name))
			}
			e.events[name] = true
		}
	}
	if e.class.New.fn == nil {
		return
	}
	e.build = e.class.New.fn.compile(c, "")
	if e.class.Parent != nil {
		e.owner = c.ownerOf(e)
	}
}

func (c *Classes) operation(e *entry, fn *function, of string, needs Role) *operation {
	op := &operation{fn: fn.compile(c, of), self: fn.recv == objectType, needs: needs}
	op.how = castTo(e.of, fn.recv)
	if !op.self && !op.how.ok && (e.of != nil || !e.class.Abstract) {
		panic(fmt.Sprintf("rpc: class %s: its objects are %v, a member wants %s", e.class.Name, e.of, fn.recv))
	}
	return op
}

func (c *Classes) ownerOf(e *entry) int {
	parent := c.byName[e.class.Parent.Name]
	if parent == nil || parent.class != e.class.Parent {
		panic(fmt.Sprintf("rpc: class %s has parent %s, which isn't registered", e.class.Name, e.class.Parent.Name))
	}
	for i, k := range e.build.codecs {
		if k.class != nil && (k.class.is(parent) || parent.is(k.class)) {
			return i
		}
	}
	panic(fmt.Sprintf("rpc: class %s: no parameter of New is a %s, its parent", e.class.Name, parent.class.Name))
}

// checkReferences makes sure that every object which a parameter admits fits the parameter's Go type.
func (c *Classes) checkReferences() {
	for key, k := range c.codecs {
		if k.class == nil || key.of == objectType {
			continue
		}
		for _, e := range c.entries {
			if !e.is(k.class) || e.of == nil {
				continue
			}
			if e.as[key.of] = castTo(e.of, key.of); !e.as[key.of].ok {
				panic(fmt.Sprintf("rpc: class %s extends %s, but its objects are %s and can't be given as %s",
					e.class.Name, k.class.class.Name, e.of, key.of))
			}
		}
	}
}
