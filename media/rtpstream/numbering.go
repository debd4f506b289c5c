package rtpstream

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/patchbay/patchbay/media"
)

// Numbering makes one outgoing stream of frames that come from one source after the other: its numbers and timestamps go on
// without a gap whatever theirs are. It is embedded beside what else a sender touches for each packet.
type Numbering struct {
	SSRC   uint32
	epoch  uint32 // of the frames that flow
	move   uint32 // from a frame's timestamp to ours
	ts     uint32 // our latest timestamp
	span   uint32 // between two audio frames, in timestamp units
	clock  uint32 // of ts
	shift  uint16 // from a frame's sequence number to ours
	top    uint16 // our highest number
	prior  uint16 // the latest audio frame's own number
	fresh  bool   // the next frame begins anew
	placed bool   // audio's numbering is known since
	skew   int64  // from a frame's arrival to our clock
	at     int64  // when ts was new, by our clock
	last   int64  // when the latest packet went

	packets, bytes uint64
	audio          *media.Format // of the latest audio
	first          int64
}

// Init draws SSRC, first number and first timestamp.
func (n *Numbering) Init() {
	var b [10]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	n.SSRC = binary.BigEndian.Uint32(b[0:])
	n.ts = binary.BigEndian.Uint32(b[4:])
	n.top = binary.BigEndian.Uint16(b[8:]) >> 1 // below 2^15: lost first packets don't lose the rollover counter (RFC 3711 3.3.1)
	n.fresh = true
}

// Pause makes the next frame begin anew: a pause must not look like loss.
func (n *Numbering) Pause() { n.fresh = true }

// Packet writes the RTP packet of f into room, which holds it. clock is the rate of f's format in Hz, pt its payload type, and
// clockNow our clock in ns. at is when the packet goes by that clock; Sent takes it.
func (n *Numbering) Packet(room []byte, f *media.Frame, pt uint8, clock uint32, clockNow func() int64) (b []byte, at int64) {
	now := f.Arrival + n.skew
	if n.fresh || f.Epoch != n.epoch || f.Arrival == 0 {
		now = clockNow()
	}
	marker := f.Marker
	if n.fresh || f.Epoch != n.epoch || n.jumps(f) {
		marker = n.rebase(f, clock, now) || marker
	}
	return n.write(room, f, pt, clock, marker, now), now
}

// jumps reports whether the numbers of a source went on elsewhere without its saying so, as after a pause of the link.
func (n *Numbering) jumps(f *media.Frame) bool {
	if f.Kind == media.Event || !n.placed {
		return false
	}
	d := int16(f.Sequence - n.prior)
	return d > maxMisorder || d < -maxMisorder
}

// rebase continues our numbers and timestamps whatever the frame's are: the next number, and the time that passed since
// the latest timestamp. true asks for the marker (RFC 3551 4.1).
func (n *Numbering) rebase(f *media.Frame, clock uint32, now int64) (marker bool) {
	n.fresh, n.placed, n.epoch = false, false, f.Epoch
	n.skew = now - f.Arrival
	ts := n.ts
	if n.at != 0 {
		ts += max(uint32(max(now-n.at, 0)*int64(clock)/1e9), n.span)
	}
	n.move = ts - f.Timestamp
	n.span = clock / 50
	n.ts, n.at, n.clock = ts, now, clock
	return f.Kind == media.Audio // of video it ends a picture
}

func (n *Numbering) write(room []byte, f *media.Frame, pt uint8, clock uint32, marker bool, now int64) []byte {
	seq := n.top + 1
	if f.Kind == media.Event { // events have no place in the source's numbering: they move it on
		n.shift++
		n.top = seq
	} else {
		if !n.placed {
			n.placed, n.shift = true, seq-f.Sequence
		}
		if f.Sequence-n.prior == 1 && f.Timestamp+n.move-n.ts-1 < n.clock {
			n.span = f.Timestamp + n.move - n.ts
		}
		seq = f.Sequence + n.shift
		if int16(seq-n.top) > 0 {
			n.top = seq
		}
		n.prior = f.Sequence
	}
	ts := f.Timestamp + n.move
	if int32(ts-n.ts) > 0 {
		n.ts, n.at, n.clock = ts, now, clock
	}
	b := room[:HeaderSize+len(f.Payload)]
	b[0], b[1] = 0x80, pt
	if marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], ts)
	binary.BigEndian.PutUint32(b[8:], n.SSRC)
	copy(b[HeaderSize:], f.Payload)
	return b
}

// Sent counts a packet that went out at that time. format is f's, as it is told in Stream.
func (n *Numbering) Sent(f *media.Frame, format *media.Format, at int64) {
	if n.packets == 0 {
		n.first = at
	}
	n.last = at
	n.packets++
	n.bytes += uint64(len(f.Payload))
	if f.Kind != media.Event && n.audio != format {
		n.audio = format
	}
}

// Stream is what was sent, for a snapshot; what the peer reported of it is added by Control.
func (n *Numbering) Stream() media.Stream {
	return media.Stream{SSRC: n.SSRC, Format: n.audio, Packets: n.packets, Bytes: n.bytes, First: n.first, Last: n.last}
}

// Report is our stream as a report tells it, at one instant by both clocks.
func (n *Numbering) Report(now int64, wall time.Time) Report {
	return Report{
		SSRC: n.SSRC, NTP: NTP(wall), TS: n.ts + uint32((now-n.at)*int64(n.clock)/1e9),
		Packets: n.packets, Bytes: n.bytes, Last: n.last,
	}
}
