package carrier

import (
	"embed"
	"fmt"

	"github.com/patchbay/patchbay/media/wav"
)

// What the carrier says, as G.711 u-law at 8 kHz without a header: speech/make made it with espeak-ng and sox.
//
//go:embed speech/*.ul
var files embed.FS

// speech is what the carrier can say.
type speech struct {
	greeting, announcement *wav.Clip
	digits                 map[byte]*wav.Clip
}

func loadSpeech() (speech, error) {
	s := speech{digits: map[byte]*wav.Clip{}}
	load := func(name string) (*wav.Clip, error) {
		b, err := files.ReadFile("speech/" + name + ".ul")
		if err != nil {
			return nil, fmt.Errorf("speech: %w", err)
		}
		return wav.FromMu(b), nil
	}
	var err error
	if s.greeting, err = load("greeting"); err != nil {
		return s, err
	}
	if s.announcement, err = load("announcement"); err != nil {
		return s, err
	}
	for _, d := range []byte("0123456789*#ABCD") {
		if s.digits[d], err = load("digit-" + fileOf(d)); err != nil {
			return s, err
		}
	}
	return s, nil
}

// fileOf is a digit in the name of its file.
func fileOf(d byte) string {
	switch {
	case d == '*':
		return "star"
	case d == '#':
		return "pound"
	case d >= 'A':
		return string(d - 'A' + 'a')
	}
	return string(d)
}
