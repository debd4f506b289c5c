package rpc_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The toy family: a manager, a pipeline, an abstract element whose members come by embedding, a filter that extends it,
// and a hub with ports.

type kind string

const (
	audio kind = "AUDIO"
	video kind = "VIDEO"
)

type fraction struct {
	Numerator   int `rpc:"numerator"`
	Denominator int `rpc:"denominator,optional" default:"1"`
}

type caps struct {
	Codec  string    `rpc:"codec"`
	Rate   float32   `rpc:"rate,optional" default:"0.04"`
	Frames *fraction `rpc:"frames,optional"`
	Tags   []string  `rpc:"tags,optional"`
	Kind   kind      `rpc:"kind,optional" default:"\"AUDIO\""`
}

type stats interface{ isStats() }

type BaseStats struct {
	ID   string `rpc:"id"`
	When int64  `rpc:"timestampMillis"`
}

type LevelStats struct {
	BaseStats
	Level float64 `rpc:"level"`
}

func (BaseStats) isStats() {}

type linked struct {
	Sink *Element `rpc:"sink"`
	Kind kind     `rpc:"mediaType"`
}

type started struct{}

type objectCreated struct {
	Object *rpc.Object `rpc:"object"`
}

type manager struct{ started time.Time }

func (m *manager) Pipelines(ctx context.Context) []*rpc.Object {
	s, ok := rpc.ScopeOf(ctx)
	if !ok {
		return nil
	}
	return s.Objects("MediaPipeline")
}

func (m *manager) Sessions(ctx context.Context) []string {
	s, _ := rpc.ScopeOf(ctx)
	return s.Sessions()
}

type pipe struct {
	*media.Pipeline
	latency bool
}

func newPipe() *pipe { return &pipe{Pipeline: media.NewPipeline(media.Config{})} }

func (p *pipe) Latency() bool     { return p.latency }
func (p *pipe) SetLatency(v bool) { p.latency = v }

// Element is the abstract one.
type Element struct {
	self *rpc.Object

	mu    sync.Mutex
	sinks []*Element
	heard []any
}

func (e *Element) Connect(sink *Element, k kind, from, to string) {
	e.mu.Lock()
	e.sinks = append(e.sinks, sink)
	e.heard = []any{k, from, to}
	e.mu.Unlock()
	e.self.Raise(linked{Sink: sink, Kind: k})
}

func (e *Element) Sinks() []*Element {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]*Element(nil), e.sinks...)
}

func (e *Element) Statistics() map[string]stats {
	return map[string]stats{"level": LevelStats{BaseStats{"level", 5_000_000_000}, 0.5}, "base": BaseStats{"base", 1}}
}

type volume struct {
	Element
	gain   float32
	caps   caps
	closed chan struct{}
	calls  int
	enter  chan struct{}
	leave  chan struct{}
}

var errBusy = errors.New("device is busy")

func newVolume(ctx context.Context, self *rpc.Object, p *pipe, gain float32, k kind) (*volume, error) {
	if ctx == nil || p == nil {
		return nil, errors.New("no context or pipeline")
	}
	if gain < 0 {
		return nil, rpc.Errorf(rpc.IllegalParam, "'gain' is %v, should be 0 or more", gain)
	}
	if gain == 13 {
		panic("thirteen: secret")
	}
	return &volume{Element: Element{self: self}, gain: gain, closed: make(chan struct{}), enter: make(chan struct{}, 1), leave: make(chan struct{})}, nil
}

