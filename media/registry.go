package media

import "fmt"

// Registry knows the conversions of a process. It is filled at start and read afterwards. It also has the workers that do the
// costly ones: they start with the first converter that needs them, and Close awaits them.
type Registry struct {
	ways    map[string][]Conversion // by From
	names   map[laneKey]bool
	workers workers
}

// NewRegistry makes an empty registry.
func NewRegistry() *Registry {
	r := &Registry{ways: map[string][]Conversion{}, names: map[laneKey]bool{}}
	r.workers.some.L = &r.workers.mu
	return r
}

// Register adds conversions. It panics on one without formats or constructor, and on one that is there already: both
// are mistakes of the program.
func (r *Registry) Register(cs ...Conversion) {
	for _, c := range cs {
		if c.From == nil || c.To == nil || c.New == nil || c.Cost < 1 || c.From.Same(c.To) {
			panic(fmt.Sprintf("media: conversion %s to %s: needs two formats, a cost and a constructor", c.From, c.To))
		}
		k := laneKey{c.From.String(), c.To.String()}
		if r.names[k] {
			panic(fmt.Sprintf("media: conversion %s to %s registered twice", c.From, c.To))
		}
		r.names[k] = true
		r.ways[k.from] = append(r.ways[k.from], c)
	}
}

// Converts reports whether frames of one format can become the other. A format doesn't become itself: it is relayed.
func (r *Registry) Converts(from, to *Format) bool { _, ok := r.cost(from, to); return ok }

// choose picks what to convert f to: the cheapest of the sink's formats, the earlier one if equal.
func (r *Registry) choose(f *Format, caps *Caps) *Format {
	if r == nil || caps == nil {
		return nil
	}
	var best *Format
	least := 0
	for _, to := range caps.Formats {
		if c, ok := r.cost(f, to); ok && (best == nil || c < least) {
			best, least = to, c
		}
	}
	return best
}

func (r *Registry) cost(from, to *Format) (int, bool) {
	if r == nil || from.Kind != to.Kind || from.Same(to) {
		return 0, false
	}
	a, b := r.path(from, to)
	switch {
	case a == nil:
		return 0, false
	case b == nil:
		return a.Cost, true
	}
	return a.Cost + b.Cost, true
}

// converter makes a converter for a pair that cost knows.
func (r *Registry) converter(from, to *Format) Converter {
	a, b := r.path(from, to)
	if b == nil {
		return a.New()
	}
	return &chain{first: a.New(), second: b.New(), hub: a.To, mid: Frame{Payload: make([]byte, 0, maxPayload)}}
}

// path finds the conversion, or the cheapest way of two where there is none: a way round may be cheaper, but what it loses on the
// way is lost.
func (r *Registry) path(from, to *Format) (first, second *Conversion) {
	least := 0
	for i := range r.ways[from.String()] {
		if a := &r.ways[from.String()][i]; a.To.Same(to) {
			return a, nil
		}
	}
	for i := range r.ways[from.String()] {
		a := &r.ways[from.String()][i]
		for j := range r.ways[a.To.String()] {
			b := &r.ways[a.To.String()][j]
			if b.To.Same(to) && (first == nil || a.Cost+b.Cost < least) {
				first, second, least = a, b, a.Cost+b.Cost
			}
		}
	}
	return first, second
}
