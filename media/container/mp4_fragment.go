package container

import (
	"encoding/binary"
	"math"
)

// Flags of fragments (ISO/IEC 14496-12 8.8.7, 8.8.8).
const (
	hasBase        = 0x01
	hasDescription = 0x02
	hasDuration    = 0x08
	hasSize        = 0x10
	hasFlags       = 0x20
	baseIsFragment = 0x020000

	runOffset    = 0x01
	runFirst     = 0x04
	runDuration  = 0x100
	runSize      = 0x200
	runFlags     = 0x400
	runComposed  = 0x800
	isNoKey      = 0x00010000
	needsNone    = 0x02000000
	needsOthers  = 0x01000000
	fragmentHead = 8
)

// fragmented reads what the next unit of the fragments is.
func (t *mp4Track) fragmented() (size, length, offset int64, key bool, err error) {
	p := &t.at
	for p.left == 0 {
		if err := t.nextRun(); err != nil {
			return 0, 0, 0, false, err
		}
	}
	n := 4 * columns(p.flags)
	t.walk.seek(p.entry)
	row, err := t.walk.peek(int(n))
	if err != nil {
		return 0, 0, 0, false, err
	}
	v := p.fill
	if p.begin >= 0 {
		v[2], p.begin = p.begin, -1
	}
	for i, flag := range [...]uint32{runDuration, runSize, runFlags} {
		if p.flags&flag != 0 {
			v[i], row = column(row, 0), row[4:]
		}
	}
	if p.flags&runComposed != 0 {
		offset = int64(int32(column(row, 0)))
	}
	p.entry += n
	p.left--
	return v[1], v[0], offset, v[2]&isNoKey == 0, nil
}

// columns is how many a run has for each unit.
func columns(flags uint32) (n int64) {
	for _, flag := range [...]uint32{runDuration, runSize, runFlags, runComposed} {
		if flags&flag != 0 {
			n++
		}
	}
	return n
}

// nextRun goes on to the next run of units of this track: in its part of the fragment, in the fragment, or in the file.
func (t *mp4Track) nextRun() error {
	p := &t.at
	limit := int64(math.MaxInt64)
	switch {
	case p.trackEnd > 0 && p.trackEnd-p.pos < fragmentHead:
		p.pos, p.trackEnd = p.trackEnd, 0
		return nil
	case p.partEnd > 0 && p.partEnd-p.pos < fragmentHead:
		p.pos, p.partEnd = p.partEnd, 0
		return nil
	case p.trackEnd > 0:
		limit = p.trackEnd
	case p.partEnd > 0:
		limit = p.partEnd
	}
	t.walk.seek(p.pos)
	b, err := t.walk.box(limit)
	if err != nil {
		return err
	}
	switch {
	case p.trackEnd > 0:
		p.pos = b.end
		return t.inPart(b)
	case p.partEnd > 0 && b.is("traf"):
		p.pos, p.trackEnd = b.data, b.end
	case p.partEnd == 0 && b.is("moof"):
		p.pos, p.part, p.partEnd = b.data, b.begin, b.end
	default:
		p.pos = b.end
	}
	return nil
}

// inPart reads a box of the track's part of a fragment.
func (t *mp4Track) inPart(b mp4Box) error {
	p := &t.at
	switch {
	case b.is("tfhd"):
		d, err := t.walk.body(b, 8, 1<<10)
		if err != nil {
			return err
		}
		return t.header(d)
	case b.is("tfdt"):
		d, err := t.walk.body(b, 8, 1<<10)
		if err != nil {
			return err
		}
		if d[0] != 0 && len(d) < 12 {
			return damaged("time of a fragment of MP4")
		}
		v, _ := wide(d[4:], d[0])
		p.time = min(v, math.MaxInt64/4)
	case b.is("trun"):
		return t.startRun(b)
	}
	return nil
}

// header reads whose part it is, and what holds for its units.
func (t *mp4Track) header(d []byte) error {
	p := &t.at
	flags := uint32(column(d, 0))
	if uint32(column(d, 1)) != t.id {
		p.pos, p.trackEnd = p.trackEnd, 0
		return nil
	}
	d = d[8:]
	p.base = p.part
	for i, v := range t.extra {
		p.fill[i] = int64(v)
	}
	for _, f := range [...]struct {
		flag uint32
		to   *int64
	}{{hasBase, &p.base}, {hasDescription, nil}, {hasDuration, &p.fill[0]}, {hasSize, &p.fill[1]}, {hasFlags, &p.fill[2]}} {
		n := 4
		if f.flag == hasBase {
			n = 8
		}
		switch {
		case flags&f.flag == 0:
			continue
		case len(d) < n:
			return damaged("head of a fragment of MP4")
		case n == 8:
			*f.to = int64(min(binary.BigEndian.Uint64(d), math.MaxInt64/2))
		case f.to != nil:
			*f.to = column(d, 0)
		}
		d = d[n:]
	}
	p.off = p.base
	return nil
}

// startRun reads the head of a run.
func (t *mp4Track) startRun(b mp4Box) error {
	p := &t.at
	n := min(b.end-b.data, 16)
	head, err := t.walk.peek(int(n))
	if err != nil {
		return err
	}
	if n < 8 {
		return damaged("run of MP4 of %d bytes", n)
	}
	p.flags = uint32(column(head, 0)) & 0xffffff
	count := column(head, 1)
	at := int64(8)
	p.begin = -1
	for _, flag := range [...]uint32{runOffset, runFirst} {
		if p.flags&flag == 0 {
			continue
		}
		if n < at+4 {
			return damaged("run of MP4 of %d bytes", n)
		}
		if v := column(head[at:], 0); flag == runFirst {
			p.begin = v
		} else if p.off = p.base + int64(int32(v)); p.off < 0 {
			return damaged("place %d of a run of MP4", p.off)
		}
		at += 4
	}
	p.entry = b.data + at
	if width := 4 * columns(p.flags); width > 0 {
		count = min(count, (b.end-p.entry)/width)
	}
	p.left = min(count, maxUnits)
	return nil
}
