package rpc

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
)

// Scope is a space as one client may see it. It is a small value; sessions keep one. All params are JSON as it came in,
// nil where a request had none; results are JSON that the caller owns. Errors are *Error or become one by Outside.
type Scope struct {
	space  *Space
	tenant string
	all    bool
	denied Role     // what the client may not do; none for the program itself
	most   int      // objects that its tenant may have, 0 = the space's bound
	alien  bool     // the client may be on another host
	by     *session // whose requests these are; nil for the program itself
}

// Tenant is the view of one tenant: its own objects, and those that are everybody's.
func (s *Space) Tenant(name string) Scope { return Scope{space: s, tenant: name} }

// Admin is a view of everything. What it makes belongs to the tenant, or to the owner's.
func (s *Space) Admin(tenant string) Scope { return Scope{space: s, tenant: tenant, all: true} }

// Only is the view of a client that has no other roles than these.
func (s Scope) Only(roles Role) Scope {
	s.denied = 0
	for role := Read; role <= Admin; role <<= 1 {
		if !roles.Grant(role) {
			s.denied |= role
		}
	}
	return s
}

// Foreign is the view of a client that may be on another host.
func (s Scope) Foreign() Scope { s.alien = true; return s }

// IsForeign reports whether the client may be on another host; the program itself isn't.
func (s Scope) IsForeign() bool { return s.alien }

// Roles are those of the client; of the program itself, all.
func (s Scope) Roles() Role { return AllRoles &^ s.denied }

// Name is the name of the tenant whose view it is.
func (s Scope) Name() string { return s.tenant }

type scopeKey struct{}

// ScopeOf is the view of the client whose request an operation or a constructor is serving, from its context.
func ScopeOf(ctx context.Context) (Scope, bool) {
	s, ok := ctx.Value(scopeKey{}).(Scope)
	return s, ok
}

// Object finds an object by its id.
func (s Scope) Object(id string) (*Object, error) {
	s.space.mu.RLock()
	o := s.space.objects[id]
	s.space.mu.RUnlock()
	if o == nil || !s.sees(o) {
		return nil, notFound(id)
	}
	return o, nil
}

func (s Scope) sees(o *Object) bool { return s.all || o.shared || o.tenant == s.tenant }

// Objects lists what is of the class, or of one that extends it, oldest first.
func (s Scope) Objects(class string) []*Object {
	e := s.space.classes.find(class)
	if e == nil {
		return nil
	}
	var out []*Object
	s.space.mu.RLock()
	for _, o := range s.space.objects {
		if o.entry.is(e) && s.sees(o) {
			out = append(out, o)
		}
	}
	s.space.mu.RUnlock()
	slices.SortFunc(out, func(a, b *Object) int { return cmp.Compare(a.number, b.number) })
	return out
}

// New makes an object. It fails with TypeNotAvailable for a class that is unknown, abstract or only the program's to
// make.
func (s Scope) New(ctx context.Context, class string, params []byte) (o *Object, err error) {
	defer func() { err = s.space.classify(err, "create", class) }()
	defer s.space.guard(&err, "create", class)
	if s.denied&Control != 0 {
		return nil, s.Roles().refusal(Control, "create")
	}
	e := s.space.classes.find(class)
	if e == nil || e.build == nil {
		return nil, Errorf(TypeNotAvailable, "Factory '%s' not found", brief(class))
	}
	d := decoding{resolve: s}
	defer d.release()
	var room [maxParams + 2]reflect.Value
	lead := room[:0]
	if e.build.ctx {
		lead = append(lead, reflect.ValueOf(context.WithValue(ctx, scopeKey{}, s)))
	}
	own := len(lead)
	if e.build.self {
		lead = append(lead, reflect.Value{}) // the object, whose owner is among the parameters
	}
	first := len(lead)
	args, err := e.build.args(&d, params, "constructorParams", false, lead)
	if err != nil {
		return nil, err
	}
	var owner *Object
	if e.owner >= 0 {
		if owner, err = s.owner(e, args[first+e.owner]); err != nil {
			return nil, err
		}
	}
	o = s.space.prepare(e, owner, s.tenant)
	o.maker, o.most = s.by, s.most
	if e.build.self {
		args[own] = reflect.ValueOf(o)
	}
	s.space.mu.RLock()
	err = s.space.room(o)
	s.space.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	value, err := s.space.run(e.build, args)
	if err != nil {
		return nil, err
	}
	if err := s.space.settle(o, value.Interface()); err != nil {
		return nil, err
	}
	return o, nil
}

// owner is the object that a constructor's parameter named. Who owns must be a class's Parent, even if the parameter
// admits more.
func (s Scope) owner(e *entry, arg reflect.Value) (*Object, error) {
	name := e.build.params[e.owner].name
	if arg.IsNil() {
		return nil, Errorf(BadParam, "'%s' parameter should be a %s: it is missing", name, e.class.Parent.Name)
	}
	o, ok := arg.Interface().(*Object)
	if !ok {
		o = s.space.of(arg.Interface())
	}
	switch {
	case o == nil:
		return nil, errReleased
	case !o.entry.is(s.space.classes.byName[e.class.Parent.Name]):
		return nil, Errorf(ObjectNotFound, "Object '%s' not found as '%s' parameter: it is a %s, should be a %s",
			o.id, name, o.entry.class.Name, e.class.Parent.Name)
	}
	return o, nil
}

