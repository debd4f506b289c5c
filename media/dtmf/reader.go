package dtmf

import (
	"encoding/binary"
	"time"

	"github.com/patchbay/patchbay/media"
)

const (
	// LostAfter is how long after its latest packet, in ns, a digit has ended whose ends were all lost.
	LostAfter = int64(400 * time.Millisecond) // a sender repeats an event each 20 to 50 ms (RFC 4733 2.5.1.2)
	longest   = 0xffff                        // duration at which a long event goes on in another segment (2.5.1.3)
)

// Reader makes one media.Digit of each telephone-event, however many packets it has (RFC 4733). The zero value is ready.
type Reader struct {
	known  bool // there was one; its timestamp is ts
	active bool // it hasn't ended
	code   byte
	ts     uint32
	length uint32 // of this segment, in clock units
	before uint64 // of segments before
	clock  int
	at     int64
}

// Packet takes a telephone-event's payload. Up to one digit ends with it; one that another replaces before its end
// has ended too.
func (v *Reader) Packet(p []byte, ts uint32, clock int, now int64) (d media.Digit, ended bool) {
	if len(p) < 4 || int(p[0]) >= len(digits) {
		return d, false
	}
	code, end, length := p[0], p[1]&0x80 != 0, uint32(binary.BigEndian.Uint16(p[2:]))
	switch {
	case v.known && ts == v.ts && !v.active: // its end, said again
		return d, false
	case v.known && v.active && ts == v.ts:
	case v.known && v.active && code == v.code && ts == v.ts+longest:
		v.before += longest
		v.ts, v.length = ts, 0
	case v.known && int32(ts-v.ts) < 0 && int32(v.ts-ts) < int32(2*clock): // an older one's packet, late
		return d, false
	default:
		d, ended = v.End()
		*v = Reader{known: true, active: true, code: code, ts: ts, clock: clock}
	}
	v.at, v.length = now, max(v.length, length)
	if end && !ended {
		return v.End()
	}
	if end { // its own end follows with the next of its end packets, or by expire
		return d, true
	}
	return d, ended
}

// Expire ends a digit whose end was lost.
func (v *Reader) Expire(now int64) (media.Digit, bool) {
	if v.active && now-v.at > LostAfter {
		return v.End()
	}
	return media.Digit{}, false
}

// End ends the digit that is heard now, if there is one.
func (v *Reader) End() (media.Digit, bool) {
	if !v.active {
		return media.Digit{}, false
	}
	v.active = false
	ms := int((v.before + uint64(v.length)) * 1000 / uint64(v.clock))
	return media.Digit{Digit: digits[v.code], Duration: ms}, true
}
