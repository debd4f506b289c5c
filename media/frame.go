// Package media is the pipeline core: elements with pads, links between them, converters that hang on sources, and the
// seam to the network's edge (Endpoint). Frames are pushed on the goroutine that read them; they queue only for conversions
// that cost too much for it.
//
// The package knows nobody of ours but its own leaf media/sdp.
package media

import "strconv"

// Kind of a frame. Event frames (RFC 4733 telephone-events) travel beside audio on the same pad, on their own lane:
// they are relayed, or moved to another clock rate, whatever happens to the audio.
type Kind uint8

const (
	Audio Kind = iota
	Video
	Data
	Event
	kinds
)

func (k Kind) String() string {
	if k < kinds {
		return [...]string{"audio", "video", "data", "event"}[k]
	}
	return "unknown"
}

// Frame is one RTP payload or one data message. It is the sender's again when Push returns: a sink that keeps
// something copies it.
//
// A frame of video is the payload of one RTP packet, with the descriptor or the headers that its codec's payload format puts
// there, and mostly a part of a picture: the frames of one picture share a Timestamp, and the last has the Marker.
type Frame struct {
	Format    *Format // one of the receiving sink's Caps while it is in Push
	Payload   []byte
	Arrival   int64  // CLOCK_MONOTONIC, ns; 0 if an element made the frame
	Timestamp uint32 // in units of Format.Clock
	Epoch     uint32 // changes when another source, or another stream of it, feeds the sink: rebase Sequence and Timestamp
	Sequence  uint16
	Kind      Kind
	Marker    bool  // begins a talkspurt (audio), ends a picture (video)
	Key       bool  // of video: begins a picture that needs none before it, parameter sets included; more than one frame of it may say so
	Layer     uint8 // of video that comes in several sizes at once: which, from 1; 0 = there is one

	hops uint8 // how many workers it came through
}

// Format says how payloads are coded. A sink and a source compare formats by Same; pointers matter only on the packet
// path, where a frame carries the very pointer that its sink listed in Caps.
type Format struct {
	Kind     Kind
	Codec    string // RTP payload format name (IANA), upper case; L16 is linear PCM in network byte order (RFC 3551 4.5.11)
	Clock    int    // RTP clock rate, Hz
	Channels int
	Params   string // the fmtp that changes what the bytes mean, canonical; "" for most
	Tag      int    // private to whoever made the format, e.g. the payload type
}

// Same reports whether frames of one format can be sent as the other.
func (f *Format) Same(g *Format) bool {
	return f == g || f != nil && g != nil && f.Codec == g.Codec && f.Clock == g.Clock && f.Channels == g.Channels &&
		f.Kind == g.Kind && f.Params == g.Params
}

func (f *Format) String() string {
	if f == nil {
		return "none"
	}
	s := f.Codec + "/" + strconv.Itoa(f.Clock)
	if f.Channels > 1 {
		s += "/" + strconv.Itoa(f.Channels)
	}
	if f.Params != "" {
		s += ";" + f.Params
	}
	return s
}

// Caps is what a sink takes, best first. It is immutable: a sink that takes something else hands out another Caps and
// asks its pipeline to Renegotiate.
type Caps struct{ Formats []*Format }

// Find returns the caps' own pointer for a format, or nil.
func (c *Caps) Find(f *Format) *Format {
	if c == nil {
		return nil
	}
	for _, g := range c.Formats {
		if g.Same(f) {
			return g
		}
	}
	return nil
}

// Well-known audio formats. They are values, so that nobody can change another's.
func PCMU() *Format { return &Format{Codec: "PCMU", Clock: 8000, Channels: 1} }
func PCMA() *Format { return &Format{Codec: "PCMA", Clock: 8000, Channels: 1} }
func L16(clock int) *Format {
	return &Format{Codec: "L16", Clock: clock, Channels: 1}
}

// VideoFormat is a format of video in its usual form: VP8, VP9, H264, H265 or AV1, at 90 kHz. params tells its other forms apart, as
// sdp.Format.Params does.
func VideoFormat(codec, params string) *Format {
	return &Format{Kind: Video, Codec: codec, Clock: 90000, Channels: 1, Params: params}
}

// Message is what a data message is: text in UTF-8, or bytes.
func Message(text bool) *Format {
	f := &Format{Kind: Data, Codec: "BINARY", Clock: 1000, Channels: 1}
	if text {
		f.Codec = "TEXT"
	}
	return f
}
func TelephoneEvent(clock int) *Format {
	return &Format{Kind: Event, Codec: "TELEPHONE-EVENT", Clock: clock, Channels: 1}
}
