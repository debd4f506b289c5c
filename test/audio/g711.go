package audio

import "math/bits"

// Law is a G.711 companding law.
type Law int

// The two laws of ITU-T G.711.
const (
	MuLaw Law = iota // PCMU
	ALaw             // PCMA
)

func (l Law) String() string {
	if l == ALaw {
		return "PCMA"
	}
	return "PCMU"
}

// Encode compresses one sample. It is written from the segment rule of
// ITU-T G.711, on its own: a reference that shared code with what it judges
// would share its mistakes.
func (l Law) Encode(s int16) byte {
	if l == ALaw {
		return encodeA(int(s))
	}
	return encodeMu(int(s))
}

// Decode expands one code.
func (l Law) Decode(code byte) int16 {
	if l == ALaw {
		return decodeA(code)
	}
	return decodeMu(code)
}

// Reference is the clip after one encoder and one decoder for each law given,
// in order: what an ideal call over these laws delivers.
func Reference(c Clip, laws ...Law) Clip {
	out := Clip{Rate: c.Rate, Samples: append([]int16(nil), c.Samples...)}
	for _, l := range laws {
		for i, s := range out.Samples {
			out.Samples[i] = l.Decode(l.Encode(s))
		}
	}
	return out
}

// µ-law: 14-bit magnitude biased by 33, here at 16 bits (bias 132, clip 32635).
func encodeMu(s int) byte {
	sign := byte(0)
	if s < 0 {
		sign, s = 0x80, -s
	}
	s = min(s, 32635) + 132
	segment := bits.Len(uint(s)) - 8 // 132 is 8 bits long: segment 0
	return ^(sign | byte(segment<<4) | byte(s>>(segment+3)&0x0f))
}

func decodeMu(code byte) int16 {
	code = ^code
	segment := int(code >> 4 & 7)
	s := (int(code&0x0f)<<3+132)<<segment - 132
	if code&0x80 != 0 {
		s = -s
	}
	return int16(s)
}

// A-law: 13-bit magnitude; the even bits are inverted on the line, and the sign
// bit is 1 for positive values.
func encodeA(s int) byte {
	sign := byte(0x80)
	if s < 0 {
		sign, s = 0, -s-1
	}
	s >>= 4 // 11-bit magnitude in steps of the finest segment
	code := byte(s & 0x0f)
	if s >= 16 {
		segment := bits.Len(uint(s)) - 4
		code = byte(segment<<4) | byte(s>>(segment-1)&0x0f)
	}
	return (sign | code) ^ 0x55
}

func decodeA(code byte) int16 {
	code ^= 0x55
	segment := int(code >> 4 & 7)
	s := int(code&0x0f)<<4 + 8
	if segment > 0 {
		s = (s + 256) << (segment - 1)
	}
	if code&0x80 == 0 {
		s = -s
	}
	return int16(s)
}
