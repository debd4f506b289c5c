package rtsp

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/video"
)

// track is one stream of a server's. The ring's lock guards it.
type track struct {
	track    container.Track
	index    int
	medium   *description.Media
	ours     uint32                             // SSRC of what is asked for
	channels int                                // of L16
	length   func(payload []byte) time.Duration // of sound
	key      func(payload []byte) bool          // of video
	sets     [][]byte                           // parameter sets that the description has

	begun     bool
	sequence  uint16
	timestamp uint32
	at        time.Duration // of timestamp
	ended     bool          // the server said so
	source    uint32        // SSRC of what came last
	asked     time.Time     // when a key picture was asked for last
	direct    bool          // it isn't sorted yet
	sorts     bool          // next is known
	next      uint16
	held      []early // what overtook it
	start     *start  // what the server said of the first packet; nil = nothing, or it has come

	picture []byte // what of one has come
	isKey   bool
	hasSets bool
	damaged bool // something of this one is lost
	waits   bool // for a key picture
}

// start is what a server says of the first packet of a track (RTP-Info).
type start struct {
	sequence  uint16
	timestamp uint32
	at        time.Duration // where it stands
}

// stale is how many packets of what was played before may come late.
const stale = 1000

// isAfter reports whether a packet is one of what was played before.
func (s *start) isAfter(p *rtp.Packet) bool {
	if s == nil {
		return false
	}
	d := int16(p.SequenceNumber - s.sequence)
	return d < 0 && d > -stale
}

// restart forgets what has come of a picture; what comes next is a beginning.
func (t *track) restart() {
	t.sorts, t.held = false, nil
	t.begun, t.waits, t.picture, t.isKey, t.hasSets, t.damaged = false, true, t.picture[:0], false, false, false
}

// pick finds a format of a medium that can be played; nil = there is none.
func pick(m *description.Media) (*track, format.Format) {
	for _, f := range m.Formats {
		t := &track{waits: true}
		if t.take(f) {
			t.track.Name = f.RTPMap()
			return t, f
		}
	}
	return nil, nil
}

// take reports whether a format can be played, and how.
func (t *track) take(f format.Format) bool {
	switch f := f.(type) {
	case *format.G711:
		if f.SampleRate != 8000 || f.ChannelCount != 1 {
			return false
		}
		t.track.Format = media.PCMA()
		if f.MULaw {
			t.track.Format = media.PCMU()
		}
		t.length = func(p []byte) time.Duration { return time.Duration(len(p)) * time.Second / 8000 }
	case *format.LPCM:
		if f.BitDepth != 16 || f.ChannelCount < 1 || f.ChannelCount > 8 || f.SampleRate < 8000 || f.SampleRate > 192000 {
			return false
		}
		t.track.Format, t.channels = media.L16(f.SampleRate), f.ChannelCount
		t.length = func(p []byte) time.Duration {
			return time.Duration(len(p)/(2*f.ChannelCount)) * time.Second / time.Duration(f.SampleRate)
		}
	case *format.Opus:
		if f.ChannelCount > 2 {
			return false
		}
		t.track.Format = &media.Format{Codec: "OPUS", Clock: 48000, Channels: 2}
		t.length = container.OpusLength
	default:
		return t.takeVideo(f)
	}
	return true
}

