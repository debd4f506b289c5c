package rpc_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/rpc"
)

func panics(t *testing.T, says string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got := fmt.Sprint(recover()); !strings.Contains(got, says) {
			t.Errorf("panics with %q, want %q in it", got, says)
		}
	}()
	f()
}

type empty struct{}
type thing struct{ _ int }
type other struct{ _ int }

func (*thing) None()                    {}
func (*thing) Two() (int, int)          { return 0, 0 }
func (*thing) N() int                   { return 0 }
func (*thing) SetN(string)              {}
func (*thing) SetM(int) int             { return 0 }
func (*thing) Many(...int)              {}
func (*thing) Wait(time.Duration)       {}
func (*thing) Chan(chan int)            {}
func (*thing) Keys(map[int]int)         {}
func (*thing) Unknown(kind)             {}
func (*thing) Pair(int, string)         {}
func (*thing) Give(*other)              {}
func (*thing) Object(*rpc.Object) error { return nil }
func newThing() *thing                  { return &thing{} }

// Mistakes of the program are told when it starts.
func TestFunctionsRefused(t *testing.T) {
	for says, f := range map[string]func(){
		"int is no function":                    func() { rpc.Method("x", 7) },
		"has no receiver":                       func() { rpc.Method("x", func() {}) },
		"is variadic":                           func() { rpc.Method("x", (*thing).Many, rpc.Arg("n")) },
		"takes 2 parameters, 1 are named":       func() { rpc.Method("x", (*thing).Pair, rpc.Arg("n")) },
		"more than a value and an error":        func() { rpc.Method("x", (*thing).Two) },
		"its default string":                    func() { rpc.Method("x", (*thing).SetM, rpc.OptArg("n", "x")) },
		"empty or repeated":                     func() { rpc.Method("x", (*thing).Pair, rpc.Arg("n"), rpc.Arg("n")) },
		"parameter b is required after":         func() { rpc.Method("x", (*thing).Pair, rpc.Opt("a"), rpc.Arg("b")) },
		"getter: returns nothing":               func() { rpc.ReadOnly("x", (*thing).None) },
		"getter gives int, setter takes string": func() { rpc.Property("x", (*thing).N, (*thing).SetN) },
		"setter: returns int":                   func() { rpc.Property("x", (*thing).N, (*thing).SetM) },
		"constructor returns no object":         func() { rpc.Make(func() {}) },
		"wants a type of its own":               func() { rpc.EnumType("toy", "X", "a") },
		"neither a struct nor an interface":     func() { rpc.RegisterType[int]("toy", "X") },
		"wants a struct and the event":          func() { rpc.EventType[started]("toy", "X", "") },
		"nameless, without version or repeated": func() { rpc.NewClasses(rpc.Module{Name: "x"}) },
	} {
		panics(t, says, f)
	}
}

