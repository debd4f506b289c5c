package webrtc

import (
	"math/bits"
	"time"
)

const (
	maxMisorder = 100  // sequence numbers that a stream may jump without being another
	maxOutage   = 3000 // and while nothing came for as long as its timestamps say (RFC 3550 A.1 MAX_DROPOUT)

	handOver = int64(100 * time.Millisecond) // of quiet after which another SSRC is believed at once
	maxSkew  = 2e9                           // ns between timestamps and arrival that make a timestamp jump
)

// verdict on a packet of the peer.
type verdict uint8

const (
	drop  verdict = iota // duplicate, or on probation
	take                 // next in order, or after a gap
	late                 // fills a gap
	begin                // first of a stream: another SSRC, or a jump
)

// sequence follows one peer's stream: what is missing, twice or out of order (RFC 3550 A.1), and jitter (A.8).
type sequence struct {
	started  bool
	ssrc     uint32
	max      uint16 // highest number
	cycles   uint32 // times 2^16 that it wrapped
	base     uint32 // first number
	received uint64
	seen     window128 // numbers at and below max that came
	skips    window128 // those among them that take no part in audio's numbering
	skipped  uint16    // how many did, ever

	jumping bool // the next packet decides about a jump
	jump    uint16

	rival     uint32 // another SSRC on probation
	rivalNext uint16
	rivalling bool

	last    int64 // arrival of the latest packet
	timed   bool
	ts      uint32 // of the audio packet that came last, and its arrival
	at      int64
	clock   int
	jitter  float64 // ns
	highest float64 // of jitter

	priorExpected, priorReceived uint64 // at the last report

	// Over all streams of the peer.
	packets, bytes            uint64
	lost                      int64 // of streams that ended
	duplicate, reordered, odd uint64
	first                     int64
	epochs                    uint32
}

// next judges a packet.
func (q *sequence) next(h *header, now int64) verdict {
	v := q.judge(h, now)
	if v != drop {
		q.last = now
	}
	return v
}

func (q *sequence) judge(h *header, now int64) verdict {
	switch {
	case !q.started:
		q.restart(h)
		return begin
	case h.ssrc != q.ssrc:
		if now-q.last > handOver || q.rivalling && q.rival == h.ssrc && q.rivalNext == h.seq {
			q.restart(h)
			return begin
		}
		q.rivalling, q.rival, q.rivalNext = true, h.ssrc, h.seq+1
		q.odd++
		return drop
	}
	q.rivalling = false
	ahead := h.seq - q.max
	behind := q.max - h.seq
	switch {
	case ahead == 0 || behind < maxMisorder && q.seen.has(behind):
		q.jumping = false
		q.received++
		q.duplicate++
		return drop
	case behind < maxMisorder:
		q.jumping = false
		q.received++
		q.reordered++
		q.seen.set(behind)
		return late
	case ahead <= maxMisorder || ahead < maxOutage && q.outage(h, now):
		q.jumping = false
		q.received++
		if h.seq < q.max {
			q.cycles += 1 << 16
		}
		q.max = h.seq
		q.seen.shift(ahead)
		q.skips.shift(ahead)
		q.seen.set(0)
		return take
	case q.jumping && q.jump == h.seq:
		q.restart(h)
		return begin
	}
	q.jumping, q.jump = true, h.seq+1
	q.odd++
	return drop
}

// outage reports whether a gap in the numbers is one in time too, so that packets were lost and nothing began anew.
func (q *sequence) outage(h *header, now int64) bool {
	if !q.timed {
		return false
	}
	d := q.skew(h.ts, now)
	return d < maxSkew/4 && d > -maxSkew/4
}

// skew is how much later than its timestamp says a packet came, measured from the last one, in ns.
func (q *sequence) skew(ts uint32, now int64) float64 {
	return float64(now-q.at) - float64(int32(ts-q.ts))*(1e9/float64(q.clock))
}

// restart begins a stream at h.
func (q *sequence) restart(h *header) {
	if q.started {
		q.lost += q.missing()
	}
	q.started, q.ssrc, q.max, q.cycles, q.base = true, h.ssrc, h.seq, 0, uint32(h.seq)
	q.received, q.priorExpected, q.priorReceived = 1, 0, 0
	q.seen, q.skips = window128{1}, window128{}
	q.jumping, q.rivalling, q.timed, q.jitter = false, false, false, 0
	q.epochs++
}

// pace measures an audio packet's jitter. true is a jump of the timestamps: their origin is another from here on.
func (q *sequence) pace(ts uint32, clock int, now int64) (jumped bool) {
	if q.timed && q.clock == clock {
		d := q.skew(ts, now)
		if d < 0 {
			d = -d
		}
		if jumped = d > maxSkew; !jumped {
			q.jitter += (d - q.jitter) / 16
			q.highest = max(q.highest, q.jitter)
		}
	}
	q.timed, q.ts, q.at, q.clock = true, ts, now, clock
	return jumped
}

// skip takes the packet h, which v was the verdict on, out of audio's numbering: what a sink doesn't get must not look
// lost to its peer. A late one has left its gap already.
func (q *sequence) skip(h *header, v verdict) {
	if v != late {
		q.skipped++
		q.skips.set(0)
	}
}

// number is the audio packet's place among the audio packets.
func (q *sequence) number(h *header, v verdict) uint16 {
	n := h.seq - q.skipped
	if v == late { // those skipped after it don't count
		n += uint16(q.skips.below(q.max - h.seq))
	}
	return n
}

// expected is how many packets the stream has had by its numbers (RFC 3550 A.3).
func (q *sequence) expected() uint64 { return uint64(q.extended() - q.base + 1) }

// extended is the highest number with the count of its cycles.
func (q *sequence) extended() uint32 { return q.cycles + uint32(q.max) }

// missing is RFC 3550's cumulative loss: negative when duplicates outnumber what is lost.
func (q *sequence) missing() int64 {
	if !q.started {
		return 0
	}
	return int64(q.expected()) - int64(q.received)
}

// fraction is what was lost since it was asked last, in 256ths (RFC 3550 A.3).
func (q *sequence) fraction() uint8 {
	expected, received := q.expected()-q.priorExpected, q.received-q.priorReceived
	q.priorExpected, q.priorReceived = q.expected(), q.received
	if expected == 0 || received >= expected {
		return 0
	}
	return uint8(min((expected-received)<<8/expected, 255))
}

// window128 holds a bit for each of 128 numbers, counted downwards from the highest.
type window128 [2]uint64

func (w *window128) has(n uint16) bool { return n < 128 && w[n/64]>>(n%64)&1 != 0 }
func (w *window128) set(n uint16) {
	if n < 128 {
		w[n/64] |= 1 << (n % 64)
	}
}

func (w *window128) shift(n uint16) {
	switch {
	case n >= 128:
		*w = window128{}
	case n >= 64:
		w[1], w[0] = w[0]<<(n-64), 0
	default:
		w[1], w[0] = w[1]<<n|w[0]>>(64-n), w[0]<<n
	}
}

// below counts the bits of numbers less than n.
func (w *window128) below(n uint16) int {
	switch {
	case n >= 128:
		return bits.OnesCount64(w[0]) + bits.OnesCount64(w[1])
	case n >= 64:
		return bits.OnesCount64(w[0]) + bits.OnesCount64(w[1]&(1<<(n-64)-1))
	}
	return bits.OnesCount64(w[0] & (1<<n - 1))
}
