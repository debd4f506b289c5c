package gateway

import (
	"math"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/gateway/quality"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
)

// gauge cuts what a leg's endpoint counts into buckets. The call's goroutine owns it.
type gauge struct {
	of       *Call // whose record the buckets are in; nil = it doesn't run
	no       int   // of the last bucket
	began    int64 // CLOCK_MONOTONIC
	cut      int64 // the end of the last bucket
	first    counts
	last     counts
	receives bool // it should have been heard, at some time
	rttMin   time.Duration
	rttMax   time.Duration
}

// counts of both streams of a leg, since its endpoint began.
type counts struct{ in, out media.Stream }

// count reads them. Streams of one direction are taken together.
func count(e media.Element) (c counts) {
	if e == nil {
		return c
	}
	var s media.Snapshot
	e.Stats(&s)
	for i := range s.Streams {
		if st := &s.Streams[i]; st.Inbound {
			join(&c.in, st)
		} else {
			join(&c.out, st)
		}
	}
	return c
}

// join adds one stream's counts to others of its direction; what isn't a count is the latest one's.
func join(to, st *media.Stream) {
	if st.Last >= to.Last {
		to.SSRC, to.Format, to.Jitter, to.Last = st.SSRC, st.Format, st.Jitter, st.Last
		to.Skew, to.Skewed = st.Skew, st.Skewed
	}
	if st.XR != nil {
		to.XR = st.XR
	}
	to.Silence += st.Silence
	to.Packets += st.Packets
	to.Bytes += st.Bytes
	to.Lost += st.Lost
	to.Duplicate += st.Duplicate
	to.Reordered += st.Reordered
	to.Rejected += st.Rejected
	to.Bursts += st.Bursts
	to.Reported = to.Reported || st.Reported
	to.RTT = max(to.RTT, st.RTT)
	if to.First == 0 || st.First != 0 && st.First < to.First {
		to.First = st.First
	}
	for i, n := range st.Jitters {
		to.Jitters[i] += n
	}
}

// measureFrom begins with legs' buckets.
func (c *Call) measureFrom(legs ...*sipLeg) {
	now := udp.Now()
	for _, l := range legs {
		if l.meter.of == c {
			continue
		}
		n := count(l.ep)
		l.meter = gauge{of: c, began: now, cut: now, first: n, last: n, receives: l.want.Receives()}
	}
}

// measure notes the buckets that end now.
func (c *Call) measure(now time.Time) {
	c.measureFrom(c.parties()...)
	var list []call.Bucket
	for _, l := range c.parties() {
		list = append(list, c.bucket(l, count(l.ep), udp.Now())...)
	}
	c.observe(list)
	c.rec.note(0, now, call.Measured{Buckets: list})
}

// measured ends legs' buckets: the last one, which is shorter, and the one of the whole leg.
func (c *Call) measured(at time.Time, legs ...*sipLeg) {
	var list []call.Bucket
	now := udp.Now()
	for _, l := range legs {
		m := &l.meter
		if m.of != c {
			continue
		}
		n := count(l.ep)
		if now-m.cut > int64(time.Second) || m.no == 0 { // less tells nothing that the whole doesn't
			list = append(list, c.bucket(l, n, now)...)
		}
		m.of = nil
		list = append(list, c.whole(l, n, now)...)
	}
	if len(list) == 0 {
		return
	}
	c.observe(list)
	c.rec.note(0, at, call.Measured{Buckets: list})
}

// bucket cuts a leg's counts where they are now.
func (c *Call) bucket(l *sipLeg, n counts, now int64) []call.Bucket {
	m := &l.meter
	m.no++
	out := c.span(l, m.no, m.last, n, now-m.cut, l.want.Receives())
	m.receives = m.receives || l.want.Receives()
	if rtt := n.in.RTT; rtt > 0 {
		m.rttMin, m.rttMax = min(cmpOr(m.rttMin, rtt), rtt), max(m.rttMax, rtt)
	}
	m.cut, m.last = now, n
	return out
}

// whole is a leg from its answer to its end.
func (c *Call) whole(l *sipLeg, n counts, now int64) []call.Bucket {
	m := &l.meter
	out := c.span(l, 0, m.first, n, now-m.began, m.receives)
	for i := range out {
		b := &out[i]
		if m.rttMin > 0 {
			b.RTTMin, b.RTTMax = ms(m.rttMin), ms(m.rttMax)
		}
		// What a party that was never heard is sent makes it one-way, after as long as it may take to begin.
		b.OneWay = b.NoMedia && b.Stream == call.StreamIn && b.SpanMS > silentTime && n.out.Packets > m.first.out.Packets
	}
	return out
}

// silentTime in ms is how long a party may be silent at the beginning.
const silentTime = 2000

// span tells both streams between two readings.
func (c *Call) span(l *sipLeg, no int, from, to counts, ns int64, hears bool) []call.Bucket {
	var described call.Media
	if r := c.rec.call.Leg(l.no); r != nil {
		described = r.Media
	}
	base := call.Bucket{Leg: l.no, No: no, SpanMS: ns / 1e6, Codec: described.Codec}
	in, out := base, base
	heard(&in, &from.in, &to.in)
	in.NoMedia = hears && in.Packets == 0 && in.SpanMS >= 1000
	if answered := l.answered.Load(); to.in.First != 0 && answered != 0 {
		first := max(0, (to.in.First-answered)/1e6)
		in.FirstRTP = &first
	}
	sent(&out, &from.out, &to.out)
	if to.in.RTT > 0 {
		in.RTT, out.RTT = ms(to.in.RTT), ms(to.in.RTT)
	}
	ptime := float64(described.Ptime)
	if ptime == 0 {
		ptime = 20
	}
	rate(&in, ptime)
	rate(&out, ptime)
	return []call.Bucket{in, out}
}

