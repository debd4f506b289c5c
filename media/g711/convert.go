package g711

import "github.com/patchbay/patchbay/media"

// Conversions are all ways between PCMU, PCMA and L16/8000 (network byte order, RFC 3551 4.5.11). Their converters hold no
// state and are shared.
func Conversions() []media.Conversion {
	way := func(from, to *media.Format, c media.Converter) media.Conversion {
		return media.Conversion{From: from, To: to, Cost: 1, New: func() media.Converter { return c }}
	}
	pcmu, pcma, linear := media.PCMU(), media.PCMA(), media.L16(8000)
	return []media.Conversion{
		way(pcmu, pcma, &cross{Mu()}),
		way(pcma, pcmu, &cross{A()}),
		way(pcmu, linear, &expand{Mu()}),
		way(pcma, linear, &expand{A()}),
		way(linear, pcmu, &compress{Mu()}),
		way(linear, pcma, &compress{A()}),
	}
}

type cross struct{ from *Law }

func (c *cross) Convert(dst, src *media.Frame) bool {
	n := len(src.Payload)
	if n == 0 || n > cap(dst.Payload) {
		return false
	}
	out := dst.Payload[:n]
	for i, b := range src.Payload {
		out[i] = c.from.other[b]
	}
	dst.Payload = out
	return true
}

type expand struct{ from *Law }

func (c *expand) Convert(dst, src *media.Frame) bool {
	n := len(src.Payload)
	if n == 0 || 2*n > cap(dst.Payload) {
		return false
	}
	out := dst.Payload[:2*n]
	for i, b := range src.Payload {
		s := c.from.decode[b]
		out[2*i], out[2*i+1] = byte(s>>8), byte(s)
	}
	dst.Payload = out
	return true
}

type compress struct{ to *Law }

func (c *compress) Convert(dst, src *media.Frame) bool {
	n := len(src.Payload) / 2
	if n == 0 || len(src.Payload)%2 != 0 || n > cap(dst.Payload) {
		return false
	}
	out := dst.Payload[:n]
	for i := range out {
		out[i] = c.to.encode[(uint16(src.Payload[2*i])<<8|uint16(src.Payload[2*i+1]))>>2]
	}
	dst.Payload = out
	return true
}
