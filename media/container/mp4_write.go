package container

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/patchbay/patchbay/media"
)

// MP4Writer is a Writer of MP4. While it writes, the file is one in fragments (ISO/IEC 14496-12 8.8), of a second or less, each with an
// index of its own, so that a file whose writer died is played like another. Close makes a plain one of it, where it stands: it adds an
// index of all behind them, and has what was before, descriptions of fragments among it, be the media, of which that index tells.
type MP4Writer struct {
	out    Output
	tracks []*mp4Out
	count  uint32 // fragments
	open   bool   // something waits
	base   time.Duration
	size   int // bytes that wait
	end    time.Duration

	mark, moov, length int64 // where the media's head will be, the description is, and eight bytes of it that say how long the file is
}

// mp4Out is a track that is written.
type mp4Out struct {
	Track
	scale int64
	data  []byte // of the units that wait
	wait  []mp4Waiting
	index mp4Index
}

// mp4Waiting is a unit that waits for its fragment.
type mp4Waiting struct {
	time   int64 // of decoding
	length int64
	offset int32 // from there to when it is shown
	size   int
	key    bool
}

const (
	fileScale = 90000
	mp4Room   = 4 << 10 // for the description
	epoch     = 8       // bytes of the time at which a file was made, which we don't say
)

// NewMP4 begins a file. Units' data of audio are as tracks' formats have them in RTP, of video as video.Unpacker makes them. A track
// without a format isn't in the file until it is described.
func NewMP4(out Output, tracks []Track) (*MP4Writer, error) {
	w := &MP4Writer{out: out}
	for _, t := range tracks {
		w.tracks = append(w.tracks, &mp4Out{Track: t, scale: mp4Scale(t.Format)})
	}
	b := box(nil, "ftyp", func(b []byte) []byte { return append(b, "isom\x00\x00\x02\x00isomiso5iso6mp41"...) })
	w.mark = int64(len(b))
	b = box(b, "free", func(b []byte) []byte { return append(b, make([]byte, 8)...) })
	w.moov = int64(len(b))
	d, err := w.description()
	if err == nil {
		_, err = out.Write(append(b, d...))
	}
	return w, err
}

func mp4Scale(f *media.Format) int64 {
	if f == nil {
		return fileScale
	}
	return int64(f.Clock)
}

// Describe says what a track has, before its first unit.
func (w *MP4Writer) Describe(i int, t Track) error {
	w.tracks[i].Track, w.tracks[i].scale = t, mp4Scale(t.Format)
	d, err := w.description()
	if err == nil {
		_, err = w.out.WriteAt(d, w.moov)
	}
	return err
}

// description is that of a file in fragments, with room behind it.
func (w *MP4Writer) description() ([]byte, error) {
	b, err := w.describe(false)
	if err != nil {
		return nil, err
	}
	room := mp4Room - len(b)
	if room < 8 {
		return nil, wrongCodec("tracks of %d bytes in MP4", len(b))
	}
	return box(b, "free", func(b []byte) []byte { return append(b, make([]byte, room-8)...) }), nil
}

// pictures reports whether the file has video.
func (t *mp4Out) pictures() bool { return t.Format != nil && t.Format.Kind == media.Video }

