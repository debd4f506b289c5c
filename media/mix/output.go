package mix

import (
	"encoding/binary"
	"slices"

	"github.com/patchbay/patchbay/media"
)

// output is a source of what was mixed.
type output struct {
	src     *media.Source
	formats [len(rates)]*media.Format
	format  *media.Format // of what is sent now
	frame   media.Frame
}

func newOutput(reg *media.Registry) *output {
	o := &output{src: media.NewSource(reg, nil)}
	for i, hz := range rates {
		o.formats[i] = media.L16(hz)
	}
	o.tell(rates[0])
	return o
}

// tell tells sinks at what rate, in Hz, frames come from now on.
func (o *output) tell(rate int) { o.src.SetFormats(o.formats[slices.Index(rates[:], rate)]) }

func (o *output) setRate(rate int) {
	o.format = o.formats[slices.Index(rates[:], rate)]
	o.frame = media.Frame{Epoch: o.frame.Epoch + 1, Format: o.format, Payload: make([]byte, 2*rate/perTick)}
}

// send sends a sum, cut at full scale.
func (o *output) send(sum []int32, seq uint16, stamp uint32) {
	for i, s := range sum {
		binary.BigEndian.PutUint16(o.frame.Payload[2*i:], uint16(cut(s)))
	}
	o.push(seq, stamp)
}

func (o *output) sendSamples(x []int16, seq uint16, stamp uint32) {
	for i, s := range x {
		binary.BigEndian.PutUint16(o.frame.Payload[2*i:], uint16(s))
	}
	o.push(seq, stamp)
}

func (o *output) push(seq uint16, stamp uint32) {
	o.frame.Sequence, o.frame.Timestamp = seq, stamp
	o.src.Send(&o.frame)
}

func cut(s int32) int16 { return int16(min(max(s, -1<<15), 1<<15-1)) }
