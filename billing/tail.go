package billing

import (
	"cmp"
	"slices"
)

// tailBytes bounds the payloads that are held for the projector. Where it is further behind, it reads the disk.
const tailBytes = 32 << 20

// tail holds the newest durable records for the projector, so that it need not read them from the disk.
type tail struct {
	wanted  bool
	records []record // by lsn
	bytes   int64
}

func (t *tail) add(r record) {
	if !t.wanted {
		return
	}
	t.bytes += r.size()
	t.records = append(t.records, r)
	if t.bytes > tailBytes {
		t.records, t.bytes = nil, 0
	}
}

// take removes up to n records from number want on that follow each other; none if want isn't there. What comes before it goes, too.
func (t *tail) take(want uint64, n int) []record {
	from, there := slices.BinarySearchFunc(t.records, want, func(r record, lsn uint64) int { return cmp.Compare(r.lsn, lsn) })
	to := from
	for there && to < len(t.records) && to-from < n && t.records[to].lsn == want+uint64(to-from) {
		to++
	}
	for i := range t.records[:to] {
		t.bytes -= t.records[i].size()
	}
	out := t.records[from:to:to]
	if t.records = t.records[to:]; len(t.records) == 0 {
		t.records = nil
	}
	return out
}

func (r *record) size() int64 { return int64(len(r.payload)) + recordHeader }

// follow says whether somebody reads the journal while it is written.
func (j *journal) follow(on bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tail = tail{wanted: on}
}

// recent is read without the disk: it returns nothing where the records at the cursor aren't held.
func (j *journal) recent(c *cursor, n int) []record {
	j.mu.Lock()
	defer j.mu.Unlock()
	records := j.tail.take(c.want, n)
	if len(records) > 0 {
		at := records[len(records)-1]
		*c = cursor{seg: at.pos.seg, off: int64(at.pos.off) + int64(at.pos.size), want: at.lsn + 1}
	}
	return records
}
