package rtpstream

import (
	"encoding/binary"

	"github.com/patchbay/patchbay/media"
)

// Extended reports (RFC 3611), and the blocks of them that are taken.
const (
	typeXR = 207

	blockSummary = 6 // 4.6
	blockVoIP    = 7 // 4.7

	summaryBody = 4 * 9 // bytes behind a block's head
	voipBody    = 4 * 8

	unsaid = 127
)

// extended takes an extended report: what its blocks say of our stream takes the place of what they said before. A block that is
// malformed, unknown, or of another's stream says nothing; behind one that is longer than the report nothing is read. The caller holds mu.
func (c *Control) extended(p []byte, ours uint32) {
	if len(p) > 0 && p[0]&0x20 != 0 {
		n := int(p[len(p)-1])
		if n == 0 || n > len(p) {
			return
		}
		p = p[:len(p)-n]
	}
	if len(p) < 8 {
		return
	}
	for p = p[8:]; len(p) >= 4; {
		kind, flags, size := p[0], p[1], 4*int(binary.BigEndian.Uint16(p[2:]))
		if p = p[4:]; size > len(p) {
			return
		}
		body := p[:size]
		p = p[size:]
		if size < 4 || binary.BigEndian.Uint32(body) != ours {
			continue
		}
		switch {
		case kind == blockVoIP && size == voipBody:
			x := voip(body)
			if c.xr != nil {
				x.Lost, x.Duplicate = c.xr.Lost, c.xr.Duplicate
			}
			c.xr = x
		case kind == blockSummary && size == summaryBody:
			var x media.XR
			if c.xr != nil {
				x = *c.xr
			}
			x.Lost, x.Duplicate = counted(flags&0x80 != 0, body[8:]), counted(flags&0x40 != 0, body[12:])
			c.xr = &x
		}
	}
}

// counted is a count of a summary, if it is said to be one.
func counted(is bool, b []byte) *int64 {
	if !is {
		return nil
	}
	n := int64(binary.BigEndian.Uint32(b))
	return &n
}

// voip reads a block of VoIP metrics.
func voip(b []byte) *media.XR {
	share := func(at int) *float64 { return known(float64(b[at])*100/256, true) }
	ms := func(at int) *float64 { return known(float64(binary.BigEndian.Uint16(b[at:])), true) }
	trip := func(at int) *float64 { // 0 = it has none to tell
		n := binary.BigEndian.Uint16(b[at:])
		return known(float64(n), n != 0)
	}
	level := func(at int) *float64 { return known(float64(int8(b[at])), b[at] != unsaid) }
	rating := func(at int) *float64 { return known(float64(b[at]), b[at] <= 100) }
	score := func(at int) *float64 { return known(float64(b[at])/10, b[at] >= 10 && b[at] <= 50) }
	return &media.XR{
		Loss: share(4), Discard: share(5), BurstDensity: share(6), GapDensity: share(7), Burst: ms(8), Gap: ms(10), RTT: trip(12), Delay: trip(14),
		Signal: level(16), Noise: level(17), EchoLoss: known(float64(b[18]), b[18] != unsaid),
		R: rating(20), ExternalR: rating(21), MOSLQ: score(22), MOSCQ: score(23),
		Concealment: [...]string{"", "disabled", "enhanced", "standard"}[b[24]>>6], Buffer: ms(26), BufferMax: ms(28),
	}
}

func known(v float64, is bool) *float64 {
	if !is {
		return nil
	}
	return &v
}
