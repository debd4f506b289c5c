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
}

// ErrClosed is returned by a closed pipeline.
var ErrClosed = errors.New("pipeline is closed")

// NewPipeline makes an empty pipeline.
func NewPipeline(cfg Config) *Pipeline {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Pipeline{cfg: cfg}
}

// Registry is what the pipeline's sources convert with.
func (p *Pipeline) Registry() *Registry { return p.cfg.Registry }

// Clock paces the pipeline's elements.
func (p *Pipeline) Clock() *Clock {
	if p.cfg.Clock != nil {
		return p.cfg.Clock
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clock == nil {
		p.clock = NewClock()
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
	}
	p.mu.Unlock()
	if i < 0 {
		return nil
	}
	return p.shut(e)
}

// shut takes an element out of its links before it closes, so that nobody pushes into it.
func (p *Pipeline) shut(e Element) error {
	for _, pad := range pads {
		if k := e.Sink(pad); k != nil {
			if src := k.inlet().feeds(); src != nil {
				src.Unlink(k)
			}
		}
		if s := e.Source(pad); s != nil {
			s.Close()
		}
	}
	return e.Close()
}

// pads that elements have without being asked by name.
var pads = [...]Pad{{Kind: Audio}, {Kind: Video}, {Kind: Data}}

func (in *Inlet) feeds() *Source {
	topology.Lock()
	defer topology.Unlock()
	return in.home
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
	for _, pad := range pads {
		if s := e.Source(pad); s != nil {
			s.rebuild()
		}
		if k := e.Sink(pad); k != nil {
			if s := k.inlet().home; s != nil {
				s.speaker().rebuild()
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

// Close closes all elements, the youngest first.
func (p *Pipeline) Close() error {
	p.mu.Lock()
	p.closed = true
	list := p.elements
	p.elements = nil
	clock := p.clock
	p.clock = nil
	p.mu.Unlock()
	var errs []error
	for _, e := range slices.Backward(list) {
		errs = append(errs, p.shut(e))
	}
	if clock != nil {
		clock.Close()
	}
	return errors.Join(errs...)
}
