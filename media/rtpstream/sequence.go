package rtpstream

import (
	"math/bits"
	"time"
	"unsafe"

	"github.com/patchbay/patchbay/media"
)

const (
	maxMisorder = 100  // sequence numbers that a stream may jump without being another
	maxOutage   = 3000 // and while nothing came for as long as its timestamps say (RFC 3550 A.1 MAX_DROPOUT)

	handOver = int64(100 * time.Millisecond) // of quiet after which another SSRC is believed at once
	sampled  = 8                             // of so many packets one tells the jitter: those behind are on another line of the cache
	maxSkew  = 2e9                           // ns between timestamps and arrival that make a timestamp jump

	leastPause = 5 // a pause is longer than a fifth of a second: no packet holds as much
)

// Verdict on a packet of the peer.
type Verdict uint8

const (
	Drop  Verdict = iota // duplicate, or on probation
	Take                 // Next in order, or after a gap
	Late                 // fills a gap
	Begin                // first of a stream: another SSRC, or a jump
)

// Sequence follows one peer's stream: what is missing, twice or out of order (RFC 3550 A.1), and jitter (A.8). The zero value
// is ready. What each packet touches stands first, in HotSize bytes.
type Sequence struct {
	seen      window128 // numbers at and below max that came
	SSRC      uint32
	max       uint16 // highest number
	Skipped   uint16 // how many took no part in audio's numbering, ever
	cycles    uint32 // times 2^16 that it wrapped
	ts        uint32 // of the audio packet that came last, at its arrival
	clock     uint32
	Started   bool // there was a packet
	jumping   bool // the next packet decides about a jump
	rivalling bool
	timed     bool
	skipping  bool    // skips isn't empty
	noisy     bool    // comfort noise came since the latest audio
	Last      int64   // arrival of the latest packet
	at        int64   // and of the latest audio packet
	jitter    float64 // ns
	highest   float64 // of jitter

	packets uint64 // over all streams of the peer, duplicates apart
	Bytes   uint64 // of payload, likewise; whoever cuts the payload out adds it

	skips     window128 // numbers at and below max that take no part in audio's numbering
	base      uint32    // first number
	fraction  uint8     // lost, as the last report said
	mark      uint64    // packets and duplicates before the stream began
	jump      uint16
	rivalNext uint16
	rival     uint32 // another SSRC on probation

	priorExpected, priorReceived uint64 // at the last report

	// Over all streams of the peer.
	lost                 int64 // of streams that ended
	duplicate, reordered uint64
	Odd                  uint64 // packets that probation dropped
	first                int64
	epochs               uint32
	bursts               uint64 // runs of numbers that never came
	jitters              media.Jitters
	drift                drift   // of the timestamps' latest origin
	silence              float64 // ns that were left out
	interrupted          int64   // when the latest telephone-event came
	noise                uint32  // timestamp at which comfort noise took the place of speech, if noisy
	runs                 runs    // of the stream, of the numbers that have left the window
}

// HotSize is how many bytes of a Sequence each packet touches, from its first on.
const HotSize = unsafe.Offsetof(Sequence{}.skips)

// Next judges a packet.
func (q *Sequence) Next(h *Header, now int64) Verdict {
	v := q.judge(h, now)
	if v != Drop {
		q.Last = now
		q.packets++
	}
	if v == Begin && q.first == 0 {
		q.first = now
	}
	return v
}

