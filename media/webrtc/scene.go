package webrtc

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
)

// scene is what a deal has beside audio: one line of pictures, one of data channels.
type scene struct {
	audio   bool // there is audio too
	named   int  // id of the header extension that has its mid; 0 = none
	mid     string
	picture *picture // nil = none
	data    *dataLine
	rich    *rich
}

// picture is the line of video.
type picture struct {
	mid        string
	index      int // of the line
	formats    []sdp.Pair
	rtx        []sdp.Format // Fmtp is apt=
	extensions []extension
	direction  sdp.Direction // ours
	theirs     []sdp.Attribute
	layers     []string // rids that the peer sends, as it named them; nil = one stream
	feedback   map[uint8][]string
}

type dataLine struct {
	mid   string
	index int
}

// extension is a header extension (RFC 8285).
type extension struct {
	id  int
	uri string
}

// The header extensions that we know.
const (
	extMid      = "urn:ietf:params:rtp-hdrext:sdes:mid"
	extLayer    = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
	extRepaired = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
	extTWCC     = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
)

func extensions() []string { return []string{extMid, extTWCC, extLayer, extRepaired} }

// feedbacks are the messages of RTCP that we send or heed, of pictures.
func feedbacks() []string {
	return []string{"nack", "nack pli", "ccm fir", "goog-remb", "transport-cc"}
}

const (
	protoData  = "UDP/DTLS/SCTP"
	protoData2 = "DTLS/SCTP" // before RFC 8841
	dataPort   = 5000
	dataMax    = 65535 // bytes of a message
	maxSources = 64    // a=ssrc and a=ssrc-group of a line
)

// has reports whether an extension is agreed.
func (p *picture) has(uri string) bool {
	return slices.ContainsFunc(p.extensions, func(x extension) bool { return x.uri == uri })
}

// beside are the payload types of retransmissions by those that we send.
func (p *picture) beside() (rtx [128]uint8) {
	for _, f := range p.rtx {
		if apt, err := strconv.ParseUint(strings.TrimPrefix(f.Fmtp, "apt="), 10, 7); err == nil {
			rtx[apt] = f.PT
		}
	}
	return rtx
}

// readPicture is what a line of the peer's and the formats of ours come to, those of prefer first and the others as the peer has
// them; nil if nothing.
func readPicture(m *sdp.Media, ours, prefer []*media.Format) *picture {
	p := &picture{feedback: map[uint8][]string{}}
	p.mid, _ = m.Attribute("mid")
	match := func(f sdp.Format, g *media.Format) bool {
		return g.Kind == media.Video && (sdp.Format{Codec: g.Codec, Clock: g.Clock, Channels: 1, Fmtp: g.Params}).Same(f)
	}
	take := func(f sdp.Format) {
		if !slices.ContainsFunc(p.formats, func(q sdp.Pair) bool { return q.PT == f.PT }) {
			p.formats = append(p.formats, sdp.Pair{Format: f, Send: f.PT, Recv: f.PT, Peer: f.Fmtp})
		}
	}
	usable := func(f sdp.Format) bool {
		return slices.ContainsFunc(ours, func(g *media.Format) bool { return match(f, g) })
	}
	for _, g := range prefer {
		for _, f := range m.Formats {
			if match(f, g) && usable(f) {
				take(f)
			}
		}
	}
	for _, f := range m.Formats {
		if usable(f) {
			take(f)
		}
	}
	if len(p.formats) == 0 {
		return nil
	}
	for _, f := range m.Formats {
		if f.Codec != "RTX" {
			continue
		}
		for _, q := range p.formats {
			if f.Fmtp == fmt.Sprintf("apt=%d", q.PT) || strings.HasPrefix(f.Fmtp, fmt.Sprintf("apt=%d;", q.PT)) {
				f.Fmtp = fmt.Sprintf("apt=%d", q.PT)
				p.rtx = append(p.rtx, f)
			}
		}
	}
	p.readAttributes(m)
	return p
}

func (p *picture) readAttributes(m *sdp.Media) {
	send := map[string]bool{}
	for _, a := range m.Attributes {
		switch a.Key {
		case "extmap":
			f := strings.Fields(a.Value)
			if len(f) < 2 {
				continue
			}
			number, _, _ := strings.Cut(f[0], "/")
			id, err := strconv.Atoi(number)
			if err == nil && id > 0 && id < 15 && slices.Contains(extensions(), f[1]) && !p.has(f[1]) {
				p.extensions = append(p.extensions, extension{id, f[1]})
			}
		case "rtcp-fb":
			pt, what, _ := strings.Cut(a.Value, " ")
			for _, q := range p.formats {
				if (pt == "*" || pt == strconv.Itoa(int(q.PT))) && slices.Contains(feedbacks(), what) && !slices.Contains(p.feedback[q.PT], what) {
					p.feedback[q.PT] = append(p.feedback[q.PT], what)
				}
			}
		case "ssrc", "ssrc-group":
			if len(p.theirs) < maxSources {
				p.theirs = append(p.theirs, a)
			}
		case "rid":
			if f := strings.Fields(a.Value); len(f) >= 2 && f[1] == "send" && rid(f[0]) {
				send[f[0]] = true
			}
		case "simulcast":
			p.readLayers(a.Value, send)
		}
	}
	if !p.has(extLayer) || !p.has(extMid) {
		p.layers = nil
	}
}

// readLayers reads a=simulcast (RFC 8853 5.1): of alternatives the first, of those that a=rid has said before.
func (p *picture) readLayers(v string, known map[string]bool) {
	f := strings.Fields(v)
	for i := 0; i+1 < len(f); i += 2 {
		if f[i] != "send" {
			continue
		}
		for name := range strings.SplitSeq(f[i+1], ";") {
			name, _, _ = strings.Cut(name, ",")
			name = strings.TrimPrefix(name, "~")
			if known[name] && !slices.Contains(p.layers, name) && len(p.layers) < layersMax {
				p.layers = append(p.layers, name)
			}
		}
	}
}

// layersMax is how many sizes of a simulcast are taken.
const layersMax = 4

// rid reports whether a name is one that a=rid may have (RFC 8851 10).
func rid(s string) bool {
	return s != "" && len(s) <= 16 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// midOf is the id under which a line has the header extension of its mid; 0 = none.
func midOf(m *sdp.Media) int {
	for _, a := range m.Attributes {
		f := strings.Fields(a.Value)
		if a.Key != "extmap" || len(f) < 2 || f[1] != extMid {
			continue
		}
		number, _, _ := strings.Cut(f[0], "/")
		if id, err := strconv.Atoi(number); err == nil && id > 0 && id < 15 {
			return id
		}
	}
	return 0
}

// usableData reports whether a line is one of data channels that we can have.
func usableData(m *sdp.Media) bool {
	return m.Kind == "application" && m.Port != 0 && (m.Proto == protoData || m.Proto == protoData2 || m.Proto == "TCP/DTLS/SCTP")
}

func usablePicture(m *sdp.Media) bool {
	return m.Kind == "video" && m.Port != 0 && slices.Contains(protos(), m.Proto)
}
