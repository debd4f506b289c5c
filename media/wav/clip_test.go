package wav

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media/g711"
)

// file makes a WAV file of chunks.
func file(chunks ...[]byte) []byte {
	b := []byte("RIFF\x00\x00\x00\x00WAVE")
	for _, c := range chunks {
		b = append(b, c...)
	}
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-8))
	return b
}

func chunk(id string, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(id), uint32(len(body)))
	b = append(b, body...)
	if len(body)%2 == 1 {
		b = append(b, 0)
	}
	return b
}

func format(tag, channels uint16, rate uint32, bits uint16) []byte {
	le := binary.LittleEndian
	b := le.AppendUint16(nil, tag)
	b = le.AppendUint16(b, channels)
	b = le.AppendUint32(b, rate)
	b = le.AppendUint32(b, rate*uint32(channels*bits/8))
	b = le.AppendUint16(b, channels*bits/8)
	return chunk("fmt ", le.AppendUint16(b, bits))
}

func TestRead(t *testing.T) {
	codes := []byte{0x00, 0x55, 0x80, 0xd5, 0xff}
	linear := []byte{0x00, 0x00, 0xff, 0x7f, 0x00, 0x80, 0x34, 0x12}
	samples := []int16{0, 32767, -32768, 0x1234}
	extensible := append(format(tagExtensible, 1, 8000, 16)[8:], make([]byte, 24)...)
	extensible[24] = tagPCM
	for name, c := range map[string]struct {
		in   []byte
		want *Clip
	}{
		"linear":      {file(format(tagPCM, 1, 8000, 16), chunk("data", linear)), FromSamples(samples)},
		"u-law":       {file(format(tagMuLaw, 1, 8000, 8), chunk("data", codes)), FromMu(codes)},
		"A-law":       {file(format(tagALaw, 1, 8000, 8), chunk("LIST", []byte("odd")), chunk("data", codes)), FromA(codes)},
		"extensible":  {file(chunk("fmt ", extensible), chunk("data", linear)), FromSamples(samples)},
		"not fixed":   {file(format(tagPCM, 1, 8000, 16), append([]byte("data\x00\x00\x00\x00"), linear...)), FromSamples(samples)},
		"a stream":    {file(format(tagPCM, 1, 8000, 16), append([]byte("data\xff\xff\xff\xff"), linear...)), FromSamples(samples)},
		"chunk after": {file(format(tagMuLaw, 1, 8000, 8), chunk("data", codes), chunk("LIST", []byte("more"))), FromMu(codes)},
	} {
		got, err := Read(bytes.NewReader(c.in))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(got.mu, c.want.mu) || !bytes.Equal(got.a, c.want.a) {
			t.Errorf("%s: %x %x, want %x %x", name, got.mu, got.a, c.want.mu, c.want.a)
		}
	}
	for want, in := range map[string][]byte{
		"no RIFF WAVE header":               []byte("OggS and so on and so on"),
		"no data chunk":                     file(format(tagPCM, 1, 8000, 16)),
		"data before the fmt chunk":         file(chunk("data", linear)),
		"no samples":                        file(format(tagPCM, 1, 8000, 16), chunk("data", []byte{1})),
		"fmt chunk of 4 bytes":              file(chunk("fmt ", []byte("abcd"))),
		"format tag 3":                      file(format(3, 1, 8000, 32), chunk("data", linear)),
		"2 channels of 16 bits at 44100 Hz": file(format(tagPCM, 2, 44100, 16), chunk("data", linear)),
		"1 channels of 8 bits at 8000 Hz":   file(format(tagPCM, 1, 8000, 8), chunk("data", linear)),
	} {
		if _, err := Read(bytes.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if d := FromMu(make([]byte, 12000)).Duration(); d != 1500*time.Millisecond {
		t.Errorf("12000 samples last %s", d)
	}
	if c := FromA([]byte{0xd5}); c.mu[0] != g711.A().Cross(nil, []byte{0xd5})[0] {
		t.Error("the other law isn't the direct conversion")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(file(format(tagPCM, 1, 8000, 16), chunk("data", []byte{1, 2, 3, 4})))
	f.Add(file(chunk("LIST", []byte("odd")), format(tagMuLaw, 1, 8000, 8), chunk("data", []byte{1})))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Read(bytes.NewReader(b))
		if err == nil && (len(c.mu) == 0 || len(c.mu) != len(c.a) || len(c.mu) > len(b)) {
			t.Fatalf("%d and %d samples of %d bytes", len(c.mu), len(c.a), len(b))
		}
	})
}
