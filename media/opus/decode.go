package opus

import (
	"encoding/binary"
	"math"

	"github.com/thesyncim/gopus"

	"github.com/patchbay/patchbay/media"
)

const (
	// concealed is the most that is made up for lost packets, in samples of the 48 kHz clock: 100 ms. Concealment has
	// faded out by then; the listener's jitter buffer covers the rest.
	concealed = Clock / 10
	// quantum is what lengths of concealment are multiples of, in samples of the 48 kHz clock: 2.5 ms.
	quantum = Clock / 400
)

// decoder makes frames of 20 ms of L16, mono, of Opus packets of any length. What is lost is concealed, by the redundancy that
// the next packet carries where it does (RFC 6716 2.1.7). Where the sender paused (DTX) so does the decoder: the timestamp
// jumps, the sequence number doesn't, the marker is set (RFC 3551 4.1).
type decoder struct {
	rate
	pool *pool
	dec  *gopus.Decoder
	per  int // samples of a frame
	step int // 48 kHz samples for each of ours

	in   cursor
	due  uint32 // timestamp of the next packet
	span int    // length of the last packet, in samples of the 48 kHz clock

	line  timeline // of what comes out
	seq   uint16   // of the next frame
	mark  bool     // the next frame begins a talkspurt
	pcm   []int16  // decoded, not yet sent
	fec   []float32
	pause breach
}

// breach is a pause in what waits to be sent: after so many samples time jumps.
type breach struct {
	open   bool
	after  int   // samples of pcm
	jump   int64 // samples of the 48 kHz clock
	frames uint16
	mark   bool
}

func newDecoder(r rate, p *pool) *decoder {
	cfg := gopus.DefaultDecoderConfig(r.hz, 1)
	dec, err := gopus.NewDecoder(cfg)
	must(err)
	d := &decoder{rate: r, pool: p, dec: dec, per: r.hz / 50, step: Clock / r.hz}
	d.pcm = make([]int16, 0, d.per+(concealed+longest)/d.step)
	d.fec = make([]float32, longest/d.step)
	return d
}

// Release gives the decoder back.
func (d *decoder) Release() { d.pool.free.Put(d) }

// Convert decodes a packet.
func (d *decoder) Convert(dst, src *media.Frame) bool {
	n := duration(src.Payload)
	if n == 0 {
		return false // a lost one, when the next comes
	}
	gap, where := d.in.take(src)
	switch where {
	case behind:
		return false // it was concealed
	case anew:
		d.begin(src)
	}
	if len(d.pcm) >= d.per {
		d.pcm = d.pcm[:0] // nobody had room for it
	}
	d.bridge(src, gap, n)
	if src.Marker && len(d.pcm) == 0 {
		d.mark = true
	}
	out := d.grow(n)
	if m, err := d.dec.DecodeInt16(src.Payload, out); err != nil || m != len(out) {
		d.conceal(out)
	}
	d.due, d.span = src.Timestamp+uint32(n), n
	return d.More(dst)
}

// begin starts another stream.
func (d *decoder) begin(src *media.Frame) {
	d.dec.Reset()
	d.due, d.span = src.Timestamp, 0
	d.seq, d.mark = src.Sequence, src.Marker
	d.line.begin(src.Timestamp, Clock, d.hz)
	d.pcm, d.pause = d.pcm[:0], breach{}
}

// bridge fills what is missing before a packet of n samples, gap packets after the last: with concealment where packets were
// lost, with a jump of time where the sender paused, or where too much was lost.
func (d *decoder) bridge(src *media.Frame, gap, n int) {
	missing := int64(int32(src.Timestamp - d.due))
	if missing <= 0 {
		return // nothing, or a sender that counts otherwise: its frames follow each other
	}
	if gap > 0 && missing <= concealed {
		d.restore(src.Payload, int(missing)/quantum*quantum, n)
		return
	}
	// A frame that was begun must be filled before time jumps.
	fill := 0
	if part := len(d.pcm) % d.per; part > 0 {
		fill = int(min(int64((d.per-part)*d.step), missing)) / quantum * quantum
		d.conceal(d.grow(fill))
	}
	if missing -= int64(fill); missing < quantum {
		return
	}
	d.pause = breach{open: true, after: len(d.pcm), jump: missing, mark: true}
	if gap > 0 { // loss must look like loss
		d.pause.frames = uint16(min((missing+Clock/50-1)/(Clock/50), farthest))
		d.pause.mark = false
	}
}

// restore makes up lost samples of the 48 kHz clock: the last n of them from the redundancy in the packet after them, if it has any.
func (d *decoder) restore(next []byte, lost, n int) {
	if n > frameLength(next[0]>>3) {
		n = frameLength(next[0] >> 3) // a packet's first frame has the redundancy of the one before it
	}
	if n > lost {
		d.conceal(d.grow(lost))
		return
	}
	for before := lost - n; before > 0; { // each time what the decoder would have been asked for
		part := min(before, max(d.span, quantum))
		d.conceal(d.grow(part))
		before -= part
	}
	out := d.grow(n)
	fec := d.fec[:len(out)]
	m, err := d.dec.DecodeWithFEC(next, fec, true)
	if err != nil || m != len(out) {
		d.conceal(out)
		return
	}
	for i, v := range fec {
		out[i] = sample(v)
	}
}

// conceal lets the decoder make up what wasn't received.
func (d *decoder) conceal(out []int16) {
	if len(out) == 0 {
		return
	}
	if m, err := d.dec.DecodeInt16(nil, out); err != nil || m != len(out) {
		clear(out)
	}
}

// grow makes room for n samples of the 48 kHz clock.
func (d *decoder) grow(n int) []int16 {
	had := len(d.pcm)
	d.pcm = d.pcm[:had+n/d.step]
	return d.pcm[had:]
}

// More makes a frame of 20 ms of what was decoded.
func (d *decoder) More(dst *media.Frame) bool {
	if b := &d.pause; b.open && b.after == 0 {
		d.line.at += b.jump
		d.seq += b.frames
		d.mark = d.mark || b.mark
		*b = breach{}
	}
	if len(d.pcm) < d.per || cap(dst.Payload) < 2*d.per {
		return false
	}
	out := dst.Payload[:2*d.per]
	for i, s := range d.pcm[:d.per] {
		binary.BigEndian.PutUint16(out[2*i:], uint16(s))
	}
	d.pcm = d.pcm[:copy(d.pcm, d.pcm[d.per:])]
	if d.pause.open {
		d.pause.after -= d.per
	}
	dst.Payload, dst.Timestamp, dst.Sequence, dst.Marker = out, d.line.stamp(), d.seq, d.mark
	d.line.at += int64(d.per * d.step)
	d.seq++
	d.mark = false
	return true
}

// sample is a float sample as 16 bits.
func sample(v float32) int16 {
	return int16(math.RoundToEven(float64(min(max(v*32768, math.MinInt16), math.MaxInt16))))
}
