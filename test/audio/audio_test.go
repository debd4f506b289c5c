package audio

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/zaf/g711"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s = %.3f, expected %.3f ± %.3f", what, got, want, tolerance)
	}
}

func TestLawsAgreeWithAnotherImplementation(t *testing.T) {
	for s := math.MinInt16; s <= math.MaxInt16; s++ {
		// A decision value itself may go to either neighbour, so compare what is
		// heard: no further away than the other one is for this sample or the next.
		v := int16(s)
		for _, c := range []struct {
			law   Law
			other func(int16) int16
		}{
			{MuLaw, func(s int16) int16 { return g711.DecodeUlawFrame(g711.EncodeUlawFrame(s)) }},
			{ALaw, func(s int16) int16 { return g711.DecodeAlawFrame(g711.EncodeAlawFrame(s)) }},
		} {
			ours := c.law.Decode(c.law.Encode(v))
			if a, b := abs(int(ours)-s), abs(int(c.other(v))-s); a > b+1 && ours != c.other(v-1) && ours != c.other(v+1) {
				t.Fatalf("%v of %d is %d, %d away; the other implementation says %d, %d away", c.law, s, ours, a, c.other(v), b)
			}
		}
	}
	for code := range 256 {
		if got, want := MuLaw.Decode(byte(code)), g711.DecodeUlawFrame(byte(code)); got != want {
			t.Errorf("PCMU %#x decodes to %d, expected %d", code, got, want)
		}
		if got, want := ALaw.Decode(byte(code)), g711.DecodeAlawFrame(byte(code)); got != want {
			t.Errorf("PCMA %#x decodes to %d, expected %d", code, got, want)
		}
	}
}

func abs(v int) int { return max(v, -v) }

func TestLevel(t *testing.T) {
	for _, rate := range []int{8000, 16000, 48000} {
		for _, hz := range []float64{300, 440, 880, 1004, 3200} {
			for _, level := range []float64{-3, -10, -40} {
				near(t, "level", Level(Tone(rate, hz, level, 1), hz), level, 0.05)
			}
		}
	}
	near(t, "RMS", RMS(Tone(8000, 440, -10, 1)), -10, 0.05)
	near(t, "level of silence", Level(Clip{8000, make([]int16, 8000)}, 440), Silence, 0)
}

func TestWrongLevelIsFound(t *testing.T) {
	ref := Reference(Tone(8000, 440, -10, 5), MuLaw)
	for _, c := range []struct {
		db   float64
		good bool
	}{{0, true}, {0.8, true}, {-0.8, true}, {1.2, false}, {-1.2, false}, {-6, false}} {
		got := math.Abs(Level(ref.Gain(c.db), 440) - Level(ref, 440))
		if (got <= 1) != c.good {
			t.Errorf("gain of %g dB measured as %.2f dB off", c.db, got)
		}
	}
	through := Reference(Tone(8000, 440, -10, 5), MuLaw, ALaw)
	near(t, "PCMU to PCMA", Level(through, 440), -10, 0.1)
}

func TestGapIsFound(t *testing.T) {
	for _, c := range []struct {
		hz   float64
		ms   int
		over bool // over 60 ms
	}{{440, 0, false}, {440, 20, false}, {440, 57, false}, {440, 63, true}, {880, 57, false}, {880, 63, true}, {440, 200, true}} {
		for offset := range 5 {
			clip := Reference(Tone(8000, c.hz, -10, 3), MuLaw).Mute(time.Second+time.Duration(offset)*700*time.Microsecond, time.Duration(c.ms)*time.Millisecond)
			got := LongestGap(clip, c.hz)
			if d := got - time.Duration(c.ms)*time.Millisecond; c.ms > 0 && (d > 2*time.Millisecond || d < -2*time.Millisecond) || c.ms == 0 && got != 0 {
				t.Errorf("%g Hz with a gap of %d ms measured as %v", c.hz, c.ms, got)
			}
			if (got > 60*time.Millisecond) != c.over {
				t.Errorf("%g Hz with a gap of %d ms measured as %v: over 60 ms is %v, expected %v", c.hz, c.ms, got, !c.over, c.over)
			}
		}
	}
	if got := LongestGap(Tone(8000, 880, -10, 2), 440); got < 1990*time.Millisecond {
		t.Errorf("a clip without the tone has a gap of %v, expected all of it", got)
	}
}

func TestSixtyOneMillisecondsAreTooLong(t *testing.T) {
	for offset := range 8 {
		clip := Reference(Tone(8000, 440, -10, 3), MuLaw).Mute(time.Second+time.Duration(offset)*313*time.Microsecond, 61*time.Millisecond)
		if got := LongestGap(clip, 440); got <= 60*time.Millisecond {
			t.Errorf("a gap of 61 ms at offset %d was measured as %v", offset, got)
		}
	}
}

