package rpc

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/media"
)

// Config of a space. The zero value is useful.
type Config struct {
	Log *slog.Logger
	// MaxObjects bounds the objects of all tenants, MaxPerTenant those of one. 0 = 100,000 and 20,000.
	MaxObjects, MaxPerTenant int
	// Faults turn errors of elements into codes. What isn't here and is no *Error goes to the log, and outside as
	// "Internal error".
	Faults []Fault
	// Watch learns of every object made and released; nil = nobody.
	Watch Watcher
}

// Watcher learns of objects. Its methods are called before the request that caused them is answered. They may call into
// the space, but not release.
type Watcher interface {
	// Created is told of an object that can be found from now on.
	Created(*Object)
	// Released is told of one that can't be found any more, and is closed. Children come before their parent.
	Released(*Object)
}

// Space holds the objects there are.
type Space struct {
	classes *Classes
	cfg     Config
	log     *slog.Logger
	tags    *codec // of []Tag

	mu      sync.RWMutex
	objects map[string]*Object
	values  map[any]*Object
	counts  map[string]int // by tenant
	made    uint64
	closed  bool
	live    int           // objects that aren't closed
	still   chan struct{} // closed when the space is, and none is live

	attend attendance

	posted chan posting
	lost   atomic.Uint64
	stop   chan struct{}
	told   chan struct{} // closed when the goroutine that tells what was posted has ended
}

var errReleased = Errorf(ObjectNotFound, "Object not found: it is being released")

// Open seals the table and makes an empty space for objects of its classes. It owns a goroutine until it is closed.
func (c *Classes) Open(cfg Config) *Space {
	c.Seal()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxObjects <= 0 {
		cfg.MaxObjects = 100_000
	}
	if cfg.MaxPerTenant <= 0 {
		cfg.MaxPerTenant = 20_000
	}
	s := &Space{classes: c, cfg: cfg, log: cfg.Log, objects: map[string]*Object{}, values: map[any]*Object{},
		counts: map[string]int{}, still: make(chan struct{}),
		attend: attendance{wake: make(chan struct{}, 1)},
		posted: make(chan posting, maxPosted), stop: make(chan struct{}), told: make(chan struct{})}
	if t := c.byType[reflect.TypeFor[Tag]()]; t != nil {
		s.tags = new(codec)
		elem := new(codec)
		c.buildType(elem, t)
		s.tags.list(elem, reflect.TypeFor[[]Tag]())
	}
	go s.tellPosted()
	return s
}

// Classes is the space's table.
func (s *Space) Classes() *Classes { return s.classes }

// of finds the object of a value.
func (s *Space) of(value any) *Object {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.values[value]
}

// Placement is an object that the program makes itself.
type Placement struct {
	Class  *Class
	Value  any     // a pointer of the class's Go type
	Tenant string  // ignored with an owner
	Owner  *Object // nil = none
	// ID is for what every tenant sees and no client releases, such as manager_ServerManager. "" = one is made, and
	// the object is like any other.
	ID string
}

// Place puts an object into the space that no client created.
func (s *Space) Place(p Placement) (*Object, error) {
	var e *entry
	if p.Class != nil {
		e = s.classes.byName[p.Class.Name]
	}
	if e == nil || e.class != p.Class {
		return nil, fmt.Errorf("place %T: class isn't registered", p.Value)
	}
	o := s.prepare(e, p.Owner, p.Tenant)
	if p.ID != "" {
		o.id, o.shared, o.tenant = p.ID, true, ""
	}
	if err := s.settle(o, p.Value); err != nil {
		return nil, fmt.Errorf("place %s: %w", o.id, err)
	}
	return o, nil
}

func (s *Space) prepare(e *entry, owner *Object, tenant string) *Object {
	o := &Object{space: s, entry: e, tenant: tenant, parent: owner, created: time.Now()}
	o.id = uuid.NewString() + "_" + e.qualified()
	if owner != nil {
		o.id = owner.id + "/" + o.id
		o.tenant = owner.tenant
	}
	return o
}

// room reports whether another object may be made. It is asked before the constructor runs, so that nothing is built
// in vain, and settle asks again.
func (s *Space) room(o *Object) error {
	most := s.cfg.MaxPerTenant
	if o.most > 0 {
		most = min(most, o.most)
	}
	switch {
	case s.closed:
		return Errorf(NotEnoughResources, "No object can be created: the server is stopping")
	case len(s.objects) >= s.cfg.MaxObjects:
		return Errorf(NotEnoughResources, "No object can be created: there are %d already", s.cfg.MaxObjects)
	case s.counts[o.tenant] >= most:
		return Errorf(NotEnoughResources, "No object can be created: you have %d already", most)
	}
	return nil
}

// settle gives a prepared object its value and lets it be found. When it fails the value is closed.
func (s *Space) settle(o *Object, value any) error {
	v := reflect.ValueOf(value)
	if v.Kind() != reflect.Pointer || v.IsNil() || o.entry.of == nil || !v.Type().AssignableTo(o.entry.of) {
		return fmt.Errorf("value is %T %v: want a pointer that serves as %v", value, value, o.entry.of)
	}
	o.value = value
	o.holds.Store(1) // so that it isn't closed before it is announced
	if err := s.attach(o); err != nil {
		s.protect("create", o.id, func() error { return closeValue(value) })
		return err
	}
	defer o.leave()
	if err := o.join(); err != nil { // the pipeline has closed the element
		s.Release(o)
		return Errorf(ObjectNotFound, "Object '%s' not found: %v", o.Root().id, err)
	}
	if s.cfg.Watch != nil {
		o.announced = true
		s.cfg.Watch.Created(o)
	}
	return nil
}

func (s *Space) attach(o *Object) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.room(o); err != nil {
		return err
	}
	known := func(key any) bool { return s.values[key] != nil }
	if s.objects[o.id] != nil || slices.ContainsFunc(o.keys(), known) {
		return fmt.Errorf("object %s or its value %T is there already", o.id, o.value)
	}
	if o.parent != nil {
		if !o.parent.enter() { // held until the child is closed
			return notFound(o.parent.id)
		}
		o.parent.children = append(o.parent.children, o)
	}
	s.made++
	o.number = s.made
	s.objects[o.id] = o
	for _, key := range o.keys() {
		s.values[key] = o
	}
	s.counts[o.tenant]++
	s.live++
	s.inherit(o)
	return nil
}

// keys are the pointers by which functions know the object: its value, and the parts that ancestor classes work on.
func (o *Object) keys() []any {
	keys := []any{o.value}
	for _, part := range o.entry.parts {
		keys = append(keys, part.do(reflect.ValueOf(o.value)).Interface())
	}
	return keys
}

// pipeline is what takes care of media elements: media.Pipeline is one, and so is what embeds it.
type pipeline interface {
	Add(media.Element) error
	Remove(media.Element) error
}

// join hands a media element to the pipeline that owns it, directly or through a hub.
func (o *Object) join() error {
	if p, e := o.membership(); p != nil {
		return p.Add(e)
	}
	return nil
}

func (o *Object) membership() (pipeline, media.Element) {
	e, ok := o.value.(media.Element)
	if !ok {
		return nil, nil
	}
	for p := o.parent; p != nil; p = p.parent {
		if pipe, ok := p.value.(pipeline); ok {
			return pipe, e
		}
	}
	return nil, nil
}
