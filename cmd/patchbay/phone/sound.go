package phone

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/patchbay/patchbay/cmd/patchbay/leg"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/tone"
	"github.com/patchbay/patchbay/media/wav"
)

// Sound is what a phone plays. The zero value is digital silence.
type Sound struct {
	tone *tone.Sine
	clip *wav.Clip
	name string
}

// ParseSound reads "tone:HZ@DBM0" (a sine, such as tone:440@-10), "silence" or "", or the path of a WAV file of 8 kHz, mono.
func ParseSound(s string) (Sound, error) {
	if s == "" || s == "silence" {
		return Sound{name: "silence"}, nil
	}
	if spec, ok := strings.CutPrefix(s, "tone:"); ok {
		hz, level, found := strings.Cut(spec, "@")
		if !found {
			level = "-10"
		}
		f, err := strconv.ParseFloat(hz, 64)
		if err != nil || !(f >= 50 && f <= 3900) {
			return Sound{}, fmt.Errorf("tone %q: %q Hz: expected tone:HZ@DBM0 with 50 to 3900 Hz", s, hz)
		}
		l, err := strconv.ParseFloat(level, 64)
		if err != nil || math.IsNaN(l) || l < -60 || l > 3 {
			return Sound{}, fmt.Errorf("tone %q: level %q: expected tone:HZ@DBM0 with -60 to 3 dBm0", s, level)
		}
		return Sound{tone: &tone.Sine{Hz: f, Level: l}, name: fmt.Sprintf("%g Hz at %g dBm0", f, l)}, nil
	}
	f, err := os.Open(s)
	if err != nil {
		return Sound{}, fmt.Errorf("sound %q: %w (or tone:440@-10, or silence)", s, err)
	}
	defer f.Close()
	c, err := wav.Read(f)
	if err != nil {
		return Sound{}, fmt.Errorf("sound %s: %w", s, err)
	}
	return Sound{clip: c, name: s}, nil
}

// play begins to play. ended gets a value when a file is at its end.
func (s Sound) play(l *leg.Leg, ended chan<- struct{}) error {
	switch {
	case s.tone != nil:
		return l.Tone(tone.Sound{Sines: []tone.Sine{*s.tone}}, nil)
	case s.clip != nil:
		return l.Clip(s.clip, false, func(media.Notice) { ended <- struct{}{} })
	}
	return l.Silence()
}
