package quality

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestVectors(t *testing.T) {
	for _, v := range []struct {
		name   string
		in     Inputs
		r, mos float64
	}{
		{"no loss, no delay", Inputs{Bpl: 25.1}, 93.2, 4.41},
		{"1 % random with concealment, 50 ms", Inputs{Bpl: 25.1, Ppl: 1, BurstR: 1, Delay: 50}, 88.4, 4.30},
		{"5 % without concealment, 150 ms", Inputs{Bpl: 4.3, Ppl: 5, BurstR: 1, Delay: 150}, 38.5, 1.99},
	} {
		if r := v.in.R(); math.Abs(r-v.r) > 0.05 || math.Abs(MOS(r)-v.mos) > 0.005 {
			t.Errorf("%s: R %.2f, MOS %.3f, expected %.1f, %.2f", v.name, r, MOS(r), v.r, v.mos)
		}
	}
}

// full is the E-model of G.107 7 with all its formulas and the defaults of its Table 3, written apart from ours.
func full(ie, bpl, ppl, burst, ta float64) float64 {
	const (
		slr, rlr, stmr, lstr, ds   = 8.0, 2.0, 15.0, 18.0, 3.0
		telr, wepl, qdu            = 65.0, 110.0, 1.0
		nc, nfor, ps, pr, a, tough = -70.0, -64.0, 35.0, 35.0, 0.0, 95.0
	)
	t, tr := ta, 2*ta
	lg, pow, sqrt := math.Log10, math.Pow, math.Sqrt
	olr := slr + rlr
	nos := ps - slr - ds - 100 + 0.004*pow(ps-olr-ds-14, 2)
	pre := pr + 10*lg(1+pow(10, (10-lstr)/10))
	nor := rlr - 121 + pre + 0.008*pow(pre-35, 2)
	nfo := nfor + rlr
	no := 10 * lg(pow(10, nc/10)+pow(10, nos/10)+pow(10, nor/10)+pow(10, nfo/10))
	ro := 15 - 1.5*(slr+no)

	xolr := olr + 0.2*(64+no-rlr)
	iolr := 20 * (pow(1+pow(xolr/8, 8), 1./8) - xolr/8)
	stmro := -10 * lg(pow(10, -stmr/10)+math.Exp(-t/4)*pow(10, -telr/10))
	ist := 12*pow(1+pow((stmro-13)/6, 8), 1./8) - 28*pow(1+pow((stmro+1)/19.4, 35), 1./35) -
		13*pow(1+pow((stmro-3)/33, 13), 1./13) + 29
	q := 37 - 15*lg(qdu)
	g := 1.07 + 0.258*q + 0.0602*q*q
	y, z := (ro-100)/15+46/8.4-g/9, 46/30.-g/40
	iq := 15 * lg(1+pow(10, y)+pow(10, z))
	is := iolr + ist + iq

	roe := -1.5 * (no - rlr)
	terv := telr - 40*lg((1+t/10)/(1+t/150)) + 6*math.Exp(-0.3*t*t)
	re := 80 + 2.5*(terv-14)
	idte := ((roe-re)/2 + sqrt(pow(roe-re, 2)/4+100) - 1) * (1 - math.Exp(-t))
	rle := 10.5 * (wepl + 7) * pow(tr+1, -0.25)
	idle := (ro-rle)/2 + sqrt(pow(ro-rle, 2)/4+169)
	idd := 0.0
	if ta > 100 {
		x := math.Log2(ta / 100)
		idd = 25 * (pow(1+pow(x, 6), 1./6) - 3*pow(1+pow(x/3, 6), 1./6) + 2)
	}
	eff := ie
	if ppl > 0 {
		eff += (tough - ie) * ppl / (ppl/burst + bpl)
	}
	return ro - is - idte - idle - idd - eff + a
}

// Ours and the full model say the same to 0.15 of a MOS, up to 300 ms: beyond, the simple formula of the delay is the harsher one.
func TestFullModel(t *testing.T) {
	if r := full(0, 4.3, 0, 1, 0); math.Abs(r-93.2) > 0.05 {
		t.Fatalf("the full model gives %.2f at the defaults, G.107 says 93.2", r)
	}
	rnd, most := rand.New(rand.NewPCG(7, 7)), 0.0
	for range 100_000 {
		in := Inputs{Ie: 20 * rnd.Float64(), Bpl: 4.3 + 25*rnd.Float64(), Ppl: 20 * rnd.Float64(), BurstR: 1 + 2*rnd.Float64(), Delay: 300 * rnd.Float64()}
		ours, theirs := MOS(in.R()), MOS(full(in.Ie, in.Bpl, in.Ppl, in.BurstR, in.Delay))
		if most = max(most, math.Abs(ours-theirs)); math.Abs(ours-theirs) > 0.15 {
			t.Fatalf("%+v: MOS %.3f, the full model %.3f", in, ours, theirs)
		}
	}
	t.Logf("at most %.3f apart", most)
}

func TestR(t *testing.T) {
	if MOS(-5) != 1 || MOS(120) != 4.5 || MOS(3) != 1 {
		t.Errorf("MOS %v, %v, %v outside its formula, expected 1, 4.5, 1", MOS(-5), MOS(120), MOS(3))
	}
	bad := Inputs{Ie: 90, Bpl: 1, Ppl: 100, BurstR: 50, Delay: 5000}
	if r := bad.R(); r != 0 {
		t.Errorf("R %v of the worst there is, expected 0", r)
	}
	if in := (Inputs{Bpl: 25.1, Delay: 300}); in.Listening() != Base || in.R() >= Base {
		t.Errorf("R %v to a listener, %v in conversation", in.Listening(), in.R())
	}
	for ppl := 0.0; ppl < 100; ppl++ {
		less, more := Inputs{Bpl: 25.1, Ppl: ppl}, Inputs{Bpl: 25.1, Ppl: ppl + 1}
		if more.R() > less.R() {
			t.Fatalf("R rises with loss at %v %%", ppl)
		}
	}
}

// Losses that are drawn at random have a burst ratio of 1, whatever their rate; those that come in pairs have 2.
func TestBurstR(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, p := range []float64{0.01, 0.1, 0.3} {
		const n = 400_000
		lost, runs, was := 0.0, 0.0, false
		for range n {
			is := rnd.Float64() < p
			if is {
				lost++
			}
			if is && !was {
				runs++
			}
			was = is
		}
		if b := BurstR(lost, n, runs); b > 1.02 {
			t.Errorf("burst ratio %.3f of random loss of %v, expected 1", b, p)
		}
	}
	if b := BurstR(20, 1000, 10); math.Abs(b-1.96) > 0.001 {
		t.Errorf("burst ratio %v of pairs, expected 1.96", b)
	}
	if BurstR(0, 10, 0) != 1 || BurstR(10, 10, 1) != 1 || BurstR(-3, 10, 0) != 1 {
		t.Error("without loss, or without anything else, the burst ratio is 1")
	}
}

func TestCodecs(t *testing.T) {
	if c := Of("PCMU/8000"); c.Provisional || c.Bpl != 25.1 {
		t.Errorf("G.711: %+v", c)
	}
	if c := Of("opus/48000/2"); !c.Provisional {
		t.Errorf("opus: %+v, expected to be provisional", c)
	}
	if Buffer(20, 0) != 20 || Buffer(20, 30) != 60 || Buffer(20, 5000) != 200 {
		t.Error("jitter buffer")
	}
}
