package dtmf

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/media/pcm"
)

// burst is two tones, each with its level in dBm0.
type burst struct {
	low, high           float64 // Hz
	lowLevel, highLevel float64
	ms                  int
}

// keyed is a digit's tones at their own frequencies, 100 ms at -12 dBm0.
func keyed(digit byte) burst {
	l, h := pairOf(digit)
	return burst{l, h, -12, -12, 100}
}

// tape is sound that a test puts together; 1 is the amplitude of 0 dBm0.
type tape struct{ x []float64 }

func (t *tape) silence(samples int) *tape {
	t.x = append(t.x, make([]float64, samples)...)
	return t
}

func (t *tape) play(b burst) *tape {
	l, h := math.Pow(10, b.lowLevel/20), math.Pow(10, b.highLevel/20)
	for i := range b.ms * pcm.Rate / 1000 {
		at := 2 * math.Pi * float64(i) / pcm.Rate
		t.x = append(t.x, l*math.Sin(b.low*at)+h*math.Sin(b.high*at+1))
	}
	return t
}

// codes is the tape in a law, cut where it overloads it.
func (t *tape) codes(law *g711.Law) []byte {
	out := make([]byte, len(t.x))
	for i, x := range t.x {
		out[i] = law.Code(int16(max(min(math.Round(x*law.Peak()), math.MaxInt16), math.MinInt16)))
	}
	return out
}

// listen has a new detector hear codes in frames of 20 ms.
func listen(f *media.Format, codes []byte) (told []media.Notice) {
	d := NewDetector(func(n media.Notice) { told = append(told, n) })
	s := media.NewSource(nil, nil)
	s.SetFormats(f)
	s.Link(d)
	defer d.Close()
	for at := 0; at < len(codes); at += pcm.PerFrame {
		s.Send(&media.Frame{Format: f, Payload: codes[at:min(at+pcm.PerFrame, len(codes))], Timestamp: uint32(at)})
	}
	return told
}

// spells is what was heard, and each digit must have been told twice: as it began and as it ended.
func spells(t *testing.T, what string, told []media.Notice) (s string, durations []int) {
	t.Helper()
	for i, n := range told {
		switch n := n.(type) {
		case media.Pressed:
			if i%2 == 1 {
				t.Errorf("%s: %+v", what, told)
			}
			s += string(n.Digit)
		case media.Digit:
			if i%2 == 0 || told[i-1] != (media.Pressed{Digit: n.Digit}) || !n.Tone {
				t.Errorf("%s: %+v", what, told)
			}
			durations = append(durations, n.Duration)
		}
	}
	return s, durations
}

func TestDetectorWithinTolerances(t *testing.T) {
	n := 0
	check := func(what string, b burst, want string) {
		t.Helper()
		for i, lead := range []int{400, 406, 413, 420, 427, 434, 439} { // wherever looks fall
			f, law := media.PCMU(), g711.Mu()
			if i%2 == 1 {
				f, law = media.PCMA(), g711.A()
			}
			told := listen(f, new(tape).silence(lead).play(b).silence(600).codes(law))
			got, durations := spells(t, what, told)
			n++
			if got != want {
				t.Errorf("%s, from sample %d, %s: heard %q, expected %q", what, lead, f.Codec, got, want)
			} else if want != "" && (durations[0] < b.ms-10 || durations[0] > b.ms+10) {
				t.Errorf("%s: lasts %d ms, expected %d", what, durations[0], b.ms)
			}
		}
	}
	for _, digit := range []byte(pairs) {
		b := keyed(digit)
		check(string(digit), b, string(digit))
		for _, ms := range []int{40, 65, 300} {
			c := b
			c.ms = ms
			check(fmt.Sprintf("%c of %d ms", digit, ms), c, string(digit))
		}
		c := b
		c.ms = 23
		check(fmt.Sprintf("%c of 23 ms", digit), c, "")
		for _, off := range []float64{-0.015, 0.015} {
			for _, also := range []float64{-0.015, 0.015} {
				for _, twist := range []float64{-8, 4} {
					for _, loud := range []float64{-25, 0} {
						c := burst{b.low * (1 + off), b.high * (1 + also), loud, loud, 40}
						if (loud == 0) == (twist > 0) {
							c.lowLevel = loud - twist
						} else {
							c.highLevel = loud + twist
						}
						check(fmt.Sprintf("%c: %+v", digit, c), c, string(digit))
					}
				}
			}
		}
		for _, off := range []float64{-0.035, 0.035} {
			c := b
			c.low *= 1 + off
			check(fmt.Sprintf("%c with its low tone %v beside", digit, off), c, "")
			c = b
			c.high *= 1 + off
			check(fmt.Sprintf("%c with its high tone %v beside", digit, off), c, "")
		}
		for _, c := range []burst{{b.low, b.high, -12, -24, 100}, {b.low, b.high, -20, -12, 100}, {b.low, b.high, -32, -32, 100},
			{b.low, b.high, -12, -90, 100}, {b.low, b.high, -90, -12, 100}} {
			check(fmt.Sprintf("%c: %+v", digit, c), c, "")
		}
	}
	t.Logf("%d bursts", n)
}

