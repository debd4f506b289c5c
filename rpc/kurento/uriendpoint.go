package kurento

import (
	"errors"
	"reflect"
	"sync"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

// Failure is why media that a URI names can't be had, or kept. Its text goes to clients.
type Failure struct {
	Kind string // in Kurento's words: INVALID_URI, RESOURCE_ERROR_OPEN, …
	Code int
	Err  error
}

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// UriEndpoint is what endpoints embed that open media by URI. The embedder's constructor calls Open instead of Init, its Close
// calls Shut last.
type UriEndpoint struct {
	Element
	uri   string
	pause func() error
	stop  func()
	news  inbox

	mu    sync.Mutex
	state UriEndpointState
}

func (k *Core) uriEndpointClass() *rpc.Class {
	return &rpc.Class{Name: "UriEndpoint", Doc: "Opens media by URI.", Extends: k.Endpoint, Abstract: true, Type: reflect.TypeFor[*UriEndpoint](),
		Props: []rpc.Prop{
			rpc.Final("uri", (*UriEndpoint).URI),
			rpc.ReadOnly("state", (*UriEndpoint).State),
		},
		Ops:    []rpc.Op{rpc.Method("pause", (*UriEndpoint).Pause), rpc.Method("stop", (*UriEndpoint).Stop)},
		Events: []string{"UriEndpointStateChanged"}}
}

// Open makes the element ready: m has its pads, pause and stop are what clients can ask of it.
func (e *UriEndpoint) Open(self *rpc.Object, p *Pipeline, m media.Element, uri string, pause func() error, stop func()) {
	e.uri, e.pause, e.stop, e.state = uri, pause, stop, UriEndpointStateStop
	e.Init(self, p, m)
	e.news.start()
}

// Shut ends what tells of the element. What was to be told before is told.
func (e *UriEndpoint) Shut() { e.news.close() }

// URI is what the element opens.
func (e *UriEndpoint) URI() string { return e.uri }

// State is the element's now.
func (e *UriEndpoint) State() UriEndpointState {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

// Pause stands still.
func (e *UriEndpoint) Pause() error { return e.pause() }

// Stop ends it.
func (e *UriEndpoint) Stop() { e.stop() }

// become tells of another state, and of what more comes with it. It never blocks.
func (e *UriEndpoint) become(s UriEndpointState, more ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state == s {
		return
	}
	e.state = s
	e.news.put(func() {
		e.self.Raise(UriEndpointStateChanged{State: s})
		for _, event := range more {
			e.self.Raise(event)
		}
	})
}

// fail tells that media can't be had any more. It never blocks.
func (e *UriEndpoint) fail(err error) {
	e.pipeline.core.log.Info("media of a URI failed", "element", e.self.ID(), "err", err)
	e.news.put(func() { e.self.Raise(raised(err)) })
}

// raised is the event that tells of a failure. What isn't a Failure says nothing outside.
func raised(err error) rpc.ErrorRaised {
	if f, ok := errors.AsType[*Failure](err); ok {
		return rpc.ErrorRaised{Description: f.Error(), Code: f.Code, Kind: f.Kind}
	}
	return rpc.ErrorRaised{Description: "The media can't be used", Kind: "UNEXPECTED_ELEMENT_ERROR"}
}

// inbox does things one after another, on a goroutine of its own: those of clocks and loops, which find out what is to be told,
// have no time for it.
type inbox struct {
	mu    sync.Mutex
	more  *sync.Cond
	todo  []func()
	ended bool
	still sync.WaitGroup
}

func (b *inbox) start() {
	b.more = sync.NewCond(&b.mu)
	b.still.Go(b.run)
}

// put has something done. It never blocks. Once the inbox is closed nothing is.
func (b *inbox) put(do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended {
		b.todo = append(b.todo, do)
		b.more.Signal()
	}
}

func (b *inbox) run() {
	for {
		b.mu.Lock()
		for len(b.todo) == 0 && !b.ended {
			b.more.Wait()
		}
		todo := b.todo
		b.todo = nil
		b.mu.Unlock()
		if len(todo) == 0 {
			return
		}
		for _, do := range todo {
			do()
		}
	}
}

// close does what waits, and ends. Twice is as good as once.
func (b *inbox) close() {
	b.mu.Lock()
	b.ended = true
	b.more.Signal()
	b.mu.Unlock()
	b.still.Wait()
}
