package billing

import (
	"sync/atomic"
	"time"
)

// commitBuckets are the upper bounds of Stats.Commits; the last bucket has none.
var commitBuckets = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
	20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second,
}

// Bucket counts the commits that took at most LE; the last one, with LE 0, those that took longer than any.
type Bucket struct {
	LE    time.Duration
	Count uint64
}

// Stats are the keeper's counters since Open.
type Stats struct {
	Events     uint64        // accepted and durable, with those found at the start
	Outbox     uint64        // durable records that the database doesn't hold yet
	Oldest     time.Duration // age of the oldest event that the database doesn't hold; 0 if there is none
	Lag        time.Duration // from the last projected event's time to its COMMIT
	Projected  uint64        // events written to the database
	Retries    uint64        // of the projection, after an error
	Dead       uint64        // events and rows in the dead-letter table
	Damaged    uint64        // places in the journal that can't be read: an alarm if not 0
	Dropped    uint64        // notes that found no room or no open call
	Failed     uint64        // writes to the disk that failed
	Connected  bool          // to the database
	Commits    []Bucket      // how long Commit took; not cumulative
	CommitTime time.Duration // sum over all commits
	Syncs      uint64        // fdatasyncs: Events/Syncs is the size of a group
	JournalB   int64         // bytes of the journal
	FreeB      int64         // free bytes on its disk
	LowDisk    bool          // less than MinFree

	Told     uint64 // messages that webhooks have taken
	Untold   uint64 // attempts that failed
	DeadTold uint64 // messages that were given up
	Lines    uint64 // of the file of finished calls
	Overdue  int64  // months of tables that should be gone and can't be exported: an alarm if not 0
}

type counters struct {
	written, dropped, failed, damaged atomic.Uint64
	projected, retries, dead          atomic.Uint64
	oldest, lag                       atomic.Int64 // unix ns; ns
	connected, reached                atomic.Bool  // now; ever
	syncs                             atomic.Uint64
	commits                           [len(commitBuckets) + 1]atomic.Uint64
	commitTime                        atomic.Int64
}

func (c *counters) commit(took time.Duration) {
	i := 0
	for i < len(commitBuckets) && took > commitBuckets[i] {
		i++
	}
	c.commits[i].Add(1)
	c.commitTime.Add(int64(took))
}

// Stats reads the counters; it's cheap enough for every scrape.
func (s *Store) Stats() Stats {
	j := s.journal
	c := &j.stats
	v := Stats{Events: c.written.Load(), Projected: c.projected.Load(), Retries: c.retries.Load(), Dead: c.dead.Load(),
		Damaged: c.damaged.Load(), Dropped: c.dropped.Load(), Failed: c.failed.Load(), Lag: time.Duration(c.lag.Load()),
		Connected: c.connected.Load(), CommitTime: time.Duration(c.commitTime.Load()), Syncs: c.syncs.Load()}
	if t := c.oldest.Load(); t != 0 {
		v.Oldest = max(0, time.Since(time.Unix(0, t)))
	}
	for i := range c.commits {
		b := Bucket{Count: c.commits[i].Load()}
		if i < len(commitBuckets) {
			b.LE = commitBuckets[i]
		}
		v.Commits = append(v.Commits, b)
	}
	t := &s.courier.stats
	v.Told, v.Untold, v.DeadTold, v.Lines = t.delivered.Load(), t.failed.Load(), t.dead.Load(), t.lines.Load()
	if s.keeper != nil {
		v.Overdue = s.keeper.overdue.Load()
	}
	j.mu.Lock()
	v.Outbox = j.durable - min(j.durable, j.projected)
	for _, s := range j.segments {
		v.JournalB += s.size
	}
	j.mu.Unlock()
	j.disk.mu.Lock()
	v.FreeB, v.LowDisk = j.disk.free, j.disk.low
	j.disk.mu.Unlock()
	return v
}
