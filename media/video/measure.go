package video

import "encoding/binary"

// Measure is what tells the size of a codec's pictures, in pixels, by the payload that begins a key picture (Key); 0 where that
// doesn't say it, or is damaged. It is nil for a codec that isn't known. It may be called on the packet path, with whatever a peer sends.
// Of VP9's spatial layers it tells the largest.
func Measure(codec string) func(payload []byte) (width, height int) {
	switch codec {
	case "VP8":
		return vp8Measure
	case "VP9":
		return vp9Measure
	case "H264":
		return h264Measure
	case "H265":
		return h265Measure
	case "AV1":
		return av1Measure
	}
	return nil
}

// vp8Measure reads the frame header behind the payload descriptor (RFC 6386 9.1).
func vp8Measure(p []byte) (width, height int) {
	if len(p) == 0 {
		return 0, 0
	}
	n := vp8Descriptor(p)
	if n == 0 || n > len(p) {
		return 0, 0
	}
	width, height, _ = Size("VP8", p[n:])
	return width, height
}

// vp9Measure reads the scalability structure, else the frame's own header (RFC 9628 4.2.1).
func vp9Measure(p []byte) (width, height int) {
	if len(p) == 0 {
		return 0, 0
	}
	n, _ := vp9Descriptor(p)
	if n == 0 {
		return 0, 0
	}
	at := vp9Structure(p)
	if p[0]&0x02 == 0 || p[at]&0x10 == 0 {
		width, height, _ = vp9Size(p[n:])
		return width, height
	}
	be := binary.BigEndian
	for layers := p[at]>>5 + 1; layers > 0; layers-- {
		width, height = max(width, int(be.Uint16(p[at+1:]))), max(height, int(be.Uint16(p[at+3:])))
		at += 4
	}
	return width, height
}

// h264Measure looks for a sequence parameter set (RFC 6184 5.6, 5.7.1).
func h264Measure(p []byte) (width, height int) {
	look := func(unit []byte) bool {
		if unit[0]&0x1f == 7 {
			width, height = spsSize(unit)
		}
		return width > 0
	}
	switch {
	case len(p) == 0:
	case p[0]&0x1f == 24:
		packed(p[1:], look)
	default:
		look(p)
	}
	return width, height
}

// h265Measure looks for a sequence parameter set (RFC 7798 4.4.1, 4.4.2).
func h265Measure(p []byte) (width, height int) {
	look := func(unit []byte) bool {
		if len(unit) > 2 && h265Kind(unit) == h265SPS {
			if s, ok := readHEVC(unit); ok {
				width, height = s.width, s.height
			}
		}
		return width > 0
	}
	switch {
	case len(p) < 2:
	case h265Kind(p) == h265Packed:
		packed(p[2:], look)
	default:
		look(p)
	}
	return width, height
}

// av1Measure looks for a sequence header among the elements (RTP Payload Format For AV1 4.3, 4.4).
func av1Measure(p []byte) (width, height int) {
	if len(p) < 2 || p[0]&0x80 != 0 {
		return 0, 0
	}
	count := int(p[0] >> 4 & 3)
	p = p[1:]
	for i := 1; len(p) > 0; i++ {
		n := len(p)
		if count == 0 || i < count {
			v, m := leb128(p)
			if m == 0 || v > len(p)-m {
				return 0, 0
			}
			p, n = p[m:], v
		}
		if w, h := av1Element(p[:n]); w > 0 {
			return w, h
		}
		p = p[n:]
	}
	return 0, 0
}

// av1Element is the size that an OBU says, if it is a sequence header.
func av1Element(obu []byte) (width, height int) {
	if len(obu) == 0 || obuKind(obu) != obuSequence {
		return 0, 0
	}
	head := 1 + int(obu[0]&obuExtended>>2)
	if len(obu) <= head {
		return 0, 0
	}
	data := obu[head:]
	if obu[0]&obuSized != 0 {
		n, m := leb128(data)
		if m == 0 || n > len(data)-m {
			return 0, 0
		}
		data = data[m : m+n]
	}
	if s, ok := readAV1(data); ok {
		return s.width, s.height
	}
	return 0, 0
}
