package billing

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/gateway/call"
)

const (
	noteDelay = 40 * time.Millisecond // a note is on its way to the disk after this long
	tick      = time.Second           // housekeeping
)

// journal is the log of events on disk. One goroutine writes it; whoever commits waits for the batch its events ride in.
type journal struct {
	cfg   Config
	log   *slog.Logger
	dir   string
	id    uuid.UUID
	stats counters

	mu         sync.Mutex
	pending    *batch
	retry      []entry // events of running calls that the disk didn't take
	retryBytes int64
	closed     bool
	open       map[call.ID]*openCall
	ended      []endedCall // closed calls that aren't projected yet, in order of their ends
	segments   []*segment  // oldest first; the last is being written
	durable    uint64      // lsn that fdatasync has covered
	projected  uint64      // lsn that the database holds
	damage     []Damage
	lost       map[call.ID]uint64 // calls whose beginning isn't in the journal, by the lsn of the first event found

	disk disk

	// Of the writer alone.
	file         *os.File
	offset       int64 // of the next byte in file
	checkpointed uint64
	buf          []byte

	kick    chan struct{} // somebody commits
	soon    chan struct{} // a note waits
	tidyUp  chan struct{} // the projection went on
	grown   chan struct{} // there is more to project
	stop    chan struct{}
	stopped chan struct{}
}

// openCall is what the journal knows of a call that hasn't ended.
type openCall struct {
	seq    uint64  // of its last event that was accepted
	ending bool    // its end was accepted
	at     []place // its events on disk, by number
	home   uint64  // segment of the earliest of them
}

type place struct {
	seq uint64
	position
}

type endedCall struct {
	lsn  uint64 // of its end
	home uint64
}

// entry is an event on its way to the disk.
type entry struct {
	call    call.ID
	seq     uint64
	kind    recordKind
	begins  bool
	payload []byte
	pos     position
	lsn     uint64 // 0 until it's written
	skip    bool   // its call was refused while it waited
	ok      bool   // it's durable
}

func (e entry) size() int64 { return int64(len(e.payload)) + recordHeader }

// batch is what one fdatasync makes durable.
type batch struct {
	entries []entry
	bytes   int64
	wanted  bool // somebody waits for it
	retried int  // so many entries at its front are of earlier batches
	done    chan struct{}
	err     error // of the entries that aren't durable; valid when done is closed
}

