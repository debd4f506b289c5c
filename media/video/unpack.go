package video

import (
	"bytes"
	"encoding/binary"
)

// MaxPicture is the largest picture that an Unpacker puts together, bytes.
const MaxPicture = 4 << 20

// Unpacker puts pictures together out of the payloads that they came in, as files have them: VP8 and VP9 as they are, H264 and
// H265 as units with their lengths in four bytes before them (ISO/IEC 14496-15), AV1 as OBUs with their sizes, without delimiters. Of
// VP9's spatial layers it takes the lowest.
type Unpacker struct {
	codec         string
	data          []byte
	damaged       bool
	open          int    // where the unit that comes in fragments begins in data; -1 = none does
	part          []byte // of an OBU that goes on
	vps, sps, pps []byte // parameter sets that came last; sps is AV1's sequence header
}

// NewUnpacker makes one for VP8, VP9, H264, H265 or AV1, nil for other codecs.
func NewUnpacker(codec string) *Unpacker {
	switch codec {
	case "VP8", "VP9", "H264", "H265", "AV1":
		return &Unpacker{codec: codec, open: -1}
	}
	return nil
}

// Add adds the next payload of the picture.
func (u *Unpacker) Add(p []byte) {
	ok := len(p) > 0 && len(u.data)+len(u.part)+len(p) <= MaxPicture
	switch {
	case !ok:
	case u.codec == "VP8":
		n := vp8Descriptor(p)
		if ok = n > 0 && len(p) > n && (len(u.data) > 0 || p[0]&0x17 == 0x10); ok {
			u.data = append(u.data, p[n:]...)
		}
	case u.codec == "VP9":
		n, layer := vp9Descriptor(p)
		if ok = n > 0 && len(p) >= n && (layer > 0 || len(u.data) > 0 || p[0]&0x08 != 0); ok && layer == 0 {
			u.data = append(u.data, p[n:]...)
		}
	case u.codec == "H265":
		ok = u.hevc(p)
	case u.codec == "AV1":
		ok = u.av1(p)
	default:
		ok = u.h264(p)
	}
	u.damaged = u.damaged || !ok
}

// Take ends a picture. ok says that it is whole as far as can be told. It is valid until the next Add.
func (u *Unpacker) Take() (picture []byte, ok bool) {
	picture, ok = u.data, !u.damaged && len(u.data) > 0 && u.open < 0 && len(u.part) == 0
	u.data, u.damaged, u.open, u.part = u.data[:0], false, -1, u.part[:0]
	return picture, ok
}

// Setup is what a decoder must have before the first picture, as what came last says it: of H264 and H265 a DecoderConfigurationRecord
// (ISO/IEC 14496-15), of AV1 an AV1CodecConfigurationRecord; nil for the others, and while it isn't known.
func (u *Unpacker) Setup() []byte {
	switch u.codec {
	case "H264":
		return u.avcSetup()
	case "H265":
		return u.hevcSetup()
	case "AV1":
		return u.av1Setup()
	}
	return nil
}

// avcSetup is an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 5.3.3.1).
func (u *Unpacker) avcSetup() []byte {
	if len(u.sps) < 4 || u.pps == nil {
		return nil
	}
	b := []byte{1, u.sps[1], u.sps[2], u.sps[3], 0xff, 0xe1}
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(u.sps))), u.sps...)
	b = append(b, 1)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(u.pps))), u.pps...)
	switch u.sps[1] {
	case 100, 110, 122, 144: // 4:2:0 of 8 bits, which all of RTP's profiles have
		b = append(b, 0xfd, 0xf8, 0xf8, 0)
	}
	return b
}

// h264 adds a payload of RFC 6184 5.6 to 5.8.
func (u *Unpacker) h264(p []byte) bool {
	switch kind := p[0] & 0x1f; {
	case kind >= 1 && kind <= 23:
		u.unit(p)
	case kind == 24: // STAP-A
		for p = p[1:]; len(p) > 2; {
			n := int(p[0])<<8 | int(p[1])
			if n == 0 || len(p) < 2+n {
				return false
			}
			u.unit(p[2 : 2+n])
			p = p[2+n:]
		}
	case kind == 28 && len(p) > 2: // FU-A
		if p[1]&0x80 != 0 {
			u.open = len(u.data)
			u.data = append(u.data, 0, 0, 0, 0, p[0]&0xe0|p[1]&0x1f)
		}
		if u.open < 0 {
			return false
		}
		u.data = append(u.data, p[2:]...)
		if p[1]&0x40 != 0 {
			u.shut()
		}
	default:
		return false
	}
	return true
}

