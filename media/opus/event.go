package opus

import (
	"encoding/binary"

	"github.com/patchbay/patchbay/media"
)

// events moves RFC 4733 events to another clock: their duration counts in it (2.3.5), and their timestamps.
type events struct {
	from, to int
	line     timeline
	begun    bool
	epoch    uint32
	last     uint32
}

// Convert doesn't touch what isn't a telephone-event.
func (e *events) Convert(dst, src *media.Frame) bool {
	n := len(src.Payload)
	if n < 4 || n > cap(dst.Payload) {
		return false
	}
	if !e.begun || e.epoch != src.Epoch {
		e.begun, e.epoch, e.last = true, src.Epoch, src.Timestamp
		e.line.begin(src.Timestamp, e.from, e.to)
	}
	e.line.at += int64(int32(src.Timestamp - e.last))
	e.last = src.Timestamp
	dst.Timestamp = e.line.stamp()
	dst.Payload = append(dst.Payload, src.Payload...)
	length := uint64(binary.BigEndian.Uint16(src.Payload[2:])) * uint64(e.to) / uint64(e.from)
	binary.BigEndian.PutUint16(dst.Payload[2:], uint16(min(length, 0xffff)))
	return true
}

// timeline moves timestamps from one clock to another across the wrap of the first.
type timeline struct {
	from, to int
	base     uint32
	at       int64 // of the first clock, since the beginning
}

// begin starts at a timestamp. Timelines of the same clocks that begin at different times differ by rounding, not more.
func (l *timeline) begin(ts uint32, from, to int) {
	*l = timeline{from: from, to: to, base: uint32(uint64(ts) * uint64(to) / uint64(from))}
}

func (l *timeline) stamp() uint32 { return l.base + uint32(l.at*int64(l.to)/int64(l.from)) }
