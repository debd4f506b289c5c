package container

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/patchbay/patchbay/media"
)

// FLVWriter is a Writer of Flash Video (Adobe's specification 10.1, annex E): H264 and G.711. What it wrote can be played at any
// time: the file is a row of tags, of which each knows its time, and the one in front says how long it has become.
type FLVWriter struct {
	out    Output
	tracks []Track
	length int64 // where the eight bytes stand that say how long the file is
	size   int64 // where those of the picture's size stand
	buf    []byte
	base   int64 // ms, of what waits first
	last   int64 // ms, of the last picture
	end    time.Duration
}

// Kinds of tags.
const (
	flvAudio  = 8
	flvVideo  = 9
	flvScript = 18
)

// What the file's head says that there is.
const (
	flvHasVideo = 1
	flvHasAudio = 4
	flvHas      = 4 // where that stands
)

// Ways of coding.
const (
	flvALaw  = 7
	flvMuLaw = 8
	flvH264  = 7
)

// NewFLV begins a file. Units' data of audio are as tracks' formats have them in RTP, of video as video.Unpacker makes them. A track without a
// format isn't in the file until it is described.
func NewFLV(out Output, tracks []Track) (*FLVWriter, error) {
	w := &FLVWriter{out: out, tracks: slices.Clone(tracks)}
	has, err := w.has()
	if err != nil {
		return nil, err
	}
	b := append([]byte("FLV\x01"), has, 0, 0, 0, 9, 0, 0, 0, 0)
	meta := append([]byte{2}, flvText("onMetaData")...)
	meta = append(meta, 8, 0, 0, 0, 3) // an array of three
	for _, key := range []string{"duration", "width", "height"} {
		meta = append(append(append(meta, flvText(key)...), 0), make([]byte, 8)...)
		switch at := int64(len(b)+flvHead+len(meta)) - 8; key {
		case "duration":
			w.length = at
		case "width":
			w.size = at
		}
	}
	b = flvTag(b, flvScript, 0, append(meta, 0, 0, 9))
	_, err = out.Write(b)
	return w, err
}

// flvText is a name, with its length in front.
func flvText(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

const flvHead = 11 // bytes of a tag's head

// flvTag adds a tag of a time, ms, and its size behind it, by which players go backwards.
func flvTag(b []byte, kind byte, ms int64, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b = append(b, kind, byte(n>>16), byte(n>>8), byte(n), byte(ms>>16), byte(ms>>8), byte(ms), byte(ms>>24), 0, 0, 0)
	for _, p := range parts {
		b = append(b, p...)
	}
	return binary.BigEndian.AppendUint32(b, uint32(flvHead+n))
}

// has is what the file's head says that there is.
func (w *FLVWriter) has() (has byte, err error) {
	for _, t := range w.tracks {
		switch {
		case t.Format == nil:
		case t.Format.Codec == "H264":
			has |= flvHasVideo
		case t.Format.Codec == "PCMU" || t.Format.Codec == "PCMA":
			has |= flvHasAudio
		default:
			return 0, wrongCodec("%s in FLV", t.Format)
		}
	}
	return has, nil
}

// Describe says what a track has, before its first unit.
func (w *FLVWriter) Describe(i int, t Track) error {
	w.tracks[i] = t
	has, err := w.has()
	if err == nil {
		_, err = w.out.WriteAt([]byte{has}, flvHas)
	}
	if err != nil || t.Format == nil || t.Format.Kind != media.Video {
		return err
	}
	for k, v := range []int{t.Width, t.Height} {
		const apart = 2 + len("height") + 1 + 8
		if err := w.number(w.size+int64(k*apart), float64(v)); err != nil {
			return err
		}
	}
	w.begin(w.last)
	w.buf = flvTag(w.buf, flvVideo, w.last, []byte{1<<4 | flvH264, 0, 0, 0, 0}, t.Setup)
	return nil
}

// number writes one of those in front.
func (w *FLVWriter) number(at int64, v float64) error {
	_, err := w.out.WriteAt(binary.BigEndian.AppendUint64(nil, math.Float64bits(v)), at)
	return err
}

// begin notes when what waits began.
func (w *FLVWriter) begin(ms int64) {
	if len(w.buf) == 0 {
		w.base = ms
	}
}

// Write adds a unit.
func (w *FLVWriter) Write(u *Unit) error {
	ms := int64((max(u.At, 0) + time.Millisecond/2) / time.Millisecond)
	if len(w.buf) > clusterSize || len(w.buf) > 0 && ms-w.base >= int64(clusterTime/time.Millisecond) {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	w.begin(ms)
	w.end = max(w.end, u.At+u.For)
	switch t := w.tracks[u.Track]; {
	case t.Format == nil:
		return wrongCodec("track %d of FLV isn't described", u.Track+1)
	case t.Format.Codec == "H264":
		kind := byte(2)
		if u.Key {
			kind = 1
		}
		w.last = max(w.last, ms) // tags go forwards; pictures may be shown in another order
		later := ms - w.last
		w.buf = flvTag(w.buf, flvVideo, w.last, []byte{kind<<4 | flvH264, 1, byte(later >> 16), byte(later >> 8), byte(later)}, u.Data)
	default:
		code := byte(flvMuLaw)
		if t.Format.Codec == "PCMA" {
			code = flvALaw
		}
		w.buf = flvTag(w.buf, flvAudio, ms, []byte{code<<4 | 2}, u.Data) // mono; 16 bits once decoded
	}
	return nil
}

// Flush writes the tags that wait, and how long the file is.
func (w *FLVWriter) Flush() error {
	if len(w.buf) > 0 {
		_, err := w.out.Write(w.buf)
		w.buf = w.buf[:0]
		if err != nil {
			return err
		}
	}
	return w.number(w.length, w.end.Seconds())
}

// Close flushes.
func (w *FLVWriter) Close() error { return w.Flush() }
