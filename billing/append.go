package billing

import (
	"encoding/binary"
	"errors"
)

// write appends the entries to the journal and returns when they are durable. After an error nothing of them is: the
// rest of the segment is given up, since nobody can know what a failed fdatasync has left there.
func (j *journal) write(entries []entry) error {
	j.mu.Lock()
	lsn, durable := j.durable, j.durable
	j.mu.Unlock()
	j.buf = j.buf[:0]
	first := 0 // of those that aren't synced
	for i := range entries {
		e := &entries[i]
		if e.skip {
			continue
		}
		need := e.size()
		if j.file == nil || j.offset+int64(len(j.buf))+need > j.cfg.SegmentBytes {
			if err := j.sync(lsn, entries[first:i]); err != nil {
				return err
			}
			durable, first = lsn, i
			if err := j.roll(lsn + 1); err != nil {
				return err
			}
		}
		s := j.active()
		lsn++
		e.lsn, e.pos = lsn, position{s.no, uint32(j.offset + int64(len(j.buf))), uint32(need)}
		j.buf = appendRecord(j.buf, s.seed, lsn, durable, e.kind, e.payload)
	}
	return j.sync(lsn, entries[first:])
}

// sync writes the buffered records, which are entries and the last of which is lsn, and makes them durable.
func (j *journal) sync(lsn uint64, entries []entry) error {
	if len(j.buf) == 0 {
		return nil
	}
	_, err := j.file.WriteAt(j.buf, j.offset)
	if err == nil {
		err = datasync(j.file)
	}
	if err != nil {
		return errors.Join(err, j.abandon())
	}
	j.offset += int64(len(j.buf))
	j.buf = j.buf[:0]
	j.mu.Lock()
	j.durable = lsn
	s := j.segments[len(j.segments)-1]
	s.size, s.last = j.offset, lsn
	for i := range entries {
		if e := &entries[i]; !e.skip {
			j.tail.add(record{lsn: e.lsn, kind: e.kind, payload: e.payload, pos: e.pos, held: e.event, data: e.data})
		}
	}
	j.mu.Unlock()
	return nil
}

// abandon ends the segment at its last durable record; the next write begins a new one.
func (j *journal) abandon() error {
	err := j.file.Truncate(j.offset)
	err = errors.Join(err, j.file.Close())
	j.file, j.buf = nil, j.buf[:0]
	return err
}

// roll ends the segment and begins the next, whose first record will be first.
func (j *journal) roll(first uint64) error {
	if j.file != nil {
		if err := j.abandon(); err != nil { // gives the blocks behind its end back, too
			return err
		}
	}
	s := &segment{journal: j.id, no: 1, first: first}
	j.mu.Lock()
	n := len(j.segments)
	if n > 0 && j.segments[n-1].last < j.segments[n-1].first {
		n-- // nothing came of it: its name is used again
		s.no = j.segments[n].no
		j.segments = j.segments[:n]
	} else if n > 0 {
		s.no = j.segments[n-1].no + 1
	}
	j.mu.Unlock()
	f, err := createSegment(j.dir, s, j.cfg.SegmentBytes)
	if isFull(err) && j.disk.release(j.cfg.SegmentBytes) {
		f, err = createSegment(j.dir, s, j.cfg.SegmentBytes)
	}
	if err != nil {
		return err
	}
	j.mu.Lock()
	j.segments = append(j.segments, s)
	j.mu.Unlock()
	j.file, j.offset = f, segmentHeader
	return nil
}

func (j *journal) active() *segment {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.segments[len(j.segments)-1]
}

// checkpoint writes down how far the projection is, so that a start without a database knows what may be missing.
func (j *journal) checkpoint(lsn uint64) error {
	if err := j.control(recordCheckpoint, binary.LittleEndian.AppendUint64(nil, lsn)); err != nil {
		return err
	}
	j.checkpointed = lsn
	return nil
}

// control writes a record that is no event: the projection has nothing to do for it.
func (j *journal) control(kind recordKind, payload []byte) error {
	if err := j.write([]entry{{kind: kind, payload: payload}}); err != nil {
		return err
	}
	j.mu.Lock()
	if j.projected == j.durable-1 {
		j.projected = j.durable
	}
	j.mu.Unlock()
	return nil
}
