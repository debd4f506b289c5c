package video

import "encoding/binary"

// Repacker passes on pictures that came in payloads of RTP packets, and cuts those payloads that are longer than a Packer's: who sent
// them had another network. A picture is its payloads, each behind its length in two bytes (Join).
type Repacker struct {
	codec string
	most  int      // bytes of a payload
	list  [][]byte // what a payload becomes
	bytes []byte   // where that is
	head  [3]byte  // of fragments
	unit  func([]byte) bool
}

// NewRepacker makes one for VP8, VP9, H264, H265 or AV1, nil for other codecs.
func NewRepacker(codec string) *Repacker {
	switch codec {
	case "VP8", "VP9", "H264", "H265", "AV1":
		r := &Repacker{codec: codec, most: maxPayload}
		r.unit = func(unit []byte) bool {
			r.take(unit)
			return false
		}
		return r
	}
	return nil
}

// Join adds a payload, of at most 65535 bytes, to a picture.
func Join(picture, payload []byte) []byte {
	return append(binary.BigEndian.AppendUint16(picture, uint16(len(payload))), payload...)
}

// Split calls do for each payload of a picture that Join made.
func Split(picture []byte, do func(payload []byte)) {
	for len(picture) >= 2 {
		n := int(binary.BigEndian.Uint16(picture))
		if picture = picture[2:]; n > len(picture) {
			return
		}
		do(picture[:n])
		picture = picture[n:]
	}
}

// Packets gives the payloads of a picture; last says which is the last one. A payload is the repacker's again when send returns.
func (r *Repacker) Packets(picture []byte, send func(payload []byte, last bool)) {
	r.list, r.bytes = r.list[:0], r.bytes[:0]
	Split(picture, r.take)
	for i, p := range r.list {
		send(p, i == len(r.list)-1)
	}
}

// take adds a payload to the list, in pieces if it is long. One that is long and damaged is left out.
func (r *Repacker) take(p []byte) {
	if len(p) <= r.most {
		if len(p) > 0 {
			r.list = append(r.list, p)
		}
		return
	}
	switch r.codec {
	case "VP8":
		if n := vp8Descriptor(p); n > 0 {
			r.cut(p[:n], p[n:], 0x10, 0, true, true)
		}
	case "VP9":
		if n, _ := vp9Descriptor(p); n > 0 && n < 200 {
			r.cut(p[:n], p[n:], 0x08, 0x04, p[0]&0x08 != 0, p[0]&0x04 != 0)
		}
	case "H264":
		r.h264(p)
	case "H265":
		r.h265(p)
	case "AV1":
		r.av1(p)
	}
}

// cut adds pieces of data, each behind head. The last byte of head that flags tells of, the first one for VP8 and VP9 and the last one for
// fragments, has begin in the first piece alone, and end in the last, where the whole had them.
func (r *Repacker) cut(head, data []byte, begin, end byte, begins, ends bool) {
	at := 0
	if r.codec == "H264" || r.codec == "H265" {
		at = len(head) - 1
	}
	for first := true; len(data) > 0; first = false {
		n := min(len(data), max(r.most-len(head), leastPiece))
		b := r.piece(head, data[:n])
		if r.codec != "VP8" || !first {
			b[at] &^= begin | end
		}
		if r.codec != "VP8" && first && begins {
			b[at] |= begin
		}
		if data = data[n:]; len(data) == 0 && ends {
			b[at] |= end
		}
		r.list = append(r.list, b)
	}
}

// piece is a copy of both.
func (r *Repacker) piece(head, data []byte) []byte {
	from := len(r.bytes)
	r.bytes = append(append(r.bytes, head...), data...)
	return r.bytes[from:len(r.bytes):len(r.bytes)]
}

// h264 cuts units and fragments to fragments (RFC 6184 5.8), and takes apart what holds several.
func (r *Repacker) h264(p []byte) {
	switch kind := p[0] & 0x1f; kind {
	case 24:
		packed(p[1:], r.unit)
	case 28:
		r.cut(p[:2], p[2:], 0x80, 0x40, p[1]&0x80 != 0, p[1]&0x40 != 0)
	default:
		if kind >= 1 && kind <= 23 {
			r.head[0], r.head[1] = p[0]&0xe0|28, kind
			r.cut(r.head[:2], p[1:], 0x80, 0x40, true, true)
		}
	}
}

// h265 does that of RFC 7798 4.4.
func (r *Repacker) h265(p []byte) {
	switch kind := p[0] >> 1 & 0x3f; {
	case kind == 48:
		packed(p[2:], r.unit)
	case kind == 49:
		r.cut(p[:3], p[3:], 0x80, 0x40, p[2]&0x80 != 0, p[2]&0x40 != 0)
	case kind < 48:
		r.head[0], r.head[1], r.head[2] = p[0]&0x81|49<<1, p[1], kind
		r.cut(r.head[:3], p[2:], 0x80, 0x40, true, true)
	}
}

// av1 sends each element alone, in pieces (RTP Payload Format For AV1 4.4).
func (r *Repacker) av1(p []byte) {
	const continues, goesOn, begins = 0x80, 0x40, 0x08 // Z, Y, N
	head, count := p[0], int(p[0]>>4&3)
	rest := p[1:]
	for i := 1; len(rest) > 0; i++ {
		element := rest
		if count == 0 || i < count {
			n, size := leb128(rest)
			if size == 0 || n > len(rest)-size {
				return
			}
			element = rest[size : size+n]
			rest = rest[size+n:]
		} else {
			rest = nil
		}
		for first := true; len(element) > 0; first = false {
			n := min(len(element), r.most-1)
			b := byte(0x10)
			if !first || i == 1 && head&continues != 0 {
				b |= continues
			}
			if n < len(element) || len(rest) == 0 && head&goesOn != 0 {
				b |= goesOn
			}
			if first && i == 1 {
				b |= head & begins
			}
			r.head[0] = b
			r.list = append(r.list, r.piece(r.head[:1], element[:n]))
			element = element[n:]
		}
	}
}

// leb128 reads a length and how many bytes it has, 0 if it is damaged.
func leb128(p []byte) (value, size int) {
	for i := range min(len(p), 4) {
		value |= int(p[i]&0x7f) << (7 * i)
		if p[i]&0x80 == 0 {
			return value, i + 1
		}
	}
	return 0, 0
}

// Sets reports whether a payload of H264 or H265 has a sequence parameter set.
func Sets(codec string, p []byte) bool {
	if len(p) < 3 {
		return false
	}
	switch codec {
	case "H264":
		is := func(unit []byte) bool { return unit[0]&0x1f == 7 }
		return is(p) || p[0]&0x1f == 24 && packed(p[1:], is)
	case "H265":
		is := func(unit []byte) bool { return unit[0]>>1&0x3f == 33 }
		return is(p) || p[0]>>1&0x3f == 48 && packed(p[2:], is)
	}
	return false
}
