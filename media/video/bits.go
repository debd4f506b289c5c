package video

// bits reads numbers of some bits each. Behind the end all are 0, and over says so.
type bits struct {
	b    []byte
	at   int
	over bool
}

func (r *bits) read(n int) (v int) {
	for range n {
		v <<= 1
		if r.at>>3 >= len(r.b) {
			r.over = true
			continue
		}
		v |= int(r.b[r.at>>3]>>(7-r.at&7)) & 1
		r.at++
	}
	return v
}

// skip leaves out n of them.
func (r *bits) skip(n int) {
	for ; n > 0; n -= 32 {
		r.read(min(n, 32))
	}
}

// golomb reads an unsigned number of H.264's ue(v) (9.1).
func (r *bits) golomb() int {
	zeros := 0
	for r.read(1) == 0 {
		if zeros++; zeros > 31 || r.over {
			r.over = true
			return 0
		}
	}
	return 1<<zeros - 1 + r.read(zeros)
}

// signed reads a number of se(v) (9.1.1).
func (r *bits) signed() int {
	v := r.golomb()
	if v&1 == 1 {
		return (v + 1) / 2
	}
	return -v / 2
}
