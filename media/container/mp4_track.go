package container

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"time"
)

// mp4Track walks through the units of a track.
type mp4Track struct {
	Track
	id    uint32
	kind  string // "soun", "vide"
	index int    // into the file's tracks
	video bool
	scale int64 // units of time a second
	empty int64 // what an edit list has in front, in the file's units of time
	skip  int64 // what it leaves out in front, in the track's
	delay int64 // both, in the track's

	durations, offsets, chunks, sizes, places, keys table
	fixed                                           int64     // size of all units; 0 = sizes says it
	count                                           int64     // units in the index
	extra                                           [3]uint32 // duration, size and flags of units whose fragments don't say
	parts                                           bool      // there are fragments
	first                                           int64     // where they begin
	limit                                           int64     // where the file ends
	most                                            int64     // units that are read

	walk *cursor // through fragments
	data *cursor // through units
	at   mp4Place

	unit  mp4Unit
	have  bool // unit wasn't read yet
	ended bool
	due   time.Duration // no unit comes earlier
}

// mp4Unit is what is known of a unit.
type mp4Unit struct {
	at, order, length time.Duration // when it is shown, decoded, and for how long
	place, size       int64
	key               bool
}

// mp4Place is how far a track is; a copy of it is a place to go back to.
type mp4Place struct {
	unit    int64
	nothing int64 // units that had no data, since one that did
	time    int64 // of decoding
	off     int64 // of the next unit's data

	duration, durations run // in the index: the row that holds, how many units it still does
	offset, offsets     run
	chunk, chunkLeft    int64
	chunkRow            int64
	keyRow              int64

	pos                     int64    // in fragments: of the next box
	part, partEnd, trackEnd int64    // of the fragment, and of the track in it; 0 = in none
	base                    int64    // of places
	fill                    [3]int64 // duration, size and flags of units that don't say
	entry                   int64    // of the next unit
	left                    int64    // units in this run
	flags                   uint32   // of the run
	begin                   int64    // flags of its first unit; -1 = as the others
}

// run is a value, and how often it still holds; or a row.
type run struct{ value, left int64 }

func (t *mp4Track) rewind() {
	t.at = mp4Place{pos: t.first, begin: -1}
	t.have, t.ended, t.due = false, false, math.MinInt64
}

// look finds the next unit; io.EOF says that there is none.
func (t *mp4Track) look() error {
	if t.have {
		return nil
	}
	var size, length, offset int64
	var key bool
	var err error
	p := &t.at
	if p.unit < t.count {
		size, length, offset, key, err = t.indexed()
	} else if t.parts {
		size, length, offset, key, err = t.fragmented()
	} else {
		err = io.EOF
	}
	if err != nil {
		return err
	}
	p.unit++
	p.nothing++
	switch {
	case size > 0:
		p.nothing = 0
	case p.nothing > 1000:
		return damaged("MP4 with units that have nothing")
	}
	switch {
	case p.unit > t.most:
		return damaged("MP4 with a track of more than %d units", t.most)
	case p.off < t.limit && size <= t.limit-p.off:
	case p.unit > t.count: // of a fragment whose writer died amid it
		return io.EOF
	default:
		return damaged("MP4 ends before its media")
	}
	t.unit = mp4Unit{place: p.off, size: size, key: key || !t.video,
		at: ticksToTime(p.time+t.delay+offset, t.scale), order: ticksToTime(p.time+t.delay, t.scale), length: ticksToTime(length, t.scale)}
	p.off += size
	p.time += length
	t.have, t.due = true, t.unit.order
	return nil
}

// indexed reads of the tables what the next unit is.
func (t *mp4Track) indexed() (size, length, offset int64, key bool, err error) {
	p := &t.at
	if length, err = t.durations.next(&p.duration, &p.durations); err != nil {
		return 0, 0, 0, false, err
	}
	if t.offsets.c != nil {
		if offset, err = t.offsets.next(&p.offset, &p.offsets); err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, 0, false, err
		}
		offset = int64(int32(offset))
	}
	if size = t.fixed; size == 0 {
		row, err := t.sizes.row(p.unit)
		if err != nil {
			return 0, 0, 0, false, err
		}
		size = column(row, 0)
	}
	for p.chunkLeft == 0 {
		if err := t.nextChunk(); err != nil {
			return 0, 0, 0, false, err
		}
	}
	p.chunkLeft--
	key, err = t.isKey()
	return size, length, offset, key, err
}

// next is what a table of (how often, value) says of the next unit.
func (t *table) next(holds, at *run) (int64, error) {
	for holds.left == 0 {
		row, err := t.row(at.value)
		if err != nil {
			return 0, err
		}
		at.value++
		*holds = run{column(row, 1), column(row, 0)}
	}
	holds.left--
	return holds.value, nil
}

// nextChunk goes to the next piece of the file that has units of the track.
func (t *mp4Track) nextChunk() error {
	p := &t.at
	p.chunk++
	row, err := t.chunks.row(p.chunkRow + 1)
	if err == nil && column(row, 0) <= p.chunk {
		p.chunkRow++
	} else if row, err = t.chunks.row(p.chunkRow); err != nil {
		return err
	}
	if p.chunkLeft = column(row, 1); p.chunkLeft == 0 {
		return damaged("MP4 with a piece that has no units")
	}
	if row, err = t.places.row(p.chunk - 1); err != nil {
		return err
	}
	p.off = column(row, 0)
	if t.places.width == 8 {
		p.off = int64(min(binary.BigEndian.Uint64(row), math.MaxInt64/2))
	}
	return nil
}

func (t *mp4Track) isKey() (bool, error) {
	if t.keys.c == nil {
		return true, nil
	}
	p := &t.at
	for {
		row, err := t.keys.row(p.keyRow)
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if n := column(row, 0); n > p.unit {
			return n == p.unit+1, nil
		}
		p.keyRow++
	}
}

// ticksToTime brings a time to ns; one that is too far away to a hundred years.
func ticksToTime(v, scale int64) time.Duration {
	const most = int64(100 * 366 * 24 * time.Hour / time.Second)
	s := min(max(v/scale, -most), most)
	return time.Duration(s)*time.Second + time.Duration(v%scale*int64(time.Second)/scale)
}
