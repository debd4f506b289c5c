package mix

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"
)

const (
	// start is how far ahead of its playing the first frame of a stream is kept.
	start = 20 * time.Millisecond
	// farthest is the most that audio waits. What is farther ahead is of another time: the stream is taken anew.
	farthest = 200 * time.Millisecond
	// near and wide bound what the 5th percentile of frames is ahead: below one the buffer grows, above the other it shrinks.
	near = 2 * time.Millisecond
	wide = 20 * time.Millisecond
	// observed is how many frames the percentile is of, and judged how often it is looked at.
	observed, judged = 150, 25
)

// buffer evens out when frames of one stream come. What waits in it stands on the time that it is played at: a position counts
// samples, and at, the next position that is played, moves on with each tick whatever comes.
//
// It grows at once when a stream as a whole comes late. Otherwise it follows the 5th percentile of how far ahead frames come,
// by single periods of the pitch, that are left out or repeated where they are the least heard.
type buffer struct {
	mu    sync.Mutex
	rate  int     // Hz
	ring  []int16 // half a second, by position
	spans []span  // what of it is there, in order, apart
	at    int64   // position of the next sample that is played
	tick  int64   // when that was so, ns

	begun bool
	epoch uint32
	stamp uint32 // timestamp of a sample, and its position
	pos   int64

	ahead  [observed]int32 // of the last frames, in samples
	frames int
	sorted [observed]int32
	adjust int // -1: to be shorter by a period; 1: longer

	conceal concealer
	scratch []int16
	counts  Counts
}

// Counts are what happened to what came into a port, since it was made.
type Counts struct {
	Frames    uint64 // taken
	Late      uint64 // frames that came after their time, or with too many others, and were left out
	Concealed uint64 // samples that were made up for missing ones
	Shorter   uint64 // periods left out
	Longer    uint64 // periods repeated
	Shifted   uint64 // times that the stream began anew, or as a whole came late
}

type span struct{ from, to int64 }

const mostSpans = 16

// setRate empties the buffer for another rate, in Hz.
func (b *buffer) setRate(rate int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate == rate {
		return
	}
	b.rate = rate
	b.ring = make([]int16, rate/2)
	b.scratch = make([]int16, 2*rate/50)
	b.spans = make([]span, 0, mostSpans)
	b.at, b.begun, b.frames, b.adjust = 0, false, 0, 0
	b.conceal.setRate(rate)
}

// samples is how many a time has at the buffer's rate.
func (b *buffer) samples(d time.Duration) int64 { return int64(d) * int64(b.rate) / int64(time.Second) }

// write takes a frame of L16 at a rate. A frame at another rate than the buffer's is from before it changed.
func (b *buffer) write(payload []byte, rate int, stamp, epoch uint32, now int64) {
	n := int64(len(payload) / 2)
	b.mu.Lock()
	defer b.mu.Unlock()
	if rate != b.rate || n == 0 || n > int64(len(b.ring))/2 {
		return
	}
	b.counts.Frames++
	passed := min(b.samples(time.Duration(max(now-b.tick, 0))), int64(b.rate/50)) // since the last tick
	from := b.pos + int64(int32(stamp-b.stamp))
	end := b.end()
	switch ahead := from - b.at - passed; {
	case !b.begun, epoch != b.epoch, ahead > b.samples(farthest) && from != end, ahead < -b.samples(2*time.Second):
		from = max(b.at+passed+b.samples(start), end)
		b.begun, b.epoch = true, epoch
		b.frames, b.adjust = 0, 0
		b.counts.Shifted++
	case ahead > b.samples(farthest):
		b.counts.Late++ // a burst after a stall: the rest of it follows where this would have been
		b.stamp, b.pos = stamp+uint32(n), from
		return
	case from < b.at && from >= end:
		from = b.at // in order: the whole stream is late
		b.frames = 0
		b.counts.Shifted++
	case from < b.at:
		b.counts.Late++
		b.observe(int32(ahead))
		return
	}
	b.stamp, b.pos = stamp, from
	b.observe(int32(from - b.at - passed))
	if from+n > b.at+int64(len(b.ring)) || !b.insert(span{from, from + n}) {
		return
	}
	for i := range n {
		b.ring[(from+i)%int64(len(b.ring))] = int16(binary.BigEndian.Uint16(payload[2*i:]))
	}
}

// end is the position after the newest sample.
func (b *buffer) end() int64 {
	if len(b.spans) == 0 {
		return b.at
	}
	return b.spans[len(b.spans)-1].to
}

