// Package pcm is the way between 16-bit linear samples at 8 kHz and the frames of telephony: for elements that make or
// measure sound and need no converter for PCMU and PCMA.
package pcm

import (
	"encoding/binary"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
)

const (
	// Rate is the number of samples in a second.
	Rate = 8000
	// PerFrame is the number of samples in a frame that Out sends, 20 ms.
	PerFrame = 160
	// Most is the number of samples in the longest frame that In reads, 200 ms.
	Most = 1600
)

// Out is a source that speaks both laws of G.711 and uses the one that its sinks take. One goroutine at a time sends.
type Out struct {
	src    *media.Source
	mu, a  *media.Format
	frame  media.Frame
	silent bool
}

// NewOut makes an output. Sinks that take neither law are served by conversions of reg, which may be nil.
func NewOut(reg *media.Registry) *Out {
	o := &Out{src: media.NewSource(reg, nil), mu: media.PCMU(), a: media.PCMA(), silent: true}
	o.src.SetFormats(o.mu, o.a)
	return o
}

// Source is the pad.
func (o *Out) Source() *media.Source { return o.src }

// Law is the law of the next frame.
func (o *Out) Law() *g711.Law {
	if o.src.Wanted() == o.a {
		return g711.A()
	}
	return g711.Mu()
}

// Send sends one frame of codes in the law that Law gave. A talkspurt that begins says so with talk (RFC 3551 4.1).
func (o *Out) Send(law *g711.Law, codes []byte, talk bool) {
	o.frame.Format = o.mu
	if law == g711.A() {
		o.frame.Format = o.a
	}
	o.frame.Payload = codes
	o.frame.Marker = talk && o.silent
	o.silent = !talk
	o.src.Send(&o.frame)
	o.frame.Payload = nil
	o.frame.Sequence++
	o.frame.Timestamp += uint32(len(codes))
}

// In reads frames of PCMU, PCMA and L16/8000. It is immutable.
type In struct{ caps *media.Caps }

// NewIn makes an input.
func NewIn() *In {
	return &In{&media.Caps{Formats: []*media.Format{media.PCMU(), media.PCMA(), media.L16(Rate)}}}
}

// Caps is what In reads.
func (in *In) Caps() *media.Caps { return in.caps }

// Read appends the samples of f to dst and tells the amplitude of 0 dBm0 in them. Of a frame in another format, of one
// that is longer than Most, and of events it reads nothing.
func (in *In) Read(dst []int16, f *media.Frame) (samples []int16, peak float64) {
	switch {
	case f.Kind != media.Audio || len(f.Payload) > 2*Most:
	case f.Format == in.caps.Formats[2]:
		for p := f.Payload; len(p) >= 2; p = p[2:] {
			dst = append(dst, int16(binary.BigEndian.Uint16(p)))
		}
		return dst, g711.A().Peak()
	case len(f.Payload) > Most:
	case f.Format == in.caps.Formats[0]:
		return g711.Mu().Decode(dst, f.Payload), g711.Mu().Peak()
	case f.Format == in.caps.Formats[1]:
		return g711.A().Decode(dst, f.Payload), g711.A().Peak()
	}
	return dst, 0
}
