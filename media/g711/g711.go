// Package g711 converts between the two laws of ITU-T G.711 and linear PCM, by tables.
//
// Frames of one law are never decoded and encoded again: u-law's negative zero (0x7F) would not survive it. The core
// relays them as bytes, and there is no such conversion here.
package g711

import (
	"math"
	"sync"

	zaf "github.com/zaf/g711"
)

// Law is one of G.711's companding laws. It is immutable; its methods don't allocate if dst has room.
type Law struct {
	decode [256]int16
	encode [1 << 14]byte // by the upper 14 bits of a sample: neither law looks at the lower two
	other  [256]byte     // the other law's code, by ITU-T G.711 tables 3 and 4
	peak   float64
}

var (
	mu = sync.OnceValue(func() *Law { return fill(8159<<2, 3.17, zaf.DecodeUlawFrame, zaf.EncodeUlawFrame, zaf.Ulaw2AlawFrame) })
	a  = sync.OnceValue(func() *Law { return fill(4096<<3, 3.14, zaf.DecodeAlawFrame, zaf.EncodeAlawFrame, zaf.Alaw2UlawFrame) })
)

// Mu is u-law, RTP's PCMU.
func Mu() *Law { return mu() }

// A is A-law, RTP's PCMA.
func A() *Law { return a() }

// fill makes a law from its functions and its load: the amplitude of the loudest sine in 16-bit samples, and that in dBm0.
func fill(load, dbm0 float64, decode func(byte) int16, encode func(int16) byte, other func(byte) byte) *Law {
	l := &Law{peak: load * math.Pow(10, -dbm0/20)}
	for i := range l.decode {
		l.decode[i] = decode(byte(i))
		l.other[i] = other(byte(i))
	}
	for i := range l.encode {
		l.encode[i] = encode(int16(i << 2))
	}
	return l
}

// Sample is the 16-bit linear sample of a code. Full scale is 32124 in u-law, 32256 in A-law.
func (l *Law) Sample(code byte) int16 { return l.decode[code] }

// Code is the nearest code of a 16-bit linear sample.
func (l *Law) Code(sample int16) byte { return l.encode[uint16(sample)>>2] }

// Peak is the amplitude, in 16-bit samples, of a sine of 0 dBm0: 22,657 in u-law and 22,827 in A-law (ITU-T G.711 clause 4:
// a sine that just fills the law has 3.17 and 3.14 dBm0).
func (l *Law) Peak() float64 { return l.peak }

// Decode appends the samples of codes to dst.
func (l *Law) Decode(dst []int16, codes []byte) []int16 {
	for _, c := range codes {
		dst = append(dst, l.decode[c])
	}
	return dst
}

// Encode appends the codes of samples to dst.
func (l *Law) Encode(dst []byte, samples []int16) []byte {
	for _, s := range samples {
		dst = append(dst, l.encode[uint16(s)>>2])
	}
	return dst
}

// Cross appends the other law's codes to dst.
func (l *Law) Cross(dst, codes []byte) []byte {
	for _, c := range codes {
		dst = append(dst, l.other[c])
	}
	return dst
}