// insert notes that a span is there. It reports false if it is already, or if what is there is too scattered.
func (b *buffer) insert(s span) bool {
	i, _ := slices.BinarySearchFunc(b.spans, s.from, func(o span, from int64) int { return int(o.to - from) })
	switch {
	case i < len(b.spans) && b.spans[i].to == s.from && (i+1 == len(b.spans) || b.spans[i+1].from >= s.to):
		b.spans[i].to = s.to
	case i < len(b.spans) && b.spans[i].to == s.from, i < len(b.spans) && b.spans[i].from < s.to:
		return false
	case len(b.spans) == mostSpans:
		return false
	default:
		b.spans = slices.Insert(b.spans, i, s)
	}
	return true
}

// observe follows how far ahead frames come, and says once in a while whether the buffer is to grow or to shrink.
func (b *buffer) observe(ahead int32) {
	b.ahead[b.frames%observed] = ahead
	b.frames++
	if b.frames%judged != 0 {
		return
	}
	n := min(b.frames, observed)
	copy(b.sorted[:n], b.ahead[:n])
	slices.Sort(b.sorted[:n])
	low := int64(b.sorted[n/20])
	switch {
	case low < b.samples(near) && int64(b.sorted[n/2]) < b.samples(farthest):
		b.adjust = 1
	case low > b.samples(wide) && n == observed:
		b.adjust = -1
	default:
		b.adjust = 0
	}
}

// read plays 20 ms into dst, at now. It reports false if all of it is silence that nobody sent.
func (b *buffer) read(dst []int16, now int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tick = now
	if b.adjust == 0 || !b.bend(dst, int64(b.conceal.period())) {
		return b.play(dst)
	}
	b.conceal.played(dst)
	return true
}

// bend plays a period of the pitch less, or one twice, if what it takes is there.
func (b *buffer) bend(dst []int16, period int64) bool {
	n := int64(len(dst))
	switch {
	case b.adjust < 0 && b.whole(n+period):
		x := b.scratch[:n+period]
		b.peek(x)
		b.pass(n + period)
		fade(dst[:period], x[:period], x[period:])
		copy(dst[period:], x[2*period:])
		b.moved(-period)
		b.counts.Shorter++
	case b.adjust > 0 && b.whole(n):
		x := b.scratch[:n]
		b.peek(x)
		b.pass(n - period)
		copy(dst, x[:period])
		fade(dst[period:2*period], x[period:], x)
		copy(dst[2*period:], x[period:])
		b.moved(period)
		b.counts.Longer++
	default:
		return false
	}
	return true
}

// moved notes that all that waits is played so much later.
func (b *buffer) moved(by int64) {
	b.adjust = 0
	for i := range b.ahead {
		b.ahead[i] += int32(by)
	}
}

// whole reports whether the next n samples are all there.
func (b *buffer) whole(n int64) bool {
	return len(b.spans) > 0 && b.spans[0].from <= b.at && b.spans[0].to >= b.at+n
}

// peek copies the next samples, which are there.
func (b *buffer) peek(dst []int16) {
	k := copy(dst, b.ring[b.at%int64(len(b.ring)):])
	copy(dst[k:], b.ring)
}

// pass moves on, and forgets what is behind.
func (b *buffer) pass(n int64) {
	b.at += n
	for len(b.spans) > 0 && b.spans[0].to <= b.at {
		b.spans = slices.Delete(b.spans, 0, 1)
	}
}

// play takes what is there of the next samples, and makes up the rest.
func (b *buffer) play(dst []int16) (heard bool) {
	for len(dst) > 0 {
		n := int64(len(dst))
		if len(b.spans) > 0 && b.spans[0].from <= b.at {
			n = min(n, b.spans[0].to-b.at)
			b.peek(dst[:n])
			b.pass(n)
			b.conceal.mend(dst[:n])
			heard = true
		} else {
			if len(b.spans) > 0 {
				n = min(n, b.spans[0].from-b.at)
			}
			if b.conceal.fill(dst[:n]) {
				b.counts.Concealed += uint64(n)
				heard = true
			}
			b.pass(n)
		}
		b.conceal.played(dst[:n])
		dst = dst[n:]
	}
	return heard
}

// count is what happened so far, and how long what comes now waits.
func (b *buffer) count() (Counts, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate == 0 {
		return b.counts, 0
	}
	return b.counts, time.Duration(max(b.end()-b.at, 0)) * time.Second / time.Duration(b.rate)
}
