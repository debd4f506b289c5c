package dtmf

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/pcm"
)

const (
	longestHeld = 8 * time.Second // the longest event that needs no second segment (RFC 4733 2.5.1.3) at 8 kHz lasts 8.19 s
	shortest    = 2               // ticks: ITU-T Q.24 has receivers take a digit of 40 ms
)

// Levels of the two tones that are sent, in dBm0: ETSI ES 201 235-2 has the high one 2 dB above the low, since lines take more of it.
const lowLevel, highLevel = -10, -8

// Press sends a digit after those asked for before, until Release, 40 ms at least; one that is never released ends after 8 s. A digit
// that was pressed before is released.
func (s *Sender) Press(digit byte) error {
	code := strings.IndexByte(digits, digit)
	if code < 0 {
		return fmt.Errorf("dtmf: %q, expected one of %s", digit, digits)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letsGo()
	most := min(ticks(longestHeld), 0xffff/int(s.step))
	return s.add([]key{{code: byte(code), ticks: most, held: true}})
}

// Release ends the digit that was pressed, if there is one.
func (s *Sender) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letsGo()
}

func (s *Sender) letsGo() {
	s.letGo = s.held
	for i := range s.queue {
		if k := &s.queue[i]; k.held {
			k.held, k.ticks = false, shortest
		}
	}
}

// release ends what is sent now with this tick, if that was asked for.
func (s *Sender) release() {
	if !s.key.held {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.letGo {
		s.key.held, s.held, s.letGo = false, false, false
		s.key.ticks = min(max(s.said, shortest), s.key.ticks)
	}
}

// over begins the gap after a digit.
func (s *Sender) over(gap int) {
	s.sent.Add(1)
	s.said, s.rest = 0, max(gap, 0)
	if s.key.held {
		s.mu.Lock()
		s.held = false
		s.mu.Unlock()
	}
}

// sound sends 20 ms of the digit's tones.
func (s *Sender) sound() {
	law := s.out.Law()
	l, h := pairOf(digits[s.key.code])
	at := (s.said - 1) * pcm.PerFrame
	for i := range s.codes {
		s.codes[i] = law.Code(sample(l, h, at+i, law))
	}
	s.out.Send(law, s.codes[:], true)
	if s.said >= s.key.ticks {
		s.over(s.gap)
	}
}

// sample is the sum of both tones, so many samples after they began.
func sample(l, h float64, at int, law *g711.Law) int16 {
	t := 2 * math.Pi * float64(at) / pcm.Rate
	sum := math.Pow(10, lowLevel/20.)*math.Sin(l*t) + math.Pow(10, highLevel/20.)*math.Sin(h*t)
	return int16(math.Round(sum * law.Peak()))
}

// hush sends 20 ms of silence between tones. Between events nothing is sent.
func (s *Sender) hush() {
	if s.out == nil {
		return
	}
	law := s.out.Law()
	for i := range s.codes {
		s.codes[i] = law.Code(0)
	}
	s.out.Send(law, s.codes[:], false)
}
