// Package wav plays clips of 8 kHz sound, and records what it hears to WAV files.
package wav

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/pcm"
)

// Clip is a sound at 8 kHz, ready in both laws of G.711. It is immutable; many players share one.
type Clip struct{ mu, a []byte }

// MaxFile is the size of the largest file that Read takes, more than an hour of 16-bit samples.
const MaxFile = 64 << 20

// Formats of WAVE that Read knows (RFC 2361).
const (
	tagPCM        = 1
	tagALaw       = 6
	tagMuLaw      = 7
	tagExtensible = 0xfffe
)

// FromSamples makes a clip of 16-bit linear samples.
func FromSamples(s []int16) *Clip {
	return &Clip{g711.Mu().Encode(nil, s), g711.A().Encode(nil, s)}
}

// FromMu makes a clip of u-law codes, which it keeps. They are played to sinks of that law as they are.
func FromMu(codes []byte) *Clip { return &Clip{codes, g711.Mu().Cross(nil, codes)} }

// FromA makes a clip of A-law codes, which it keeps. They are played to sinks of that law as they are.
func FromA(codes []byte) *Clip { return &Clip{g711.A().Cross(nil, codes), codes} }

// Duration is how long the clip plays once.
func (c *Clip) Duration() time.Duration {
	return time.Duration(len(c.mu)) * time.Second / pcm.Rate
}

// Read reads a WAV file: 8 kHz, mono, 16-bit linear or either law of G.711. A file whose header is older than its data, as
// after a crash, is read to its end.
func Read(r io.Reader) (*Clip, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("wav: %w", err)
	case len(b) > MaxFile:
		return nil, fmt.Errorf("wav: file is larger than %d bytes", MaxFile)
	case len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE":
		return nil, errors.New("wav: no RIFF WAVE header")
	}
	var tag uint16
	for b = b[12:]; len(b) >= 8; {
		id, n := string(b[:4]), int64(binary.LittleEndian.Uint32(b[4:]))
		b = b[8:]
		body := b[:min(n, int64(len(b)))]
		switch id {
		case "fmt ":
			if tag, err = layout(body); err != nil {
				return nil, err
			}
		case "data":
			if n == 0 { // never fixed by whoever wrote it
				body = b
			}
			return clip(tag, body)
		}
		b = b[min(n+n%2, int64(len(b))):]
	}
	return nil, errors.New("wav: no data chunk")
}

// layout reads a fmt chunk.
func layout(b []byte) (tag uint16, err error) {
	if len(b) < 16 {
		return 0, fmt.Errorf("wav: fmt chunk of %d bytes, expected 16 or more", len(b))
	}
	le := binary.LittleEndian
	tag = le.Uint16(b)
	if tag == tagExtensible && len(b) >= 26 {
		tag = le.Uint16(b[24:])
	}
	channels, rate, bits := le.Uint16(b[2:]), le.Uint32(b[4:]), le.Uint16(b[14:])
	want := map[uint16]uint16{tagPCM: 16, tagALaw: 8, tagMuLaw: 8}[tag]
	if want == 0 {
		return 0, fmt.Errorf("wav: format tag %d, expected %d (linear), %d (A-law) or %d (u-law)", tag, tagPCM, tagALaw, tagMuLaw)
	}
	if channels != 1 || rate != pcm.Rate || bits != want {
		return 0, fmt.Errorf("wav: %d channels of %d bits at %d Hz, expected 1 of %d at %d", channels, bits, rate, want, pcm.Rate)
	}
	return tag, nil
}

func clip(tag uint16, body []byte) (*Clip, error) {
	var c *Clip
	switch tag {
	case tagPCM:
		s := make([]int16, len(body)/2)
		for i := range s {
			s[i] = int16(binary.LittleEndian.Uint16(body[2*i:]))
		}
		c = FromSamples(s)
	case tagMuLaw:
		c = FromMu(body)
	case tagALaw:
		c = FromA(body)
	default:
		return nil, errors.New("wav: data before the fmt chunk")
	}
	if len(c.mu) == 0 {
		return nil, errors.New("wav: no samples")
	}
	return c, nil
}