// Write adds a unit to the fragment; a key picture begins one.
func (w *MP4Writer) Write(u *Unit) error {
	t := w.tracks[u.Track]
	if t.Format == nil {
		return wrongCodec("track %d of MP4 isn't described", u.Track+1)
	}
	if w.open && (u.Key && t.pictures() || u.At-w.base >= clusterTime || w.size > clusterSize) {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if !w.open {
		w.open, w.base = true, u.At
	}
	shown := ticks(u.At, t.scale)
	s := mp4Waiting{time: shown, length: ticks(u.For, t.scale), size: len(u.Data), key: u.Key}
	if n := len(t.wait); n > 0 {
		last := &t.wait[n-1]
		s.time = max(s.time, last.time+1) // pictures may come in another order than they are shown
		last.length = s.time - last.time
	} else if t.index.units > 0 {
		s.time = max(s.time, t.index.last+1)
	}
	s.offset = int32(max(shown-s.time, math.MinInt32))
	t.wait = append(t.wait, s)
	t.data = append(t.data, u.Data...)
	w.size += len(u.Data)
	w.end = max(w.end, u.At+u.For)
	return nil
}

// ticks is a time in units of a scale.
func ticks(at time.Duration, scale int64) int64 {
	const second = int64(time.Second)
	return int64(at)/second*scale + (int64(at)%second*scale+second/2)/second
}

// Flush writes the fragment, and how long the file is.
func (w *MP4Writer) Flush() error {
	if w.open {
		if err := w.fragment(); err != nil {
			return err
		}
	}
	_, err := w.out.WriteAt(binary.BigEndian.AppendUint64(nil, uint64(ticks(w.end, fileScale))), w.length)
	return err
}

// fragment writes what waits.
func (w *MP4Writer) fragment() error {
	w.count++
	var places []int // of where the tracks' data stand
	b := box(make([]byte, 0, w.size+w.size/8+1<<10), "moof", func(b []byte) []byte {
		b = full(b, "mfhd", 0, 0, func(b []byte) []byte { return be32(b, w.count) })
		for i, t := range w.tracks {
			if len(t.wait) > 0 {
				b = box(b, "traf", func(b []byte) []byte {
					b, at := t.run(b, i+1)
					places = append(places, at)
					return b
				})
			}
		}
		return b
	})
	begin := w.out.Size()
	head := int64(len(b))
	at := head + 8
	b = append(be32(b, uint32(8+w.size)), "mdat"...)
	for _, t := range w.tracks {
		if len(t.wait) == 0 {
			continue
		}
		binary.BigEndian.PutUint32(b[places[0]:], uint32(at))
		places = places[1:]
		t.index.add(t.wait, begin+at)
		b = append(b, t.data...)
		at += int64(len(t.data))
		t.wait, t.data = t.wait[:0], t.data[:0]
	}
	w.open, w.size = false, 0
	_, err := w.out.Write(b)
	return err
}

// run is a track's part of the fragment, and where the place of its data is to be put.
func (t *mp4Out) run(b []byte, id int) (out []byte, place int) {
	b = full(b, "tfhd", 0, baseIsFragment, func(b []byte) []byte { return be32(b, uint32(id)) })
	b = full(b, "tfdt", 1, 0, func(b []byte) []byte { return be64(b, t.wait[0].time) })
	flags := uint32(runOffset | runDuration | runSize)
	if t.pictures() {
		flags |= runFlags
	}
	if slices.ContainsFunc(t.wait, func(s mp4Waiting) bool { return s.offset != 0 }) {
		flags |= runComposed
	}
	b = full(b, "trun", 1, flags, func(b []byte) []byte {
		b = be32(b, uint32(len(t.wait)))
		place = len(b)
		b = be32(b, 0)
		for _, s := range t.wait {
			b = be32(be32(b, uint32(s.length)), uint32(s.size))
			switch {
			case flags&runFlags == 0:
			case s.key:
				b = be32(b, needsNone)
			default:
				b = be32(b, needsOthers|isNoKey)
			}
			if flags&runComposed != 0 {
				b = be32(b, uint32(s.offset))
			}
		}
		return b
	})
	return b, place
}

// Close writes the index. A file without units stays as it is.
func (w *MP4Writer) Close() error {
	if err := w.Flush(); err != nil || w.count == 0 {
		return err
	}
	end := w.out.Size()
	b, err := w.describe(true)
	if err != nil {
		return err
	}
	if _, err := w.out.Write(b); err != nil {
		return err
	}
	_, err = w.out.WriteAt(be64([]byte("\x00\x00\x00\x01mdat"), end-w.mark), w.mark)
	return err
}

// box appends one that fill fills.
func box(b []byte, kind string, fill func([]byte) []byte) []byte {
	at := len(b)
	b = fill(append(append(b, 0, 0, 0, 0), kind...))
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at))
	return b
}

// full appends a box that has a version and flags.
func full(b []byte, kind string, version byte, flags uint32, fill func([]byte) []byte) []byte {
	return box(b, kind, func(b []byte) []byte { return fill(be32(b, uint32(version)<<24|flags)) })
}

func be16(b []byte, list ...uint16) []byte {
	for _, v := range list {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}

func be32(b []byte, list ...uint32) []byte {
	for _, v := range list {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func be64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }
