// Package sdp reads and writes session descriptions (RFC 8866) and does the offer/answer arithmetic of RFC 3264 for audio.
// It knows nobody of ours.
//
// Reading is the package's own, because real offers carry what strict readers refuse (T.38 lines, bandwidth types of
// 3GPP, fields out of order) and because an error has to name the line; writing is pion/sdp's. No type of pion leaves
// the package.
package sdp

import (
	"net/netip"
	"strconv"
	"strings"
)

// Direction of a media stream, seen from the side whose description it stands in.
type Direction uint8

const (
	SendRecv Direction = iota
	SendOnly
	RecvOnly
	Inactive
)

func (d Direction) String() string {
	return [...]string{"sendrecv", "sendonly", "recvonly", "inactive"}[d&3]
}

// Reverse is the same stream seen from the other side.
func (d Direction) Reverse() Direction {
	switch d {
	case SendOnly:
		return RecvOnly
	case RecvOnly:
		return SendOnly
	}
	return d
}

// Sends and Receives tell the two halves of a direction.
func (d Direction) Sends() bool    { return d == SendRecv || d == SendOnly }
func (d Direction) Receives() bool { return d == SendRecv || d == RecvOnly }

// And is what both allow, seen from the same side.
func (d Direction) And(e Direction) Direction {
	return direction(d.Sends() && e.Sends(), d.Receives() && e.Receives())
}

func direction(sends, receives bool) Direction {
	switch {
	case sends && receives:
		return SendRecv
	case sends:
		return SendOnly
	case receives:
		return RecvOnly
	}
	return Inactive
}

// Description is one side's session description. Session-level values that hold for media lines (connection address,
// direction, ptime, bandwidth of RTCP) are already in the Media that they hold for.
type Description struct {
	Origin     Origin
	Name       string      // s=
	Bandwidth  []Bandwidth // of the session
	Attributes []Attribute // of the session, those without a field of their own
	Media      []Media     // in order; refused ones have port 0
}

// Origin is the o= line.
type Origin struct {
	User    string
	ID      string // numeric; kept as text because some peers send more than 64 bits
	Version uint64 // rises with each change (RFC 3264 8)
	Addr    string // an IP address or a name
}

// Bandwidth is a b= line: AS in kbit/s; TIAS, RS and RR in bit/s (RFC 3556, RFC 3890).
type Bandwidth struct {
	Type  string
	Value uint64
}

// Attribute is an a= line; Value is empty for a flag.
type Attribute struct{ Key, Value string }

// Media is one m= section.
type Media struct {
	Kind   string   // audio, video, image, application, …
	Port   uint16   // 0 = refused or disabled
	Ports  int      // number of port pairs if more than one was given, else 0
	Proto  string   // RTP/AVP, RTP/SAVP, udptl, …
	Tokens []string // the formats as they stand in the m= line

	// Formats are the payload types in the order of the m= line; nil unless Proto is one of RTP.
	Formats []Format

	// Addr is where the media goes; it isn't valid where a name was given (Host has it). The unspecified address is
	// hold as of RFC 2543: Direction then has no receiving half.
	Addr      netip.Addr
	Host      string // the connection address as it was given
	Direction Direction

	Ptime    int // ms, what the side wants to receive; 0 = not said
	MaxPtime int // ms; 0 = not said

	Mux  bool           // a=rtcp-mux (RFC 5761)
	RTCP netip.AddrPort // a=rtcp (RFC 3605), with Addr where it names only a port; zero = the port above Port

	Bandwidth  []Bandwidth
	Crypto     []string    // values of a=crypto (RFC 4568), in order
	Attributes []Attribute // those without a field of their own, DTLS and ICE among them
}

// Format is one payload type of an RTP line.
type Format struct {
	PT       uint8  // 0 to 127
	Codec    string // encoding name in upper case; "" for a payload type that nothing defines
	Clock    int    // Hz
	Channels int    // 1 unless said
	Fmtp     string // the parameters of a=fmtp as they stand there
}

// Params are the format parameters that change what the payload's bytes mean, in one spelling; "" for most codecs. Two
// formats that differ in them are different formats.
func (f Format) Params() string {
	switch f.Codec {
	case "AMR", "AMR-WB": // RFC 4867 8.1
		var p []string
		for _, key := range [...]string{"octet-align", "crc", "robust-sorting"} {
			if v := fmtpValue(f.Fmtp, key); v != "" && v != "0" {
				p = append(p, key+"="+v)
			}
		}
		if v := fmtpValue(f.Fmtp, "interleaving"); v != "" {
			p = append(p, "interleaving="+v)
		}
		return strings.Join(p, ";")
	case "ILBC": // RFC 3952 5: 30 ms unless said
		if v := fmtpValue(f.Fmtp, "mode"); v != "" && v != "30" {
			return "mode=" + v
		}
	case "H264":
		return h264(f.Fmtp)
	case "VP9", "AV1": // RFC 9628 6.1, RTP Payload Format For AV1 7.2: profile 0 unless said
		key := map[string]string{"VP9": "profile-id", "AV1": "profile"}[f.Codec]
		if v := fmtpValue(f.Fmtp, key); v != "" && v != "0" {
			return key + "=" + v
		}
	case "H265": // RFC 7798 7.1: Main unless said
		if v := fmtpValue(f.Fmtp, "profile-id"); v != "" && v != "1" {
			return "profile-id=" + v
		}
	}
	return ""
}

