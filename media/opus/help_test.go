package opus

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"testing"

	"github.com/thesyncim/gopus"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
)

// speech is seven seconds of two voices, 8 kHz.
func speech(t testing.TB) []int16 {
	t.Helper()
	b, err := os.ReadFile("testdata/speech.ul")
	if err != nil {
		t.Fatal(err)
	}
	return g711.Mu().Decode(nil, b)
}

// upsampled is speech at a multiple of 8 kHz, by linear interpolation: good enough to be something to code.
func upsampled(in []int16, by int) []int16 {
	out := make([]int16, 0, len(in)*by)
	for i := range in {
		a, b := int(in[i]), int(in[min(i+1, len(in)-1)])
		for j := range by {
			out = append(out, int16(a+(b-a)*j/by))
		}
	}
	return out
}

// linear makes frames of L16 of samples, so many in each.
func linear(samples []int16, per int) []media.Frame {
	var out []media.Frame
	ts := uint32(160000)
	for i := 0; i+per <= len(samples); i += per {
		f := media.Frame{Sequence: uint16(1000 + i/per), Timestamp: ts, Marker: i == 0}
		for _, s := range samples[i : i+per] {
			f.Payload = binary.BigEndian.AppendUint16(f.Payload, uint16(s))
		}
		out = append(out, f)
		ts += uint32(per)
	}
	return out
}

// convert gives frames to a converter and keeps what comes of them.
func convert(c media.Converter, in ...media.Frame) []media.Frame {
	var out []media.Frame
	room := make([]byte, 0, 12000)
	more, _ := c.(media.Splitter)
	for i := range in {
		dst := in[i]
		dst.Payload = room
		for ok := c.Convert(&dst, &in[i]); ok; ok = more != nil && more.More(&dst) {
			kept := dst
			kept.Payload = bytes.Clone(dst.Payload)
			out = append(out, kept)
			dst.Payload = room
		}
	}
	return out
}

func samples(frames []media.Frame) []int16 {
	var out []int16
	for _, f := range frames {
		out = append(out, mediatest.Linear(media.L16(8000), f.Payload)...)
	}
	return out
}

// way is a fresh converter of the package's own.
func way(t testing.TB, from, to *media.Format) media.Converter {
	t.Helper()
	for _, c := range Conversions() {
		if c.From.Same(from) && c.To.Same(to) {
			return c.New()
		}
	}
	t.Fatalf("no conversion from %s to %s", from, to)
	return nil
}

// packets encodes samples as a peer would: at a rate in Hz, in packets of a length in 48 kHz samples.
func packets(t testing.TB, pcm []int16, rate, channels, length int, set func(*gopus.Encoder)) []media.Frame {
	t.Helper()
	enc, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: rate, Channels: channels, Application: gopus.ApplicationVoIP})
	if err != nil {
		t.Fatal(err)
	}
	per := length * rate / Clock
	if err := enc.SetFrameSize(per); err != nil {
		t.Fatal(err)
	}
	if set != nil {
		set(enc)
	}
	var out []media.Frame
	ts, buf := uint32(math.MaxUint32-50000), make([]byte, 4000)
	for i := 0; i+per*channels <= len(pcm); i += per * channels {
		n, err := enc.EncodeInt16(pcm[i:i+per*channels], buf)
		if err != nil {
			t.Fatalf("encoding: %v", err)
		}
		out = append(out, media.Frame{Sequence: uint16(65500 + len(out)), Timestamp: ts, Marker: i == 0, Payload: bytes.Clone(buf[:n])})
		ts += uint32(length)
	}
	return out
}

// snr compares what came with what was said a few ms (the coder's own delay) earlier, after the best lag and gain, in dB. Each step-th
// sample counts.
func snr(said, heard []int16, least, most, step int) (db float64, lag int) {
	db = math.Inf(-1)
	n := min(len(said), len(heard)) - most
	for l := least; l < most; l++ {
		var xx, yy, xy float64
		for i := 0; i < n; i += step {
			x, y := float64(said[i]), float64(heard[i+l])
			xx, yy, xy = xx+x*x, yy+y*y, xy+x*y
		}
		if yy == 0 || xy <= 0 {
			continue
		}
		noise := xx - xy*xy/yy
		if d := 10 * math.Log10(xx/max(noise, 1e-9)); d > db {
			db, lag = d, l
		}
	}
	return db, lag
}

// inOrder checks that frames of 20 ms follow each other without a gap, each with its mark where it is due.
func inOrder(t *testing.T, frames []media.Frame, clock int) {
	t.Helper()
	for i, f := range frames[1:] {
		if f.Sequence != frames[i].Sequence+1 || f.Timestamp != frames[i].Timestamp+uint32(clock/50) || f.Marker {
			t.Fatalf("frame %d: number %d after %d, timestamp %d after %d, marker %v", i+1, f.Sequence, frames[i].Sequence, f.Timestamp, frames[i].Timestamp, f.Marker)
		}
	}
}
