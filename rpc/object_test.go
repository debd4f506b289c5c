package rpc_test

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/rpc"
)

func TestIDs(t *testing.T) {
	r := newRig(t, rpc.Config{})
	const uuid = `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`
	h := r.make("Hub", `{"mediaPipeline":"`+r.pipe.ID()+`"}`)
	p := r.make("kurento.HubPort", `{"hub":"`+h.ID()+`"}`)
	for id, form := range map[string]string{
		r.pipe.ID(): uuid + `_kurento\.MediaPipeline`,
		r.vol.ID():  uuid + `_kurento\.MediaPipeline/` + uuid + `_toy\.Volume`,
		p.ID():      uuid + `_kurento\.MediaPipeline/` + uuid + `_toy\.Hub/` + uuid + `_kurento\.HubPort`,
	} {
		if !regexp.MustCompile(`^` + form + `$`).MatchString(id) {
			t.Errorf("id %s, want %s", id, form)
		}
	}
	if p.Root() != r.pipe || p.Parent() != h {
		t.Errorf("port's parent is %s, its root %s", p.Parent().ID(), p.Root().ID())
	}
}

func TestCreate(t *testing.T) {
	r := newRig(t, rpc.Config{})
	ctx := context.Background()
	for _, name := range []string{"Volume", "toy.Volume"} {
		r.make(name, `{"mediaPipeline":"`+r.pipe.ID()+`","unknown":1}`)
	}
	for _, name := range []string{"MediaPipeline", "kurento.MediaPipeline", "core.MediaPipeline"} {
		if _, err := r.a.New(ctx, name, []byte(`{}`)); err != nil {
			t.Errorf("create %s: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "Nothing", "toy.MediaPipeline", "kurento.Volume", "MediaElement", "kurento.MediaObject", "ServerManager", "kurento.kurento.MediaPipeline"} {
		_, err := r.a.New(ctx, name, nil)
		if got := r.code(rpc.TypeNotAvailable, name, err); got != "Factory '"+name+"' not found" {
			t.Errorf("create %q says %q", name, got)
		}
	}
	// Constructor parameters are optional each for itself.
	v := r.make("Volume", `{"mediaType":"VIDEO","mediaPipeline":"`+r.pipe.ID()+`","gain":null}`)
	if got := v.Value().(*volume).gain; got != 0.1 {
		t.Errorf("gain %v, want the default", got)
	}
	for params, code := range map[string]rpc.Code{
		``:                                   rpc.BadParam,
		`{}`:                                 rpc.BadParam,
		`{"mediaPipeline":null}`:             rpc.ObjectNotFound,
		`{"mediaPipeline":"gone"}`:           rpc.ObjectNotFound,
		`{"mediaPipeline":"` + v.ID() + `"}`: rpc.ObjectNotFound,
		`{"mediaPipeline":"newref:0"}`:       rpc.NotCommitted,
		`{"mediaPipeline":"` + r.pipe.ID() + `","gain":-1}`:         rpc.IllegalParam,
		`{"mediaPipeline":"` + r.pipe.ID() + `","mediaType":"BAD"}`: rpc.BadParam,
	} {
		_, err := r.a.New(ctx, "Volume", []byte(params))
		r.code(code, params, err)
	}
}

func TestTenants(t *testing.T) {
	r := newRig(t, rpc.Config{})
	ctx := context.Background()
	b := r.space.Tenant("b")
	_, err := b.Invoke(ctx, r.vol.ID(), "getGain", nil)
	if got, want := r.code(rpc.ObjectNotFound, "invoke", err), "Object '"+r.vol.ID()+"' not found"; got != want {
		t.Errorf("says %q, want %q: the same as for one that there isn't", got, want)
	}
	_, err = b.Describe(r.vol.ID())
	r.code(rpc.ObjectNotFound, "describe", err)
	_, err = b.Subscribe(r.vol.ID(), "Started", &ear{})
	r.code(rpc.ObjectNotFound, "subscribe", err)
	_, err = b.New(ctx, "Volume", []byte(`{"mediaPipeline":"`+r.pipe.ID()+`"}`))
	r.code(rpc.ObjectNotFound, "create in another's pipeline", err)
	other, err := b.New(ctx, "MediaPipeline", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.code(rpc.ObjectNotFound, "another's as parameter", func() error {
		_, err := r.a.Invoke(ctx, r.vol.ID(), "whose", []byte(`{"object":"`+other.ID()+`"}`))
		return err
	}())
	b.Release(r.pipe.ID())
	b.Release("manager_ServerManager")
	r.invoke(r.vol, "getGain", "")
	if got, err := b.Get(ctx, "manager_ServerManager", "pipelines"); err != nil || string(got) != `["`+other.ID()+`"]` {
		t.Errorf("b's pipelines are %s, %v, want its own", got, err)
	}
	admin := r.space.Admin("ops")
	if got, err := admin.Get(ctx, "manager_ServerManager", "pipelines"); err != nil || string(got) != `["`+r.pipe.ID()+`","`+other.ID()+`"]` {
		t.Errorf("admin's pipelines are %s, %v, want both", got, err)
	}
	child, err := admin.New(ctx, "Volume", []byte(`{"mediaPipeline":"`+r.pipe.ID()+`"}`))
	if err != nil || child.Tenant() != "a" {
		t.Errorf("a child belongs to %q, %v, want its owner's tenant", child.Tenant(), err)
	}
}

func TestLimits(t *testing.T) {
	r := newRig(t, rpc.Config{MaxPerTenant: 3, MaxObjects: 5})
	ctx := context.Background()
	third := r.make("MediaPipeline", "")
	_, err := r.a.New(ctx, "MediaPipeline", nil)
	r.code(rpc.NotEnoughResources, "a fourth", err)
	b := r.space.Tenant("b")
	if _, err := b.New(ctx, "MediaPipeline", nil); err != nil {
		t.Errorf("b's first: %v", err)
	}
	_, err = b.New(ctx, "MediaPipeline", nil)
	r.code(rpc.NotEnoughResources, "a sixth of all", err)
	r.a.Release(third.ID())
	r.make("MediaPipeline", "")
}

func TestTags(t *testing.T) {
	r := newRig(t, rpc.Config{})
	r.invoke(r.vol, "addTag", `{"key":"k","value":"1"}`)
	r.invoke(r.vol, "addTag", `{"key":"l","value":7}`)
	r.invoke(r.vol, "addTag", `{"key":"k","value":"2"}`)
	if got := r.invoke(r.vol, "getTag", `{"key":"k"}`); got != `"2"` {
		t.Errorf("getTag = %s", got)
	}
	r.invoke(r.vol, "removeTag", `{"key":"k"}`)
	r.invoke(r.vol, "removeTag", `{"key":"nothing"}`)
	r.refused(rpc.TagNotFound, r.vol, "getTag", `{"key":"k"}`)
	if got, want := r.invoke(r.vol, "getTags", ""), `[{"key":"l","value":"7","__module__":"kurento","__type__":"Tag"}]`; got != want {
		t.Errorf("getTags = %s, want %s", got, want)
	}
	for i := range rpc.MaxTags - 1 {
		r.invoke(r.vol, "addTag", `{"key":"n`+strconv.Itoa(i)+`","value":""}`)
	}
	r.refused(rpc.IllegalParam, r.vol, "addTag", `{"key":"more","value":""}`)
	r.refused(rpc.IllegalParam, r.vol, "setName", `{"name":"`+strings.Repeat("x", rpc.MaxText+1)+`"}`)
	r.invoke(r.vol, "setName", `{"name":"Bob"}`)
	if got := r.invoke(r.vol, "getName", ""); got != `"Bob"` {
		t.Errorf("getName = %s", got)
	}
}

func TestReleaseCascades(t *testing.T) {
	w := &watch{}
	r := newRig(t, rpc.Config{Watch: w})
	h := r.make("Hub", `{"mediaPipeline":"`+r.pipe.ID()+`"}`)
	p := r.make("HubPort", `{"hub":"`+h.ID()+`"}`)
	v := r.vol.Value().(*volume)
	r.a.Release(r.pipe.ID())
	r.a.Release(r.pipe.ID())
	r.a.Release("nobody")
	select {
	case <-v.closed:
	default:
		t.Error("a released pipeline's element isn't closed")
	}
	for _, o := range []*rpc.Object{r.pipe, r.vol, h, p} {
		_, err := r.a.Invoke(context.Background(), o.ID(), "getName", nil)
		if got := r.code(rpc.ObjectNotFound, o.ID(), err); !strings.HasSuffix(got, " not found") {
			t.Errorf("says %q", got)
		}
	}
	created, gone := w.lists()
	if want := []string{"manager_ServerManager", r.pipe.ID(), r.vol.ID(), h.ID(), p.ID()}; !slices.Equal(created, want) {
		t.Errorf("created %q, want %q", created, want)
	}
	if want := []string{p.ID(), h.ID(), r.vol.ID(), r.pipe.ID()}; !slices.Equal(gone, want) {
		t.Errorf("released %q, want children first: %q", gone, want)
	}
	if err := r.pipe.Value().(*pipe).Pipeline.Add(nopElement{}); err == nil {
		t.Error("the media pipeline is still open")
	}
}

// An object that is released during a call on it is closed when the call returns, and its owner after it.
func TestReleaseDuringCall(t *testing.T) {
	w := &watch{}
	r := newRig(t, rpc.Config{Watch: w})
	v := r.vol.Value().(*volume)
	got := make(chan string)
	go func() {
		b, err := r.a.Invoke(context.Background(), r.vol.ID(), "hang", nil)
		got <- string(b) + errText(err)
	}()
	<-v.enter
	r.a.Release(r.pipe.ID())
	select {
	case <-v.closed:
		t.Error("closed during a call")
	default:
	}
	if _, gone := w.lists(); len(gone) != 0 {
		t.Errorf("%q are said to be released", gone)
	}
	r.refused(rpc.ObjectNotFound, r.vol, "getGain", "")
	_, err := r.a.New(context.Background(), "Volume", []byte(`{"mediaPipeline":"`+r.pipe.ID()+`"}`))
	r.code(rpc.ObjectNotFound, "create in a released pipeline", err)
	close(v.leave)
	if s := <-got; s != "1" {
		t.Errorf("the call gave %q", s)
	}
	<-v.closed
	if _, gone := w.lists(); !slices.Equal(gone, []string{r.vol.ID(), r.pipe.ID()}) {
		t.Errorf("released %q", gone)
	}
}

func TestCloseWaits(t *testing.T) {
	r := newRig(t, rpc.Config{})
	v := r.vol.Value().(*volume)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = r.a.Invoke(context.Background(), r.vol.ID(), "hang", nil)
	}()
	<-v.enter
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := r.space.Close(ctx); err == nil {
		t.Error("Close didn't wait for the call")
	}
	_, err := r.a.New(context.Background(), "MediaPipeline", nil)
	r.code(rpc.NotEnoughResources, "create in a closed space", err)
	close(v.leave)
	<-done
	if err := r.space.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// Many clients making, using and releasing at once leave nothing behind.
func TestStress(t *testing.T) {
	w := &watch{}
	r := newRig(t, rpc.Config{Watch: w})
	ctx := context.Background()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				p, err := r.a.New(ctx, "MediaPipeline", nil)
				if err != nil {
					t.Error(err)
					return
				}
				params := []byte(`{"mediaPipeline":"` + p.ID() + `"}`)
				var in sync.WaitGroup
				for range 3 {
					in.Go(func() {
						if v, err := r.a.New(ctx, "Volume", params); err == nil {
							_, _ = r.a.Invoke(ctx, v.ID(), "connect", []byte(`{"sink":"`+v.ID()+`"}`))
							_, _ = r.a.Subscribe(v.ID(), "Started", &ear{})
						} else if rpc.Outside(err).Code != rpc.ObjectNotFound {
							t.Error(err)
						}
					})
				}
				r.a.Release(p.ID())
				in.Wait()
				r.a.Release(p.ID())
			}
		})
	}
	wg.Wait()
	if left := r.a.Objects("MediaObject"); len(left) != 3 { // manager, pipeline and volume of the rig
		t.Errorf("%d objects are left, want 3", len(left))
	}
	created, gone := w.lists()
	if len(created) != len(gone)+3 {
		t.Errorf("%d were created, %d released", len(created), len(gone))
	}
}

