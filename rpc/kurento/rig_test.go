package kurento_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a space with Kurento's classes and a pipeline of tenant a, who is its client.
type rig struct {
	testing.TB
	core  *kurento.Core
	space *rpc.Space
	a     rpc.Scope
	pipe  *rpc.Object
}

func newRig(t testing.TB, cfg kurento.Config, more ...func(*rpc.Classes, *kurento.Core)) *rig {
	t.Helper()
	if cfg.Pipeline.Registry == nil {
		cfg.Pipeline.Registry = media.NewRegistry()
		cfg.Pipeline.Registry.Register(g711.Conversions()...)
	}
	classes := rpc.NewClasses(append(kurento.Modules(), rpc.Module{Name: "test", Version: "1.0.0"})...)
	core := kurento.Register(classes, cfg)
	for _, add := range more {
		add(classes, core)
	}
	space, err := core.Open(classes, rpc.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := space.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	r := &rig{TB: t, core: core, space: space, a: space.Tenant("a")}
	r.pipe = r.make("MediaPipeline", "{}")
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

// in makes an object that is in the pipeline.
func (r *rig) in(class string) *rpc.Object {
	r.Helper()
	return r.make(class, `{"mediaPipeline":"`+r.pipe.ID()+`"}`)
}

// call invokes an operation.
func (r *rig) call(o *rpc.Object, op, params string) string {
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
	if err == nil {
		r.Fatalf("%s %s = %s, want error %d", op, params, b, code)
	}
	out := rpc.Outside(err)
	if out.Code != code {
		r.Fatalf("%s %s: %v, want error %d", op, params, err, code)
	}
	return out.Message
}

// ear is a subscriber that keeps what it is told.
type ear struct {
	mu    sync.Mutex
	heard []map[string]any
	more  chan struct{}
}

// listen subscribes to events of an object.
func (r *rig) listen(o *rpc.Object, events ...string) *ear {
	r.Helper()
	e := &ear{more: make(chan struct{}, 1)}
	r.join(e, o, events...)
	return e
}

// join has an ear listen to events of another object, too.
func (r *rig) join(e *ear, o *rpc.Object, events ...string) {
	r.Helper()
	for _, name := range events {
		if _, err := r.a.Subscribe(o.ID(), name, e); err != nil {
			r.Fatal(err)
		}
	}
}

func (e *ear) Event(ev rpc.Event) {
	var m map[string]any
	if err := json.Unmarshal(ev.Data, &m); err != nil {
		panic(err)
	}
	m["event"] = ev.Type
	e.mu.Lock()
	e.heard = append(e.heard, m)
	e.mu.Unlock()
	select {
	case e.more <- struct{}{}:
	default:
	}
}

// take returns what was heard since the last time.
func (e *ear) take() []map[string]any {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.heard
	e.heard = nil
	return out
}

// wait returns the next n events, which come within a time that a busy machine keeps.
func (e *ear) wait(t testing.TB, n int) []map[string]any {
	t.Helper()
	var out []map[string]any
	timeout := time.After(20 * time.Second)
	for {
		if out = append(out, e.take()...); len(out) >= n {
			e.mu.Lock()
			e.heard = append(out[n:len(out):len(out)], e.heard...)
			e.mu.Unlock()
			return out[:n]
		}
		select {
		case <-e.more:
		case <-timeout:
			t.Fatalf("%d events came, want %d: %v", len(out), n, out)
		}
	}
}

// kurentoConfig is one without surroundings.
func kurentoConfig() kurento.Config { return kurento.Config{} }
