package rtpstream

import (
	"math"
	"math/rand/v2"
	"testing"
)

// stream feeds a sequence with packets of 20 ms at 8 kHz.
type stream struct {
	q   Sequence
	now int64
}

func (s *stream) packet(seq uint16, ssrc uint32) Verdict {
	s.now += 20e6
	return s.q.Next(&Header{Seq: seq, SSRC: ssrc}, s.now)
}

func TestSequence(t *testing.T) {
	const d, k, l, b = Drop, Take, Late, Begin
	for _, c := range []struct {
		name                         string
		numbers                      []uint16
		verdicts                     []Verdict
		lost                         int64
		duplicate, reordered, strays uint64
		epochs                       uint32
	}{
		{"in order", []uint16{5, 6, 7}, []Verdict{b, k, k}, 0, 0, 0, 0, 1},
		{"wrap-around", []uint16{65534, 65535, 0, 1}, []Verdict{b, k, k, k}, 0, 0, 0, 0, 1},
		{"loss", []uint16{5, 8, 9}, []Verdict{b, k, k}, 2, 0, 0, 0, 1},
		{"loss across the wrap", []uint16{65534, 2}, []Verdict{b, k}, 3, 0, 0, 0, 1},
		{"late", []uint16{5, 7, 6, 8}, []Verdict{b, k, l, k}, 0, 0, 1, 0, 1},
		{"late across the wrap", []uint16{65535, 1, 0, 2}, []Verdict{b, k, l, k}, 0, 0, 1, 0, 1},
		{"twice", []uint16{5, 6, 6, 5, 7}, []Verdict{b, k, d, d, k}, -2, 2, 0, 0, 1},
		{"late and twice", []uint16{5, 7, 6, 6}, []Verdict{b, k, l, d}, -1, 1, 1, 0, 1},
		{"far behind but seen", []uint16{5, 80, 5}, []Verdict{b, k, d}, 73, 1, 0, 0, 1},
		{"gap of a hundred", []uint16{5, 105}, []Verdict{b, k}, 99, 0, 0, 0, 1},
		{"one stray number", []uint16{5, 5000, 6, 7}, []Verdict{b, d, k, k}, 0, 0, 0, 1, 1},
		{"a jump", []uint16{5, 5000, 5001, 5002}, []Verdict{b, d, b, k}, 0, 0, 0, 1, 2},
		{"a jump backwards", []uint16{5000, 5, 6, 7}, []Verdict{b, d, b, k}, 0, 0, 0, 1, 2},
		{"two strays that don't follow", []uint16{5, 5000, 6000, 6}, []Verdict{b, d, d, k}, 0, 0, 0, 2, 1},
	} {
		var s stream
		for i, n := range c.numbers {
			if v := s.packet(n, 1); v != c.verdicts[i] {
				t.Errorf("%s: packet %d: verdict %d, want %d", c.name, n, v, c.verdicts[i])
			}
		}
		q := &s.q
		if lost := q.lost + q.missing(); lost != c.lost || q.duplicate != c.duplicate || q.reordered != c.reordered || q.Odd != c.strays || q.epochs != c.epochs {
			t.Errorf("%s: lost %d, twice %d, late %d, strays %d, epochs %d; want %+v", c.name, lost, q.duplicate, q.reordered, q.Odd, q.epochs, c)
		}
	}
}

// Runs of lost packets are counted as they are in the end, whatever came late.
func TestBursts(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		var s stream
		var order []uint16
		for n := range uint16(300) {
			order = append(order, n+65400)
		}
		for i := range order { // out of order by a few
			if k := i + rnd.IntN(6); k < len(order) && i > 0 && rnd.IntN(4) == 0 {
				order[i], order[k] = order[k], order[i]
			}
		}
		came := map[uint16]bool{}
		for i, n := range order {
			if i == 0 || rnd.IntN(5) > 0 {
				came[n] = true
				s.packet(n, 1)
			}
		}
		runs := uint64(0)
		for n := order[0]; n != s.q.max; n++ {
			if !came[n] && came[n-1] {
				runs++
			}
		}
		if s.q.bursts != runs {
			t.Fatalf("%d runs are told, there were %d", s.q.bursts, runs)
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
	if s.packet(900, 2) != Drop || s.packet(5, 1) != Take || s.packet(901, 2) != Drop {
		t.Error("another SSRC got in while the first still sends")
	}
	if s.packet(902, 2) != Begin || s.packet(903, 2) != Take || s.q.SSRC != 2 {
		t.Error("two in sequence don't begin a stream")
	}
	s.now += handOver
	if s.packet(7, 3) != Begin {
		t.Error("after quiet one is enough")
	}
	if s.q.lost != 0 || s.q.epochs != 3 {
		t.Errorf("lost %d, epochs %d", s.q.lost, s.q.epochs)
	}
}

// A gap in the numbers that is one in time too is loss, however many packets it has.
func TestOutage(t *testing.T) {
	var q Sequence
	now := int64(1e9)
	send := func(n uint16, at int64) Verdict {
		h := &Header{Seq: n, SSRC: 1, TS: uint32(n) * 160}
		v := q.Next(h, at)
		if v != Drop {
			q.Pace(h.TS, 8000, at)
		}
		return v
	}
	for n := range uint16(10) {
		send(n, now+int64(n)*20e6)
	}
	if v := send(500, now+500*20e6); v != Take || q.missing() != 490 || q.epochs != 1 {
		t.Errorf("verdict %d, missing %d, epochs %d", v, q.missing(), q.epochs)
	}
	if v := send(1000, now+501*20e6); v != Drop {
		t.Errorf("numbers that run ahead of time: verdict %d", v)
	}
}

// RFC 3550 A.8 worked out by hand: J += (|D| - J) / 16.
func TestJitter(t *testing.T) {
	var q Sequence
	want, peak := 0.0, 0.0
	arrivals := []int64{0, 20, 45, 60, 75, 100, 130, 140} // ms
	for i, a := range arrivals {
		if q.Pace(uint32(i*160), 8000, 1e9+a*1e6) {
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
	if !q.Pace(9999999, 8000, 2e9) {
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
	if f := s.q.fresh(); f != 63 { // 25 of 101
		t.Errorf("fraction is %d, want 63", f)
	}
	s.packet(101, 1)
	if f := s.q.fresh(); f != 0 {
		t.Errorf("fraction since is %d, want 0", f)
	}
}

// What isn't passed on leaves no gap, what is lost does.
func TestNumberingWithoutEvents(t *testing.T) {
	var q Sequence
	q.Skipped = 0
	type in struct {
		seq   uint16
		event bool
	}
	var got []uint16
	for _, p := range []in{{10, false}, {11, true}, {12, true}, {13, false}, {15, false}, {14, false}, {17, true}, {16, false}, {18, false}} {
		h := &Header{Seq: p.seq, SSRC: 1}
		v := q.Next(h, 1e9)
		if p.event {
			q.Skip(h, v)
			continue
		}
		got = append(got, q.Number(h, v))
	}
	want := []uint16{10, 11, 13, 12, 14, 15}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("numbers are %v, want %v", got, want)
		}
	}
}