// h264 are the packetization and the profile (RFC 6184 8.1), in the form of a=fmtp. The level, in which sides may differ, is always 3.1;
// constrained baseline and mode 0 unless said.
func h264(fmtp string) string {
	profile := "42e0"
	if v := strings.ToLower(fmtpValue(fmtp, "profile-level-id")); len(v) == 6 {
		bits, err := strconv.ParseUint(v[:4], 16, 16)
		constraints := byte(bits)
		switch idc := bits >> 8; {
		case err != nil:
		case idc == 0x42 && constraints&0x4f == 0x40, idc == 0x4d && constraints&0x8f == 0x80, idc == 0x58 && constraints&0xcf == 0xc0:
		default:
			profile = v[:4]
		}
	}
	mode := fmtpValue(fmtp, "packetization-mode")
	if mode == "" {
		mode = "0"
	}
	return "level-asymmetry-allowed=1;packetization-mode=" + mode + ";profile-level-id=" + profile + "1f"
}

// Same reports whether payloads of one format can be sent as the other, whatever their numbers are.
func (f Format) Same(g Format) bool {
	return f.Codec == g.Codec && f.Clock == g.Clock && f.Channels == g.Channels && f.Params() == g.Params()
}

// Event reports whether the format is telephone-event (RFC 4733).
func (f Format) Event() bool { return f.Codec == TelephoneEvent }

// Video reports whether the format is one of video that we know.
func (f Format) Video() bool {
	switch f.Codec {
	case "VP8", "VP9", "H264", "H265", "AV1":
		return true
	}
	return false
}

// Repeats reports whether the format is one of retransmissions (RFC 4588 8.1), and of which payload type.
func (f Format) Repeats() (pt uint8, ok bool) {
	if !strings.EqualFold(f.Codec, "RTX") {
		return 0, false
	}
	n, err := strconv.ParseUint(fmtpValue(f.Fmtp, "apt"), 10, 7)
	return uint8(n), err == nil
}

// TelephoneEvent is the Codec of RFC 4733's payload format.
const TelephoneEvent = "TELEPHONE-EVENT"

func fmtpValue(fmtp, key string) string {
	for p := range strings.SplitSeq(fmtp, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(k, key) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// Audio is the first audio line that isn't refused, or nil.
func (d *Description) Audio() *Media {
	for i := range d.Media {
		if m := &d.Media[i]; m.Kind == "audio" && m.Port != 0 {
			return m
		}
	}
	return nil
}

// Direction is that of the audio line; inactive if there is none.
func (d *Description) Direction() Direction {
	if m := d.Audio(); m != nil {
		return m.Direction
	}
	return Inactive
}

// Held reports whether this side asks the other not to send: hold by sendonly, inactive, or c=0.0.0.0.
func (d *Description) Held() bool { return !d.Direction().Receives() }

// Target is where RTP for this line is sent: not valid if the line is refused, or has a name or the unspecified address.
func (m *Media) Target() netip.AddrPort {
	if m.Port == 0 || !m.Addr.IsValid() || m.Addr.IsUnspecified() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(m.Addr, m.Port)
}

// Control is where RTCP for this line is sent, under the same conditions.
func (m *Media) Control() netip.AddrPort {
	t := m.Target()
	switch {
	case !t.IsValid() || m.Mux:
		return t
	case m.RTCP.IsValid() && !m.RTCP.Addr().IsUnspecified():
		return m.RTCP
	case m.Port == 65535:
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(t.Addr(), t.Port()+1)
}

// Rate is the value of the b= line of that type, -1 if there is none.
func (m *Media) Rate(kind string) int64 {
	for _, b := range m.Bandwidth {
		if strings.EqualFold(b.Type, kind) {
			return int64(min(b.Value, 1<<62))
		}
	}
	return -1
}

// Attribute is the value of the first attribute with that key, and whether there is one.
func (m *Media) Attribute(key string) (string, bool) {
	for _, a := range m.Attributes {
		if a.Key == key {
			return a.Value, true
		}
	}
	return "", false
}

// RTP reports whether the line's transport is one of RTP's.
func (m *Media) RTP() bool { return strings.Contains(m.Proto, "RTP/") }