func TestCrosstalkIsFound(t *testing.T) {
	// Companding turns part of two tones of related frequencies into each other
	// (1.5 dB at 40 dB down), so the exact cases are linear.
	for _, c := range []struct {
		down float64
		laws []Law
		off  float64
		good bool
	}{{-39, nil, 0.3, false}, {-41, nil, 0.3, true}, {-20, nil, 0.3, false}, {-37, []Law{MuLaw}, 2, false}, {-44, []Law{MuLaw}, 2, true}, {-37, []Law{ALaw}, 2, false}} {
		clip := Reference(Mix(Tone(8000, 880, -10, 5), Tone(8000, 440, -10+c.down, 5)), c.laws...)
		got := Level(clip, 440) - Level(clip, 880)
		near(t, "crosstalk", got, c.down, c.off)
		if (got <= -40) != c.good {
			t.Errorf("crosstalk of %g dB measured as %.2f dB", c.down, got)
		}
	}
}

func TestAlign(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	want := Clip{Rate: 8000, Samples: make([]int16, 16000)}
	for i := range want.Samples {
		want.Samples[i] = int16(rnd.IntN(16000) - 8000)
	}
	late := Clip{8000, append(make([]int16, 8*123), Reference(want, ALaw).Gain(-6).Samples...)}
	m, ok := Align(want, late, 300*time.Millisecond)
	if !ok || m.Lag != 123*time.Millisecond {
		t.Errorf("lag = %v (%v), expected 123ms", m.Lag, ok)
	}
	near(t, "gain", m.Gain, -6, 0.1)
	if m.SNR < 30 || m.SNR > 45 {
		t.Errorf("SNR of a G.711 chain = %.1f dB, expected 30 to 45", m.SNR)
	}
	if _, ok := Align(want, Clip{8000, make([]int16, 16000)}, time.Second); ok {
		t.Error("silence was aligned")
	}
}

func TestFind(t *testing.T) {
	clip := Clip{8000, append(append(make([]int16, 8000), Tone(8000, 425, -10, 1).Samples...), Tone(8000, 880, -10, 6).Samples...)}
	from, ok := Find(clip, 880, 5)
	if !ok || math.Abs(from-2) > 0.03 {
		t.Errorf("tone found at %.2f (%v), expected 2", from, ok)
	}
	if _, ok := Find(clip, 880, 7); ok {
		t.Error("7 s found of a tone of 6 s")
	}
}

func TestWAV(t *testing.T) {
	for _, rate := range []int{8000, 16000, 48000} {
		path := filepath.Join(t.TempDir(), "x.wav")
		in := Tone(rate, 440, -10, 0.5)
		if err := WriteWAV(path, in); err != nil {
			t.Fatal(err)
		}
		out, err := ReadWAV(path)
		if err != nil {
			t.Fatal(err)
		}
		if out.Rate != rate || len(out.Samples) != len(in.Samples) || out.Samples[77] != in.Samples[77] {
			t.Errorf("read %d samples at %d, expected %d at %d", len(out.Samples), out.Rate, len(in.Samples), rate)
		}
	}
	if err := WriteWAV(filepath.Join(t.TempDir(), "x.wav"), Clip{Rate: 11025}); err == nil {
		t.Error("a rate of 11025 was written")
	}
	if got := Tone(8000, 440, -10, 0.25).Loop(1); len(got.Samples) != 8000 || got.Samples[2001] != got.Samples[1] {
		t.Errorf("loop has %d samples", len(got.Samples))
	}
}

func FuzzParseWAV(f *testing.F) {
	head := func(channels, bits uint16, size uint32) []byte {
		var b bytes.Buffer
		b.WriteString("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00")
		_ = binary.Write(&b, binary.LittleEndian, channels)
		b.WriteString("\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00")
		_ = binary.Write(&b, binary.LittleEndian, bits)
		b.WriteString("data")
		_ = binary.Write(&b, binary.LittleEndian, size)
		b.WriteString("abcdef")
		return b.Bytes()
	}
	f.Add(head(1, 16, 6))
	f.Add(head(2, 16, 0xffffffff))
	f.Add(head(1, 8, 6))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseWAV(b)
		if err == nil && (c.Rate < 1 || len(c.Samples)*2 > len(b)) {
			t.Errorf("%d samples at %d of %d bytes", len(c.Samples), c.Rate, len(b))
		}
	})
}