func (v *volume) Gain() float32 { return v.gain }
func (v *volume) SetGain(_ context.Context, g float32) error {
	if g > 10 {
		return rpc.Errorf(rpc.IllegalParam, "'gain' is %v, should be at most 10", g)
	}
	v.gain = g
	return nil
}
func (v *volume) Caps() caps           { return v.caps }
func (v *volume) SetCaps(c caps)       { v.caps = c }
func (v *volume) Add(a, b int64) int64 { return a + b }
func (v *volume) Join(list []string) string {
	s := ""
	for _, l := range list {
		s += l + "|"
	}
	return s
}
func (v *volume) Count(m map[string]int) int {
	n := 0
	for _, i := range m {
		n += i
	}
	return n
}
func (v *volume) Not(b bool) bool            { return !b }
func (v *volume) Half(f float64) float64     { return f / 2 }
func (v *volume) Maybe(s *string) *string    { return s }
func (v *volume) Explode() error             { panic("secret of the house") }
func (v *volume) Fail() error                { return errors.New("password is hunter2") }
func (v *volume) Busy() error                { return errors.Join(errors.New("inner detail"), errBusy) }
func (v *volume) Whose(o *rpc.Object) string { return o.ID() }
func (v *volume) Wrong() kind                { return "SMELL" }
func (v *volume) Start()                     { v.self.Raise(started{}) }
func (v *volume) Bad()                       { v.self.Raise(objectCreated{}) }
func (v *volume) Hang() int                  { v.enter <- struct{}{}; <-v.leave; v.calls++; return v.calls }
func (v *volume) Close() error               { close(v.closed); return nil }
func (v *volume) Grow(s stats) string {
	switch s := s.(type) {
	case LevelStats:
		return s.ID
	case BaseStats:
		return "base " + s.ID
	}
	return ""
}

type hub struct{ p *pipe }
type port struct {
	Element
	hub *hub
}

type family struct {
	classes                                               *rpc.Classes
	object, manager, pipeline, element, volume, hub, port *rpc.Class
}

func newFamily() *family {
	f := &family{classes: rpc.NewClasses(
		rpc.Module{Name: "core", Namespace: "kurento", Version: "7.3.0", NPM: "kurento-client-core", Java: "org.kurento.client"},
		rpc.Module{Name: "toy", Version: "1.0.0", Requires: "^7.1.0", NPM: "toy"})}
	f.classes.Types(rpc.BaseTypes("core")...)
	f.classes.Types(
		rpc.EnumType("core", "MediaType", audio, video),
		rpc.RegisterType[fraction]("core", "Fraction"),
		rpc.RegisterType[caps]("core", "AudioCaps"),
		rpc.RegisterType[BaseStats]("core", "Stats"),
		rpc.RegisterType[stats]("core", "Stats"),
		rpc.RegisterType[LevelStats]("toy", "LevelStats"),
		rpc.EventType[linked]("core", "ElementConnected", rpc.Media),
		rpc.EventType[started]("toy", "Started", rpc.Media),
		rpc.EventType[objectCreated]("core", "ObjectCreated", rpc.RaiseBase),
	)
	f.object = rpc.MediaObject("core", "MediaPipeline")
	f.manager = &rpc.Class{Module: "core", Name: "ServerManager", Extends: f.object, Abstract: true, Type: reflect.TypeFor[*manager](),
		Props:  []rpc.Prop{rpc.ReadOnly("pipelines", (*manager).Pipelines).Of("MediaPipeline"), rpc.ReadOnly("sessions", (*manager).Sessions).Needs(rpc.Admin)},
		Events: []string{"ObjectCreated"}}
	f.pipeline = &rpc.Class{Module: "core", Name: "MediaPipeline", Extends: f.object, New: rpc.Make(newPipe),
		Props: []rpc.Prop{rpc.Property("latencyStats", (*pipe).Latency, (*pipe).SetLatency).Default(false)}}
	f.element = &rpc.Class{Module: "core", Name: "MediaElement", Extends: f.object, Abstract: true, Type: reflect.TypeFor[*Element](),
		Ops: []rpc.Op{
			rpc.Method("connect", (*Element).Connect, rpc.Arg("sink"), rpc.Opt("mediaType"), rpc.OptArg("sourceMediaDescription", "default"), rpc.OptArg("sinkMediaDescription", "default")),
			rpc.Method("getSinks", (*Element).Sinks),
			rpc.Method("getStats", (*Element).Statistics),
		},
		Events: []string{"ElementConnected"}}
	f.volume = &rpc.Class{Module: "toy", Name: "Volume", Doc: "Turns it up.", Extends: f.element, Parent: f.pipeline,
		New: rpc.Make(newVolume, rpc.Arg("mediaPipeline"), rpc.OptArg("gain", float32(0.1)).About("Factor."), rpc.OptArg("mediaType", audio)),
		Props: []rpc.Prop{
			rpc.Property("gain", (*volume).Gain, (*volume).SetGain),
			rpc.Property("caps", (*volume).Caps, (*volume).SetCaps),
		},
		Ops: []rpc.Op{
			rpc.Method("add", (*volume).Add, rpc.Arg("a"), rpc.Arg("b")), rpc.Method("join", (*volume).Join, rpc.Arg("list")),
			rpc.Method("count", (*volume).Count, rpc.Arg("map")), rpc.Method("not", (*volume).Not, rpc.Arg("b")),
			rpc.Method("half", (*volume).Half, rpc.Arg("f")).Needs(rpc.Billing), rpc.Method("maybe", (*volume).Maybe, rpc.Opt("s")),
			rpc.Method("explode", (*volume).Explode), rpc.Method("fail", (*volume).Fail), rpc.Method("busy", (*volume).Busy),
			rpc.Method("whose", (*volume).Whose, rpc.Arg("object").Of("ServerManager")), rpc.Method("wrong", (*volume).Wrong),
			rpc.Method("start", (*volume).Start).About("Begins."), rpc.Method("bad", (*volume).Bad),
			rpc.Method("hang", (*volume).Hang).Waits(), rpc.Method("grow", (*volume).Grow, rpc.Arg("stats")),
		},
		Events: []string{"Started"}}
	f.hub = &rpc.Class{Module: "toy", Name: "Hub", Extends: f.object, Parent: f.pipeline,
		New: rpc.Make(func(p *pipe) *hub { return &hub{p} }, rpc.Arg("mediaPipeline"))}
	f.port = &rpc.Class{Module: "core", Name: "HubPort", Extends: f.element, Parent: f.hub,
		New: rpc.Make(func(self *rpc.Object, h *hub) *port { return &port{Element: Element{self: self}, hub: h} }, rpc.Arg("hub"))}
	f.classes.Register(f.object, f.manager, f.pipeline, f.element, f.volume, f.hub, f.port)
	return f
}

