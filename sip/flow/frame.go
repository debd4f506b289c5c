package flow

import (
	"bytes"
	"fmt"
	"strconv"
)

var (
	crlf    = []byte("\r\n")
	headEnd = []byte("\r\n\r\n")
)

// framer finds messages in a byte stream by their Content-Length (RFC 3261 18.3).
type framer struct {
	max  int
	buf  []byte
	used int         // bytes of buf that hold data
	scan int         // where to go on looking for the end of the head
	line int         // line ends seen since the last message: two are a ping (RFC 5626 3.5.1)
	pong func() bool // tells whether a line end that comes now answers a ping of ours; nil: none does
}

func (fr *framer) pending() bool { return fr.used > 0 }

// space is where to read into.
func (fr *framer) space() []byte {
	if len(fr.buf)-fr.used < 2048 {
		size := max(4096, 2*len(fr.buf))
		grown := make([]byte, min(size, fr.max+4096))
		copy(grown, fr.buf[:fr.used])
		fr.buf = grown
	}
	return fr.buf[fr.used:]
}

func (fr *framer) wrote(n int) { fr.used += n }

// next returns a whole message, or nil. pong asks to answer a ping.
func (fr *framer) next() (msg []byte, pong bool, err error) {
	start := 0
	for start+1 < fr.used && fr.buf[start] == '\r' && fr.buf[start+1] == '\n' {
		start += 2
		if fr.pong != nil && fr.pong() {
			continue
		}
		if fr.line++; fr.line == 2 {
			fr.line, pong = 0, true
		}
	}
	fr.discard(start)
	data := fr.buf[:fr.used]
	if len(data) == 0 || (len(data) == 1 && data[0] == '\r') {
		return nil, pong, nil
	}
	end := bytes.Index(data[max(0, fr.scan-3):], headEnd)
	if end < 0 {
		fr.scan = len(data)
		if len(data) > fr.max {
			return data[:min(len(data), 2048)], pong, fmt.Errorf("no end of the head in %d bytes: %w", len(data), ErrTooLarge)
		}
		return nil, pong, nil
	}
	end += max(0, fr.scan-3) + len(headEnd)
	size, err := contentLength(data[:end])
	if err != nil {
		return data[:end], pong, err
	}
	if size > fr.max-end {
		return data[:end], pong, fmt.Errorf("%d bytes of head and %d of body, at most %d: %w", end, size, fr.max, ErrTooLarge)
	}
	if len(data) < end+size {
		fr.scan = end - 1 // so that the end of the head is found again
		return nil, pong, nil
	}
	msg = append([]byte(nil), data[:end+size]...)
	fr.discard(end + size)
	fr.line = 0
	return msg, pong, nil
}

func (fr *framer) discard(n int) {
	if n == 0 {
		return
	}
	copy(fr.buf, fr.buf[n:fr.used])
	fr.used -= n
	fr.scan = 0
	if fr.used == 0 && len(fr.buf) > 16384 {
		fr.buf = nil // a large message must not pin memory of an idle connection
	}
}

// contentLength reads the one Content-Length that a message in a stream must have (RFC 3261 20.14).
func contentLength(head []byte) (int, error) {
	found := -1
	for line := range bytes.SplitSeq(head, crlf) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		name = bytes.TrimRight(name, " \t")
		if !ok || !(bytes.EqualFold(name, []byte("content-length")) || bytes.EqualFold(name, []byte("l"))) {
			continue
		}
		n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 31)
		if err != nil {
			return 0, fmt.Errorf("Content-Length %.20q: expected a number of bytes: %w", value, ErrFrame)
		}
		if found >= 0 && found != int(n) {
			return 0, fmt.Errorf("Content-Length %d and %d: %w", found, n, ErrFrame)
		}
		found = int(n)
	}
	if found < 0 {
		return 0, fmt.Errorf("no Content-Length: %w", ErrFrame)
	}
	return found, nil
}