func TestPlace(t *testing.T) {
	r := newRig(t, rpc.Config{})
	v, err := newVolume(context.Background(), nil, r.pipe.Value().(*pipe), 1, audio)
	if err != nil {
		t.Fatal(err)
	}
	o, err := r.space.Place(rpc.Placement{Class: r.f.volume, Value: v, Owner: r.pipe})
	if err != nil || o.Tenant() != "a" || !strings.HasPrefix(o.ID(), r.pipe.ID()+"/") {
		t.Fatalf("placed %v, %v", o, err)
	}
	if got := r.invoke(o, "getGain", ""); got != "1" {
		t.Errorf("gain = %s", got)
	}
	for what, p := range map[string]rpc.Placement{
		"same value":    {Class: r.f.volume, Value: &volume{closed: make(chan struct{})}, ID: "manager_ServerManager"},
		"wrong type":    {Class: r.f.volume, Value: &hub{}},
		"no value":      {Class: r.f.volume, Value: (*volume)(nil)},
		"no pointer":    {Class: r.f.volume, Value: 7},
		"no class":      {Value: &hub{}},
		"unknown class": {Class: &rpc.Class{Module: "toy", Name: "Volume"}, Value: &volume{}},
	} {
		if _, err := r.space.Place(p); err == nil {
			t.Errorf("%s: placed", what)
		}
	}
}

type watch struct {
	mu            sync.Mutex
	created, gone []string
}

func (w *watch) Created(o *rpc.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.created = append(w.created, o.ID())
}

func (w *watch) Released(o *rpc.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = append(w.gone, o.ID())
}

func (w *watch) lists() (created, gone []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.created), slices.Clone(w.gone)
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
