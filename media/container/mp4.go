package container

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"time"

	"github.com/patchbay/patchbay/media"
)

// mp4 is a file of MP4 or QuickTime (ISO/IEC 14496-12): with an index of all, or in fragments of which each has its own, or both. The
// index stays in the file, and what is read of it at a time is small, whatever it says of its size.
type mp4 struct {
	c        *cursor
	tracks   []Track
	ways     []*mp4Track // of the tracks that can be played
	scale    int64       // of the file's own times, in units a second
	whole    int64       // how long the file is, in these units; 0 = unknown
	parts    bool        // there are fragments
	extra    map[uint32][3]uint32
	duration time.Duration
	data     []byte
}

const (
	maxUnits = 1 << 22 // of a track, a day of sound or of pictures; of all tracks twice as many, in equal shares
	maxBox   = 64 << 10
	maxScale = 1 << 30 // units of time a second
)

func openMP4(c *cursor) (Reader, error) {
	m := &mp4{c: c, extra: map[uint32][3]uint32{}}
	for {
		b, err := c.box(math.MaxInt64)
		switch {
		case errors.Is(err, io.EOF):
			return nil, damaged("MP4 without a description (moov): it isn't whole")
		case err != nil:
			return nil, err
		case b.is("moof"):
			return nil, damaged("MP4 that begins amid its media")
		case b.is("moov"):
			if err := m.open(b); errors.Is(err, io.EOF) {
				return nil, damaged("MP4 ends amid its description")
			} else if err != nil {
				return nil, err
			}
			return m, nil
		}
		c.seek(b.end)
	}
}

// open reads the description.
func (m *mp4) open(moov mp4Box) error {
	var all []*mp4Track
	err := m.c.boxes(moov, func(b mp4Box) (err error) {
		switch {
		case b.is("mvhd"):
			m.scale, m.whole, err = m.times(b)
		case b.is("mvex"):
			m.parts, m.whole = true, 0
			err = m.c.boxes(b, m.extends)
		case b.is("trak") && len(all) < 64:
			t := &mp4Track{}
			if err = m.readTrack(t, b); err == nil && (t.kind == "soun" || t.kind == "vide") {
				all = append(all, t)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return damaged("MP4 without sound or pictures")
	}
	for _, t := range all {
		m.tracks = append(m.tracks, t.Track)
		if t.Format == nil {
			continue
		}
		if min(t.scale, m.scale) < 1 || max(t.scale, m.scale) > maxScale {
			return damaged("time scales %d and %d of MP4, expected 1 to %d", m.scale, t.scale, maxScale)
		}
		t.index = len(m.tracks) - 1
		t.video = t.Format.Kind == media.Video
		t.delay = min(t.empty/m.scale, maxScale)*t.scale + t.empty%m.scale*t.scale/m.scale - t.skip
		t.extra, t.parts, t.first = m.extra[t.id], m.parts, moov.end
		t.walk, t.data = &cursor{in: m.c.in, room: tableRoom}, &cursor{in: m.c.in}
		t.limit = math.MaxInt64
		if n, whole := m.c.in.Size(); whole {
			t.limit = n
		}
		t.rewind()
		m.ways = append(m.ways, t)
	}
	for _, t := range m.ways {
		// Fragments can say of millions that they are there in a few bytes, and whoever seeks, or looks for the end, goes through all.
		if t.most = int64(min(maxUnits, 2*maxUnits/len(m.ways))); t.count > t.most {
			return damaged("MP4 with a track of %d units, expected at most %d", t.count, t.most)
		}
	}
	return m.measure()
}

// times reads how many units a second has, and how many there are, of mvhd and mdhd; of tkhd, which has the track's number in the first
// one's place, that.
func (m *mp4) times(b mp4Box) (scale, length int64, err error) {
	p, err := m.c.body(b, 20, maxBox)
	if err != nil {
		return 0, 0, err
	}
	version := p[0]
	if version != 0 && len(p) < 32 {
		return 0, 0, damaged("box %q of MP4 of %d bytes", b.kind[:], len(p))
	}
	_, rest := wide(p[4:], version)
	_, rest = wide(rest, version)
	scale, rest = int64(binary.BigEndian.Uint32(rest)), rest[4:]
	if b.is("tkhd") {
		return scale, 0, nil
	}
	if length, _ = wide(rest, version); version == 0 && length == math.MaxUint32 {
		length = 0 // unknown
	}
	return scale, length, nil
}

// extends reads what fragments leave out.
func (m *mp4) extends(b mp4Box) error {
	switch {
	case b.is("mehd"):
		p, err := m.c.body(b, 8, maxBox)
		if err != nil {
			return err
		}
		if p[0] == 0 || len(p) >= 12 {
			m.whole, _ = wide(p[4:], p[0])
		}
	case b.is("trex") && len(m.extra) < 64:
		p, err := m.c.body(b, 24, maxBox)
		if err != nil {
			return err
		}
		m.extra[uint32(column(p, 1))] = [3]uint32{uint32(column(p, 3)), uint32(column(p, 4)), uint32(column(p, 5))}
	}
	return nil
}

func (m *mp4) Tracks() []Track         { return m.tracks }
func (m *mp4) Duration() time.Duration { return m.duration }

// measure finds the duration, also of a file that doesn't say it.
func (m *mp4) measure() error {
	m.duration = max(ticksToTime(m.whole, max(m.scale, 1)), 0)
	if _, whole := m.c.in.Size(); m.duration != 0 || !whole {
		return nil
	}
	for _, t := range m.ways {
		for t.look() == nil {
			m.duration = max(m.duration, t.unit.at+t.unit.length)
			t.have = false
		}
		t.rewind()
	}
	return nil
}

// Read takes the units of all tracks in the order of time.
func (m *mp4) Read(u *Unit) error {
	for {
		var t *mp4Track
		for _, w := range m.ways {
			if !w.ended && (t == nil || w.due < t.due || w.due == t.due && w.have && !t.have) {
				t = w
			}
		}
		if t == nil {
			return io.EOF
		}
		if !t.have {
			switch err := t.look(); {
			case errors.Is(err, io.EOF):
				t.ended = true
			case err != nil:
				return err
			}
			continue
		}
		t.have, t.due = false, t.unit.order+t.unit.length
		if t.unit.size == 0 {
			continue
		}
		return m.read(u, t)
	}
}

func (m *mp4) read(u *Unit, t *mp4Track) error {
	s := &t.unit
	if s.size > maxPacket {
		return damaged("unit of MP4 of %d bytes", s.size)
	}
	if int64(cap(m.data)) < s.size {
		m.data = make([]byte, s.size)
	}
	b := m.data[:s.size]
	t.data.seek(s.place)
	if err := t.data.read(b); err != nil {
		return err
	}
	*u = Unit{Track: t.index, At: s.at, For: s.length, Key: s.key, Data: b}
	if t.Format.Codec == "OPUS" {
		u.For = samples(int64(opusDuration(b)))
	}
	return nil
}

// Seek has pictures go on at the last one before the time that needs none before it, sound at the time.
func (m *mp4) Seek(to time.Duration) error {
	for _, t := range m.ways {
		t.rewind()
		best := t.at
		for {
			before := t.at
			err := t.look()
			if errors.Is(err, io.EOF) || errors.Is(err, ErrDamaged) || err == nil && t.unit.order > to {
				break
			}
			if err != nil {
				return err
			}
			if t.have = false; t.unit.key && t.unit.at <= to {
				best = before
			}
		}
		t.rewind()
		t.at = best
	}
	return nil
}
