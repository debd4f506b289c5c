package sdp

import "strconv"

// static is what a payload type means without a=rtpmap (RFC 3551 6).
func static(pt uint8) (Format, bool) {
	f := Format{PT: pt, Clock: 8000, Channels: 1}
	switch pt {
	case 0:
		f.Codec = "PCMU"
	case 3:
		f.Codec = "GSM"
	case 4:
		f.Codec = "G723"
	case 5:
		f.Codec = "DVI4"
	case 6:
		f.Codec, f.Clock = "DVI4", 16000
	case 7:
		f.Codec = "LPC"
	case 8:
		f.Codec = "PCMA"
	case 9:
		f.Codec = "G722" // 16 kHz, but its clock is 8000 (RFC 3551 4.5.2)
	case 10:
		f.Codec, f.Clock, f.Channels = "L16", 44100, 2
	case 11:
		f.Codec, f.Clock = "L16", 44100
	case 12:
		f.Codec = "QCELP"
	case 13:
		f.Codec = "CN" // RFC 3389
	case 14:
		f.Codec, f.Clock = "MPA", 90000
	case 15:
		f.Codec = "G728"
	case 16:
		f.Codec, f.Clock = "DVI4", 11025
	case 17:
		f.Codec, f.Clock = "DVI4", 22050
	case 18:
		f.Codec = "G729"
	case 31:
		f.Codec, f.Clock = "H261", 90000
	case 34:
		f.Codec, f.Clock = "H263", 90000
	default:
		return Format{}, false
	}
	return f, true
}

// staticPT is the payload type that a format has without agreement.
func staticPT(f Format) (uint8, bool) {
	for pt := range uint8(35) {
		if s, ok := static(pt); ok && s.Same(f) {
			return pt, true
		}
	}
	return 0, false
}

// rtpmap is the value of the attribute that names f.
func rtpmap(f Format) string {
	name := f.Codec
	switch name { // the spelling of their RFCs; names are compared without case
	case TelephoneEvent:
		name = "telephone-event"
	case "OPUS":
		name = "opus"
	}
	s := strconv.Itoa(int(f.PT)) + " " + name + "/" + strconv.Itoa(f.Clock)
	if f.Channels > 1 {
		s += "/" + strconv.Itoa(f.Channels)
	}
	return s
}
