package billing

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/gateway/call"
)

// openJournal reads what is there, cuts a torn tail, reports damage, and starts the writer.
func openJournal(cfg Config) (*journal, error) {
	j := &journal{cfg: cfg, log: cfg.Log, dir: cfg.journalDir(), pending: newBatch(),
		open: make(map[call.ID]*openCall), lost: make(map[call.ID]uint64),
		kick: make(chan struct{}, 1), soon: make(chan struct{}, 1), tidyUp: make(chan struct{}, 1), grown: make(chan struct{}, 1),
		stop: make(chan struct{}), stopped: make(chan struct{})}
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return nil, err
	}
	if err := j.load(); err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	if err := j.disk.open(cfg); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	go j.run()
	return j, nil
}

// load builds the index from the segments.
func (j *journal) load() error {
	tmp, err := filepath.Glob(filepath.Join(j.dir, "*.tmp"))
	if err != nil {
		return err
	}
	for _, f := range tmp { // of a segment that was being made
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	w, err := walkDir(j.dir, j.index)
	if err != nil {
		return err
	}
	j.segments, j.damage, j.durable, j.id = w.segments, w.damage, w.last, w.journal
	if j.id == uuid.Nil {
		j.id = uuid.New()
	}
	if w.torn > 0 {
		s := j.segments[len(j.segments)-1]
		j.log.Warn("the journal's last write was torn: it's cut off; nothing in it was confirmed", "segment", s.path, "bytes", w.torn)
		if err := os.Truncate(s.path, s.size); err != nil {
			return err
		}
	}
	for id, lsn := range j.lost {
		if lsn <= j.projected {
			delete(j.lost, id) // the rest of a call that is in the database
		}
	}
	for _, d := range j.damage {
		j.log.Error("the journal is damaged", "err", d)
	}
	for id := range j.lost {
		j.log.Error("the journal has events of a call without its beginning", "call", id)
	}
	j.stats.damaged.Add(uint64(len(j.damage) + len(j.lost)))
	j.refer()
	return nil
}

// index enters one record while the journal is read.
func (j *journal) index(r record) error {
	switch r.kind {
	case recordCheckpoint:
		j.projected = max(j.projected, binary.LittleEndian.Uint64(r.payload))
		j.checkpointed = j.projected
		return nil
	case recordShut:
		return nil
	}
	id, seq := r.key()
	j.stats.written.Add(1)
	c := j.open[id]
	if c == nil {
		if seq != 1 {
			if _, known := j.lost[id]; !known {
				j.lost[id] = r.lsn
			}
			return nil
		}
		delete(j.lost, id)
		c = &openCall{}
		j.open[id] = c
	}
	p := place{seq, r.pos}
	if i, again := slices.BinarySearchFunc(c.at, seq, func(p place, seq uint64) int { return cmp.Compare(p.seq, seq) }); again {
		c.at[i] = p // carried over
	} else {
		c.at = slices.Insert(c.at, i, p)
	}
	c.seq = max(c.seq, seq)
	if r.kind == recordClosing {
		j.ended = append(j.ended, endedCall{r.lsn, home(c)})
		delete(j.open, id)
	}
	return nil
}

func home(c *openCall) uint64 {
	no := c.at[0].seg
	for _, p := range c.at {
		no = min(no, p.seg)
	}
	return no
}

// refer counts what needs which segment.
func (j *journal) refer() {
	for _, c := range j.open {
		c.home = home(c)
		j.segment(c.home).refs++
	}
	for _, e := range j.ended {
		j.segment(e.home).refs++
	}
	j.release()
}

// unfinished rebuilds the calls that are open.
func (j *journal) unfinished() ([]*call.Call, map[call.ID]lastSign) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var calls []*call.Call
	last := make(map[call.ID]lastSign)
	for id, o := range j.open {
		b := builder{}
		for _, p := range o.at {
			e, err := j.eventAt(p.position)
			if err != nil {
				j.log.Error("event of an unfinished call can't be read", "call", id, "seq", p.seq, "err", err)
				continue
			}
			if _, err := b.add(e); err != nil {
				j.log.Error("event of an unfinished call doesn't fit", "call", id, "seq", p.seq, "err", err)
			}
			last[id] = lastSign{e.At, e.Mono}
		}
		if b.call != nil {
			calls = append(calls, b.call)
		}
	}
	slices.SortFunc(calls, func(a, b *call.Call) int { return strings.Compare(string(a.ID[:]), string(b.ID[:])) })
	return calls, last
}

func (j *journal) eventAt(p position) (call.Event, error) {
	r, err := readAt(j.segment(p.seg), p)
	if err != nil {
		return call.Event{}, err
	}
	return r.event()
}

// walk is what reading a whole journal found.
type walk struct {
	segments []*segment
	damage   []Damage
	journal  uuid.UUID
	last     uint64 // lsn
	torn     int64  // bytes behind the last good record
	shut     bool   // the journal was closed in order
}

// walkDir hands every record of the journal in dir to each, oldest first. It changes nothing.
func walkDir(dir string, each func(record) error) (walk, error) {
	var w walk
	nos, err := listSegments(dir)
	if err != nil {
		return w, err
	}
	for _, no := range nos {
		s, err := readSegmentHeader(segmentPath(dir, no))
		if err == nil && s.no != no {
			err = fmt.Errorf("%s: the segment's header says number %d", s.path, s.no)
		}
		if err != nil {
			if os.IsNotExist(err) {
				continue // removed by the process that owns the journal
			}
			w.damage = append(w.damage, Damage{Path: segmentPath(dir, no), Why: err.Error()})
			continue
		}
		w.segments = append(w.segments, s)
		w.journal = s.journal
	}
	for i, s := range w.segments {
		var limit uint64
		if i+1 < len(w.segments) {
			limit = w.segments[i+1].first - 1
		}
		if i == 0 {
			w.last = s.first - 1
		}
		if err := w.walkSegment(s, limit, each); err != nil {
			return w, err
		}
	}
	return w, nil
}

func (w *walk) walkSegment(s *segment, limit uint64, each func(record) error) error {
	b, err := os.ReadFile(s.path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if s.first != w.last+1 {
		w.damage = append(w.damage, Damage{s.path, 0, 0, w.last + 1, s.first - 1, "the segment before it is missing or ends early"})
	}
	w.last = s.first - 1
	end, want, damage, err := s.scan(b[segmentHeader:], segmentHeader, s.first, limit, func(r record) error {
		w.shut = r.kind == recordShut
		return each(r)
	})
	if err != nil {
		return err
	}
	s.size, s.last, s.damaged = end, want-1, len(damage) > 0
	w.damage = append(w.damage, damage...)
	w.last = want - 1
	if limit == 0 {
		w.torn = int64(len(b)) - end
	}
	return nil
}

func readSegmentHeader(path string) (*segment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, segmentHeader)
	n, err := f.ReadAt(b, 0)
	if n < segmentHeader {
		return nil, fmt.Errorf("%s: %d bytes, expected a header of %d: %w", path, n, segmentHeader, err)
	}
	return parseSegmentHeader(path, b)
}