// rig is a space with a manager, and a pipeline with a volume of tenant a.
type rig struct {
	*testing.T
	f     *family
	space *rpc.Space
	a     rpc.Scope
	pipe  *rpc.Object
	vol   *rpc.Object
}

func newRig(t testing.TB, cfg rpc.Config) *rig {
	t.Helper()
	return newRigOf(t, newFamily(), cfg)
}

func newRigOf(t testing.TB, f *family, cfg rpc.Config) *rig {
	t.Helper()
	r := &rig{f: f}
	r.T, _ = t.(*testing.T)
	cfg.Faults = append(cfg.Faults, rpc.Fault{Is: errBusy, Code: rpc.NotSupported})
	r.space = r.f.classes.Open(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := r.space.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	if _, err := r.space.Place(rpc.Placement{Class: r.f.manager, Value: &manager{time.Now()}, ID: "manager_ServerManager"}); err != nil {
		t.Fatal(err)
	}
	r.a = r.space.Tenant("a")
	var err error
	if r.pipe, err = r.a.New(context.Background(), "MediaPipeline", nil); err != nil {
		t.Fatal(err)
	}
	if r.vol, err = r.a.New(context.Background(), "Volume", []byte(`{"mediaPipeline":"`+r.pipe.ID()+`"}`)); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) make(class, params string) *rpc.Object {
	r.Helper()
	o, err := r.a.New(context.Background(), class, []byte(params))
	if err != nil {
		r.Fatalf("create %s %s: %v", class, params, err)
	}
	return o
}

func (r *rig) invoke(o *rpc.Object, op, params string) string {
	r.Helper()
	b, err := r.a.Invoke(context.Background(), o.ID(), op, []byte(params))
	if err != nil {
		r.Fatalf("%s %s: %v", op, params, err)
	}
	return string(b)
}

// refused asserts an error's code and returns its message.
func (r *rig) refused(code rpc.Code, o *rpc.Object, op, params string) string {
	r.Helper()
	b, err := r.a.Invoke(context.Background(), o.ID(), op, []byte(params))
	return r.code(code, op+" "+params+" = "+string(b), err)
}

func (r *rig) code(code rpc.Code, what string, err error) string {
	r.Helper()
	if err == nil {
		r.Fatalf("%s: no error, want %d", what, code)
	}
	out := rpc.Outside(err)
	if out.Code != code {
		r.Fatalf("%s: %v, want code %d", what, err, code)
	}
	return out.Message
}