func (q *Sequence) judge(h *Header, now int64) Verdict {
	switch {
	case !q.Started:
		q.restart(h)
		return Begin
	case h.SSRC != q.SSRC:
		if now-q.Last > handOver || q.rivalling && q.rival == h.SSRC && q.rivalNext == h.Seq {
			q.restart(h)
			return Begin
		}
		q.rivalling, q.rival, q.rivalNext = true, h.SSRC, h.Seq+1
		q.Odd++
		return Drop
	}
	q.rivalling = false
	ahead := h.Seq - q.max
	behind := q.max - h.Seq
	switch {
	case ahead == 0 || behind < maxMisorder && q.seen.has(behind):
		q.jumping = false
		q.duplicate++
		return Drop
	case behind < maxMisorder:
		q.jumping = false
		q.reordered++
		q.filled(behind)
		q.seen.set(behind)
		return Late
	case ahead <= maxMisorder || ahead < maxOutage && q.outage(h, now):
		q.jumping = false
		if ahead > 1 || !q.seen.has(127) {
			q.leave(ahead)
		}
		if h.Seq < q.max {
			q.cycles += 1 << 16
		}
		if ahead > 1 {
			q.bursts++
		}
		q.max = h.Seq
		q.seen.shift(ahead)
		if q.skipping {
			q.skips.shift(ahead)
			q.skipping = q.skips != window128{}
		}
		q.seen.set(0)
		return Take
	case q.jumping && q.jump == h.Seq:
		q.restart(h)
		return Begin
	}
	q.jumping, q.jump = true, h.Seq+1
	q.Odd++
	return Drop
}

// filled counts the runs of missing numbers anew before the number so far behind comes, late: a run of one is gone, one is parted
// in two, or there is only less of it.
func (q *Sequence) filled(behind uint16) {
	switch before, after := q.seen.has(behind+1), q.seen.has(behind-1); {
	case before && after:
		q.bursts -= min(q.bursts, 1)
	case !before && !after && q.expected() > uint64(behind)+1: // before the first number nothing is missing
		q.bursts++
	}
}

// outage reports whether a gap in the numbers is one in time too, so that packets were lost and nothing began anew.
func (q *Sequence) outage(h *Header, now int64) bool {
	if !q.timed {
		return false
	}
	d := q.skew(h.TS, now)
	return d < maxSkew/4 && d > -maxSkew/4
}

// skew is how much later than its timestamp says a packet came, measured from the last one, in ns.
func (q *Sequence) skew(ts uint32, now int64) float64 {
	return float64(now-q.at) - float64(int32(ts-q.ts))*(1e9/float64(q.clock))
}

// restart begins a stream at h.
func (q *Sequence) restart(h *Header) {
	if q.Started {
		q.lost += q.missing()
	}
	q.Started, q.SSRC, q.max, q.cycles, q.base = true, h.SSRC, h.Seq, 0, uint32(h.Seq)
	q.mark, q.priorExpected, q.priorReceived = q.packets+q.duplicate, 0, 0
	q.seen, q.skips, q.skipping, q.drift = window128{1}, window128{}, false, drift{}
	q.jumping, q.rivalling, q.timed, q.jitter = false, false, false, 0
	q.runs, q.noisy = runs{}, false
	q.epochs++
}

// Pace measures an audio packet's jitter. true is a jump of the timestamps: their origin is another from here on.
func (q *Sequence) Pace(ts, clock uint32, now int64) (jumped bool) {
	if q.timed && q.clock == clock {
		d := q.skew(ts, now)
		if d < 0 {
			d = -d
		}
		if jumped = d > maxSkew; !jumped {
			q.jitter += (d - q.jitter) / 16
			q.highest = max(q.highest, q.jitter)
			if q.max%sampled == 0 {
				q.jitters.Add(q.jitter)
				q.drift.add(ts, clock, now)
			}
			if q.noisy {
				q.spoken(ts, now)
			} else if span := ts - q.ts; span > clock/leastPause && span < 1<<31 {
				q.pause(span, now)
			}
		}
	}
	if jumped || q.clock != clock {
		q.drift, q.noisy = drift{}, false
	}
	q.timed, q.ts, q.at, q.clock = true, ts, now, clock
	return jumped
}

// pause counts what a peer left out because nobody spoke: timestamps and time go on together, numbers have no gap, and no event came in
// between. What is silent in packets that come, a relay doesn't know.
func (q *Sequence) pause(span uint32, now int64) {
	left := float64(span) * (1e9 / float64(q.clock))
	if q.seen.has(1) && q.interrupted < q.at && float64(now-q.at) > left/2 {
		q.silence += left
	}
}

