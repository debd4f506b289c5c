package video

import "encoding/binary"

// Size is that of a whole picture, in pixels, as Unpacker makes it: what a key picture of VP8 or VP9 says, or the parameter set in one of
// H264 and H265, the sequence header in one of AV1; ok says that it is a key picture, complete so far.
func Size(codec string, picture []byte) (width, height int, ok bool) {
	switch codec {
	case "VP8": // RFC 6386 9.1
		if len(picture) < 10 || picture[0]&1 != 0 || string(picture[3:6]) != "\x9d\x01\x2a" {
			return 0, 0, false
		}
		le := binary.LittleEndian
		return int(le.Uint16(picture[6:]) & 0x3fff), int(le.Uint16(picture[8:]) & 0x3fff), true
	case "VP9":
		return vp9Size(picture)
	case "H264":
		idr := false
		each(picture, 4, func(unit []byte) {
			switch unit[0] & 0x1f {
			case 5:
				idr = true
			case 7:
				width, height = spsSize(unit)
			}
		})
		return width, height, idr
	case "H265":
		random := false
		each(picture, 4, func(unit []byte) {
			switch kind := h265Kind(unit); {
			case kind >= h265Random && kind <= h265Random+5:
				random = true
			case kind == h265SPS:
				if s, ok := readHEVC(unit); ok {
					width, height = s.width, s.height
				}
			}
		})
		return width, height, random
	case "AV1":
		width, height, key := av1Look(picture)
		return width, height, key && width > 0
	}
	return 0, 0, false
}

// setMost is how much of a parameter set is read: its sizes stand near its beginning, behind scaling lists at most.
const setMost = 1024

// unescaped is a unit of H264 or H265 without what keeps start codes from being in it, as far as room holds it.
func unescaped(room, unit []byte) []byte {
	raw := room[:0]
	for i, x := range unit {
		if len(raw) == cap(raw) {
			break
		}
		if i < 3 || x != 3 || unit[i-1] != 0 || unit[i-2] != 0 {
			raw = append(raw, x)
		}
	}
	return raw
}

// vp9Size reads the uncompressed header of a frame (VP9 Bitstream Specification 6.2).
func vp9Size(p []byte) (width, height int, ok bool) {
	r := bits{b: p}
	if r.read(2) != 2 {
		return 0, 0, false
	}
	profile := r.read(1) | r.read(1)<<1
	if profile == 3 {
		r.read(1)
	}
	if r.read(2) != 0 { // shows an old one, or isn't key
		return 0, 0, false
	}
	r.read(2)
	if r.read(24) != 0x498342 {
		return 0, 0, false
	}
	if profile >= 2 {
		r.read(1)
	}
	odd := profile&1 == 1
	switch rgb := r.read(3) == 7; {
	case rgb && odd:
		r.read(1)
	case !rgb && odd:
		r.read(4)
	case !rgb:
		r.read(1)
	}
	width, height = r.read(16)+1, r.read(16)+1
	return width, height, !r.over
}

// spsSize reads a sequence parameter set (H.264 7.3.2.1.1); 0 if it can't be read.
func spsSize(unit []byte) (width, height int) {
	var room [setMost]byte
	raw := unescaped(room[:], unit)
	if len(raw) < 5 {
		return 0, 0
	}
	r := bits{b: raw[4:]}
	r.golomb()
	chroma := 1
	switch raw[1] {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128:
		chroma = highSPS(&r)
	}
	r.golomb()
	switch r.golomb() {
	case 0:
		r.golomb()
	case 1:
		r.read(1)
		r.signed()
		r.signed()
		for n := min(r.golomb(), 255); n > 0; n-- {
			r.signed()
		}
	}
	r.golomb()
	r.read(1)
	w, h := r.golomb()+1, r.golomb()+1
	frames := r.read(1)
	if frames == 0 {
		r.read(1)
	}
	r.read(1)
	width, height = 16*w, 16*h*(2-frames)
	if r.read(1) == 1 { // cropped
		x, y := 1, 2-frames
		if chroma == 1 || chroma == 2 {
			x = 2
		}
		if chroma == 1 {
			y *= 2
		}
		width -= x * (r.golomb() + r.golomb())
		height -= y * (r.golomb() + r.golomb())
	}
	if r.over || width < 1 || height < 1 || width > 1<<14 || height > 1<<14 {
		return 0, 0
	}
	return width, height
}

// highSPS reads what the high profiles add, and returns the form of the colours.
func highSPS(r *bits) (chroma int) {
	if chroma = r.golomb(); chroma == 3 {
		r.read(1)
	}
	r.golomb()
	r.golomb()
	r.read(1)
	if r.read(1) == 0 {
		return chroma
	}
	lists := 8
	if chroma == 3 {
		lists = 12
	}
	for i := range lists {
		if r.read(1) == 0 {
			continue
		}
		n, last, next := 16, 8, 8
		if i >= 6 {
			n = 64
		}
		for range n {
			if next != 0 {
				next = (last + r.signed()) & 255
			}
			if next != 0 {
				last = next
			}
		}
	}
	return chroma
}
