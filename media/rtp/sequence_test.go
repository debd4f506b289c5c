package rtp

import (
	"math"
	"testing"

	"github.com/patchbay/patchbay/media"
)

// stream feeds a sequence with packets of 20 ms at 8 kHz.
type stream struct {
	q   sequence
	now int64
}

func (s *stream) packet(seq uint16, ssrc uint32) verdict {
	s.now += 20e6
	return s.q.next(&header{seq: seq, ssrc: ssrc}, s.now)
}

func TestSequence(t *testing.T) {
	const d, k, l, b = drop, take, late, begin
	for _, c := range []struct {
		name                         string
		numbers                      []uint16
		verdicts                     []verdict
		lost                         int64
		duplicate, reordered, strays uint64
		epochs                       uint32
	}{
		{"in order", []uint16{5, 6, 7}, []verdict{b, k, k}, 0, 0, 0, 0, 1},
		{"wrap-around", []uint16{65534, 65535, 0, 1}, []verdict{b, k, k, k}, 0, 0, 0, 0, 1},
		{"loss", []uint16{5, 8, 9}, []verdict{b, k, k}, 2, 0, 0, 0, 1},
		{"loss across the wrap", []uint16{65534, 2}, []verdict{b, k}, 3, 0, 0, 0, 1},
		{"late", []uint16{5, 7, 6, 8}, []verdict{b, k, l, k}, 0, 0, 1, 0, 1},
		{"late across the wrap", []uint16{65535, 1, 0, 2}, []verdict{b, k, l, k}, 0, 0, 1, 0, 1},
		{"twice", []uint16{5, 6, 6, 5, 7}, []verdict{b, k, d, d, k}, -2, 2, 0, 0, 1},
		{"late and twice", []uint16{5, 7, 6, 6}, []verdict{b, k, l, d}, -1, 1, 1, 0, 1},
		{"far behind but seen", []uint16{5, 80, 5}, []verdict{b, k, d}, 73, 1, 0, 0, 1},
		{"gap of a hundred", []uint16{5, 105}, []verdict{b, k}, 99, 0, 0, 0, 1},
		{"one stray number", []uint16{5, 5000, 6, 7}, []verdict{b, d, k, k}, 0, 0, 0, 1, 1},
		{"a jump", []uint16{5, 5000, 5001, 5002}, []verdict{b, d, b, k}, 0, 0, 0, 1, 2},
		{"a jump backwards", []uint16{5000, 5, 6, 7}, []verdict{b, d, b, k}, 0, 0, 0, 1, 2},
		{"two strays that don't follow", []uint16{5, 5000, 6000, 6}, []verdict{b, d, d, k}, 0, 0, 0, 2, 1},
	} {
		var s stream
		for i, n := range c.numbers {
			if v := s.packet(n, 1); v != c.verdicts[i] {
				t.Errorf("%s: packet %d: verdict %d, want %d", c.name, n, v, c.verdicts[i])
			}
		}
		q := &s.q
		if lost := q.lost + q.missing(); lost != c.lost || q.duplicate != c.duplicate || q.reordered != c.reordered || q.odd != c.strays || q.epochs != c.epochs {
			t.Errorf("%s: lost %d, twice %d, late %d, strays %d, epochs %d; want %+v", c.name, lost, q.duplicate, q.reordered, q.odd, q.epochs, c)
		}
	}
}

func TestManyWraps(t *testing.T) {
	var s stream
	n := uint16(65000)
	for range 200000 {
		s.packet(n, 1)
		n++
	}
	if s.q.missing() != 0 || s.q.extended() != uint32(65000+200000-1) {
		t.Errorf("missing %d, extended %d", s.q.missing(), s.q.extended())
	}
}

func TestOtherSSRC(t *testing.T) {
	var s stream
	for n := range uint16(5) {
		s.packet(n, 1)
	}
	if s.packet(900, 2) != drop || s.packet(5, 1) != take || s.packet(901, 2) != drop {
		t.Error("another SSRC got in while the first still sends")
	}
	if s.packet(902, 2) != begin || s.packet(903, 2) != take || s.q.ssrc != 2 {
		t.Error("two in sequence don't begin a stream")
	}
	s.now += handOver
	if s.packet(7, 3) != begin {
		t.Error("after quiet one is enough")
	}
	if s.q.lost != 0 || s.q.epochs != 3 {
		t.Errorf("lost %d, epochs %d", s.q.lost, s.q.epochs)
	}
}

// A gap in the numbers that is one in time too is loss, however many packets it has.
func TestOutage(t *testing.T) {
	var q sequence
	now := int64(1e9)
	send := func(n uint16, at int64) verdict {
		h := &header{seq: n, ssrc: 1, ts: uint32(n) * 160}
		v := q.next(h, at)
		if v != drop {
			q.pace(h.ts, 8000, at)
		}
		return v
	}
	for n := range uint16(10) {
		send(n, now+int64(n)*20e6)
	}
	if v := send(500, now+500*20e6); v != take || q.missing() != 490 || q.epochs != 1 {
		t.Errorf("verdict %d, missing %d, epochs %d", v, q.missing(), q.epochs)
	}
	if v := send(1000, now+501*20e6); v != drop {
		t.Errorf("numbers that run ahead of time: verdict %d", v)
	}
}