// Noise is Skip of a packet of comfort noise (RFC 3389): from its timestamp on nobody speaks, until audio comes again. It may come once,
// or again and again while it is quiet.
func (q *Sequence) Noise(h *Header, v Verdict) {
	q.Skip(h, v)
	if !q.noisy && q.timed && v == Take {
		q.noisy, q.noise = true, h.TS
	}
}

// spoken ends what comfort noise began: the time between their timestamps was silence, if it has passed. An event ends it too.
func (q *Sequence) spoken(ts uint32, now int64) {
	q.noisy = false
	span := ts - q.noise
	left := float64(span) * (1e9 / float64(q.clock))
	if span < 1<<31 && float64(now-q.at) > left/2 {
		q.silence += left
	}
}

// Interrupt is Skip of a telephone-event that came now.
func (q *Sequence) Interrupt(h *Header, v Verdict, now int64) {
	if q.noisy {
		q.spoken(h.TS, now)
	}
	q.Skip(h, v)
	q.interrupted = now
}

// Skip takes the packet h, which v was the verdict on, out of audio's numbering: what a sink doesn't get must not look
// lost to its peer. A late one has left its gap already.
func (q *Sequence) Skip(h *Header, v Verdict) {
	if v != Late {
		q.Skipped++
		q.skips.set(0)
		q.skipping = true
	}
}

// Number is the audio packet's place among the audio packets.
func (q *Sequence) Number(h *Header, v Verdict) uint16 {
	n := h.Seq - q.Skipped
	if v == Late && q.skipping { // those skipped after it don't count
		n += uint16(q.skips.below(q.max - h.Seq))
	}
	return n
}

// expected is how many packets the stream has had by its numbers (RFC 3550 A.3).
func (q *Sequence) expected() uint64 { return uint64(q.extended() - q.base + 1) }

// extended is the highest number with the count of its cycles.
func (q *Sequence) extended() uint32 { return q.cycles + uint32(q.max) }

// missing is RFC 3550's cumulative loss: negative when duplicates outnumber what is lost.
func (q *Sequence) missing() int64 {
	if !q.Started {
		return 0
	}
	return int64(q.expected()) - int64(q.received())
}

// received is how many packets of the stream came, duplicates among them.
func (q *Sequence) received() uint64 { return q.packets + q.duplicate - q.mark }

// Stream is what was counted of the peer's stream, over all its SSRCs, for a snapshot.
func (q *Sequence) Stream() media.Stream {
	skew, skewed := q.drift.ppm()
	return media.Stream{
		Inbound: true, SSRC: q.SSRC, Packets: q.packets, Bytes: q.Bytes,
		Lost: q.lost + q.missing(), Fraction: q.fraction, Duplicate: q.duplicate, Reordered: q.reordered,
		Jitter: time.Duration(q.jitter), JitterMax: time.Duration(q.highest), First: q.first, Last: q.Last,
		Bursts: q.bursts, Jitters: q.jitters, Skew: skew, Skewed: skewed, Silence: time.Duration(q.silence),
	}
}

// Block is a report of the stream. Each counts what was lost since the one before.
func (q *Sequence) Block() Block {
	q.fraction = q.fresh()
	return Block{
		SSRC: q.SSRC, Fraction: q.fraction, Highest: q.extended(),
		Lost: int32(min(max(q.missing(), -1<<23), 1<<23-1)), Jitter: uint32(q.jitter * float64(q.clock) / 1e9),
	}
}

// fresh is what was lost since it was asked last, in 256ths (RFC 3550 A.3).
func (q *Sequence) fresh() uint8 {
	expected, received := q.expected()-q.priorExpected, q.received()-q.priorReceived
	q.priorExpected, q.priorReceived = q.expected(), q.received()
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
