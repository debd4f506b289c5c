package media

import "errors"

// PassThrough is an element that sends what it receives: audio, video and data, the same frames. It takes whatever its source has, and converts only where its own sinks need it.
type PassThrough struct{ pads [3]*Through }

// NewPassThrough makes one that converts with reg; nil = it only relays.
func NewPassThrough(reg *Registry) *PassThrough {
	p := new(PassThrough)
	for i := range p.pads {
		p.pads[i] = NewThrough(reg)
	}
	return p
}

// pad is the one of a kind, nil if there is none.
func (p *PassThrough) pad(at Pad) *Through {
	if at.Name != "" || int(at.Kind) >= len(p.pads) {
		return nil
	}
	return p.pads[at.Kind]
}

// Sink is where media of the pad's kind enters.
func (p *PassThrough) Sink(at Pad) Sink {
	if t := p.pad(at); t != nil {
		return t
	}
	return nil
}

// Source is where media of the pad's kind leaves.
func (p *PassThrough) Source(at Pad) *Source {
	if t := p.pad(at); t != nil {
		return t.Out()
	}
	return nil
}

// Stats adds nothing.
func (p *PassThrough) Stats(*Snapshot) {}

// Close ends the element's links.
func (p *PassThrough) Close() error {
	var errs []error
	for _, t := range p.pads {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}
