package rtpstream

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// walk sends the numbers from first on of which pattern says x; . are lost.
func walk(q *Sequence, first uint16, pattern string) {
	for i, c := range pattern {
		if c == 'x' {
			q.Next(&Header{Seq: first + uint16(i), SSRC: 9}, 1e9)
		}
	}
}

func repeated(n int) string { return string(slices.Repeat([]byte{'x'}, n)) }

// Bursts and gaps as RFC 3611 4.7.2 defines them, counted by hand.
func TestMetrics(t *testing.T) {
	good := repeated
	for name, c := range map[string]struct {
		pattern string
		want    Metrics
	}{
		"nothing lost":   {good(300), Metrics{Gap: 6000}},
		"one lost":       {good(200) + "." + good(55), Metrics{Loss: 1, GapDensity: 1, Gap: 5120}},
		"two, together":  {good(20) + ".." + good(20), Metrics{Loss: 12, BurstDensity: 255, Burst: 40, Gap: 400}},
		"two, 15 apart":  {good(20) + "." + good(15) + "." + good(27), Metrics{Loss: 8, BurstDensity: 30, Burst: 340, Gap: 470}},
		"two, 16 apart":  {good(20) + "." + good(16) + "." + good(26), Metrics{Loss: 8, GapDensity: 8, Gap: 1280}},
		"burst and gaps": {good(100) + "." + good(50) + ".x.." + good(5) + "." + good(100), Metrics{Loss: 4, BurstDensity: 102, GapDensity: 1, Burst: 200, Gap: 2510}},
		"two bursts":     {good(50) + "...." + good(150) + ".x." + good(49), Metrics{Loss: 6, BurstDensity: 219, Burst: 70, Gap: 1660}},
		"long outage":    {good(10) + string(slices.Repeat([]byte{'.'}, 99)) + good(500), Metrics{Loss: 41, BurstDensity: 255, Burst: 1980, Gap: 5100}},
	} {
		var q Sequence
		walk(&q, 65500, c.pattern) // numbers wrap
		c.want.SSRC = 9
		for range 2 { // asking changes nothing
			if got := q.Metrics(20); got != c.want {
				t.Errorf("%s: %+v, expected %+v", name, got, c.want)
			}
		}
	}
}

// Whatever is lost, late or twice: what is counted on the way is what the definition makes of the numbers that came.
func TestMetricsOfAnything(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 611))
	for range 200 {
		var q Sequence
		n, loss := 1+r.IntN(2000), r.Float64()*r.Float64()
		base := uint16(r.Uint32())
		came := make([]bool, n)
		var order []int
		for i := range n {
			if i == 0 || i == n-1 || r.Float64() >= loss {
				came[i] = true
				order = append(order, i)
			}
		}
		for i := range order { // some change places, and some come twice
			if j := i + r.IntN(20); i > 0 && j < len(order)-1 && r.IntN(10) == 0 {
				order[i], order[j] = order[j], order[i]
			}
		}
		jumped, top := false, 0
		for _, i := range order {
			if i-top > maxMisorder || top-i >= maxMisorder {
				jumped = true
				break
			}
			top = max(top, i)
			for range 1 + r.IntN(20)/19 {
				q.Next(&Header{Seq: base + uint16(i), SSRC: 9}, 1e9)
			}
		}
		if jumped { // that is another stream
			continue
		}
		if got, want := q.Metrics(20), define(came); got != want {
			t.Fatalf("%d packets: %+v, expected %+v", n, got, want)
		}
	}
}

// define works metrics out from which packets came: a burst is a longest row of lost ones with fewer than 16 good ones between each two.
func define(came []bool) Metrics {
	var lost []int
	for i, c := range came {
		if !c {
			lost = append(lost, i)
		}
	}
	m := Metrics{SSRC: 9}
	bursts, spans, within, isolated := 0, 0, 0, 0
	for i := 0; i < len(lost); {
		j := i
		for j+1 < len(lost) && lost[j+1]-lost[j]-1 < 16 {
			j++
		}
		if j > i {
			bursts, spans, within = bursts+1, spans+lost[j]-lost[i]+1, within+j-i+1
		} else {
			isolated++
		}
		i = j + 1
	}
	of := func(part, whole int) uint8 {
		if whole == 0 {
			return 0
		}
		return uint8(min(255, part*256/whole))
	}
	m.Loss, m.BurstDensity, m.GapDensity = of(len(lost), len(came)), of(within, spans), of(isolated, len(came)-spans)
	if bursts > 0 {
		m.Burst = uint16(min(65535, spans*20/bursts))
	}
	m.Gap = uint16(min(65535, (len(came)-spans)*20/(bursts+1)))
	return m
}

// Another stream begins with nothing lost.
func TestMetricsBeginAnew(t *testing.T) {
	var q Sequence
	walk(&q, 1, repeated(20)+"..."+repeated(200))
	for n := range uint16(2) {
		q.Next(&Header{Seq: 7000 + n, SSRC: 9}, 1e9)
	}
	if got, want := q.Metrics(20), (Metrics{SSRC: 9, Gap: 20}); got != want {
		t.Errorf("%+v, expected %+v", got, want)
	}
}