func TestClassesRefused(t *testing.T) {
	stranger := &rpc.Class{Module: "toy", Name: "Stranger", Abstract: true}
	for says, f := range map[string]func(*family){
		"class Volume is registered twice": func(f *family) { f.classes.Register(f.volume) },
		"name \"\"":                        func(f *family) { f.classes.Register(&rpc.Class{Module: "toy", Abstract: true}) },
		"name \"a.b\"":                     func(f *family) { f.classes.Register(&rpc.Class{Module: "toy", Name: "a.b", Abstract: true}) },
		"of module \"nowhere\"":            func(f *family) { f.classes.Register(&rpc.Class{Module: "nowhere", Name: "X", Abstract: true}) },
		"extends Stranger, which isn't": func(f *family) {
			f.classes.Register(&rpc.Class{Module: "toy", Name: "X", Abstract: true, Extends: stranger})
		},
		"has neither New nor Type": func(f *family) { f.classes.Register(&rpc.Class{Module: "toy", Name: "X"}) },
		"Parent wants New": func(f *family) {
			f.classes.Register(&rpc.Class{Module: "toy", Name: "X", Abstract: true, New: rpc.Make(newThing)})
		},
		"New makes *rpc_test.thing, Type is": func(f *family) {
			f.classes.Register(&rpc.Class{Module: "toy", Name: "X", New: rpc.Make(newThing), Type: reflect.TypeFor[*other]()})
		},
		"want a pointer or an interface": func(f *family) {
			f.classes.Register(&rpc.Class{Module: "toy", Name: "X", Type: reflect.TypeFor[thing]()})
		},
		"can't be told apart": func(f *family) {
			f.classes.Register(&rpc.Class{Module: "toy", Name: "X", Type: reflect.TypeFor[*empty]()})
		},
		"operation \"getName\", which is":        func(f *family) { f.with(rpc.Method("getName", (*thing).N)) },
		"operation \"n\", which is":              func(f *family) { f.with(rpc.Method("n", (*thing).N), rpc.Method("n", (*thing).N)) },
		"operation \"\", which is":               func(f *family) { f.with(rpc.Method("", (*thing).N)) },
		"an operation without function":          func(f *family) { f.with(rpc.Op{}) },
		"type Tag (rpc.Tag) is registered":       func(f *family) { f.classes.Types(rpc.RegisterType[rpc.Tag]("toy", "Tag")) },
		"say the unit with a number":             func(f *family) { f.with(rpc.Method("x", (*thing).Wait, rpc.Arg("t"))); f.classes.Seal() },
		"chan int can't go over the wire":        func(f *family) { f.with(rpc.Method("x", (*thing).Chan, rpc.Arg("t"))); f.classes.Seal() },
		"the keys of a map are strings":          func(f *family) { f.with(rpc.Method("x", (*thing).Keys, rpc.Arg("t"))); f.classes.Seal() },
		"thing, a member wants *rpc_test.volume": func(f *family) { f.with(rpc.Method("x", (*volume).Start)); f.classes.Seal() },
		"said to be a \"Nobody\"":                func(f *family) { f.with(rpc.Method("x", (*thing).Object, rpc.Arg("o").Of("Nobody"))); f.classes.Seal() },
		"has event Nothing, which isn't": func(f *family) {
			f.add(&rpc.Class{Module: "toy", Name: "X", Extends: f.object, Abstract: true, Events: []string{"Nothing"}})
		},
		"has parent Stranger, which isn't": func(f *family) {
			f.add(&rpc.Class{Module: "toy", Name: "X", Extends: f.object, Parent: stranger, New: rpc.Make(newThing)})
		},
		"no parameter of New is a MediaPipeline": func(f *family) {
			f.add(&rpc.Class{Module: "toy", Name: "X", Extends: f.object, Parent: f.pipeline, New: rpc.Make(newThing)})
		},
		"can't be given as *rpc_test.other": func(f *family) {
			f.add(&rpc.Class{Module: "toy", Name: "X", Extends: f.abstract(), New: rpc.Make(newThing)})
		},
		"comes after the table was first used": func(f *family) { f.classes.Seal(); f.with() },
		"neither a registered enum or register": func(f *family) {
			f.with(rpc.Method("x", func(*thing, state) {}, rpc.Arg("t")))
			f.classes.Seal()
		},
		"wants to be exported and tagged": func(f *family) { f.register(rpc.RegisterType[struct{ X int }]("toy", "X")) },
		"has two fields a": func(f *family) {
			f.register(rpc.RegisterType[struct {
				A int `rpc:"a"`
				B int `rpc:"a"`
			}]("toy", "X"))
		},
		"default \"x\": 'A' parameter":  func(f *family) { f.register(rpc.RegisterType[badDefault]("toy", "X")) },
		"extends Started2, which is no": func(f *family) { f.register(rpc.EventType[struct{}]("toy", "X", "Started2")) },
		"every event has one": func(f *family) {
			f.register(rpc.EventType[struct {
				S string `rpc:"source"`
			}]("toy", "X", rpc.Media))
		},
	} {
		panics(t, says, func() { f(newFamily()) })
	}
}

type state string

type badDefault struct {
	A int `rpc:"a,optional" default:"\"x\""`
}

// with registers a class of thing with these operations.
func (f *family) with(ops ...rpc.Op) {
	f.classes.Register(&rpc.Class{Module: "toy", Name: "Thing", Extends: f.object, New: rpc.Make(newThing), Ops: ops})
}

func (f *family) add(c *rpc.Class) {
	f.classes.Register(c)
	f.classes.Seal()
}

func (f *family) register(t rpc.Type) {
	f.classes.Types(t)
	f.classes.Seal()
}

// abstract adds a class without members whose objects are said to be *other, and one that takes such objects.
func (f *family) abstract() *rpc.Class {
	c := &rpc.Class{Module: "toy", Name: "Other", Abstract: true, Extends: f.object, Type: reflect.TypeFor[*other]()}
	f.classes.Register(c)
	f.with(rpc.Method("give", (*thing).Give, rpc.Arg("other")))
	return c
}

func TestLookup(t *testing.T) {
	f := newFamily()
	for name, want := range map[string]*rpc.Class{
		"Volume": f.volume, "toy.Volume": f.volume, "kurento.MediaObject": f.object, "core.MediaObject": f.object,
		"kurento.Volume": nil, "": nil, "a.b.c": nil,
	} {
		if got, ok := f.classes.Lookup(name); got != want || ok != (want != nil) {
			t.Errorf("Lookup(%q) = %v, %v", name, got, ok)
		}
	}
}

// One set of classes serves two tables; the second is as good as the first.
func TestTwoTables(t *testing.T) {
	f := newFamily()
	g := rpc.NewClasses(rpc.Module{Name: "core", Version: "1"})
	g.Types(rpc.BaseTypes("core")...)
	g.Register(f.object, f.pipeline)
	for _, c := range []*rpc.Classes{f.classes, g} {
		s := c.Open(rpc.Config{})
		o, err := s.Tenant("a").New(context.Background(), "MediaPipeline", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Tenant("a").Get(context.Background(), o.ID(), "latencyStats"); err != nil {
			t.Error(err)
		}
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}
