package container

import (
	"encoding/binary"
	"io"
	"math"
)

// mp4Box is the head of a box (ISO/IEC 14496-12 4.2).
type mp4Box struct {
	kind             [4]byte
	begin, data, end int64 // places in the file; end is math.MaxInt64 where the box goes on to the file's end
}

func (b *mp4Box) is(kind string) bool { return string(b.kind[:]) == kind }

// box reads the head of a box that ends at limit at the latest; io.EOF says that there is no more room, or no more file.
func (c *cursor) box(limit int64) (b mp4Box, err error) {
	b.begin = c.at
	if limit-b.begin < 8 {
		return b, io.EOF
	}
	h, err := c.peek(8)
	if err != nil {
		return b, err
	}
	size, n := int64(binary.BigEndian.Uint32(h)), int64(8)
	copy(b.kind[:], h[4:])
	switch size {
	case 0:
		size = limit - b.begin
	case 1:
		if h, err = c.peek(16); err != nil {
			return b, err
		}
		n = 16
		if size = int64(binary.BigEndian.Uint64(h[8:])); size < 0 {
			size = 0
		}
	}
	if size < n || size > limit-b.begin {
		return b, damaged("box %q of MP4 of %d bytes at %d", b.kind[:], size, b.begin)
	}
	c.skip(n)
	b.data, b.end = b.begin+n, b.begin+size
	return b, nil
}

// boxes calls do for each box in another one. do may read it, or a part of it.
func (c *cursor) boxes(in mp4Box, do func(mp4Box) error) error {
	c.seek(in.data)
	for in.end-c.at >= 8 {
		b, err := c.box(in.end)
		if err == nil {
			err = do(b)
		}
		if err != nil {
			return err
		}
		c.seek(b.end)
	}
	return nil
}

// body is all that is in a box, at most so many bytes, and at least so many.
func (c *cursor) body(b mp4Box, least, most int64) ([]byte, error) {
	n := b.end - b.data
	if n < least || n > most {
		return nil, damaged("box %q of MP4 of %d bytes, expected %d to %d", b.kind[:], n, least, most)
	}
	p := make([]byte, n)
	c.seek(b.data)
	return p, c.read(p)
}

// inner calls do for each box of those in b.
func inner(b []byte, do func(kind string, data []byte)) {
	for len(b) >= 8 {
		n := int64(binary.BigEndian.Uint32(b))
		if n < 8 || n > int64(len(b)) {
			return
		}
		do(string(b[4:8]), b[8:n])
		b = b[n:]
	}
}

// table is a part of the index: rows of a width, which stay in the file.
type table struct {
	c     *cursor // nil: there is no such table
	at    int64
	rows  int64
	width int64
}

// tableRoom is what is read ahead of a table, bytes.
const tableRoom = 4 << 10

// newTable is the one in a box, behind so many bytes of which the last four are the number of rows.
func (c *cursor) newTable(b mp4Box, head, width int64) (table, error) {
	if b.end-b.data < head {
		return table{}, damaged("box %q of MP4 of %d bytes, expected %d or more", b.kind[:], b.end-b.data, head)
	}
	p, err := c.peek(int(head))
	if err != nil {
		return table{}, err
	}
	rows := min(int64(binary.BigEndian.Uint32(p[head-4:])), (b.end-b.data-head)/width)
	return table{c: &cursor{in: c.in, room: tableRoom}, at: b.data + head, rows: rows, width: width}, nil
}

// row is one of the table's, valid until the next; io.EOF says that there is none.
func (t *table) row(i int64) ([]byte, error) {
	if t.c == nil || i < 0 || i >= t.rows {
		return nil, io.EOF
	}
	t.c.seek(t.at + i*t.width)
	return t.c.peek(int(t.width))
}

// number is the i-th column of 4 bytes of a row.
func column(row []byte, i int) int64 { return int64(binary.BigEndian.Uint32(row[4*i:])) }

// wide reads a number of 4 bytes, or of 8 in boxes of version 1; of those that are too large, the largest.
func wide(b []byte, version byte) (v int64, rest []byte) {
	if version == 0 {
		return int64(binary.BigEndian.Uint32(b)), b[4:]
	}
	return int64(min(binary.BigEndian.Uint64(b), math.MaxInt64)), b[8:]
}
