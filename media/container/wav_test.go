package container

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"
)

// wavOf is a WAV file at 8 kHz with these samples in it; a size of 0 says that nobody has fixed it.
func wavOf(tag, channels, bits int, samples []byte, size int) []byte {
	le := binary.LittleEndian
	b := append([]byte("RIFF"), le.AppendUint32(nil, uint32(36+size))...)
	b = append(b, "WAVEfmt \x10\x00\x00\x00"...)
	b = le.AppendUint16(b, uint16(tag))
	b = le.AppendUint16(b, uint16(channels))
	b = le.AppendUint32(b, 8000)
	b = le.AppendUint32(b, uint32(8000*channels*bits/8))
	b = le.AppendUint16(b, uint16(channels*bits/8))
	b = le.AppendUint16(b, uint16(bits))
	b = append(b, "data"...)
	b = le.AppendUint32(b, uint32(size))
	return append(b, samples...)
}

// Samples of each width are those of 16 bits that they stand for; channels are mixed.
func TestWidths(t *testing.T) {
	float := func(list ...float32) (b []byte) {
		for _, f := range list {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
		}
		return b
	}
	for _, c := range []struct {
		tag, channels, bits int
		samples             []byte
		want                string
	}{
		{wavPCM, 1, 8, []byte{0, 128, 255}, "8000 0000 7f00"},
		{wavPCM, 1, 16, []byte{0, 0x80, 0, 0, 0x34, 0x12}, "8000 0000 1234"},
		{wavPCM, 1, 24, []byte{9, 0, 0x80, 0xff, 0xff, 0xff, 1, 0x34, 0x12}, "8000 ffff 1234"},
		{wavPCM, 1, 32, []byte{9, 9, 0, 0x80, 0, 0, 0x34, 0x12}, "8000 1234"},
		{wavFloat, 1, 32, float(-1, 0.5, 2, float32(math.NaN()), float32(math.Inf(-1))), "8001 4000 7fff 0000 8001"},
		{wavPCM, 2, 16, []byte{0x00, 0x10, 0x00, 0x30, 0, 0x80, 0, 0x80}, "2000 8000"},
		{wavPCM, 8, 8, []byte{128, 128, 128, 128, 128, 128, 128, 136}, "0100"},
	} {
		r, err := Open(memory{Reader: bytes.NewReader(wavOf(c.tag, c.channels, c.bits, c.samples, len(c.samples)))}, "", "")
		if err != nil {
			t.Errorf("%d bits: %v", c.bits, err)
			continue
		}
		got := ""
		for _, u := range units(t, r) {
			for d := u.Data; len(d) >= 2; d = d[2:] {
				got += fmt.Sprintf(" %x", d[:2])
			}
		}
		if got != " "+c.want {
			t.Errorf("%d channels of %d bits:%s, want %s", c.channels, c.bits, got, c.want)
		}
	}
	for what, b := range map[string][]byte{
		"64 bits":  wavOf(wavFloat, 1, 64, make([]byte, 80), 80),
		"12 bits":  wavOf(wavPCM, 1, 12, make([]byte, 80), 80),
		"format 2": wavOf(2, 1, 4, make([]byte, 80), 80),
	} {
		if _, err := Open(memory{Reader: bytes.NewReader(b)}, "", ""); !errors.Is(err, ErrCodec) || !bytes.Contains([]byte(err.Error()), []byte(what)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := Open(memory{Reader: bytes.NewReader(append([]byte("FORM\x00\x00\x01\x00AIFFCOMM"), make([]byte, 200)...))}, "x.aiff", "audio/aiff"); !errors.Is(err, ErrUnknown) {
		t.Errorf("AIFF: %v", err)
	}
}

// growing is a file that somebody still writes.
type growing struct{ b []byte }

func (g *growing) Size() (int64, bool) { return int64(len(g.b)), true }
func (g *growing) ReadAt(p []byte, at int64) (int, error) {
	return bytes.NewReader(g.b).ReadAt(p, at)
}

// A file that grows while it is read is read as far as it has come; its length is what it has by then.
func TestGrowing(t *testing.T) {
	g := &growing{b: wavOf(wavPCM, 1, 16, make([]byte, 1600), 0)}
	r, err := Open(g, "", "")
	if err != nil || r.Duration() != 100*time.Millisecond {
		t.Fatalf("%v, it plays for %s", err, r.Duration())
	}
	for i := range 20 {
		var u Unit
		if err := r.Read(&u); err != nil || u.At != time.Duration(i)*20*time.Millisecond || len(u.Data) != 320 {
			t.Fatalf("unit %d: %v, %d bytes at %s", i, err, len(u.Data), u.At)
		}
		g.b = append(g.b, make([]byte, 320)...)
	}
	if r.Duration() != 500*time.Millisecond {
		t.Errorf("it plays for %s", r.Duration())
	}
	if err := r.Seek(490 * time.Millisecond); err != nil || len(units(t, r)) != 1 {
		t.Errorf("sought where it has come since: %v", err)
	}
}
