// Package dtmf sends and hears digits as telephone-events (RFC 4733).
package dtmf

import "encoding/binary"

// digits in the order of their event codes (RFC 4733 3.2).
const digits = "0123456789*#ABCD"

// volume of the events sent, -dBm0: ITU-T Q.24 takes 0 to -25 dBm0 for a digit.
const volume = 10

// event is the payload of RFC 4733 2.3.
type event struct {
	code     byte
	end      bool
	volume   byte
	duration uint16 // in units of the clock
}

// parse reads a payload. Of several events in one (RFC 4733 2.5.1.5) it reads the first.
func parse(b []byte) (e event, ok bool) {
	if len(b) < 4 {
		return event{}, false
	}
	return event{b[0], b[1]&0x80 != 0, b[1] & 0x3f, binary.BigEndian.Uint16(b[2:])}, true
}

func (e event) put(b *[4]byte) {
	b[0], b[1] = e.code, e.volume
	if e.end {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], e.duration)
}
