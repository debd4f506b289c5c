package opus

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/patchbay/patchbay/media"
)

// lose takes packets out by a fixed pattern, never the first ones.
func lose(in []media.Frame, share float64) (out []media.Frame) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for i, f := range in {
		if i < 5 || rnd.Float64() >= share {
			out = append(out, f)
		}
	}
	return out
}

// Compared with what a decoder makes that lost nothing. Concealment goes on as loud as it was, if not with the same waveform;
// redundancy restores the waveform too.
func TestLoss(t *testing.T) {
	said := speech(t)[:8000*7]
	for _, c := range []struct {
		share    float64
		plc, fec float64 // dB, at least
	}{{0.05, 9, 18}, {0.10, 4, 12}, {0.20, 1, 8}} {
		var got, loud [2]float64
		for i, heed := range []float64{0, c.share} {
			enc := way(t, media.L16(8000), Format())
			enc.(media.Heeder).Heed(heed)
			sent := convert(enc, linear(said, 160)...)
			whole := samples(convert(way(t, Format(), media.L16(8000)), sent...))
			left := lose(sent, c.share)
			heard := convert(way(t, Format(), media.L16(8000)), left...)
			if len(heard) != len(sent) {
				t.Fatalf("%v lost: %d frames, want %d", c.share, len(heard), len(sent))
			}
			inOrder(t, heard, 8000)
			pcm := samples(heard)
			got[i], _ = snr(whole, pcm, 0, 1, 1)
			loud[i] = 10 * math.Log10(power(pcm, sent, left)/power(whole, sent, left))
		}
		t.Logf("%v%% lost: concealment %.2f dB, redundancy %.2f dB; level of what was lost %.1f and %.1f dB", c.share*100, got[0], got[1], loud[0], loud[1])
		if got[0] < c.plc || got[1] < c.fec || got[1] < got[0]+2 {
			t.Errorf("%v%% lost: concealment %.2f dB, want %v; redundancy %.2f dB, want %v and 2 more than concealment", c.share*100, got[0], c.plc, got[1], c.fec)
		}
		if math.Abs(loud[0]) > 4 || math.Abs(loud[1]) > 2 {
			t.Errorf("%v%% lost: what was lost came %.1f dB louder with concealment, %.1f with redundancy", c.share*100, loud[0], loud[1])
		}
	}
}

// power is that of the samples whose packets were lost.
func power(pcm []int16, sent, left []media.Frame) (sum float64) {
	j := 0
	for i, f := range sent {
		if j < len(left) && left[j].Sequence == f.Sequence {
			j++
			continue
		}
		for _, s := range pcm[160*i : 160*i+160] {
			sum += float64(s) * float64(s)
		}
	}
	return sum
}

// What is concealed is bounded: after a long loss time jumps and the numbers show it, after a pause they don't.
func TestLongGaps(t *testing.T) {
	in := convert(way(t, media.L16(8000), Format()), linear(speech(t)[:16000], 160)...)
	for _, c := range []struct {
		name    string
		lost    int
		pause   uint32 // of timestamp beside
		frames  int    // more than packets
		numbers uint16 // from the frame before the gap to the one after it
		jump    uint32
		marker  bool
	}{
		{"100 ms lost", 5, 0, 5, 1, 160, false},
		{"120 ms lost", 6, 0, 0, 7, 7 * 160, false},
		{"a pause", 0, Clock, 0, 1, 160 + 8000, true},
		{"lost in a pause", 1, Clock, 0, 52, 2*160 + 8000, false},
	} {
		var some []media.Frame
		some = append(some, in[:20]...)
		for _, f := range in[20+c.lost:] {
			f.Timestamp += c.pause
			some = append(some, f)
		}
		out := convert(way(t, Format(), media.L16(8000)), some...)
		if len(out) != len(some)+c.frames {
			t.Fatalf("%s: %d frames, want %d", c.name, len(out), len(some)+c.frames)
		}
		if a, b := out[19], out[20]; b.Sequence-a.Sequence != c.numbers || b.Timestamp-a.Timestamp != c.jump || b.Marker != c.marker {
			t.Errorf("%s: %d numbers, %d of time, marker %v; want %d, %d, %v", c.name, b.Sequence-a.Sequence, b.Timestamp-a.Timestamp, b.Marker, c.numbers, c.jump, c.marker)
		}
	}
	// Packets of 10 ms: a frame that was begun is filled before the pause.
	short := packets(t, speech(t)[:1600], 8000, 1, 480, nil)
	for i := range short[5:] {
		short[5+i].Timestamp += Clock
	}
	out := convert(way(t, Format(), media.L16(8000)), short...)
	if len(out) != 10 || out[3].Timestamp-out[2].Timestamp != 160+8000-80 || !out[3].Marker {
		t.Errorf("%d frames; the pause takes %d, marker %v", len(out), out[3].Timestamp-out[2].Timestamp, out[3].Marker)
	}
}

