package media

import "math"

// Feedback travels upstream. A source merges what its sinks say.
type Feedback struct {
	Kind  FeedbackKind
	Value float64 // Bitrate: bit/s that the sink can take; Loss: fraction lost, 0 to 1; KeyFrame: unused
	Layer uint8   // KeyFrame: of which layer, where the source has several; 0 = of the one that the sink gets
}

// FeedbackKind says what a sink asks of, or tells, its source.
type FeedbackKind uint8

const (
	KeyFrame FeedbackKind = iota // merged by passing on each
	Bitrate                      // merged to the least; of a sink that gets a layer it chooses the layer, and isn't passed on
	Loss                         // merged to the greatest
)

// relay is what stands behind a source that only passes on what comes into a sink, and hands that sink's source what its own
// sinks say.
type relay struct {
	in      *Inlet
	through *Through // whose output the source is; nil = a filter's
}

// relaysMax bounds how many relays feedback passes: where links form a circle it would go round for ever.
const relaysMax = 256

// heard takes what one sink says, and hands it on to whoever is to know it.
func (s *Source) heard(in *Inlet, fb Feedback) {
	for range relaysMax {
		var tells bool
		if fb, tells = s.merge(in, fb); !tells {
			return
		}
		if s.relay == nil {
			s.back(fb)
			return
		}
		in = s.relay.in
		if s = in.cur.Load(); s == nil {
			return
		}
	}
}

// merge merges what one sink says with what the others said last, and reports whether that is to be told.
func (s *Source) merge(in *Inlet, fb Feedback) (Feedback, bool) {
	if s.back == nil || math.IsNaN(fb.Value) {
		return fb, false
	}
	if y := in.layers.Load(); y != nil {
		switch fb.Kind {
		case Bitrate:
			y.limit.Store(math.Float64bits(max(fb.Value, 1)))
			return fb, false
		case KeyFrame:
			if fb.Layer == 0 {
				fb.Layer = uint8(y.now.Load())
			}
		}
	}
	s.said.Lock()
	defer s.said.Unlock()
	if in.cur.Load() != s { // it left while it spoke: nothing would take its word back
		return fb, false
	}
	switch fb.Kind {
	case Bitrate:
		note(&s.heed, in, fb.Value)
		fb.Value, _ = least(s.heed)
	case Loss:
		note(&s.loss, in, fb.Value)
		fb.Value, _ = greatest(s.loss)
	}
	return fb, true
}

// forget takes back what a sink said that s doesn't feed any more. If that changes what all say together, s is told.
func (s *Source) forget(c *change, in *Inlet) {
	if s.back == nil {
		return
	}
	s.said.Lock()
	defer s.said.Unlock()
	for _, m := range []struct {
		kind  FeedbackKind
		said  map[*Inlet]float64
		merge func(map[*Inlet]float64) (float64, bool)
	}{{Bitrate, s.heed, least}, {Loss, s.loss, greatest}} {
		before, _ := m.merge(m.said)
		delete(m.said, in)
		if after, any := m.merge(m.said); any && after != before {
			c.told = append(c.told, saying{s.back, Feedback{Kind: m.kind, Value: after}})
		}
	}
}

func note(m *map[*Inlet]float64, in *Inlet, v float64) {
	if *m == nil {
		*m = map[*Inlet]float64{}
	}
	(*m)[in] = v
}

func least(m map[*Inlet]float64) (v float64, any bool) {
	for _, o := range m {
		if !any || o < v {
			v, any = o, true
		}
	}
	return v, any
}

func greatest(m map[*Inlet]float64) (v float64, any bool) {
	for _, o := range m {
		if !any || o > v {
			v, any = o, true
		}
	}
	return v, any
}
