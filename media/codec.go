package media

// Converter turns frames of one format into another. It keeps state of one stream; it is used by one goroutine at a time.
type Converter interface {
	// Convert appends the converted payload of src to dst.Payload, which has no length and room for 60 ms of any
	// format, and adjusts dst's other fields, which come as copies of src's, where the formats differ. It doesn't
	// allocate. false means that there is nothing to send yet.
	Convert(dst, src *Frame) bool
}

// Splitter is a Converter that may make several frames of one, as where packet times differ. It numbers its frames itself:
// what comes of one source frame has more than one Sequence.
type Splitter interface {
	Converter
	// More makes the next frame that is due after a Convert, until it returns false. dst is what Convert, or More,
	// made before, its payload empty again.
	More(dst *Frame) bool
}

// Heeder is a Converter that adapts to what its sinks tell, as an encoder does to the loss of its packets.
type Heeder interface {
	Converter
	// Heed tells the greatest Loss that sinks of the source said last; it is called between conversions, at most once a
	// second of 20 ms frames.
	Heed(loss float64)
}

// Releaser is a Converter that is worth using again. Release is called once, after the last conversion, if the converter ran
// off the packet path.
type Releaser interface {
	Converter
	Release()
}

// Conversion is one way from a format to another.
type Conversion struct {
	From, To *Format
	// Cost is the CPU of 20 ms, in microseconds on a 2.6 GHz core, at least 1. Of ways that cost more than Inline
	// together the converters run on the registry's workers.
	Cost int
	New  func() Converter
}

// chain converts twice; the format between is linear PCM as a rule.
type chain struct {
	first, second Converter
	hub           *Format
	mid           Frame
}

func (c *chain) Convert(dst, src *Frame) bool {
	payload := c.mid.Payload[:0]
	c.mid = *src
	c.mid.Payload = payload
	if !c.first.Convert(&c.mid, src) {
		return false
	}
	return c.pass(dst) || c.drain(dst)
}

// More makes what the second still has, then what the first has.
func (c *chain) More(dst *Frame) bool {
	if s, ok := c.second.(Splitter); ok && s.More(dst) {
		return true
	}
	return c.drain(dst)
}

// drain converts what the first converter still has, until the second makes something of it.
func (c *chain) drain(dst *Frame) bool {
	s, ok := c.first.(Splitter)
	if !ok {
		return false
	}
	for {
		c.mid.Payload = c.mid.Payload[:0]
		if !s.More(&c.mid) {
			return false
		}
		if c.pass(dst) {
			return true
		}
	}
}

// pass gives the frame in the middle to the second converter.
func (c *chain) pass(dst *Frame) bool {
	c.mid.Format = c.hub
	payload := dst.Payload[:0]
	*dst = c.mid // the first may have moved to another clock
	dst.Payload = payload
	return c.second.Convert(dst, &c.mid)
}

func (c *chain) Heed(loss float64) {
	for _, o := range []Converter{c.first, c.second} {
		if h, ok := o.(Heeder); ok {
			h.Heed(loss)
		}
	}
}

func (c *chain) Release() {
	release(c.first)
	release(c.second)
}

func release(c Converter) {
	if r, ok := c.(Releaser); ok {
		r.Release()
	}
}
