package billing

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

// housekeep is done once a second by the writer.
func (j *journal) housekeep() {
	j.disk.watch(j.cfg.SegmentBytes)
	if j.disk.ill() {
		began := time.Now()
		j.disk.writing(began)
		j.mu.Lock()
		done := j.projected
		j.mu.Unlock()
		err := j.checkpoint(done)
		j.disk.wrote(time.Since(began), err)
	}
	j.tidy()
}

// stalled implements Store.Stalled.
func (j *journal) stalled() (bool, string) {
	why := j.disk.stalled()
	return why != "", why
}

// projectedTo tells that the database holds every event up to that record.
func (j *journal) projectedTo(lsn uint64) {
	j.mu.Lock()
	j.projected = max(j.projected, lsn)
	j.release()
	j.mu.Unlock()
	wake(j.tidyUp)
}

// release lets go of the segments that closed and projected calls needed. j.mu is held.
func (j *journal) release() {
	n := 0
	for n < len(j.ended) && j.ended[n].lsn <= j.projected {
		j.segment(j.ended[n].home).refs--
		n++
	}
	j.ended = slices.Delete(j.ended, 0, n)
}

// tidy removes the oldest segments as long as nobody needs them. Calls that stay open for long are carried over to
// the newest segment when they keep more than twice their size on disk.
func (j *journal) tidy() {
	for {
		j.mu.Lock()
		if len(j.segments) < 2 || j.segments[0].last > j.projected {
			j.mu.Unlock()
			return
		}
		s := j.segments[0]
		refs, projected := s.refs, j.projected
		carry := refs > 0 && j.worthCarrying()
		j.mu.Unlock()
		var err error
		switch {
		case refs == 0:
			err = j.remove(s, projected)
		case carry:
			err = j.carry(s.no)
		default:
			return
		}
		if errors.Is(err, errNotYet) {
			return
		}
		if err != nil {
			j.log.Error("tidy journal", "segment", s.path, "err", err)
			return
		}
	}
}

// remove deletes the oldest segment. The checkpoint goes first: without it a later start would take what is left of the
// removed calls for damage.
func (j *journal) remove(s *segment, projected uint64) error {
	if j.checkpointed < s.last {
		if err := j.checkpoint(projected); err != nil {
			return err
		}
	}
	var err error
	if s.damaged {
		err = os.Rename(s.path, s.path+".damaged") // for whoever wants to look into it
	} else {
		err = os.Remove(s.path)
	}
	if err != nil {
		return err
	}
	j.mu.Lock()
	j.segments = slices.Delete(j.segments, 0, 1)
	j.mu.Unlock()
	return syncDir(j.dir)
}

// worthCarrying reports whether the journal is more than twice as large as what open calls need. j.mu is held.
func (j *journal) worthCarrying() bool {
	if len(j.segments) < 4 {
		return false
	}
	var total, live int64
	for _, s := range j.segments {
		total += s.size
	}
	for _, c := range j.open {
		for _, p := range c.at {
			live += int64(p.size)
		}
	}
	return total > 2*live+2*j.cfg.SegmentBytes
}

// carry writes all events of the open calls that begin in segment no to the newest segment again, each call's from its
// first on, so that the log read from any segment on has every open call whole and in order.
func (j *journal) carry(no uint64) error {
	var ids []call.ID
	j.mu.Lock()
	for id, c := range j.open {
		if len(c.at) > 0 && c.home == no {
			ids = append(ids, id)
		}
	}
	j.mu.Unlock()
	if len(ids) == 0 {
		return errNotYet // its calls ended, and their ends aren't projected
	}
	slices.SortFunc(ids, func(a, b call.ID) int { return cmp.Compare(a.String(), b.String()) })
	for _, id := range ids {
		if err := j.carryCall(id); err != nil {
			return fmt.Errorf("carry call %s over: %w", id, err)
		}
	}
	return nil
}

var errNotYet = errors.New("segment is needed until its last calls are projected")

func (j *journal) carryCall(id call.ID) error {
	j.mu.Lock()
	from := slices.Clone(j.open[id].at)
	segments := slices.Clone(j.segments)
	j.mu.Unlock()
	entries := make([]entry, 0, len(from))
	for _, p := range from {
		r, err := readAt(find(segments, p.seg), p.position)
		if errors.Is(err, errBad) {
			j.log.Error("event can't be read any more", "call", id, "seq", p.seq, "err", err)
			j.stats.damaged.Add(1)
			continue // its record is going to say that it's incomplete
		}
		if err != nil {
			return err
		}
		entries = append(entries, entry{call: id, seq: p.seq, kind: r.kind, payload: slices.Clone(r.payload)})
	}
	if err := j.write(entries); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	c := j.open[id]
	j.segment(c.home).refs--
	c.at = c.at[:0]
	for _, e := range entries {
		c.at = append(c.at, place{e.seq, e.pos})
	}
	if len(entries) == 0 {
		delete(j.open, id)
		return nil
	}
	c.home = entries[0].pos.seg
	j.segment(c.home).refs++
	return nil
}

// readAt reads one record.
func readAt(s *segment, p position) (record, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return record{}, err
	}
	b := make([]byte, p.size)
	_, err = f.ReadAt(b, int64(p.off))
	if err = errors.Join(err, f.Close()); err != nil {
		return record{}, err
	}
	r, _, err := parse(b, s.seed)
	if err != nil {
		return record{}, fmt.Errorf("%s at byte %d: %w", s.path, p.off, err)
	}
	return r, nil
}
