package gateway

import (
	"math"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/sip"
)

// buckets of a call's record, in order.
func (b *bench) buckets(id call.ID) (out []call.Bucket) {
	for _, e := range b.ledger.of(id) {
		if d, ok := e.Data.(call.Measured); ok {
			out = append(out, d.Buckets...)
		}
	}
	return out
}

// What goes through is measured all along, and a long call is on record before it ends.
func TestMeasured(t *testing.T) {
	t.Parallel()
	k := newTalk(t, func(s *settings) {
		s.Records = Records{Interim: 300 * time.Millisecond, PartialAfter: 500 * time.Millisecond, PartialEvery: 400 * time.Millisecond}
	})
	k.ha.hear(880)
	k.hc.hear(440)
	id := k.ledger.records(t)[0].ID
	eventually(t, "two partial records", func() bool {
		n := 0
		for _, e := range k.ledger.of(id) {
			if d, ok := e.Data.(call.PartialRecord); ok && d.No == n+1 {
				n++
			}
		}
		return n >= 2
	})
	rec := k.end()
	if rec.State != call.Closed || rec.PartialNo < 2 || rec.OneWay || rec.FASSuspect || rec.MOSMin == nil || rec.MOSAvg == nil || *rec.MOSAvg < 3 || *rec.MOSAvg > 4.41 {
		t.Errorf("record %+v", rec)
	}
	type key struct {
		leg    int
		stream string
	}
	last, packets, whole := map[key]int{}, map[key]uint64{}, map[key]call.Bucket{}
	for _, b := range k.buckets(id) {
		at := key{b.Leg, b.Stream}
		if b.No == 0 {
			whole[at] = b
			continue
		}
		if last[at]++; b.No != last[at] || b.SpanMS <= 0 || b.SpanMS > 30_000 {
			t.Errorf("bucket %d of %v, expected %d; it spans %d ms", b.No, at, last[at], b.SpanMS)
		}
		packets[at] += b.Packets
	}
	for leg := 1; leg <= 2; leg++ {
		in, out := whole[key{leg, call.StreamIn}], whole[key{leg, call.StreamOut}]
		if in.Packets < packets[key{leg, call.StreamIn}] || in.Packets < 25 || out.Packets < 25 {
			t.Errorf("leg %d: %d packets in, %d out, those of all buckets %d", leg, in.Packets, out.Packets, packets[key{leg, call.StreamIn}])
		}
		if in.MOSLQ == nil || in.Lost == nil || in.Duplicate == nil || in.JitterAvg == nil || in.JitterP95 == nil || *in.JitterMin > *in.JitterMax ||
			in.FirstRTP == nil || in.NoMedia || in.OneWay || in.Provisional || len(in.Modelled) == 0 {
			t.Errorf("leg %d: %+v", leg, in)
		}
		if l := rec.Leg(leg); l.In == nil || l.In.Packets != in.Packets || l.Quality == nil || l.Quality.Received < in.Packets {
			t.Errorf("leg %d says %+v and %+v", leg, l.In, l.Quality)
		}
	}
	if h := k.Heard(); h.OneWay != 0 || sum(h.MOS[call.StreamIn].Counts) == 0 || sum(h.Jitter.Counts) == 0 {
		t.Errorf("metrics %+v", h)
	}
}

func sum(counts []uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// A callee that answers and says nothing: perhaps it isn't there, and certainly the call is one-way.
func TestOneWay(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Records.Interim = 2200 * time.Millisecond })
	ha, hc := newHandset(t, 440), newHandset(t, 880)
	hc.says.Close()
	offer := ha.offer(media.Want{})
	a := b.from(b.phone("alice"), "9123", offer.SDP())
	c := b.carrier.Incoming()
	if err := c.Answer(hc.answers(c.Request().Body, media.Want{})); err != nil {
		t.Fatal(err)
	}
	ha.takes(offer, a.Wait(sip.KindAnswered).Body)
	id := b.ledger.records(t)[0].ID
	eventually(t, "a bucket", func() bool { return len(b.buckets(id)) > 0 })
	a.Bye()
	c.Wait(sip.KindEnded)
	rec := b.ends(call.Caller, 16, 200)
	if !rec.OneWay || !rec.FASSuspect || rec.Leg(1).In.OneWay || !rec.Leg(2).In.OneWay || !rec.Leg(2).In.NoMedia || rec.Leg(2).In.MOS() != nil {
		t.Errorf("record %+v, legs %+v, %+v", rec, rec.Leg(1).In, rec.Leg(2).In)
	}
	if h := b.Heard(); h.OneWay != 1 {
		t.Errorf("%d legs are one-way, expected 1", h.OneWay)
	}
	b.idle()
}

