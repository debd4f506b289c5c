// Package passthrough is an element that sends what it receives: audio, video and data, the same frames.
package passthrough

import (
	"errors"

	"github.com/patchbay/patchbay/media"
)

// PassThrough is the element. It takes whatever its source has, and converts only where its own sinks need it.
type PassThrough struct{ pads [3]*media.Through }

// New makes one that converts with reg; nil = it only relays.
func New(reg *media.Registry) *PassThrough {
	p := new(PassThrough)
	for i := range p.pads {
		p.pads[i] = media.NewThrough(reg)
	}
	return p
}

// pad is the one of a kind, nil if there is none.
func (p *PassThrough) pad(at media.Pad) *media.Through {
	if at.Name != "" || int(at.Kind) >= len(p.pads) {
		return nil
	}
	return p.pads[at.Kind]
}

// Sink is where media of the pad's kind enters.
func (p *PassThrough) Sink(at media.Pad) media.Sink {
	if t := p.pad(at); t != nil {
		return t
	}
	return nil
}

// Source is where media of the pad's kind leaves.
func (p *PassThrough) Source(at media.Pad) *media.Source {
	if t := p.pad(at); t != nil {
		return t.Out()
	}
	return nil
}

// Stats adds nothing.
func (p *PassThrough) Stats(*media.Snapshot) {}

// Close ends the element's links.
func (p *PassThrough) Close() error {
	var errs []error
	for _, t := range p.pads {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}
