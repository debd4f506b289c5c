package rtpstream

// leastGap is how many packets in a row have to come for a burst of loss to be over (RFC 3611 4.7.2: Gmin, 16 as it recommends).
const leastGap = 16

// runs tells bursts of loss from packets that are lost by themselves (RFC 3611 4.7.2): a burst begins and ends with a packet that was
// lost, and fewer than leastGap between two of them came. All else is gap.
type runs struct {
	first, last uint32 // numbers of those that may become a burst, with their cycles
	lost        uint32 // of them; 0 = there are none

	bursts   uint64
	spans    uint64 // packets within bursts, lost or not
	within   uint64 // packets lost within bursts
	isolated uint64 // and within gaps
}

// add takes a number that never came. Numbers rise.
func (r *runs) add(n uint32) {
	if r.lost > 0 && n-r.last > leastGap {
		r.end()
	}
	if r.lost == 0 {
		r.first = n
	}
	r.last = n
	r.lost++
}

// end says that nothing more belongs to what was added last.
func (r *runs) end() {
	if r.lost > 1 {
		r.bursts++
		r.spans += uint64(r.last-r.first) + 1
		r.within += uint64(r.lost)
	} else {
		r.isolated += uint64(r.lost)
	}
	r.lost = 0
}

// leave takes note of numbers that leave the window when it moves on by so many: who is late by more doesn't come any more.
func (q *Sequence) leave(ahead uint16) {
	top := int64(q.extended())
	for n := max(top-127, int64(q.base)); n <= top+int64(ahead)-128; n++ {
		if n > top || !q.seen.has(uint16(top-n)) {
			q.runs.add(uint32(n))
		}
	}
}

// Metrics is what a block of VoIP metrics says of a stream as it came (RFC 3611 4.7). Shares are in 256ths, times in ms.
type Metrics struct {
	SSRC                           uint32
	Loss, BurstDensity, GapDensity uint8
	Burst, Gap                     uint16 // mean durations
	Trip                           uint16 // round trip; 0 = not known
}

// Metrics measures the stream since it began; packets last so many ms.
func (q *Sequence) Metrics(ptime int) Metrics {
	r, top := q.runs, int64(q.extended())
	for n := max(top-127, int64(q.base)); n < top; n++ {
		if !q.seen.has(uint16(top - n)) {
			r.add(uint32(n))
		}
	}
	r.end()
	all := q.expected()
	gaps := all - min(all, r.spans)
	return Metrics{
		SSRC: q.SSRC, Loss: share(r.within+r.isolated, all), BurstDensity: share(r.within, r.spans), GapDensity: share(r.isolated, gaps),
		Burst: mean(r.spans, r.bursts, ptime), Gap: mean(gaps, r.bursts+1, ptime), // a gap stands before each burst, and behind the last
	}
}

// share is a part of a whole in 256ths.
func share(part, whole uint64) uint8 {
	if whole == 0 {
		return 0
	}
	return uint8(min(part<<8/whole, 255))
}

func mean(packets, of uint64, ptime int) uint16 {
	if of == 0 {
		return 0
	}
	return uint16(min(packets*uint64(max(ptime, 0))/of, 65535))
}
