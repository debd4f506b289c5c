package video

import (
	"bytes"
	"slices"
)

// Types of AV1's units, OBUs (AV1 Bitstream & Decoding Process 6.2.2).
const (
	obuSequence  = 1
	obuDelimiter = 2
	obuHeader    = 3
	obuFrame     = 6
	obuTiles     = 8
	obuPadding   = 15

	obuExtended = 0x04
	obuSized    = 0x02
)

func obuKind(obu []byte) int { return int(obu[0] >> 3 & 15) }

// av1 adds a payload (RTP Payload Format For AV1 4.3): elements with their lengths before them, the first of which may go on with what the
// payload before began.
func (u *Unpacker) av1(p []byte) bool {
	head := p[0]
	count := int(head >> 4 & 3)
	goesOn, ends := head&0x80 != 0, head&0x40 == 0
	p = p[1:]
	if goesOn != (len(u.part) > 0) || len(p) == 0 {
		return false
	}
	for i := 1; len(p) > 0; i++ {
		n := len(p)
		if count == 0 || i < count {
			v, m := leb128(p)
			if m == 0 || v > len(p)-m {
				return false
			}
			p, n = p[m:], v
		}
		u.part = append(u.part, p[:n]...)
		p = p[n:]
		if len(p) > 0 || ends {
			if !u.obu(u.part) {
				return false
			}
			u.part = u.part[:0]
		}
	}
	return true
}

// obu adds one that is whole, with its size, as files have it.
func (u *Unpacker) obu(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	head := 1 + int(b[0]&obuExtended>>2)
	if len(b) < head {
		return false
	}
	switch obuKind(b) {
	case obuDelimiter, obuTiles, obuPadding:
		return true
	}
	at := len(u.data)
	if b[0]&obuSized != 0 {
		u.data = append(u.data, b...)
	} else {
		u.data = append(u.data, b[0]|obuSized)
		u.data = append(u.data, b[1:head]...)
		u.data = appendLEB128(u.data, len(b)-head)
		u.data = append(u.data, b[head:]...)
	}
	if obuKind(b) == obuSequence {
		u.sps = bytes.Clone(u.data[at:])
	}
	return true
}

