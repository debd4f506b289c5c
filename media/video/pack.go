package video

// maxPayload of a packet that a Packer makes, bytes: with header, extensions and tag below an Ethernet frame's room.
const maxPayload = 1150

// Packer cuts pictures, as files have them, to the payloads of RTP packets.
type Packer struct {
	codec  string
	number uint16   // of VP9's pictures
	size   int      // of the lengths before H264's and H265's units
	sets   [][]byte // parameter sets, which stand outside of the pictures
	units  [][]byte
	obu    []byte
	buf    [maxPayload]byte
}

// NewPacker makes one for VP8, VP9, H264, H265 or AV1; setup is what a file has of the last three, as Unpacker's Setup says it. nil for other
// codecs, and where setup is damaged.
func NewPacker(codec string, setup []byte) *Packer {
	p := &Packer{codec: codec}
	switch codec {
	case "VP8", "VP9":
		return p
	case "H264":
		if p.configure(setup) {
			return p
		}
	case "H265":
		if p.configureHEVC(setup) {
			return p
		}
	case "AV1":
		if len(setup) >= 4 && setup[0] == 0x81 {
			eachOBU(setup[4:], func(whole, _ []byte) {
				if obuKind(whole) == obuSequence {
					p.sets = append(p.sets, append([]byte(nil), whole...))
				}
			})
			return p
		}
	}
	return nil
}

func (p *Packer) configure(b []byte) bool {
	if len(b) < 7 || b[0] != 1 {
		return false
	}
	p.size = int(b[4]&3) + 1
	count := int(b[5] & 31)
	b = b[6:]
	for again := false; ; again = true { // sequence parameter sets, then picture parameter sets
		var ok bool
		if b, ok = p.addSets(b, count); !ok {
			return false
		}
		if again {
			return true
		}
		if len(b) < 1 {
			return false
		}
		count, b = int(b[0]), b[1:]
	}
}

// addSets takes so many parameter sets, each with its length before it, and returns what stands behind them.
func (p *Packer) addSets(b []byte, count int) (rest []byte, ok bool) {
	for ; count > 0; count-- {
		if len(b) < 2 {
			return nil, false
		}
		n := int(b[0])<<8 | int(b[1])
		if n == 0 || len(b) < 2+n {
			return nil, false
		}
		p.sets = append(p.sets, append([]byte(nil), b[2:2+n]...))
		b = b[2+n:]
	}
	return b, true
}

// Packets gives the payloads of a picture; last says which is the last one. A payload is the packer's again when send returns.
func (p *Packer) Packets(picture []byte, send func(payload []byte, last bool)) {
	switch p.codec {
	case "VP8":
		p.cut(picture, []byte{0x10}, []byte{0}, 0, send)
	case "VP9": // with a PictureID of 15 bits, not flexible
		head := byte(0x80)
		if _, _, key := vp9Size(picture); !key {
			head |= 0x40
		}
		hi, lo := 0x80|byte(p.number>>8)&0x7f, byte(p.number)
		p.number++
		p.cut(picture, []byte{head | 0x08, hi, lo}, []byte{head, hi, lo}, 0x04, send)
	case "H265":
		p.h265(picture, send)
	case "AV1":
		p.av1(picture, send)
	default:
		p.h264(picture, send)
	}
}

// cut sends pieces of data behind a head: the first one's, and the others'; the last one's has a flag more.
func (p *Packer) cut(data, first, more []byte, end byte, send func([]byte, bool)) {
	head := first
	for len(data) > 0 {
		n := min(len(data), maxPayload-len(head))
		b := append(append(p.buf[:0], head...), data[:n]...)
		data, head = data[n:], more
		if len(data) == 0 {
			b[0] |= end
		}
		send(b, len(data) == 0)
	}
}

// h264 sends each unit alone, or in fragments (RFC 6184 5.6, 5.8), before an IDR picture the parameter sets.
func (p *Packer) h264(picture []byte, send func([]byte, bool)) {
	p.units = p.units[:0]
	idr, sets := false, false
	each(picture, p.size, func(unit []byte) {
		switch unit[0] & 0x1f {
		case 9, 12: // delimiters, filling
			return
		case 5:
			idr = true
		case 7:
			sets = true
		}
		p.units = append(p.units, unit)
	})
	if idr && !sets {
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
		indicator, kind := u[0]&0x60|28, u[0]&0x1f
		for begin, rest := byte(0x80), u[1:]; len(rest) > 0; begin = 0 {
			n := min(len(rest), maxPayload-2)
			end := byte(0)
			if n == len(rest) {
				end = 0x40
			}
			send(append(append(p.buf[:0], indicator, begin|end|kind), rest[:n]...), last && end != 0)
			rest = rest[n:]
		}
	}
}
