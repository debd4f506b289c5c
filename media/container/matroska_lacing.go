package container

// unlace takes frames apart that share a block (RFC 9559 10.3).
func unlace(b []byte, kind byte) (out [][]byte) {
	if kind == 0 {
		return [][]byte{b}
	}
	if len(b) == 0 {
		return nil
	}
	n := int(b[0]) + 1
	b = b[1:]
	sizes := make([]int, 0, n)
	total := 0
	for i := 0; i < n-1 && kind != 2; i++ {
		size := 0
		if kind == 1 { // Xiph's
			for {
				if len(b) == 0 {
					return nil
				}
				x := int(b[0])
				b, size = b[1:], size+x
				if x < 255 {
					break
				}
			}
		} else {
			v, m, _ := vint(b)
			if m == 0 {
				return nil
			}
			b = b[m:]
			if size = int(v); i > 0 { // the difference to the one before
				size = sizes[i-1] + int(v) - (1<<(7*m-1) - 1)
			}
		}
		if size < 0 || size > maxPacket {
			return nil
		}
		sizes, total = append(sizes, size), total+size
	}
	if kind == 2 {
		for range n {
			sizes = append(sizes, len(b)/n)
		}
	} else {
		sizes = append(sizes, len(b)-total)
	}
	for _, size := range sizes {
		if size < 0 || size > len(b) {
			return nil
		}
		out, b = append(out, b[:size]), b[size:]
	}
	return out
}
