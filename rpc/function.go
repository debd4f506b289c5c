package rpc

import (
	"context"
	"fmt"
	"reflect"
)

// function is a Go function as the table holds it: typed where it was written, erased here.
type function struct {
	call   reflect.Value
	recv   reflect.Type // of a method expression; nil for constructors
	ctx    bool         // wants a context
	self   bool         // wants its *Object
	ins    []reflect.Type
	result reflect.Type // nil = none
	fails  bool         // returns an error last
	params []Param

	// Known once the registry is sealed.
	codecs   []*codec
	defaults []reflect.Value // invalid = the zero value
	out      *codec
	needed   bool // some parameter is required
}

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
	objectType  = reflect.TypeFor[*Object]()
)

// maxParams bounds a function's parameters, so that a call needs no allocation to collect them.
const maxParams = 12

// analyse reads a function's form, and panics if it isn't one that can be called from outside.
func analyse(what string, f any, method bool, params []Param) *function {
	v := reflect.ValueOf(f)
	if v.Kind() != reflect.Func || v.IsNil() {
		panic(fmt.Sprintf("rpc: %s: %T is no function", what, f))
	}
	t := v.Type()
	if t.IsVariadic() {
		panic(fmt.Sprintf("rpc: %s: %s is variadic", what, t))
	}
	fn := &function{call: v, params: params}
	var ins []reflect.Type
	for in := range t.Ins() {
		ins = append(ins, in)
	}
	if method {
		if len(ins) == 0 {
			panic(fmt.Sprintf("rpc: %s: %s has no receiver: give a method expression such as (*T).Name", what, t))
		}
		fn.recv, ins = ins[0], ins[1:]
	}
	if len(ins) > 0 && ins[0] == contextType {
		fn.ctx, ins = true, ins[1:]
	}
	if len(ins) == len(params)+1 && ins[0] == objectType {
		fn.self, ins = true, ins[1:]
	}
	if len(ins) != len(params) || len(params) > maxParams {
		panic(fmt.Sprintf("rpc: %s: %s takes %d parameters, %d are named, %d are possible", what, t, len(ins), len(params), maxParams))
	}
	fn.ins = ins
	fn.checkParams(what)
	fn.readResults(what, t)
	return fn
}

func (f *function) checkParams(what string) {
	names := map[string]bool{}
	later := false
	for i, p := range f.params {
		switch {
		case p.name == "" || names[p.name]:
			panic(fmt.Sprintf("rpc: %s: parameter %d has name %q: empty or repeated", what, i, p.name))
		case p.def != nil && reflect.TypeOf(p.def) != f.ins[i]:
			panic(fmt.Sprintf("rpc: %s: parameter %s is %s, its default %T", what, p.name, f.ins[i], p.def))
		case later && !p.optional && f.recv != nil:
			panic(fmt.Sprintf("rpc: %s: parameter %s is required after an optional one", what, p.name))
		}
		names[p.name] = true
		later = later || p.optional
	}
}

func (f *function) readResults(what string, t reflect.Type) {
	n := t.NumOut()
	if n > 0 && t.Out(n-1) == errorType {
		f.fails = true
		n--
	}
	if n > 1 {
		panic(fmt.Sprintf("rpc: %s: %s returns more than a value and an error", what, t))
	}
	if n == 1 {
		f.result = t.Out(0)
	}
}

// compile binds the function to a registry's types. f itself is shared by registries and stays as it is.
func (f *function) compile(c *Classes, of string) *function {
	g := *f
	g.codecs = make([]*codec, len(f.ins))
	g.defaults = make([]reflect.Value, len(f.ins))
	for i, p := range f.params {
		g.codecs[i] = c.codec(f.ins[i], p.of)
		if p.def != nil {
			g.defaults[i] = reflect.ValueOf(p.def)
		}
		g.needed = g.needed || !p.optional
	}
	if f.result != nil && f.recv != nil {
		g.out = c.codec(f.result, of)
	}
	return &g
}

// cast turns an object's value into the type that a function of an ancestor class wants.
type cast struct {
	ok   bool
	path []int // through embedded fields; nil = as it is
}

func (k cast) do(v reflect.Value) reflect.Value {
	if k.path == nil {
		return v
	}
	v = v.Elem().FieldByIndex(k.path)
	if v.Kind() == reflect.Struct {
		return v.Addr()
	}
	return v
}

// castTo finds how values of one type serve where another is wanted: as they are, by implementing it, or by embedding
// it, which is Go's inheritance.
func castTo(from, to reflect.Type) cast {
	if from == nil || to == nil {
		return cast{}
	}
	if from.AssignableTo(to) {
		return cast{ok: true}
	}
	if from.Kind() != reflect.Pointer || from.Elem().Kind() != reflect.Struct {
		return cast{}
	}
	for _, f := range reflect.VisibleFields(from.Elem()) {
		if !f.Anonymous || !f.IsExported() || embedsPointer(from.Elem(), f.Index) {
			continue
		}
		if f.Type.AssignableTo(to) || f.Type.Kind() == reflect.Struct && reflect.PointerTo(f.Type).AssignableTo(to) {
			return cast{ok: true, path: f.Index}
		}
	}
	return cast{}
}

// embedsPointer reports whether the way to a field leads through a pointer or an unexported field: it could be nil, or
// couldn't be read.
func embedsPointer(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		f := t.Field(i)
		if f.Type.Kind() != reflect.Struct || !f.IsExported() {
			return true
		}
		t = f.Type
	}
	return false
}
