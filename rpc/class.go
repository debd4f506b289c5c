// Package rpc drives media over JSON-RPC in Kurento's form. This much of it is the class seam: what kinds of object a
// client can make, what it can ask of them and what they tell it, all given as typed Go functions in a table; and the
// objects themselves, a tree per client application.
//
// A Classes value is filled at start and read afterwards. Objects are made in a Space, and a client sees them through a
// Scope, which knows its tenant. Requests to one object may come from any goroutine; who wants them in order (a
// session does) calls one after another. Events of one object arrive in the order in which they were raised.
package rpc

import (
	"fmt"
	"reflect"
	"strings"
)

// Module is a named family of classes, as a client imports it.
type Module struct {
	Name      string // as in ServerInfo: core, elements, filters, telephony
	Namespace string // what stands before the dot in type names and in __module__; "" = Name
	Version   string // semantic
	Requires  string // the version of Kurento's core that it extends, e.g. "^7.1.0"; "" = none
	NPM       string // its npm package, "" = none
	Java      string // its Java package, "" = none
}

func (m *Module) namespace() string {
	if m.Namespace != "" {
		return m.Namespace
	}
	return m.Name
}

// Class describes one kind of object: elements, and equally pipelines, hubs, their ports and managers. It isn't changed
// after it was registered.
type Class struct {
	Module string // a name that the registry was told
	Name   string // unique over all modules
	Doc    string

	// Extends is the class whose members this one has too. It must be registered first.
	Extends *Class
	// Abstract classes can't be created by clients.
	Abstract bool
	// Parent is the class of the owner: the first parameter of New that is declared as that class, or as one of its
	// ancestors or descendants, names the owner. nil makes objects without one.
	Parent *Class
	// Type is the Go type of the objects. It may be left out where New says it, and where nothing needs it (an abstract
	// class all of whose members take *Object).
	Type reflect.Type
	// New makes an object. Without it only the program can (Space.Place), as for a manager, which Kurento calls abstract.
	New Constructor

	Props  []Prop
	Ops    []Op
	Events []string // names of registered event types
}

// Param is a parameter of an operation or a constructor.
type Param struct {
	name     string
	doc      string
	of       string
	optional bool
	def      any
}

// Arg is a required parameter.
func Arg(name string) Param { return Param{name: name} }

// Opt is an optional parameter without a default of its own: where it is absent the function gets the zero value.
func Opt(name string) Param { return Param{name: name, optional: true} }

// OptArg is an optional parameter with a default, which is part of the class's description.
func OptArg[V any](name string, def V) Param { return Param{name: name, optional: true, def: def} }

// Default adds a default to the description. A required parameter stays required.
func (p Param) Default(v any) Param { p.def = v; return p }

// Of says which class a parameter belongs to where its Go type doesn't: *Object, or a type that several classes share.
func (p Param) Of(class string) Param { p.of = class; return p }

// About documents the parameter.
func (p Param) About(doc string) Param { p.doc = doc; return p }

// Op is an operation: what invoke calls.
type Op struct {
	name  string
	doc   string
	of    string
	needs Role
	waits bool
	fn    *function
}

// Method makes an operation of a method expression such as (*Player).Play. Its parameters are those of the method, by
// name, in order. The method may take a context first and may return a value, an error, both or nothing. The types that
// go over the wire: string, bool, int and int32 (32 bits), int64, float32, float64, registered enums and registers,
// other classes' objects, pointers to values that may be absent, and slices and string-keyed maps of these.
//
// A method that doesn't fit, or doesn't fit its parameters, panics here: it is a mistake of the program.
func Method[F any](name string, method F, params ...Param) Op {
	op := Op{name: name, needs: Control, fn: analyse("operation "+name, method, true, params)}
	if asks(name) {
		op.needs = Read
	}
	return op
}

// asks reports whether an operation's name says that it only asks: getX, isX.
func asks(name string) bool {
	for _, verb := range [...]string{"get", "is"} {
		if rest, ok := strings.CutPrefix(name, verb); ok && rest != "" && rest[0] >= 'A' && rest[0] <= 'Z' {
			return true
		}
	}
	return false
}

// Needs says which role a client must have for the operation. Without it that is Read for one whose name is getX or isX,
// else Control.
func (o Op) Needs(role Role) Op { o.needs = role; return o }

// Waits says that the operation may take long, for somebody's answer say: a session goes on with its requests to other
// objects meanwhile. Those to the same object still come one after another.
func (o Op) Waits() Op { o.waits = true; return o }

// Of says which class the returned objects belong to where their Go type doesn't.
func (o Op) Of(class string) Op { o.of = class; return o }

// About documents the operation.
func (o Op) About(doc string) Op { o.doc = doc; return o }

// Prop is a property: foo answers to getFoo and setFoo.
type Prop struct {
	name     string
	doc      string
	of       string
	final    bool
	def      any
	reads    Role
	writes   Role
	get, set *function
}

// Property makes a property of its getter and setter, two method expressions: func(T) V and func(T, V), each with a
// context after T if it likes, and with an error as (last) result if it can fail.
func Property[G, S any](name string, get G, set S) Prop {
	p := ReadOnly(name, get)
	p.set = analyse("property "+name+", setter", set, true, []Param{Arg(name)})
	if p.set.result != nil {
		panic(fmt.Sprintf("rpc: property %s, setter: returns %s: want an error or nothing", name, p.set.result))
	}
	if v := p.set.ins[0]; v != p.get.result {
		panic(fmt.Sprintf("rpc: property %s: getter gives %s, setter takes %s", name, p.get.result, v))
	}
	return p
}

// ReadOnly makes a property without a setter.
func ReadOnly[G any](name string, get G) Prop {
	g := analyse("property "+name+", getter", get, true, nil)
	if g.result == nil {
		panic(fmt.Sprintf("rpc: property %s, getter: returns nothing", name))
	}
	return Prop{name: name, get: g, reads: Read, writes: Control}
}

// Needs says which role a client must have to read the property, and to write it. Without it: Read, and Control.
func (p Prop) Needs(role Role) Prop { p.reads, p.writes = role, role; return p }

// Final makes a property that is fixed when the object is made.
func Final[G any](name string, get G) Prop {
	p := ReadOnly(name, get)
	p.final = true
	return p
}

// Default adds the value that the property has at first to the description.
func (p Prop) Default(v any) Prop { p.def = v; return p }

// Of says which class the property's objects belong to where their Go type doesn't.
func (p Prop) Of(class string) Prop { p.of = class; return p }

// About documents the property.
func (p Prop) About(doc string) Prop { p.doc = doc; return p }

// Constructor makes objects of a class.
type Constructor struct{ fn *function }

// Make makes a constructor of a function that returns an object, or an object and an error. Its parameters are named as
// Method's are. In front of them it may take a context, and the *Object that it is to become: to raise events later.
// The object is a pointer, and each call makes another.
func Make[F any](build F, params ...Param) Constructor {
	fn := analyse("constructor", build, false, params)
	if fn.result == nil {
		panic("rpc: constructor returns no object")
	}
	return Constructor{fn}
}
