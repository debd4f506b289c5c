//go:build e2e

package e2e

import (
	"errors"
	"math"
	"os"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// musicTone is what a file has that is played into a room, in Hz.
const musicTone = 1320.0

// Two phones, a browser and a player in one room, by the example: each hears all others as loud as they speak, and not itself.
func TestMediaRoom(t *testing.T) {
	s := setStage(t)
	if err := errors.Join(os.MkdirAll(s.Data("media"), 0o755), audio.WriteWAV(s.Data("media/music.wav"), audio.Tone(8000, musicTone, toneLevel, 3))); err != nil {
		t.Fatal(err)
	}
	app := s.example(t, "conference", "open http://", "music.wav")
	page := s.open(t)
	page.click("#call")
	page.state("in the room")
	for _, phone := range []*peers.Baresip{s.bob, s.carol} {
		phone.Dial(t, "sip:702@test.local")
		phone.Expect(t, "CALL_ESTABLISHED", 15*time.Second)
	}
	says(t, app, "102 is in the room", 5*time.Second)
	from := time.Now().Add(2 * time.Second)
	time.Sleep(2 * time.Second)
	page.hearsAll(pageTone, bobTone, carolTone, musicTone)
	time.Sleep(time.Until(from.Add(4 * time.Second)))
	to := time.Now()
	says(t, app, " speaks", 5*time.Second)
	s.bob.Hangup(t)
	s.carol.Hangup(t)
	says(t, app, "102 has left", 5*time.Second)
	page.click("#hangup")
	says(t, app, "a page has left", 5*time.Second)

	inRoom(t, s, s.bob, from, to, bobTone, carolTone)
	inRoom(t, s, s.carol, from, to, carolTone, bobTone)
	s.recorded(t, 2)
	app.Stop(9, 0)
}

// inRoom judges what reached a phone: the other phone's tone, the file's, and the browser's, which comes at the browser's pace, in the
// best second each.
func inRoom(t *testing.T, s *stage, who *peers.Baresip, from, to time.Time, own, other float64) {
	t.Helper()
	stream, ok := reached(t, who, s.capture, from, to)
	if !ok {
		return
	}
	clip := stream.Clip()
	for _, hz := range []float64{other, pageTone, musicTone} {
		best := math.Inf(-1)
		for at := 0.0; at+1 <= clip.Seconds(); at += 0.25 {
			part := clip.Cut(at, 1)
			if level := audio.Level(part, hz); math.Abs(level-toneLevel) < math.Abs(best-toneLevel) && audio.Level(part, own) < toneLevel-30 {
				best = level
			}
		}
		t.Logf("%s: %g Hz at %.2f dBFS in the best second of %.1f", who.User, hz, best, clip.Seconds())
		if math.Abs(best-toneLevel) > 1.5 {
			t.Errorf("%s: %g Hz at %.2f dBFS in the best second, expected %g ± 1.5, and %g Hz 30 dB below", who.User, hz, best, toneLevel, own)
		}
	}
}