// outcome of the entries that were accepted as from to to.
func (b *batch) outcome(from, to int) error {
	for _, e := range b.entries[b.retried+from : b.retried+to] {
		switch {
		case e.ok:
		case e.skip:
			return fmt.Errorf("event %s/%d: %w", e.call, e.seq, ErrUnknown)
		default:
			return b.err
		}
	}
	return nil
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// commit implements Store.Commit.
func (j *journal) commit(ctx context.Context, events []call.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	began := time.Now()
	entries, err := prepare(events)
	if err != nil {
		return err
	}
	j.mu.Lock()
	b, from, to, err := j.accept(entries, true)
	j.mu.Unlock()
	if err != nil {
		return err
	}
	wake(j.kick)
	select {
	case <-b.done:
		j.stats.commit(time.Since(began))
		return b.outcome(from, to)
	case <-ctx.Done():
		return fmt.Errorf("commit of %d events, written later: %w", len(events), ctx.Err())
	}
}

// note implements Store.Note.
func (j *journal) note(e call.Event) {
	entries, err := prepare([]call.Event{e})
	if err == nil {
		j.mu.Lock()
		_, _, _, err = j.accept(entries, false)
		j.mu.Unlock()
	}
	if err != nil {
		j.stats.dropped.Add(1)
		j.log.Error("event dropped", "call", e.Call, "seq", e.Seq, "err", err)
		return
	}
	wake(j.soon)
}

func prepare(events []call.Event) ([]entry, error) {
	entries := make([]entry, 0, len(events))
	for _, e := range events {
		if e.Data == nil {
			return nil, fmt.Errorf("event %s/%d: no data", e.Call, e.Seq)
		}
		if v := e.Call[6] >> 4; v != 7 {
			return nil, fmt.Errorf("event %s/%d: the call's id is a UUID of version %d, expected 7", e.Call, e.Seq, v)
		}
		if (e.Seq == 1) != (e.Data.Kind() == call.KindStart) {
			return nil, fmt.Errorf("event %s/%d is %s: %w", e.Call, e.Seq, e.Data.Kind(), ErrStart)
		}
		p, err := encode(e)
		if err != nil {
			return nil, err
		}
		n := entry{call: e.Call, seq: e.Seq, kind: recordEvent, begins: e.Seq == 1, payload: p}
		if k := e.Data.Kind(); k == call.KindEnd || k == call.KindRecovered {
			n.kind = recordClosing
		}
		entries = append(entries, n)
	}
	return entries, nil
}

// accept queues the entries and returns the batch they ride in, and which of its entries they are. j.mu is held.
func (j *journal) accept(entries []entry, wait bool) (b *batch, from, to int, err error) {
	if j.closed {
		return nil, 0, 0, ErrClosed
	}
	b, from = j.pending, len(j.pending.entries)
	var size int64
	for _, e := range entries {
		size += e.size()
	}
	if waits := b.bytes + j.retryBytes; waits+size > j.cfg.Buffer {
		return nil, 0, 0, fmt.Errorf("%w: %d bytes wait for the disk", ErrFull, waits)
	}
	for _, e := range entries {
		c := j.open[e.call]
		switch {
		case c == nil && !e.begins, c != nil && c.ending && e.seq > c.seq:
			return nil, 0, 0, fmt.Errorf("event %s/%d: %w", e.call, e.seq, ErrUnknown)
		case c == nil:
			if why := j.disk.refuses(); why != "" {
				return nil, 0, 0, fmt.Errorf("%w for new calls: %s", ErrFull, why)
			}
			c = &openCall{}
			j.open[e.call] = c
		case e.seq <= c.seq:
			continue // came before; the caller waits for the batch all the same
		}
		c.seq, c.ending = e.seq, e.kind == recordClosing
		b.entries = append(b.entries, e)
		b.bytes += e.size()
	}
	b.wanted = b.wanted || wait
	return b, from, len(b.entries), nil
}

// run writes batches until stop is closed and nothing is left to write.
func (j *journal) run() {
	defer close(j.stopped)
	delay := time.NewTimer(time.Hour)
	delay.Stop()
	house := time.NewTicker(tick)
	defer house.Stop()
	armed := false
	for {
		select {
		case <-j.kick:
		case <-j.soon:
			if !armed {
				delay.Reset(noteDelay)
				armed = true
			}
			continue
		case <-delay.C:
			armed = false
		case <-j.tidyUp:
			j.tidy()
			continue
		case <-house.C:
			j.housekeep()
		case <-j.stop:
			j.flush()
			return
		}
		j.flush()
	}
}

// flush writes what is pending, as one batch.
func (j *journal) flush() {
	j.mu.Lock()
	b := j.pending
	if len(b.entries)+len(j.retry) == 0 && !b.wanted {
		j.mu.Unlock()
		return
	}
	b.retried = len(j.retry)
	b.entries = append(j.retry, b.entries...)
	for i := range b.entries {
		b.entries[i].skip = j.open[b.entries[i].call] == nil
	}
	j.pending, j.retry, j.retryBytes = newBatch(), nil, 0
	j.disk.writing(time.Now())
	j.mu.Unlock()

	began := time.Now()
	err := j.write(b.entries)
	took := time.Since(began)

	j.mu.Lock()
	j.disk.wrote(took, err)
	j.settle(b, err)
	j.mu.Unlock()
	j.stats.syncs.Add(1)
	if took > j.cfg.CommitWarn {
		j.log.Warn("the journal's disk is slow", "took", took, "events", len(b.entries))
	}
	if err != nil {
		j.stats.failed.Add(1)
		j.log.Error("write journal", "events", len(b.entries), "err", err)
	}
	close(b.done)
	wake(j.grown)
}

// settle takes note of what became of the batch. j.mu is held.
func (j *journal) settle(b *batch, err error) {
	for i := range b.entries {
		e := &b.entries[i]
		if e.lsn == 0 || e.lsn > j.durable {
			continue
		}
		e.ok = true
		j.placed(e.call, e.seq, e.pos, e.lsn, e.kind == recordClosing)
		j.stats.written.Add(1)
	}
	if err == nil {
		return
	}
	b.err = fmt.Errorf("write journal: %w", err)
	for _, e := range b.entries {
		if e.begins && !e.ok {
			delete(j.open, e.call)
		}
	}
	for _, e := range b.entries {
		if !e.ok && j.open[e.call] != nil {
			e.lsn = 0
			j.retry = append(j.retry, e)
			j.retryBytes += e.size()
		}
	}
}

// placed enters an event that is on disk into the index.
func (j *journal) placed(id call.ID, seq uint64, pos position, lsn uint64, closes bool) {
	c := j.open[id]
	if len(c.at) == 0 {
		c.home = pos.seg
		j.segment(pos.seg).refs++
	}
	c.at = append(c.at, place{seq, pos})
	if closes {
		j.ended = append(j.ended, endedCall{lsn, c.home})
		delete(j.open, id)
	}
}

// write appends the entries to the journal and returns when they are durable. After an error nothing of them is: the
// rest of the segment is given up, since nobody can know what a failed fdatasync has left there.
func (j *journal) write(entries []entry) error {
	j.mu.Lock()
	lsn, durable := j.durable, j.durable
	j.mu.Unlock()
	j.buf = j.buf[:0]
	for i := range entries {
		e := &entries[i]
		if e.skip {
			continue
		}
		need := e.size()
		if j.file == nil || j.offset+int64(len(j.buf))+need > j.cfg.SegmentBytes {
			if err := j.sync(lsn); err != nil {
				return err
			}
			durable = lsn
			if err := j.roll(lsn + 1); err != nil {
				return err
			}
		}
		s := j.active()
		lsn++
		e.lsn, e.pos = lsn, position{s.no, uint32(j.offset + int64(len(j.buf))), uint32(need)}
		j.buf = appendRecord(j.buf, s.seed, lsn, durable, e.kind, e.payload)
	}
	return j.sync(lsn)
}

// sync writes the buffered records, the last of which is lsn, and makes them durable.
func (j *journal) sync(lsn uint64) error {
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

// segment with that number. j.mu is held; the segment exists.
func (j *journal) segment(no uint64) *segment { return find(j.segments, no) }

func find(segments []*segment, no uint64) *segment {
	i, _ := slices.BinarySearchFunc(segments, no, func(s *segment, no uint64) int { return cmp.Compare(s.no, no) })
	return segments[i]
}

// stopWriting accepts nothing more and returns when what was accepted is on disk.
func (j *journal) stopWriting() error {
	j.mu.Lock()
	first := !j.closed
	j.closed = true
	j.mu.Unlock()
	if first {
		close(j.stop)
	}
	<-j.stopped
	j.mu.Lock()
	defer j.mu.Unlock()
	if n := len(j.retry); n > 0 {
		return fmt.Errorf("%w: %d events of running calls were not written", ErrFull, n)
	}
	return nil
}

// close ends the journal in order. The writer has stopped.
func (j *journal) close() error {
	j.tidy()
	err := j.control(recordShut, nil)
	if j.file != nil {
		err = errors.Join(err, j.abandon())
	}
	return errors.Join(err, j.disk.close())
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

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
