package rtpstream

// Once lets each sequence number through once: a higher one, or one of the 63 below the highest. Under SRTP the same number twice
// would be the same keystream twice (RFC 3711 9.1). The zero value is ready.
type Once struct {
	top     uint16
	seen    uint64 // bit n: top-n is out
	started bool
}

// Take reports whether seq may go, and notes it.
func (w *Once) Take(seq uint16) bool {
	d := int16(seq - w.top)
	switch {
	case !w.started:
		*w = Once{top: seq, seen: ^uint64(0), started: true} // what is below the first has no certain rollover counter
	case d > 0:
		w.top, w.seen = seq, w.seen<<min(uint(d), 64)|1
	case d <= -64 || w.seen>>uint(-d)&1 == 1:
		return false
	default:
		w.seen |= 1 << uint(-d)
	}
	return true
}