func appendLEB128(b []byte, v int) []byte {
	for ; v > 0x7f; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// eachOBU calls do for each OBU of what a file has of a picture, all of which have their sizes: whole is with head and size, data without.
func eachOBU(picture []byte, do func(whole, data []byte)) {
	for len(picture) > 1 {
		head := 1 + int(picture[0]&obuExtended>>2)
		if picture[0]&obuSized == 0 || len(picture) <= head {
			return
		}
		n, m := leb128(picture[head:])
		if m == 0 || n > len(picture)-head-m {
			return
		}
		do(picture[:head+m+n], picture[head+m:head+m+n])
		picture = picture[head+m+n:]
	}
}

// av1Look tells whether a picture needs none before it, and its size if there is a sequence header in it.
func av1Look(picture []byte) (width, height int, key bool) {
	shown := false
	eachOBU(picture, func(whole, data []byte) {
		switch kind := obuKind(whole); {
		case kind == obuSequence:
			s, _ := readAV1(data)
			width, height = s.width, s.height
		case (kind == obuFrame || kind == obuHeader) && !shown && len(data) > 0:
			shown = true
			key = data[0]&0xe0 == 0 // it isn't one that was there before, and of type KEY_FRAME
		}
	})
	return width, height, key
}

// av1Setup is what a decoder must have (AV1 Codec ISO Media File Format Binding 2.3), nil while it isn't known.
func (u *Unpacker) av1Setup() (setup []byte) {
	eachOBU(u.sps, func(whole, data []byte) {
		if s, ok := readAV1(data); ok {
			setup = append([]byte{0x81, byte(s.profile<<5 | s.level), byte(s.tier<<7 | s.colours), 0}, whole...)
		}
	})
	return setup
}

// av1Sequence is what a sequence header says.
type av1Sequence struct {
	profile, level, tier int
	width, height        int
	colours              int // high_bitdepth to chroma_sample_position, as a file's setup has them
}

// readAV1 reads a sequence header (AV1 5.5).
func readAV1(data []byte) (s av1Sequence, ok bool) {
	r := bits{b: data}
	s.profile = r.read(3)
	r.read(1)
	still := r.read(1) == 1
	if still {
		s.level = r.read(5)
	} else {
		s.points(&r)
	}
	w, h := r.read(4)+1, r.read(4)+1
	s.width, s.height = r.read(w)+1, r.read(h)+1
	if !still && r.read(1) == 1 {
		r.read(7)
	}
	r.read(3)
	if !still {
		av1Tools(&r)
	}
	r.read(3)
	s.colour(&r)
	return s, !r.over
}

// points reads what is known of times and operating points.
func (s *av1Sequence) points(r *bits) {
	delay, model := 0, false
	if r.read(1) == 1 {
		r.read(32)
		r.read(32)
		if r.read(1) == 1 {
			r.golomb()
		}
		if model = r.read(1) == 1; model {
			delay = r.read(5) + 1
			r.read(32)
			r.read(10)
		}
	}
	initial := r.read(1) == 1
	for i := range r.read(5) + 1 {
		r.read(12)
		level, tier := r.read(5), 0
		if level > 7 {
			tier = r.read(1)
		}
		if i == 0 {
			s.level, s.tier = level, tier
		}
		if model && r.read(1) == 1 {
			r.read(delay)
			r.read(delay)
			r.read(1)
		}
		if initial && r.read(1) == 1 {
			r.read(4)
		}
	}
}

// av1Tools reads which tools pictures may use.
func av1Tools(r *bits) {
	r.read(4)
	order := r.read(1) == 1
	if order {
		r.read(2)
	}
	screen := 2
	if r.read(1) == 0 {
		screen = r.read(1)
	}
	if screen > 0 && r.read(1) == 0 {
		r.read(1)
	}
	if order {
		r.read(3)
	}
}

// colour reads how colours are coded (AV1 5.5.2).
func (s *av1Sequence) colour(r *bits) {
	high, twelve, mono := r.read(1), 0, 0
	if s.profile == 2 && high == 1 {
		twelve = r.read(1)
	}
	if s.profile != 1 {
		mono = r.read(1)
	}
	const bt709, srgb, identity = 1, 13, 0
	rgb := false
	if r.read(1) == 1 {
		p, t, m := r.read(8), r.read(8), r.read(8)
		rgb = p == bt709 && t == srgb && m == identity
	}
	x, y, place := 1, 1, 0
	switch {
	case mono == 1:
		r.read(1)
	case rgb:
		x, y = 0, 0
	default:
		r.read(1)
		switch {
		case s.profile == 1:
			x, y = 0, 0
		case s.profile == 2 && twelve == 1:
			if x = r.read(1); x == 1 {
				y = r.read(1)
			} else {
				y = 0
			}
		case s.profile == 2:
			y = 0
		}
		if x == 1 && y == 1 {
			place = r.read(2)
		}
	}
	s.colours = high<<6 | twelve<<5 | mono<<4 | x<<3 | y<<2 | place
}

// av1 sends each OBU in payloads of its own (RTP Payload Format For AV1 4.4), before a key picture the sequence header.
func (p *Packer) av1(picture []byte, send func([]byte, bool)) {
	p.units = p.units[:0]
	sequence := false
	eachOBU(picture, func(whole, _ []byte) {
		switch obuKind(whole) {
		case obuDelimiter, obuTiles, obuPadding:
			return
		case obuSequence:
			sequence = true
		}
		p.units = append(p.units, whole)
	})
	if _, _, key := av1Look(picture); key && !sequence {
		p.units = slices.Insert(p.units, 0, p.sets...)
		sequence = true
	}
	start := byte(0)
	if sequence {
		start = 0x08
	}
	for i, whole := range p.units {
		head := 1 + int(whole[0]&obuExtended>>2)
		_, m := leb128(whole[head:])
		b := append(append(p.obu[:0], whole[0]&^obuSized), whole[1:head]...)
		b = append(b, whole[head+m:]...)
		p.obu = b
		for goesOn := byte(0); len(b) > 0; goesOn = 0x80 {
			n := min(len(b), maxPayload-1)
			more := byte(0)
			if n < len(b) {
				more = 0x40
			}
			send(append(append(p.buf[:0], goesOn|more|0x10|start), b[:n]...), i == len(p.units)-1 && more == 0)
			b, start = b[n:], 0
		}
	}
}