// Reordered and repeated packets change nothing but their own concealment.
func TestReordering(t *testing.T) {
	in := convert(way(t, media.L16(8000), Format()), linear(speech(t)[:16000], 160)...)
	in[30], in[31] = in[31], in[30]
	in[40] = in[39]
	out := convert(way(t, Format(), media.L16(8000)), in...)
	if len(out) != len(in) {
		t.Fatalf("%d frames of %d packets", len(out), len(in))
	}
	inOrder(t, out, 8000)
}

// Garbage, as packet or in place of PCM, makes no noise longer than itself and never panics.
func FuzzDecode(f *testing.F) {
	good := convert(way(f, media.L16(8000), Format()), linear(speech(f)[:4800], 160)...)
	for _, g := range good[:8] {
		f.Add(g.Payload, uint16(1), uint32(960))
	}
	f.Add([]byte{0xff, 0x3f}, uint16(40), uint32(1<<31))
	f.Add([]byte{0x03, 0x81, 0xff}, uint16(0xffff), uint32(77))
	ways := Conversions()
	f.Fuzz(func(t *testing.T, p []byte, gap uint16, jump uint32) {
		for _, c := range ways {
			conv := c.New()
			in := []media.Frame{good[0], good[1], {Payload: p, Sequence: good[1].Sequence + gap, Timestamp: good[1].Timestamp + jump}, good[2], good[3]}
			in[3].Sequence, in[3].Timestamp = in[2].Sequence+gap, in[2].Timestamp+jump
			in[4].Sequence, in[4].Timestamp = in[3].Sequence+1, in[3].Timestamp+960
			out := convert(conv, in...)
			if len(out) > 100 {
				t.Fatalf("%s to %s: %d frames of 5", c.From, c.To, len(out))
			}
			if r, ok := conv.(media.Releaser); ok {
				r.Release()
			}
		}
	})
}

func TestDamageIsSurvived(t *testing.T) {
	good := convert(way(t, media.L16(8000), Format()), linear(speech(t)[:16000], 160)...)
	rnd := rand.New(rand.NewPCG(5, 6))
	dec, enc := way(t, Format(), media.L16(8000)), way(t, media.L16(8000), Format())
	for i := range 1500 {
		f := good[i%len(good)]
		p := append([]byte(nil), f.Payload...)
		switch i % 3 {
		case 0:
			p[rnd.IntN(len(p))] ^= byte(1 << rnd.IntN(8))
		case 1:
			p = p[:rnd.IntN(len(p))]
		case 2:
			for j := range p {
				p[j] = byte(rnd.Uint32())
			}
		}
		f.Payload, f.Sequence, f.Timestamp = p, uint16(i), uint32(960*i)
		for _, out := range convert(dec, f) {
			if len(out.Payload) != 320 {
				t.Fatalf("a frame of %d bytes", len(out.Payload))
			}
		}
		convert(enc, f)
	}
	// Afterwards it works as before.
	for i := range good {
		good[i].Epoch = 1
	}
	want := convert(way(t, Format(), media.L16(8000)), good...)
	got := convert(dec, good...)
	if len(got) != len(want) {
		t.Fatalf("%d frames after damage, want %d", len(got), len(want))
	}
	for i := range got {
		if string(got[i].Payload) != string(want[i].Payload) {
			t.Fatalf("frame %d differs from that of a decoder that saw no damage", i)
		}
	}
}