// heard is what came from the party.
func heard(b *call.Bucket, from, to *media.Stream) {
	b.Stream, b.SSRC = call.StreamIn, to.SSRC
	b.Packets, b.Bytes = to.Packets-from.Packets, to.Bytes-from.Bytes
	twice := int64(to.Duplicate - from.Duplicate)
	// RFC 3550's loss takes duplicates for others that came: here is what never did. What fills a gap of the bucket before
	// makes it negative.
	lost := to.Lost - from.Lost + twice
	reordered, rejected, bursts := int64(to.Reordered-from.Reordered), int64(to.Rejected-from.Rejected), int64(to.Bursts)-int64(from.Bursts)
	b.Lost, b.Duplicate, b.Reordered, b.Rejected, b.Bursts = &lost, &twice, &reordered, &rejected, &bursts
	if b.Packets == 0 {
		return
	}
	if to.Skewed {
		b.Skew = rounded(to.Skew, 1)
	}
	if to.Silence > 0 { // a party that leaves none out is silent in its packets, which nobody looks into
		silence := (to.Silence - from.Silence).Milliseconds()
		b.Silence = &silence
	}
	b.Jitter = ms(to.Jitter)
	j := to.Jitters
	j.Sub(&from.Jitters)
	for share, p := range map[float64]**float64{0: &b.JitterMin, 0.95: &b.JitterP95, 1: &b.JitterMax} {
		if d, ok := j.Quantile(share); ok {
			*p = ms(d)
		}
	}
	if d, ok := j.Mean(); ok {
		b.JitterAvg = ms(d)
	}
}

// sent is what went to the party, and what it reported of that.
func sent(b *call.Bucket, from, to *media.Stream) {
	b.Stream, b.SSRC = call.StreamOut, to.SSRC
	b.Packets, b.Bytes = to.Packets-from.Packets, to.Bytes-from.Bytes
	if to.XR != nil && to.XR != from.XR { // it has said so since
		x := call.XR(*to.XR)
		b.XR = &x
	}
	if !to.Reported {
		return
	}
	lost := to.Lost - from.Lost
	b.Lost, b.Jitter = &lost, ms(to.Jitter)
}

// rate adds what the E-model makes of a bucket. The delay is that between the party and us: half the round trip, the packet itself,
// and a jitter buffer as one would need.
func rate(b *call.Bucket, ptime float64) {
	if b.Lost == nil || b.Packets == 0 && *b.Lost <= 0 {
		return
	}
	codec, lost := quality.Of(b.Codec), float64(max(0, *b.Lost))
	expected := float64(b.Packets) + lost
	if b.Stream == call.StreamOut { // those that were lost were sent
		expected = max(float64(b.Packets), lost)
	}
	in := quality.Inputs{Ie: codec.Ie, Bpl: codec.Bpl, Ppl: 100 * lost / expected, BurstR: 1}
	b.Modelled = append(b.Modelled, "concealment")
	switch {
	case b.Bursts != nil:
		in.BurstR = quality.BurstR(lost, expected, float64(max(0, *b.Bursts)))
	case lost > 0:
		b.Modelled = append(b.Modelled, "burst_r")
	}
	b.Provisional = codec.Provisional
	b.Ie, b.Bpl, b.Ppl, b.BurstR = &in.Ie, &in.Bpl, rounded(in.Ppl, 3), rounded(in.BurstR, 3)
	b.MOSLQ = rounded(quality.MOS(in.Listening()), 2)
	r := in.Listening()
	if b.RTT != nil {
		jitter := b.Jitter
		if b.JitterP95 != nil {
			jitter = b.JitterP95
		}
		if jitter != nil {
			in.Delay = *b.RTT/2 + ptime + quality.Buffer(ptime, *jitter)
			b.Delay = rounded(in.Delay, 1)
			b.Modelled = append(b.Modelled, "delay")
			r = in.R()
			b.MOSCQ = rounded(quality.MOS(r), 2)
		}
	}
	b.R = rounded(r, 1)
}

func rounded(v float64, digits int) *float64 {
	p := math.Pow10(digits)
	v = math.Round(v*p) / p
	return &v
}

// ms is a duration in milliseconds, to the microsecond.
func ms(d time.Duration) *float64 { v := msf(d); return &v }

func cmpOr(a, b time.Duration) time.Duration {
	if a != 0 {
		return a
	}
	return b
}

// partials says when a call that goes on is put on record.
type partials struct {
	Records
	from time.Time // its answer
	done int
}

// due reports whether a partial record is due; then it is done.
func (p *partials) due(now time.Time) bool {
	if p.PartialAfter <= 0 || p.done > 0 && p.PartialEvery <= 0 ||
		now.Sub(p.from) < p.PartialAfter+time.Duration(p.done)*p.PartialEvery {
		return false
	}
	p.done++
	return true
}