// Invoke calls an operation, or getX and setX of a property, and returns its encoded result, null if it has none. The
// object isn't closed while the call runs, even if it is released meanwhile.
func (s Scope) Invoke(ctx context.Context, id, op string, params []byte) (result json.RawMessage, err error) {
	o, err := s.Object(id)
	if err != nil {
		return nil, err
	}
	if !o.enter() {
		return nil, notFound(id)
	}
	defer o.leave()
	f := o.entry.ops[op]
	if f == nil {
		return nil, Errorf(UnknownOperation, "Method '%s' with %d parameters not found", brief(op), countMembers(params))
	}
	if s.denied&f.needs != 0 {
		return nil, s.Roles().refusal(f.needs, op)
	}
	result, err = s.invoke(ctx, o, f, params, op)
	return result, s.space.classify(err, op, o.id)
}

func (s Scope) invoke(ctx context.Context, o *Object, op *operation, params []byte, name string) (result []byte, err error) {
	defer s.space.guard(&err, name, o.id)
	f := op.fn
	var room [maxParams + 3]reflect.Value
	args := room[:0]
	if op.self {
		args = append(args, reflect.ValueOf(o))
	} else {
		args = append(args, op.how.do(reflect.ValueOf(o.value)))
	}
	if f.ctx {
		args = append(args, reflect.ValueOf(context.WithValue(ctx, scopeKey{}, s)))
	}
	if f.self {
		args = append(args, reflect.ValueOf(o))
	}
	d := decoding{resolve: s}
	defer d.release()
	if args, err = f.args(&d, params, "operationParams", true, args); err != nil {
		return nil, err
	}
	out, err := s.space.run(f, args)
	if err != nil {
		return nil, err
	}
	if f.out == nil {
		return []byte("null"), nil
	}
	e := encoding{space: s.space, buf: make([]byte, 0, 64)}
	f.out.encode(&e, out)
	if e.err != nil {
		return nil, fmt.Errorf("result of %s: %w", name, e.err)
	}
	return e.buf, nil
}

// guard makes a panic below an error that says nothing outside. It is deferred.
func (s *Space) guard(err *error, what, on string) {
	if r := recover(); r != nil {
		s.log.Error("class panicked", "during", what, "object", on, "err", r, "stack", string(debug.Stack()))
		*err = Errorf(Internal, "Internal error")
	}
}

// run calls a class's function.
func (s *Space) run(f *function, args []reflect.Value) (out reflect.Value, err error) {
	results := f.call.Call(args)
	if f.fails {
		if e := results[len(results)-1]; !e.IsNil() {
			return out, e.Interface().(error)
		}
	}
	if f.result != nil {
		out = results[0]
	}
	return out, nil
}

// classify gives an error its code by the table. What isn't in it is logged, since nobody outside will learn of it.
func (s *Space) classify(err error, what, on string) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	for _, f := range s.cfg.Faults {
		if errors.Is(err, f.Is) {
			return &Error{Code: f.Code, Message: f.Is.Error(), Err: err}
		}
	}
	s.log.Warn("call failed", "during", what, "object", on, "err", err)
	return &Error{Code: Internal, Message: "Internal error", Err: err}
}

// Get reads a property.
func (s Scope) Get(ctx context.Context, id, prop string) (json.RawMessage, error) {
	return s.Invoke(ctx, id, accessor("get", prop), nil)
}

// Set writes a property. A read-only or final one has no setter: UnknownOperation.
func (s Scope) Set(ctx context.Context, id, prop string, value []byte) error {
	e := encoding{buf: make([]byte, 0, len(prop)+len(value)+5)}
	e.raw("{")
	e.text(prop)
	e.raw(":")
	e.buf = append(append(e.buf, value...), '}')
	_, err := s.Invoke(ctx, id, accessor("set", prop), e.buf)
	return err
}

// Release ends an object and what it owns. An unknown one is as good as released; one that is everybody's stays.
func (s Scope) Release(id string) {
	if o, err := s.Object(id); err == nil && !o.shared {
		s.space.Release(o)
	}
}

// Subscribe tells who of an event from now on, until the subscription with the returned id is removed or the object is
// released. who is comparable: however often it subscribed to an event of an object, it is told once.
func (s Scope) Subscribe(id, event string, who Subscriber) (subscription string, err error) {
	o, err := s.Object(id)
	if err != nil {
		return "", err
	}
	if !o.entry.events[event] {
		return "", Errorf(EventNotSupported, "Event type '%s' not found in %s", brief(event), o.entry.class.Name)
	}
	return o.events.add(event, who, s)
}

// Unsubscribe removes a subscription. It never fails: neither for a released object nor for an unknown subscription.
func (s Scope) Unsubscribe(id, subscription string) {
	if o, err := s.Object(id); err == nil {
		o.events.remove(subscription, nil)
	}
}

func countMembers(params []byte) int {
	params = trim(params)
	if len(params) == 0 || params[0] != '{' || checkJSON(params) != nil {
		return 0
	}
	n := 0
	for w := members(params); w.next(); {
		n++
	}
	return n
}