// unit adds one that is whole.
func (u *Unpacker) unit(p []byte) {
	u.data = append(binary.BigEndian.AppendUint32(u.data, uint32(len(p))), p...)
	u.keep(p)
}

// shut ends a unit that came in fragments. A parameter set may be one.
func (u *Unpacker) shut() {
	binary.BigEndian.PutUint32(u.data[u.open:], uint32(len(u.data)-u.open-4))
	u.keep(u.data[u.open+4:])
	u.open = -1
}

// keep notes a parameter set.
func (u *Unpacker) keep(unit []byte) {
	switch {
	case u.codec == "H264" && unit[0]&0x1f == 7, u.codec == "H265" && h265Kind(unit) == h265SPS:
		u.sps = bytes.Clone(unit)
	case u.codec == "H264" && unit[0]&0x1f == 8, u.codec == "H265" && h265Kind(unit) == h265PPS:
		u.pps = bytes.Clone(unit)
	case u.codec == "H265" && h265Kind(unit) == h265VPS:
		u.vps = bytes.Clone(unit)
	}
}

// each calls do for each unit that isn't empty of a picture of H264, whose lengths have so many bytes.
func each(picture []byte, size int, do func(unit []byte)) {
	for len(picture) > size {
		n := 0
		for _, x := range picture[:size] {
			n = n<<8 | int(x)
		}
		picture = picture[size:]
		if n > len(picture) || n < 0 {
			return
		}
		if n > 0 {
			do(picture[:n])
		}
		picture = picture[n:]
	}
}

// vp8Descriptor is how long the one before a payload is (RFC 7741 4.2), 0 if it is damaged.
func vp8Descriptor(p []byte) int {
	n := 1
	if p[0]&0x80 != 0 {
		if len(p) < 3 {
			return 0
		}
		x := p[1]
		n++
		if x&0x80 != 0 {
			if p[n]&0x80 != 0 {
				n++
			}
			n++
		}
		if x&0x40 != 0 {
			n++
		}
		if x&0x30 != 0 {
			n++
		}
	}
	return n
}

// vp9Descriptor is how long the one before a payload is (RFC 9628 4.2), 0 if it is damaged, and which spatial layer it tells of.
func vp9Descriptor(p []byte) (n, layer int) {
	at := func(i int) byte {
		if i < len(p) {
			return p[i]
		}
		return 0
	}
	n = vp9Structure(p)
	if p[0]&0x20 != 0 {
		layer = int(at(1+vp9ID(p)) >> 1 & 7)
	}
	if p[0]&0x02 != 0 { // scalability structure
		s := at(n)
		n++
		if s&0x10 != 0 {
			n += 4 * (int(s>>5) + 1)
		}
		if s&0x08 != 0 {
			count := int(at(n))
			for n++; count > 0; count-- {
				n += 1 + int(at(n)>>2&3)
			}
		}
	}
	if n > len(p) {
		return 0, 0
	}
	return n, layer
}

// vp9ID is how many bytes a descriptor has for the number of the picture.
func vp9ID(p []byte) int {
	switch {
	case p[0]&0x80 == 0:
		return 0
	case len(p) > 1 && p[1]&0x80 != 0:
		return 2
	}
	return 1
}

// vp9Structure is where a descriptor's scalability structure is, if it has one, or its end. It may lie behind the payload's.
func vp9Structure(p []byte) int {
	n := 1 + vp9ID(p)
	if p[0]&0x20 != 0 {
		if n++; p[0]&0x10 == 0 {
			n++
		}
	}
	if p[0]&0x50 == 0x50 {
		for range 3 {
			n++
			if n > len(p) || p[n-1]&1 == 0 {
				break
			}
		}
	}
	return n
}
