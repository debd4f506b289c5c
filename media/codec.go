package media

// Converter turns frames of one format into another. It keeps state of one stream; it is used by one goroutine at a time.
type Converter interface {
	// Convert appends the converted payload of src to dst.Payload, which has no length and room for 60 ms of any
	// format, and adjusts dst's other fields, which come as copies of src's, where the formats differ. It doesn't
	// allocate. false means that there is nothing to send yet.
	Convert(dst, src *Frame) bool
}

// Conversion is one way from a format to another.
type Conversion struct {
	From, To *Format
	Cost     int // CPU of 20 ms, in microseconds on a 2.6 GHz core, at least 1
	New      func() Converter
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
	c.mid.Format = c.hub
	payload = dst.Payload
	*dst = c.mid // the first may have moved to another clock
	dst.Payload = payload
	return c.second.Convert(dst, &c.mid)
}