func TestDetectorPausesAndBreaks(t *testing.T) {
	b := keyed('5')
	b.ms = 50
	for lead := 400; lead < 440; lead += 3 {
		for ms, want := range map[int]string{40: "55", 50: "55", 10: "5", 5: "5"} {
			told := listen(media.PCMU(), new(tape).silence(lead).play(b).silence(ms*8).play(b).silence(800).codes(g711.Mu()))
			if got, _ := spells(t, "pause", told); got != want {
				t.Errorf("pause of %d ms, from sample %d: heard %q, expected %q", ms, lead, got, want)
			}
		}
		told := listen(media.PCMU(), new(tape).silence(lead).play(b).play(keyed('6')).silence(800).codes(g711.Mu()))
		if got, _ := spells(t, "no pause", told); got != "56" {
			t.Errorf("another digit without a pause: heard %q", got)
		}
	}
}

// talk is all the speech of the demo carrier.
func talk(t *testing.T) []byte {
	t.Helper()
	var all []byte
	for _, name := range []string{"announcement", "greeting", "digit-0", "digit-1", "digit-2", "digit-3", "digit-4", "digit-5", "digit-6", "digit-7",
		"digit-8", "digit-9", "digit-a", "digit-b", "digit-c", "digit-d", "digit-pound", "digit-star"} {
		b, err := os.ReadFile("../../cmd/patchbay/carrier/speech/" + name + ".ul")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	if len(all) < 10*pcm.Rate {
		t.Fatalf("%d bytes of speech", len(all))
	}
	return all
}

// Speech at any level, and somewhat faster and slower, is no digit.
func TestDetectorTalkOff(t *testing.T) {
	speech := talk(t)
	law := g711.Mu()
	for _, gain := range []float64{-12, 0, 6} {
		for _, speed := range []float64{0.8, 0.95, 1, 1.1} {
			var x tape
			for at := 0.0; int(at)+1 < len(speech); at += speed {
				i, part := int(at), at-math.Floor(at)
				v := float64(law.Sample(speech[i]))*(1-part) + float64(law.Sample(speech[i+1]))*part
				x.x = append(x.x, v/law.Peak()*math.Pow(10, gain/20))
			}
			if told := listen(media.PCMU(), x.codes(law)); len(told) > 0 {
				t.Errorf("speech at %v dB, %v times as fast: heard %+v", gain, speed, told)
			}
		}
	}
}

func TestDetectorAndNoise(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	noise := func(x *tape, dbm0 float64) *tape {
		amplitude := math.Pow(10, dbm0/20) / math.Sqrt2
		for i := range x.x {
			x.x[i] += r.NormFloat64() * amplitude
		}
		return x
	}
	var loud tape
	if told := listen(media.PCMU(), noise(loud.silence(60*pcm.Rate), -5).codes(g711.Mu())); len(told) > 0 {
		t.Errorf("a minute of noise: heard %+v", told)
	}
	var x tape
	for range 20 {
		for _, digit := range []byte(pairs) {
			b := keyed(digit)
			b.ms = 50
			x.silence(400 + r.IntN(80)).play(b)
		}
	}
	told := listen(media.PCMU(), noise(x.silence(800), -12+3-15).codes(g711.Mu())) // 15 dB below both tones together
	if got, _ := spells(t, "noise", told); got != strings.Repeat(pairs, 20) {
		t.Errorf("with noise 15 dB below: heard %q", got)
	}
}

// Packets that were lost, come late or twice split no digit; where nothing is sent between digits, they stay two.
func TestDetectorAndPackets(t *testing.T) {
	f := media.PCMU()
	b := keyed('7')
	b.ms = 200
	codes := new(tape).silence(480).play(b).silence(1600).play(b).silence(1600).codes(g711.Mu())
	for name, skipped := range map[string]func(i int) bool{
		"one in the first is lost": func(i int) bool { return i == 7 },
		"the pause isn't sent":     func(i int) bool { return i >= 14 && i < 22 },
	} {
		var told []media.Notice
		d := NewDetector(func(n media.Notice) { told = append(told, n) })
		s := media.NewSource(nil, nil)
		s.SetFormats(f)
		s.Link(d)
		send := func(i int) {
			s.Send(&media.Frame{Format: f, Payload: codes[160*i : 160*i+160], Timestamp: uint32(160*i) - 500})
		}
		for i := range len(codes) / 160 {
			if !skipped(i) {
				send(i)
			}
			if i == 9 {
				send(8)
				send(i)
			}
		}
		if got, _ := spells(t, name, told); got != "77" {
			t.Errorf("%s: heard %q", name, got)
		}
	}
}

func TestDetectorConforms(t *testing.T) {
	mediatest.Element(t, func() (media.Element, func()) { return NewDetector(nil), nil })
}

func TestDetectorAllocatesNothing(t *testing.T) {
	d := NewDetector(func(media.Notice) {})
	f := d.Caps().Formats[0]
	b := keyed('1')
	b.ms = 2000
	codes := new(tape).play(b).silence(160).codes(g711.Mu())
	fr := media.Frame{Format: f}
	at := 0
	if n := testing.AllocsPerRun(90, func() {
		fr.Payload, fr.Timestamp = codes[at:at+160], uint32(at)
		at += 160
		d.Push(&fr)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDetector(b *testing.B) {
	d := NewDetector(nil)
	codes := new(tape).play(keyed('1')).codes(g711.Mu())
	fr := media.Frame{Format: d.Caps().Formats[0], Payload: codes[:160]}
	b.ReportAllocs()
	for b.Loop() {
		d.Push(&fr)
		fr.Timestamp += 160
	}
}