// What a relay counts becomes what it heard: loss in bursts, twice, and what filled the gap of the bucket before.
func TestSpan(t *testing.T) {
	from := media.Stream{Packets: 100, Lost: 3, Bursts: 3}
	to := media.Stream{Packets: 570, Lost: 3 + 30 - 10, Duplicate: 10, Bursts: 13, Jitter: 3 * time.Millisecond, RTT: 40 * time.Millisecond}
	for range 100 {
		to.Jitters.Add(3e6)
	}
	b := call.Bucket{Codec: "PCMU/8000", SpanMS: 10_000}
	heard(&b, &from, &to)
	b.RTT = ms(to.RTT)
	rate(&b, 20)
	if *b.Lost != 30 || *b.Duplicate != 10 || *b.Bursts != 10 || *b.Ppl != 6 || *b.BurstR != 2.82 || *b.Delay != 60 || *b.R > 82 || *b.MOSCQ >= *b.MOSLQ {
		t.Errorf("%d lost, %d twice, %d bursts, %v %%, burst ratio %v, %v ms, R %v, MOS %v and %v", *b.Lost, *b.Duplicate, *b.Bursts, *b.Ppl, *b.BurstR, *b.Delay, *b.R, *b.MOSCQ, *b.MOSLQ)
	}
	if b.Skew != nil || b.Silence != nil {
		t.Errorf("a clock %v and silence %v that nobody has measured", b.Skew, b.Silence)
	}
	from.Silence, to.Silence, to.Skew, to.Skewed = 2*time.Second, 3500*time.Millisecond, -41.27, true
	heard(&b, &from, &to)
	if b.Silence == nil || *b.Silence != 1500 || b.Skew == nil || *b.Skew != -41.3 {
		t.Errorf("a clock %v and silence %v", b.Skew, b.Silence)
	}
	r, said := 71.0, media.Stream{Packets: 100, XR: &media.XR{Concealment: "standard"}}
	b = call.Bucket{}
	sent(&b, &media.Stream{XR: &media.XR{}}, &said)
	if said.XR.R = &r; b.XR == nil || b.XR.Concealment != "standard" || b.XR.R != nil {
		t.Errorf("the party says %+v", b.XR)
	}
	if sent(&b, &said, &said); b.XR == nil {
		t.Error("what was said is taken back")
	}
	b = call.Bucket{}
	if sent(&b, &said, &said); b.XR != nil {
		t.Error("what was said before is told again")
	}
	b = call.Bucket{Codec: "opus/48000/2"}
	heard(&b, &media.Stream{Lost: 2}, &media.Stream{Packets: 50})
	rate(&b, 20)
	if *b.Lost != -2 || *b.Ppl != 0 || b.MOSCQ != nil || !b.Provisional || math.Abs(*b.MOSLQ-4.41) > 0.01 {
		t.Errorf("late packets: %+v", b)
	}
	b = call.Bucket{Codec: "PCMA/8000"}
	sent(&b, &media.Stream{}, &media.Stream{Packets: 500})
	rate(&b, 20)
	if b.Lost != nil || b.MOSLQ != nil || b.Jitter != nil {
		t.Errorf("nobody has reported, yet %+v", b)
	}
	b = call.Bucket{Codec: "PCMA/8000"}
	sent(&b, &media.Stream{}, &media.Stream{Packets: 500, Lost: 25, Reported: true})
	rate(&b, 20)
	if *b.Ppl != 5 || *b.BurstR != 1 || b.Modelled[1] != "burst_r" {
		t.Errorf("reported: %+v", b)
	}
}

// The first partial record comes when the settings say, then one after each interval, none twice.
func TestPartials(t *testing.T) {
	zero := time.Now()
	for name, c := range map[string]struct {
		Records
		want []int
	}{
		"both":  {Records{PartialAfter: 10 * time.Minute, PartialEvery: time.Hour}, []int{600, 4200, 7800}},
		"once":  {Records{PartialAfter: 10 * time.Minute}, []int{600}},
		"never": {Records{PartialEvery: time.Hour}, nil},
	} {
		p := partials{Records: c.Records, from: zero}
		var got []int
		for s := 10; s <= 10_000; s += 10 {
			if p.due(zero.Add(time.Duration(s) * time.Second)) {
				got = append(got, s)
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: due at %v s, expected %v", name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: due at %v s, expected %v", name, got, c.want)
			}
		}
	}
}
