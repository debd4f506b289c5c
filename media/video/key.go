// Package video knows the payload formats of video: for those who pass them on, where a picture begins that
// needs no other; for files, how pictures are put together out of payloads, and cut to them.
package video

// Key is the test whether a payload of a codec begins a key picture, or the parameter sets before one; nil for a codec that isn't
// known. It may be called on the packet path, with whatever a peer sends.
func Key(codec string) func(payload []byte) bool {
	switch codec {
	case "VP8":
		return vp8
	case "VP9":
		return vp9
	case "H264":
		return h264
	case "H265":
		return h265
	case "AV1":
		return av1
	}
	return nil
}

// vp8 reads the payload descriptor (RFC 7741 4.2) and the first bit of the frame header (RFC 6386 9.1).
func vp8(p []byte) bool {
	if len(p) < 1 || p[0]&0x17 != 0x10 { // not the start of partition 0
		return false
	}
	n := 1
	if p[0]&0x80 != 0 {
		if len(p) < 2 {
			return false
		}
		x := p[1]
		n++
		if x&0x80 != 0 { // PictureID, of one or two bytes
			if len(p) <= n {
				return false
			}
			if p[n]&0x80 != 0 {
				n++
			}
			n++
		}
		if x&0x40 != 0 { // TL0PICIDX
			n++
		}
		if x&0x30 != 0 { // TID, KEYIDX
			n++
		}
	}
	return len(p) > n && p[n]&1 == 0
}

// vp9 reads the payload descriptor (RFC 9628 4.2): the beginning of a frame that isn't predicted, of the lowest spatial layer.
func vp9(p []byte) bool {
	if len(p) < 1 || p[0]&0x48 != 0x08 {
		return false
	}
	n := 1
	if p[0]&0x80 != 0 {
		if len(p) <= n {
			return false
		}
		if p[n]&0x80 != 0 {
			n++
		}
		n++
	}
	if p[0]&0x20 == 0 {
		return len(p) > n
	}
	return len(p) > n && p[n]&0x0e == 0
}

// h264 looks for a sequence parameter set or an IDR picture (RFC 6184 5.2).
func h264(p []byte) bool {
	if len(p) < 1 {
		return false
	}
	is := func(kind byte) bool { return kind == 5 || kind == 7 }
	switch kind := p[0] & 0x1f; kind {
	case 24: // STAP-A
		return packed(p[1:], func(unit []byte) bool { return is(unit[0] & 0x1f) })
	case 28, 29: // FU-A, FU-B
		return len(p) > 1 && p[1]&0x80 != 0 && is(p[1]&0x1f)
	default:
		return is(kind)
	}
}

// h265 looks for parameter sets or a picture of random access (RFC 7798 4.4).
func h265(p []byte) bool {
	if len(p) < 2 {
		return false
	}
	is := func(kind byte) bool { return kind >= 16 && kind <= 21 || kind == 32 || kind == 33 }
	switch kind := p[0] >> 1 & 0x3f; kind {
	case 48: // AP
		return packed(p[2:], func(unit []byte) bool { return is(unit[0] >> 1 & 0x3f) })
	case 49: // FU
		return len(p) > 2 && p[2]&0x80 != 0 && is(p[2]&0x3f)
	default:
		return is(kind)
	}
}

// packed tells whether one of several units, each with its length before it, is what is looked for.
func packed(p []byte, is func([]byte) bool) bool {
	for len(p) > 2 {
		n := int(p[0])<<8 | int(p[1])
		if n == 0 || len(p) < 2+n {
			return false
		}
		if is(p[2 : 2+n]) {
			return true
		}
		p = p[2+n:]
	}
	return false
}

// av1 reads the aggregation header: N begins a coded video sequence (RTP Payload Format For AV1 4.4).
func av1(p []byte) bool { return len(p) > 1 && p[0]&0x88 == 0x08 }