// takeVideo is take for pictures.
func (t *track) takeVideo(f format.Format) bool {
	codec := ""
	switch f := f.(type) {
	case *format.VP8:
		codec = "VP8"
	case *format.VP9:
		codec = "VP9"
	case *format.AV1:
		codec = "AV1"
	case *format.H264:
		codec, t.sets = "H264", [][]byte{f.SPS, f.PPS}
	case *format.H265:
		codec, t.sets = "H265", [][]byte{f.VPS, f.SPS, f.PPS}
	default:
		return false
	}
	t.sets = slices.DeleteFunc(t.sets, func(s []byte) bool { return len(s) == 0 || len(s) > 4096 })
	var params []string
	for k, v := range f.FMTP() {
		params = append(params, k+"="+v)
	}
	// Units that come in fragments are mode 1's, whatever a camera says of them; we cut those that are long to such.
	fmtp := strings.Join(params, ";")
	if h, ok := f.(*format.H264); ok {
		fmtp = "packetization-mode=1"
		if len(h.SPS) >= 4 {
			fmtp += fmt.Sprintf(";profile-level-id=%x", h.SPS[1:4])
		} else if level := f.FMTP()["profile-level-id"]; level != "" {
			fmtp += ";profile-level-id=" + level
		}
	}
	t.track.Format = media.VideoFormat(codec, sdp.Format{Codec: codec, Clock: 90000, Channels: 1, Fmtp: fmtp}.Params())
	t.track.Sent = true
	t.key = video.Key(codec)
	return true
}

// farthest is how far timestamps may jump; what jumps farther begins anew.
const farthest = 10 * time.Second

// time is where a packet stands; now is when it came, from the stream's beginning.
func (t *track) time(p *rtp.Packet, now time.Duration) time.Duration {
	clock := time.Duration(t.track.Format.Clock)
	step := time.Duration(int32(p.Timestamp-t.timestamp)) * time.Second / clock
	if !t.begun || step > farthest || step < -farthest {
		t.at = max(t.told(p, now, clock), t.at)
	} else {
		t.at += step
	}
	t.timestamp = p.Timestamp
	return t.at
}

// told is where the first packet stands by what the server said of it, if that can be; else by when it came.
func (t *track) told(p *rtp.Packet, now, clock time.Duration) time.Duration {
	s := t.start
	if t.start = nil; s == nil {
		return now
	}
	at := s.at + time.Duration(int32(p.Timestamp-s.timestamp))*time.Second/clock
	if (at - now).Abs() > farthest {
		return now
	}
	return at
}

// gather adds a packet to the picture that comes, and gives each that is whole.
func (t *track) gather(p *rtp.Packet, lost bool, at time.Duration, put func(u container.Unit)) {
	t.damaged = t.damaged || lost
	if len(p.Payload) == 0 { // padding alone
		return
	}
	if key := t.key(p.Payload); key && len(t.picture) == 0 && lost {
		t.damaged = false // what is lost was another's
		t.waits = true
	}
	if len(t.picture)+len(p.Payload)+2 > video.MaxPicture {
		t.damaged = true
	} else {
		t.picture = video.Join(t.picture, p.Payload)
	}
	t.isKey = t.isKey || t.key(p.Payload)
	t.hasSets = t.hasSets || video.Sets(t.track.Format.Codec, p.Payload)
	if p.Marker {
		t.finish(at, put)
	}
}

// finish ends a picture.
func (t *track) finish(at time.Duration, put func(u container.Unit)) {
	u := container.Unit{Track: t.index, At: at, Key: t.isKey, Data: t.picture}
	if t.isKey && !t.hasSets && len(t.sets) > 0 {
		u.Data = nil
		for _, s := range t.sets {
			u.Data = video.Join(u.Data, s)
		}
		u.Data = append(u.Data, t.picture...)
	}
	t.waits = (t.waits || t.damaged) && (t.damaged || !t.isKey)
	whole := len(t.picture) > 0 && !t.waits
	t.picture, t.isKey, t.hasSets, t.damaged = t.picture[:0], false, false, false
	if whole {
		put(u)
	}
}

// mono has the channels of L16 in one.
func (t *track) mono(p []byte) []byte {
	if t.channels < 2 {
		return p
	}
	out := make([]byte, 0, len(p)/t.channels)
	for ; len(p) >= 2*t.channels; p = p[2*t.channels:] {
		sum := 0
		for c := range t.channels {
			sum += int(int16(binary.BigEndian.Uint16(p[2*c:])))
		}
		out = binary.BigEndian.AppendUint16(out, uint16(int16(sum/t.channels)))
	}
	return out
}
