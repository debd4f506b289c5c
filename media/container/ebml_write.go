package container

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// put appends an element with its data.
func put(dst []byte, id uint32, data []byte) []byte {
	return append(putHead(dst, id, int64(len(data))), data...)
}

// putHead appends an element's head.
func putHead(dst []byte, id uint32, size int64) []byte {
	switch {
	case id > 0xffffff:
		dst = append(dst, byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
	case id > 0xffff:
		dst = append(dst, byte(id>>16), byte(id>>8), byte(id))
	case id > 0xff:
		dst = append(dst, byte(id>>8), byte(id))
	default:
		dst = append(dst, byte(id))
	}
	if size == unknownSize {
		return append(dst, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	}
	n := 1
	for size >= 1<<(7*n)-1 {
		n++
	}
	for i := n - 1; i >= 0; i-- {
		x := byte(size >> (8 * i))
		if i == n-1 {
			x |= 0x80 >> (n - 1)
		}
		dst = append(dst, x)
	}
	return dst
}

func putNumber(dst []byte, id uint32, v int64) []byte {
	n := max(1, (bits.Len64(uint64(v))+7)/8)
	dst = putHead(dst, id, int64(n))
	for i := n - 1; i >= 0; i-- {
		dst = append(dst, byte(v>>(8*i)))
	}
	return dst
}

func putText(dst []byte, id uint32, s string) []byte { return put(dst, id, []byte(s)) }

func putDecimal(dst []byte, id uint32, f float64) []byte {
	return binary.BigEndian.AppendUint64(putHead(dst, id, 8), math.Float64bits(f))
}
