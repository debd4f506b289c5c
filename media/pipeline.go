package media

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
)

// Config of a pipeline.
type Config struct {
	Registry *Registry // conversions; nil = only relay
	Clock    *Clock    // paces elements that generate media; nil = the pipeline makes its own when asked
	Log      *slog.Logger
}

// Pipeline owns elements and their links. Closing it closes them.
type Pipeline struct {
	cfg Config

	mu       sync.Mutex
	elements []Element
	clock    *Clock
	closed   bool
	leaving  sync.WaitGroup // elements that Remove is closing
	still    chan struct{}  // closed when Close is done
}

// ErrClosed is returned by a closed pipeline.
var ErrClosed = errors.New("pipeline is closed")

// NewPipeline makes an empty pipeline.
func NewPipeline(cfg Config) *Pipeline {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Pipeline{cfg: cfg, still: make(chan struct{})}
}

// Registry is what the pipeline's sources convert with.
func (p *Pipeline) Registry() *Registry { return p.cfg.Registry }

// Clock paces the pipeline's elements. That of a closed pipeline stands still.
func (p *Pipeline) Clock() *Clock {
	if p.cfg.Clock != nil {
		return p.cfg.Clock
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clock == nil {
		p.clock = NewClock()
		if p.closed {
			p.clock.Close()
		}
	}
	return p.clock
}

// Add hands an element over to the pipeline. When the pipeline is closed it closes e and returns ErrClosed.
func (p *Pipeline) Add(e Element) error {
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.elements = append(p.elements, e)
	}
	p.mu.Unlock()
	if closed {
		return errors.Join(ErrClosed, e.Close())
	}
	return nil
}

// Remove closes an element and forgets it.
func (p *Pipeline) Remove(e Element) error {
	p.mu.Lock()
	i := slices.Index(p.elements, e)
	if i >= 0 {
		p.elements = slices.Delete(p.elements, i, i+1)
		p.leaving.Add(1)
	}
	p.mu.Unlock()
	if i < 0 {
		return nil
	}
	defer p.leaving.Done()
	return shut(e)
}

// Release forgets an element without closing it, so that another pipeline can have it: whoever asked closes it otherwise. It
// tells whether the pipeline had it. The element's links stand.
func (p *Pipeline) Release(e Element) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.elements, e)
	if i < 0 {
		return false
	}
	p.elements = slices.Delete(p.elements, i, i+1)
	return true
}

// shut takes an element out of its links before it closes, so that nobody pushes into it.
func shut(e Element) error {
	for _, pad := range padsOf(e) {
		if k := e.Sink(pad); k != nil {
			k.inlet().Detach()
		}
		if s := e.Source(pad); s != nil {
			s.Close()
		}
	}
	return e.Close()
}

// Padder is an element with pads beside the first of each kind: it lists them all.
type Padder interface{ Pads() []Pad }

// padsOf lists the pads an element may have.
func padsOf(e Element) []Pad {
	if p, ok := e.(Padder); ok {
		return p.Pads()
	}
	return []Pad{{Kind: Audio}, {Kind: Video}, {Kind: Data}}
}

// Link feeds the pad of to from the same pad of from.
func (p *Pipeline) Link(from, to Element, pad Pad) error {
	s, k := from.Source(pad), to.Sink(pad)
	if s == nil || k == nil {
		return fmt.Errorf("link of %s pad %q: %T to %T: one has no such pad", pad.Kind, pad.Name, from, to)
	}
	s.Link(k)
	return nil
}

// Bridge links two elements both ways.
func (p *Pipeline) Bridge(a, b Element, pad Pad) error {
	if err := p.Link(a, b, pad); err != nil {
		return err
	}
	return p.Link(b, a, pad)
}

// Unbridge ends what Bridge made.
func (p *Pipeline) Unbridge(a, b Element, pad Pad) {
	for _, e := range [][2]Element{{a, b}, {b, a}} {
		if s, k := e[0].Source(pad), e[1].Sink(pad); s != nil && k != nil {
			s.Unlink(k)
		}
	}
}

// Renegotiate rebuilds all routes that touch e, after its formats changed: those of its sources, and those of sources
// that feed its sinks. Each route set is swapped in one step.
func (p *Pipeline) Renegotiate(e Element) { Renegotiate(e) }

// Renegotiate is what an element calls that is in no pipeline.
func Renegotiate(e Element) {
	topology.Lock()
	defer topology.Unlock()
	for _, pad := range padsOf(e) {
		if s := e.Source(pad); s != nil {
			s.rebuild()
		}
		if k := e.Sink(pad); k != nil {
			if s := k.inlet().home; s != nil {
				s.speaker().rebuild()
			}
			if s := k.inlet().guest; s != nil {
				s.rebuild()
			}
		}
	}
}

// Elements lists what the pipeline owns, oldest first.
func (p *Pipeline) Elements() []Element {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.elements)
}

// Close closes all elements, the youngest first. When it returns all is still, also if another goroutine called it first;
// only the first call reports the elements' errors.
func (p *Pipeline) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.still
		return nil
	}
	p.closed = true
	list := p.elements
	p.elements = nil
	p.mu.Unlock()
	defer close(p.still)
	var errs []error
	for _, e := range slices.Backward(list) {
		errs = append(errs, shut(e))
	}
	p.leaving.Wait()
	p.mu.Lock()
	clock := p.clock
	p.mu.Unlock()
	if clock != nil {
		clock.Close()
	}
	return errors.Join(errs...)
}
