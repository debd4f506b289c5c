package peers

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
)

// Tones is the DTMF that multimon-ng hears in a clip of 8 kHz.
func Tones(t testing.TB, c audio.Clip) string {
	t.Helper()
	// It wants 22.05 kHz and begins to decide once it has heard a while: a pause at either end costs nothing.
	wide := filepath.Join(Folder(t), "tones.wav")
	if err := audio.WriteWAV(wide, c); err != nil {
		t.Fatalf("peers: %v", err)
	}
	raw := strings.TrimSuffix(wide, ".wav") + ".raw"
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var out []byte
	for _, args := range [][]string{
		{"sox", wide, "-r", "22050", "-t", "raw", "-e", "signed", "-b", "16", "-c", "1", raw, "pad", "0.2", "0.2"},
		{"multimon-ng", "-q", "-a", "DTMF", "-t", "raw", raw},
	} {
		var err error
		if out, err = exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("peers: %s: %v: %s", args[0], err, out)
		}
	}
	var digits strings.Builder
	for _, m := range regexp.MustCompile(`(?m)^DTMF: ([0-9A-D*#])\s*$`).FindAllStringSubmatch(string(out), -1) {
		digits.WriteString(m[1])
	}
	return digits.String()
}