// RFC 3550 A.8 worked out by hand: J += (|D| - J) / 16.
func TestJitter(t *testing.T) {
	var q sequence
	want, peak := 0.0, 0.0
	arrivals := []int64{0, 20, 45, 60, 75, 100, 130, 140} // ms
	for i, a := range arrivals {
		if q.pace(uint32(i*160), 8000, 1e9+a*1e6) {
			t.Fatalf("packet %d is a jump", i)
		}
		if i > 0 {
			d := math.Abs(float64(a-arrivals[i-1]-20)) * 1e6
			want += (d - want) / 16
			peak = max(peak, want)
		}
	}
	if math.Abs(q.jitter-want) > 1 || math.Abs(q.highest-peak) > 1 || want == 0 {
		t.Errorf("jitter is %v, highest %v; want %v, %v", q.jitter, q.highest, want, peak)
	}
	if !q.pace(9999999, 8000, 2e9) {
		t.Error("a jump of the timestamps is jitter")
	}
}

func TestFraction(t *testing.T) {
	var s stream
	for n := range uint16(101) {
		if n%4 != 1 {
			s.packet(n, 1)
		}
	}
	if f := s.q.fraction(); f != 63 { // 25 of 101
		t.Errorf("fraction is %d, want 63", f)
	}
	s.packet(101, 1)
	if f := s.q.fraction(); f != 0 {
		t.Errorf("fraction since is %d, want 0", f)
	}
}

// What isn't passed on leaves no gap, what is lost does.
func TestNumberingWithoutEvents(t *testing.T) {
	var q sequence
	q.skipped = 0
	type in struct {
		seq   uint16
		event bool
	}
	var got []uint16
	for _, p := range []in{{10, false}, {11, true}, {12, true}, {13, false}, {15, false}, {14, false}, {17, true}, {16, false}, {18, false}} {
		h := &header{seq: p.seq, ssrc: 1}
		v := q.next(h, 1e9)
		if p.event {
			q.skip(h, v)
			continue
		}
		got = append(got, q.number(h, v))
	}
	want := []uint16{10, 11, 13, 12, 14, 15}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("numbers are %v, want %v", got, want)
		}
	}
}

// The counts of a scripted pattern, by real packets.
func TestCounts(t *testing.T) {
	d, p := newDesk(t, nil), newPhone(t, "127.0.0.1")
	d.call(p)
	for i := range 100 {
		b := p.packet(tone(1))
		switch {
		case i%10 == 3: // lost
		case i%20 == 7: // twice
			p.write(b)
			p.write(b)
		default:
			p.write(b)
		}
	}
	await(t, "95 packets", func() bool { in, _ := d.counts(); return in.Packets+in.Duplicate == 95 })
	in, _ := d.counts()
	if in.Lost != 10-5 || in.Duplicate != 5 || in.Reordered != 0 || in.SSRC != p.ssrc || !in.Inbound || in.First == 0 || in.Last < in.First {
		t.Errorf("counted %+v", in)
	}
}

// A stream that jumps, pauses or is replaced is one without gaps to the far peer.
func TestRebase(t *testing.T) {
	now := int64(1e9)
	a, b := newDesk(t, nil), newDesk(t, func(c *Config) { c.now = func() int64 { return now } })
	bridge(a, b)
	one, two := newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.1")
	a.call(one)
	b.call(two)
	from := one.addr()
	say := func(mark byte) {
		now += 20e6
		a.inject(one.packet(tone(mark)), from, now)
	}
	for range 5 {
		say(1)
	}
	var last packet
	for range 5 {
		last = two.hear()
	}
	follow := func(what string, samples uint32) {
		t.Helper()
		k := two.hear()
		if k.seq != last.seq+1 || k.ts != last.ts+samples || k.ssrc != last.ssrc || !k.marker {
			t.Errorf("%s: %+v after %+v, want %d samples on, marked", what, k.header, last.header, samples)
		}
		last = k
	}
	one.ssrc, one.seq, one.ts = 77, 40000, 0xffffff00
	say(2) // on probation
	say(2)
	follow("another SSRC", 320)
	if s := notices[media.Switched](a); len(s) != 1 || s[0].SSRC != 77 {
		t.Errorf("switched: %v", s)
	}
	one.ts += 8000 * 3600
	say(3)
	follow("another timestamp", 160)
	one.seq += 20000
	say(4) // on probation
	say(4)
	follow("other numbers", 320)
	now += 5e9 // the peer's timestamps stood still while it paused
	say(5)
	follow("a pause", 160+5*8000)
	one.pt = 8
	now += 20e6
	a.inject(one.packet(tone(6)), from, now)
	if k := two.hear(); k.pt != 8 || k.seq != last.seq+1 || k.ts != last.ts+160 || k.marker {
		t.Errorf("another payload type: %+v after %+v", k.header, last.header)
	}
	in, _ := a.counts()
	if in.Epochs != 4 || in.Lost != 0 {
		t.Errorf("epochs %d, lost %d; want 4, 0", in.Epochs, in.Lost)
	}
}
