package rpc

import (
	"fmt"
	"reflect"
)

// Type is an enum, a register or an event: what parameters, results and events are made of beside the primitive types.
type Type struct {
	module  string
	name    string
	doc     string
	form    form
	of      reflect.Type
	values  []string // of an enum
	extends string   // of an event

	typed bool // of an event: its data has a member type
}

type form uint8

const (
	enumForm     form = iota + 1
	registerForm      // a struct, or an interface that several registers implement
	eventForm
)

// EnumType names a string type and lists its values.
func EnumType[T ~string](module, name string, values ...T) Type {
	t := Type{module: module, name: name, form: enumForm, of: reflect.TypeFor[T]()}
	if len(values) == 0 || t.of == reflect.TypeFor[string]() {
		panic(fmt.Sprintf("rpc: enum %s: wants a type of its own and its values", name))
	}
	for _, v := range values {
		t.values = append(t.values, string(v))
	}
	return t
}

// RegisterType names a struct that goes over the wire as an object with __module__ and __type__. Its fields are exported
// and tagged `rpc:"name"` or `rpc:"name,optional"`, optional ones with `default:"…"` (JSON) if they have one. A struct
// embedded first is the register that this one extends.
//
// An interface is a register that others extend: a result of that type is sent with the markers of what it really is.
// It may be registered under the name of a struct that implements it, after that struct.
func RegisterType[T any](module, name string) Type {
	t := Type{module: module, name: name, form: registerForm, of: reflect.TypeFor[T]()}
	if k := t.of.Kind(); k != reflect.Struct && k != reflect.Interface || t.of.NumMethod() == 0 && k == reflect.Interface {
		panic(fmt.Sprintf("rpc: register %s: %s is neither a struct nor an interface with methods", name, t.of))
	}
	return t
}

// stands reports whether t is an interface that may have the name of the register other.
func (t *Type) stands(other *Type) bool {
	return t.form == registerForm && other.form == registerForm && t.module == other.module &&
		t.of.Kind() == reflect.Interface && other.of.Kind() == reflect.Struct && other.of.Implements(t.of)
}

// The two events that others extend: every event has RaiseBase's members source, timestampMillis and tags; those of
// Media have their name as member type, too.
const (
	RaiseBase = "RaiseBase"
	Media     = "Media"
)

// EventType names a struct that objects raise. Its fields are tagged as a register's. extends is RaiseBase, Media or
// another event's name.
func EventType[T any](module, name, extends string) Type {
	t := Type{module: module, name: name, form: eventForm, of: reflect.TypeFor[T](), extends: extends, typed: extends != RaiseBase}
	if t.of.Kind() != reflect.Struct || extends == "" {
		panic(fmt.Sprintf("rpc: event %s: wants a struct and the event that it extends, got %s and %q", name, t.of, extends))
	}
	return t
}

// About documents the type.
func (t Type) About(doc string) Type { t.doc = doc; return t }
