package video

import "encoding/binary"

// Types of H.265's units (7.4.2.2), and those of RFC 7798's payloads.
const (
	h265Random    = 16 // to 21: a picture that needs none before it
	h265VPS       = 32
	h265SPS       = 33
	h265PPS       = 34
	h265Delimiter = 35
	h265Filler    = 38
	h265Packed    = 48
	h265Fragment  = 49
)

func h265Kind(unit []byte) int { return int(unit[0] >> 1 & 0x3f) }

// hevc adds a payload of RFC 7798 4.4.1 to 4.4.3.
func (u *Unpacker) hevc(p []byte) bool {
	if len(p) < 3 {
		return false
	}
	switch kind := h265Kind(p); {
	case kind < h265Packed:
		u.unit(p)
	case kind == h265Packed:
		for p = p[2:]; len(p) > 2; {
			n := int(p[0])<<8 | int(p[1])
			if n < 2 || len(p) < 2+n {
				return false
			}
			u.unit(p[2 : 2+n])
			p = p[2+n:]
		}
	case kind == h265Fragment && len(p) > 3:
		if p[2]&0x80 != 0 {
			u.open = len(u.data)
			u.data = append(u.data, 0, 0, 0, 0, p[0]&0x81|p[2]&0x3f<<1, p[1])
		}
		if u.open < 0 {
			return false
		}
		u.data = append(u.data, p[3:]...)
		if p[2]&0x40 != 0 {
			u.shut()
		}
	default:
		return false
	}
	return true
}

// hevcSetup is what a decoder must have (HEVCDecoderConfigurationRecord, ISO/IEC 14496-15 8.3.3.1), nil while sets are missing.
func (u *Unpacker) hevcSetup() []byte {
	s, ok := readHEVC(u.sps)
	if !ok || u.vps == nil || u.pps == nil {
		return nil
	}
	b := append([]byte{1}, s.profile[:]...)
	b = append(b, 0xf0, 0, 0xfc, 0xfc|byte(s.chroma), 0xf8|byte(s.luma), 0xf8|byte(s.colour), 0, 0, byte(s.layers)<<3|byte(s.nested)<<2|3, 3)
	for _, set := range [...][]byte{u.vps, u.sps, u.pps} {
		b = append(b, 0x80|byte(h265Kind(set)), 0, 1)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(set))), set...)
	}
	return b
}

// hevcSequence is what a sequence parameter set says.
type hevcSequence struct {
	profile        [12]byte // general_profile_space to general_level_idc
	layers, nested int      // temporal layers, and whether they are nested
	chroma         int
	luma, colour   int // bits of each beyond 8
	width, height  int
}

// readHEVC reads a sequence parameter set (H.265 7.3.2.2.1).
func readHEVC(unit []byte) (s hevcSequence, ok bool) {
	var room [setMost]byte
	raw := unescaped(room[:], unit)
	if len(raw) < 15 {
		return s, false
	}
	copy(s.profile[:], raw[3:])
	sub := int(raw[2] >> 1 & 7)
	s.layers, s.nested = sub+1, int(raw[2]&1)
	r := bits{b: raw[15:]}
	var present [8]int
	for i := range sub {
		present[i] = r.read(2)
	}
	if sub > 0 {
		r.read(2 * (8 - sub))
	}
	for _, has := range present {
		r.skip(has>>1*88 + has&1*8)
	}
	r.golomb()
	if s.chroma = r.golomb(); s.chroma == 3 {
		r.read(1)
	}
	s.width, s.height = r.golomb(), r.golomb()
	if r.read(1) == 1 { // cropped
		x, y := 1, 1
		if s.chroma == 1 || s.chroma == 2 {
			x = 2
		}
		if s.chroma == 1 {
			y = 2
		}
		s.width -= x * (r.golomb() + r.golomb())
		s.height -= y * (r.golomb() + r.golomb())
	}
	s.luma, s.colour = r.golomb(), r.golomb()
	ok = !r.over && s.chroma <= 3 && max(s.luma, s.colour) <= 8 && s.width > 0 && s.height > 0 && max(s.width, s.height) <= 1<<14
	return s, ok
}

// configureHEVC reads the parameter sets of a HEVCDecoderConfigurationRecord.
func (p *Packer) configureHEVC(b []byte) bool {
	if len(b) < 23 || b[0] != 1 {
		return false
	}
	p.size = int(b[21]&3) + 1
	arrays := int(b[22])
	for b = b[23:]; arrays > 0; arrays-- {
		if len(b) < 3 {
			return false
		}
		var ok bool
		kind, have := int(b[0]&0x3f), len(p.sets)
		count := int(b[1])<<8 | int(b[2])
		if b, ok = p.addSets(b[3:], count); !ok {
			return false
		}
		if kind < h265VPS || kind > h265PPS { // messages of an encoder's
			p.sets = p.sets[:have]
		}
	}
	return true
}

// h265 sends each unit alone, or in fragments (RFC 7798 4.4.3), before a picture that needs none before it the parameter sets.
func (p *Packer) h265(picture []byte, send func([]byte, bool)) {
	p.units = p.units[:0]
	random, sets := false, false
	each(picture, p.size, func(unit []byte) {
		if len(unit) < 3 {
			return
		}
		switch kind := h265Kind(unit); {
		case kind == h265Delimiter || kind == h265Filler:
			return
		case kind >= h265Random && kind <= h265Random+5:
			random = true
		case kind == h265SPS:
			sets = true
		}
		p.units = append(p.units, unit)
	})
	if random && !sets {
		for _, s := range p.sets {
			send(s, false)
		}
	}
	for i, u := range p.units {
		last := i == len(p.units)-1
		if len(u) <= maxPayload {
			send(u, last)
			continue
		}
		kind := byte(h265Kind(u))
		for begin, rest := byte(0x80), u[2:]; len(rest) > 0; begin = 0 {
			n := min(len(rest), maxPayload-3)
			end := byte(0)
			if n == len(rest) {
				end = 0x40
			}
			send(append(append(p.buf[:0], u[0]&0x81|h265Fragment<<1, u[1], begin|end|kind), rest[:n]...), last && end != 0)
			rest = rest[n:]
		}
	}
}
