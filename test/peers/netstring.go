package peers

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
)

// maxNetstring bounds what a peer may make us hold; baresip's longest answers are a few kB.
const maxNetstring = 1 << 20

// readNetstring reads one `length:bytes,`.
func readNetstring(r *bufio.Reader) ([]byte, error) {
	n := 0
	for digits := 0; ; digits++ {
		c, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		if c == ':' && digits > 0 {
			break
		}
		if c < '0' || c > '9' || digits > 7 {
			return nil, fmt.Errorf("netstring: length has byte %q, expected up to 7 digits and a colon", c)
		}
		n = n*10 + int(c-'0')
	}
	if n > maxNetstring {
		return nil, fmt.Errorf("netstring: length %d, expected at most %d", n, maxNetstring)
	}
	b := make([]byte, n+1)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("netstring: %w", err)
	}
	if b[n] != ',' {
		return nil, fmt.Errorf("netstring: ends with %q, expected a comma", b[n])
	}
	return b[:n], nil
}

func appendNetstring(b, text []byte) []byte {
	b = strconv.AppendInt(b, int64(len(text)), 10)
	b = append(b, ':')
	b = append(b, text...)
	return append(b, ',')
}
