package billing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/gateway/call"
)

const (
	noteDelay = 40 * time.Millisecond // a note is on its way to the disk after this long
	syncEvery = 4 * time.Millisecond  // commits that come sooner after a write began share the next: each costs as much as ten events
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
	tail       tail
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
	enough  atomic.Uint64 // lsn from which on somebody wants to know that
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
	first := false
	if err == nil {
		j.mu.Lock()
		first = len(j.pending.entries) == 0
		_, _, _, err = j.accept(entries, false)
		j.mu.Unlock()
	}
	if err != nil {
		j.stats.dropped.Add(1)
		j.log.Error("event dropped", "call", e.Call, "seq", e.Seq, "err", err)
		return
	}
	if first { // behind another the writer knows already
		wake(j.soon)
	}
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
		p, data, err := encode(&e)
		if err != nil {
			return nil, err
		}
		n := entry{call: e.Call, seq: e.Seq, kind: recordEvent, begins: e.Seq == 1, payload: p, event: e, data: data}
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
	var began time.Time // of the last write
	for {
		select {
		case <-j.kick:
			if wait := syncEvery - time.Since(began); wait > 0 {
				time.Sleep(wait)
				select {
				case <-j.kick: // it's written below
				default:
				}
			}
			began = time.Now()
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
	if j.end() >= j.enough.Load() {
		wake(j.grown)
	}
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

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
