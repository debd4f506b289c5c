package billing

import (
	"errors"
	"fmt"
	"os"
)

// cursor is a place in the journal up to which it was read.
type cursor struct {
	seg  uint64
	off  int64
	want uint64 // next lsn
	buf  []byte // bytes from off on that were read already
}

var errEnough = errors.New("enough")

// read returns up to n durable records behind the cursor and moves it. Their payloads stay valid. What can't be read
// is passed over and returned as damage.
func (j *journal) read(c *cursor, n int) ([]record, []Damage, error) {
	if records := j.recent(c, n); len(records) > 0 {
		return records, nil, nil
	}
	var records []record
	var damage []Damage
	for {
		s, last := j.segmentFor(c)
		if s.path == "" {
			return records, damage, nil
		}
		if s.no != c.seg {
			*c = cursor{seg: s.no, off: segmentHeader, want: s.first}
		}
		if len(c.buf) == 0 && c.off < s.size {
			b, err := readRange(s.path, c.off, s.size)
			if err != nil {
				return records, damage, err
			}
			c.buf = b
		}
		if len(c.buf) > 0 {
			end, want, d, err := s.scan(c.buf, c.off, c.want, s.last, func(r record) error {
				if len(records) == n {
					return errEnough
				}
				records = append(records, r)
				return nil
			})
			damage = append(damage, d...)
			if err != nil {
				c.buf, c.off, c.want = c.buf[end-c.off:], end, want
				return records, damage, nil
			}
			if want <= s.last && c.off+int64(len(c.buf)) >= s.size {
				damage = append(damage, Damage{s.path, end, s.size, want, s.last, "nothing behind it can be read"})
				want = s.last + 1
			}
			c.off, c.want, c.buf = c.off+int64(len(c.buf)), want, nil
		}
		if c.off >= s.size && last {
			return records, damage, nil
		}
		if c.off >= s.size {
			c.seg++ // the next one, or the one after a missing one
			c.off, c.want = segmentHeader, 0
			continue
		}
	}
}

// segmentFor returns a copy of the segment that the cursor is in, and whether it's the journal's last.
func (j *journal) segmentFor(c *cursor) (segment, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, s := range j.segments {
		if s.no >= c.seg {
			if s.no == c.seg && c.want == 0 {
				c.want = s.first
			}
			return *s, i == len(j.segments)-1
		}
	}
	return segment{}, true
}

func readRange(path string, from, to int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	b := make([]byte, to-from)
	_, err = f.ReadAt(b, from)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read journal %s: %w", path, err)
	}
	return b, nil
}
