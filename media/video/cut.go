package video

const (
	// LeastPayload is the least that payloads can be cut to, bytes.
	LeastPayload = 48
	leastPiece   = 16   // of a picture, behind what stands before each
	lateMost     = 128  // numbers back: what is older comes too late
	farMost      = 1024 // and is of another stream when it is so old
)

// Cutter cuts those payloads of a stream that are longer than its packets may be, and numbers what comes of them. What is short passes as it is. It
// allocates while it grows to the longest payload, and isn't safe for concurrent use.
type Cutter struct {
	r     *Repacker
	epoch uint32
	begun bool
	top   uint16           // the highest number that came
	more  uint16           // packets that went out beyond those that came, up to it
	last  uint16           // packets of the latest payload
	place [lateMost]uint16 // the first of what goes out for a number, by that
	room  [lateMost]uint16 // and how many have a place
}

// NewCutter makes one of a codec that a Repacker can be made for, nil for others. most is the bytes of a payload, at least LeastPayload.
func NewCutter(codec string, most int) *Cutter {
	r := NewRepacker(codec)
	if r == nil {
		return nil
	}
	c := &Cutter{r: r}
	c.SetMost(most)
	return c
}

// SetMost sets what payloads are cut to from now on, bytes, at least LeastPayload.
func (c *Cutter) SetMost(most int) { c.r.most = max(most, LeastPayload) }

// Codec is the one that it was made for.
func (c *Cutter) Codec() string { return c.r.codec }

// Cut is what goes out for the payload of that number, and the first one's number: in order without a gap where what comes has none. A number that
// is missing is left as many places as the payload before it took; what comes for it late fills them, in pieces that are larger or smaller. ok is
// false for what is damaged, or comes too late. The pieces are the cutter's again with the next call.
func (c *Cutter) Cut(payload []byte, number uint16, epoch uint32) (pieces [][]byte, first uint16, ok bool) {
	pieces = c.cut(payload)
	n := uint16(len(pieces))
	if n == 0 {
		return nil, 0, false
	}
	d := int16(number - c.top)
	switch {
	case !c.begun || epoch != c.epoch || d > lateMost || d <= -farMost: // another stream
		if !c.begun || epoch != c.epoch {
			c.more = 0
		}
		c.begun, c.epoch = true, epoch
		clear(c.room[:])
	case d <= -lateMost:
		return nil, 0, false
	case d <= 0:
		i := number % lateMost
		pieces = c.into(payload, int(c.room[i]))
		return pieces, c.place[i], pieces != nil
	default:
		for m := c.top + 1; m != number; m++ {
			c.put(m, c.last)
		}
	}
	c.top, c.last = number, n
	return pieces, c.put(number, n), true
}

// cut is the pieces of a payload.
func (c *Cutter) cut(payload []byte) [][]byte {
	c.r.list, c.r.bytes = c.r.list[:0], c.r.bytes[:0]
	c.r.take(payload)
	return c.r.list
}

// into is so many pieces of a payload, nil if it can't be.
func (c *Cutter) into(payload []byte, n int) [][]byte {
	if n == len(c.r.list) {
		return c.r.list
	}
	if n == 0 {
		return nil
	}
	most := c.r.most
	defer func() { c.r.most = most }()
	for more := range 32 {
		c.r.most = (len(payload)+n-1)/n + more
		if list := c.cut(payload); len(list) == n {
			return list
		}
	}
	return nil
}

// put gives a number its place.
func (c *Cutter) put(number, n uint16) (first uint16) {
	i := number % lateMost
	c.place[i], c.room[i] = number+c.more, n
	c.more += n - 1
	return c.place[i]
}
