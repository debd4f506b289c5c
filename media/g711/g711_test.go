package g711

import (
	"bytes"
	"math"
	"testing"

	zaf "github.com/zaf/g711"

	"github.com/patchbay/patchbay/media"
)

func TestTablesAreExact(t *testing.T) {
	for i := math.MinInt16; i <= math.MaxInt16; i++ {
		s := int16(i)
		if got, want := Mu().Code(s), zaf.EncodeUlawFrame(s); got != want {
			t.Fatalf("u-law code of %d is %#02x, want %#02x", s, got, want)
		}
		if got, want := A().Code(s), zaf.EncodeAlawFrame(s); got != want {
			t.Fatalf("A-law code of %d is %#02x, want %#02x", s, got, want)
		}
	}
	for i := range 256 {
		c := byte(i)
		if got, want := Mu().Sample(c), zaf.DecodeUlawFrame(c); got != want {
			t.Errorf("u-law sample of %#02x is %d, want %d", c, got, want)
		}
		if got, want := A().Sample(c), zaf.DecodeAlawFrame(c); got != want {
			t.Errorf("A-law sample of %#02x is %d, want %d", c, got, want)
		}
		if Mu().other[c] != zaf.Ulaw2AlawFrame(c) || A().other[c] != zaf.Alaw2UlawFrame(c) {
			t.Errorf("code %#02x crosses to %#02x and %#02x", c, Mu().other[c], A().other[c])
		}
	}
}

// Each code but u-law's negative zero comes back from linear as itself, and the error of any sample is within the law's
// step: 1/32 of the sample plus the smallest step.
func TestRoundTrip(t *testing.T) {
	for i := range 256 {
		c := byte(i)
		if got := Mu().Code(Mu().Sample(c)); got != c && c != 0x7f {
			t.Errorf("u-law %#02x came back as %#02x", c, got)
		}
		if got := A().Code(A().Sample(c)); got != c {
			t.Errorf("A-law %#02x came back as %#02x", c, got)
		}
	}
	for i := -32000; i <= 32000; i++ {
		for name, l := range map[string]*Law{"u": Mu(), "A": A()} {
			if e := math.Abs(float64(int(l.Sample(l.Code(int16(i)))) - i)); e > math.Abs(float64(i))/32+16 {
				t.Fatalf("%s-law error of %d is %v", name, i, e)
			}
		}
	}
}

// The periodic sequences of ITU-T G.711 table 5 are a sine of 1 kHz at 0 dBm0.
func TestMilliwatt(t *testing.T) {
	for name, c := range map[string]struct {
		law  *Law
		want []byte
	}{
		"u": {Mu(), []byte{0x1e, 0x0b, 0x0b, 0x1e, 0x9e, 0x8b, 0x8b, 0x9e}},
		"A": {A(), []byte{0x34, 0x21, 0x21, 0x34, 0xb4, 0xa1, 0xa1, 0xb4}},
	} {
		var got []byte
		for i := range 8 { // the tables begin with the negative half
			got = append(got, c.law.Code(int16(math.Round(-c.law.Peak()*math.Sin(math.Pi/8+float64(i)*math.Pi/4)))))
		}
		if !bytes.Equal(got, c.want) {
			t.Errorf("%s-law: %x, want %x", name, got, c.want)
		}
	}
}

func TestConversions(t *testing.T) {
	reg := media.NewRegistry()
	reg.Register(Conversions()...)
	for _, f := range []*media.Format{media.PCMU(), media.PCMA()} {
		if reg.Converts(f, f) {
			t.Errorf("%s converts to itself", f)
		}
	}
	codes := make([]byte, 256)
	for i := range codes {
		codes[i] = byte(i)
	}
	linear := func(l *Law) []byte {
		var out []byte
		for _, c := range codes {
			s := l.Sample(c)
			out = append(out, byte(uint16(s)>>8), byte(s))
		}
		return out
	}
	back := bytes.Clone(codes)
	back[0x7f] = 0xff // negative zero
	for _, c := range []struct {
		from, to  *media.Format
		src, want []byte
	}{
		{media.PCMU(), media.PCMA(), codes, zaf.Ulaw2Alaw(codes)},
		{media.PCMA(), media.PCMU(), codes, zaf.Alaw2Ulaw(codes)},
		{media.PCMU(), media.L16(8000), codes, linear(Mu())},
		{media.PCMA(), media.L16(8000), codes, linear(A())},
		{media.L16(8000), media.PCMU(), linear(Mu()), back},
		{media.L16(8000), media.PCMA(), linear(A()), codes},
	} {
		if got := convert(t, c.from, c.to, c.src); !bytes.Equal(got, c.want) {
			t.Errorf("%s to %s:\n got %x\nwant %x", c.from, c.to, got, c.want)
		}
	}
}

// convert sends one frame through a source.
func convert(t *testing.T, from, to *media.Format, payload []byte) []byte {
	t.Helper()
	reg := media.NewRegistry()
	reg.Register(Conversions()...)
	s := media.NewSource(reg, nil)
	s.SetFormats(from)
	k := &sink{caps: &media.Caps{Formats: []*media.Format{to}}}
	s.Link(k)
	s.Send(&media.Frame{Format: from, Payload: payload})
	return k.got
}

type sink struct {
	media.Inlet
	caps *media.Caps
	got  []byte
}

func (k *sink) Caps() *media.Caps   { return k.caps }
func (k *sink) Push(f *media.Frame) { k.got = append(k.got[:0], f.Payload...) }

func TestNothingFromDamage(t *testing.T) {
	for _, c := range Conversions() {
		conv := c.New()
		dst := &media.Frame{Payload: make([]byte, 0, 320)}
		for _, n := range []int{0, 1001} {
			if conv.Convert(dst, &media.Frame{Payload: make([]byte, n)}) {
				t.Errorf("%s to %s made %d bytes of %d into room for 320", c.From, c.To, len(dst.Payload), n)
			}
		}
	}
}

func FuzzConvert(f *testing.F) {
	f.Add([]byte{0x7f, 0xff, 0, 0x80})
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, c := range Conversions() {
			dst := &media.Frame{Payload: make([]byte, 0, 4000)}
			if c.New().Convert(dst, &media.Frame{Payload: in}) && cap(dst.Payload) != 4000 {
				t.Fatalf("%s to %s left its room", c.From, c.To)
			}
		}
	})
}

func TestNoAllocation(t *testing.T) {
	src := &media.Frame{Payload: make([]byte, 160)}
	dst := &media.Frame{Payload: make([]byte, 0, 1000)}
	for _, c := range Conversions() {
		conv := c.New()
		if n := testing.AllocsPerRun(200, func() {
			dst.Payload = dst.Payload[:0]
			conv.Convert(dst, src)
		}); n != 0 {
			t.Errorf("%s to %s allocates %v times", c.From, c.To, n)
		}
	}
}

func BenchmarkConvert(b *testing.B) {
	for _, c := range Conversions() {
		b.Run(c.From.Codec+"to"+c.To.Codec, func(b *testing.B) {
			src := &media.Frame{Payload: make([]byte, 160*c.From.Clock/8000)}
			if c.From.Codec == "L16" {
				src.Payload = make([]byte, 320)
			}
			for i := range src.Payload {
				src.Payload[i] = byte(i * 7)
			}
			dst := &media.Frame{Payload: make([]byte, 0, 1000)}
			conv := c.New()
			b.ReportAllocs()
			for b.Loop() {
				dst.Payload = dst.Payload[:0]
				conv.Convert(dst, src)
			}
		})
	}
}
