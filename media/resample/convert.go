package resample

import (
	"encoding/binary"

	"github.com/patchbay/patchbay/media"
)

// longest is how many samples of a frame are converted: 60 ms at 48 kHz.
const longest = 48 * 60

// converter resamples frames of L16. Sequence numbers stay, timestamps move to the other clock.
type converter struct {
	Resampler
	from, to int

	begun     bool
	epoch     uint32
	due       uint32 // timestamp of the next frame
	base, out uint32 // a timestamp, and what became of it

	in, res [longest]int16
}

// Convert resamples a frame. Over a gap, or where another stream begins, the filter begins anew.
func (c *converter) Convert(dst, src *media.Frame) bool {
	n := len(src.Payload) / 2
	if n == 0 || n > longest || n*c.to/c.from > longest || 2*n*c.to/c.from > cap(dst.Payload) {
		return false
	}
	if !c.begun || c.epoch != src.Epoch {
		c.begun, c.epoch = true, src.Epoch
		c.base, c.out, c.due = src.Timestamp, src.Timestamp, src.Timestamp
		c.Reset()
	}
	if src.Timestamp != c.due {
		c.Reset()
	}
	dst.Timestamp = c.move(src.Timestamp)
	c.due = src.Timestamp + uint32(n)
	for i := range n {
		c.in[i] = int16(binary.BigEndian.Uint16(src.Payload[2*i:]))
	}
	res := c.Run(c.res[:0], c.in[:n])
	payload := dst.Payload[:2*len(res)]
	for i, s := range res {
		binary.BigEndian.PutUint16(payload[2*i:], uint16(s))
	}
	dst.Payload = payload
	return len(res) > 0
}

// move turns a timestamp into one of the other clock. What it is reckoned from moves along, so that neither clock's wrap matters.
func (c *converter) move(ts uint32) uint32 {
	out := c.out + uint32(int64(int32(ts-c.base))*int64(c.to)/int64(c.from))
	if d := int32(ts - c.base); d > 1<<28 || d < -1<<28 {
		// A whole number of seconds, so that nothing is lost by rounding.
		whole := d - d%int32(c.from)
		c.base += uint32(whole)
		c.out += uint32(int64(whole) / int64(c.from) * int64(c.to))
	}
	return out
}
