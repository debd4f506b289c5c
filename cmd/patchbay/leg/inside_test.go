package leg

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/media/pcm"
)

func TestStrongest(t *testing.T) {
	for _, n := range []int{pcm.Rate / 10, pcm.Rate / 2, pcm.Rate} {
		for _, hz := range []float64{60.5, 440, 1004, 1633.3, 3400} {
			for _, db := range []float64{0, -10, -45} {
				noise := rand.New(rand.NewPCG(1, 2))
				x := make([]float64, n)
				for i := range x {
					at := 2 * math.Pi * float64(i) / pcm.Rate
					x[i] = math.Pow(10, db/20)*math.Sin(hz*at) + math.Pow(10, (db-25)/20)*math.Sin((hz+250)*at) + 1e-4*noise.NormFloat64()
				}
				got := strongest(x)
				if math.Abs(got.Hz-hz) > 1 || math.Abs(got.Level-db) > 0.1 {
					t.Errorf("%d samples of %.1f Hz at %.0f dBm0: found %+v", n, hz, db, got)
				}
			}
		}
	}
	if got := strongest(make([]float64, pcm.Rate)); got != (Tone{0, silent}) {
		t.Errorf("silence is %+v", got)
	}
	if got := strongest(nil); got != (Tone{0, silent}) {
		t.Errorf("nothing is %+v", got)
	}
}

// The last second is kept, whatever came before.
func TestSecondKeepsTheLast(t *testing.T) {
	s := newSecond()
	src := mediatest.NewTalker(nil, media.PCMA())
	src.Link(s)
	for _, hz := range []float64{2000, 500} {
		for _, p := range mediatest.Tone(media.PCMA(), hz, -6, 55) {
			src.Say(p)
		}
	}
	if got := s.strongest(); math.Abs(got.Hz-500) > 1 || math.Abs(got.Level+6) > 0.1 || s.began().IsZero() {
		t.Errorf("kept %+v since %s", got, s.began())
	}
	s.clear()
	if got := s.strongest(); got.Hz != 0 {
		t.Errorf("kept %+v after clear", got)
	}
}

func TestSecondConforms(t *testing.T) {
	mediatest.Element(t, func() (media.Element, func()) { return newSecond(), nil })
}

func TestInfoDigit(t *testing.T) {
	for _, c := range []struct {
		ctype, body string
		want        byte
	}{
		{"application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", '5'},
		{"Application/DTMF-Relay; charset=utf-8", "duration=1\nsignal = 11\n", '#'},
		{"application/dtmf", "*\r\n", '*'},
		{"application/dtmf", "d", 'D'},
		{"application/dtmf", "16", 0},
		{"application/dtmf", "", 0},
		{"application/dtmf", "123", 0},
		{"application/dtmf-relay", "Duration=1", 0},
		{"application/dtmf-relay", "Signal=x", 0},
		{"text/plain", "5", 0},
	} {
		if got, ok := infoDigit(c.ctype, []byte(c.body)); got != c.want || ok != (c.want != 0) {
			t.Errorf("%s %q: %c, %v", c.ctype, c.body, got, ok)
		}
	}
}

func FuzzInfoDigit(f *testing.F) {
	f.Add("application/dtmf-relay", []byte("Signal=5\r\nDuration=160\r\n"))
	f.Add("application/dtmf", []byte("12"))
	f.Fuzz(func(t *testing.T, ctype string, body []byte) {
		d, ok := infoDigit(ctype, body)
		if _, known := digit(string(d)); ok != known {
			t.Errorf("%q %q: %q, %v", ctype, body, d, ok)
		}
	})
}

func TestPushDoesNotAllocate(t *testing.T) {
	s := newSecond()
	f := &media.Frame{Format: s.Caps().Formats[0], Payload: g711.Mu().Encode(nil, make([]int16, 160))}
	if n := testing.AllocsPerRun(200, func() { s.Push(f) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
