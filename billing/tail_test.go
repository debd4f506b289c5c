package billing

import (
	"bytes"
	"testing"
	"time"
)

// What is held of the journal is what stands on the disk, whoever wrote it and over the ends of segments.
func TestTailIsTheDisk(t *testing.T) {
	t.Parallel()
	c := config(folder(t), None)
	c.SegmentBytes = 256 << 10
	s := open(t, c)
	j := s.journal
	j.follow(true)
	for range 80 {
		commit(t, s, story(time.Now(), 1)...)
	}
	if err := j.control(recordCheckpoint, make([]byte, 8)); err != nil { // nobody else writes now
		t.Fatal(err)
	}
	commit(t, s, story(time.Now(), 1)...)
	var held, stored cursor
	held.want = 1
	for {
		fast := j.recent(&held, 100)
		slow, damage, err := j.read(&stored, 100)
		if err != nil || len(damage) > 0 || len(fast) != len(slow) || held.seg != stored.seg && len(slow) > 0 || held.want != stored.want || held.off != stored.off {
			t.Fatalf("%d records are held up to %d/%d, %d stand on the disk up to %d/%d, %v, %v", len(fast), held.seg, held.off, len(slow), stored.seg, stored.off, damage, err)
		}
		if len(fast) == 0 {
			break
		}
		for i, f := range fast {
			d := slow[i]
			if f.lsn != d.lsn || f.kind != d.kind || f.pos != d.pos || !bytes.Equal(f.payload, d.payload) {
				t.Fatalf("record %d is held as %+v, stands as %+v", d.lsn, f, d)
			}
			if !f.isEvent() {
				continue
			}
			a, err1 := f.event()
			b, err2 := d.event()
			if err1 != nil || err2 != nil {
				t.Fatalf("event %d: %v, %v", d.lsn, err1, err2)
			}
			x, _, err1 := encode(&a)
			y, _, err2 := encode(&b)
			if err1 != nil || err2 != nil || !bytes.Equal(x, y) {
				t.Fatalf("event %d is held as %s, reads as %s (%v, %v)", d.lsn, x, y, err1, err2)
			}
		}
	}
	if stored.want != 81*12+2 {
		t.Errorf("the next record is %d", stored.want)
	}
}

func TestTailTakes(t *testing.T) {
	t.Parallel()
	big := make([]byte, tailBytes/4)
	fill := func(lsns ...uint64) *tail {
		l := &tail{wanted: true}
		for _, n := range lsns {
			l.add(record{lsn: n, payload: big[:n]})
		}
		return l
	}
	for _, x := range []struct {
		name  string
		of    *tail
		want  uint64
		n     int
		first uint64 // of count
		count int
		left  int
	}{
		{"nothing", fill(), 1, 10, 0, 0, 0},
		{"all", fill(4, 5, 6), 4, 10, 4, 3, 0},
		{"so many", fill(4, 5, 6), 4, 2, 4, 2, 1},
		{"from the midst", fill(4, 5, 6), 5, 10, 5, 2, 0},
		{"up to a gap", fill(4, 5, 7, 8), 4, 10, 4, 2, 2},
		{"in a gap", fill(4, 5, 7, 8), 6, 10, 0, 0, 2},
		{"before all", fill(4, 5), 3, 10, 0, 0, 2},
		{"behind all", fill(4, 5), 9, 10, 0, 0, 0},
	} {
		got := x.of.take(x.want, x.n)
		if len(got) != x.count || x.count > 0 && got[0].lsn != x.first || len(x.of.records) != x.left {
			t.Errorf("%s: %d records, %d are left", x.name, len(got), len(x.of.records))
		}
		var bytes int64
		for _, r := range x.of.records {
			bytes += r.size()
		}
		if x.of.bytes != bytes {
			t.Errorf("%s: %d bytes are counted, expected %d", x.name, x.of.bytes, bytes)
		}
	}
	l := &tail{wanted: true}
	for n := range uint64(4) {
		l.add(record{lsn: n + 1, payload: big})
	}
	if len(l.records) != 0 || l.bytes != 0 {
		t.Errorf("%d records, %d bytes are held beyond the bound", len(l.records), l.bytes)
	}
	if l.add(record{lsn: 5}); len(l.take(5, 1)) != 1 {
		t.Error("what comes then isn't held")
	}
	l = &tail{}
	if l.add(record{lsn: 1}); len(l.records) != 0 {
		t.Error("records are held for nobody")
	}
}
