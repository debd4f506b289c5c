//go:build e2e

package opus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/thesyncim/gopus/container/ogg"

	"github.com/patchbay/patchbay/media"
)

// What libopus codes we decode, and what we code it decodes. opusenc and opusdec are Debian's opus-tools.
func TestInteropWithLibopus(t *testing.T) {
	dir, said := t.TempDir(), speech(t)[:8000*5]
	raw := filepath.Join(dir, "said.raw")
	write(t, raw, said)
	for _, options := range [][]string{
		{"--bitrate", "20", "--framesize", "20", "--speech"},
		{"--bitrate", "24", "--framesize", "60", "--speech", "--comp", "10"},
		{"--bitrate", "48", "--framesize", "10", "--music"},
		{"--bitrate", "64", "--framesize", "2.5", "--hard-cbr"},
		{"--bitrate", "20", "--framesize", "40", "--expect-loss", "20"},
	} {
		coded := filepath.Join(dir, "said.opus")
		args := append([]string{"--quiet", "--raw", "--raw-rate", "8000", "--raw-chan", "1"}, options...)
		run(t, "opusenc", append(args, raw, coded)...)
		in, skip := unpack(t, coded)
		heard := samples(convert(way(t, Format(), media.L16(8000)), in...))
		heard = heard[skip/6:]
		db, lag := snr(said[:24000], heard[:24000], 0, 100, 1)
		t.Logf("opusenc %v: %.2f dB, lag %d", options, db, lag)
		if db < 8.8 {
			t.Errorf("opusenc %v: SNR %.2f dB, want 8.8", options, db)
		}
	}
	for _, loss := range []float64{0, 0.2} {
		enc := way(t, media.L16(8000), Format())
		enc.(media.Heeder).Heed(loss)
		ours := filepath.Join(dir, "ours.opus")
		sent := convert(enc, linear(said, 160)...)
		pack(t, ours, sent)
		out := filepath.Join(dir, "heard.raw")
		run(t, "opusdec", "--quiet", "--no-dither", "--rate", "48000", ours, out)
		heard, wide := read(t, out), upsampled(said, 6) // at 48 kHz a lag can be part of an 8 kHz sample
		if d := len(heard) - len(wide); d < -1920 || d > 1920 {
			t.Errorf("opusdec made %d samples of %d", len(heard), len(wide))
		}
		db, _ := snr(wide[48:48*3000], heard[:48*3000], 0, 100, 6)
		same, lag := snr(heard[:48*3000], samples(convert(way(t, Format(), media.L16(Clock)), sent...))[:48*3010], 300, 330, 6)
		t.Logf("opusdec of ours, made for a loss of %v: %.2f dB; it and our decoder agree to %.1f dB after %d samples", loss, db, same, lag)
		if want := 8.8 - 4*loss; db < want { // redundancy takes its bits from what is said
			t.Errorf("opusdec of ours, made for a loss of %v: SNR %.2f dB, want %.1f", loss, db, want)
		}
		if same < 30 || lag != 312 {
			t.Errorf("made for a loss of %v: opusdec and our decoder agree to %.1f dB after %d samples, want 30 after 312, which players leave out", loss, same, lag)
		}
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func write(t *testing.T, path string, pcm []int16) {
	t.Helper()
	b, _ := binary.Append(nil, binary.LittleEndian, pcm)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// read reads the PCM of a file, which opusdec writes without a header unless its name says wav.
func read(t *testing.T, path string) []int16 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]int16, len(b)/2)
	for i := range out {
		out[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return out
}

// unpack reads packets from Ogg, numbered as RTP would, and how many 48 kHz samples a player leaves out at the beginning.
func unpack(t *testing.T, path string) ([]media.Frame, int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ogg.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var out []media.Frame
	ts := uint32(0)
	for {
		p, _, err := r.ReadPacket()
		if errors.Is(err, io.EOF) {
			return out, int(r.PreSkip())
		}
		if err != nil {
			t.Fatal(err)
		}
		n := duration(p)
		if n == 0 {
			t.Fatalf("packet %d has no length: %x", len(out), p)
		}
		out = append(out, media.Frame{Sequence: uint16(len(out)), Timestamp: ts, Payload: bytes.Clone(p)})
		ts += uint32(n)
	}
}

func pack(t *testing.T, path string, frames []media.Frame) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := ogg.NewWriter(f, Clock, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, fr := range frames {
		if err := w.WritePacket(fr.Payload, Clock/50); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}
