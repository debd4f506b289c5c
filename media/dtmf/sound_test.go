package dtmf

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
)

// What a sender makes of all digits is what a detector hears, in either law, with pauses between them.
func TestTonesArriveOnce(t *testing.T) {
	for _, f := range []*media.Format{media.PCMU(), media.PCMA()} {
		synctest.Test(t, func(t *testing.T) {
			clock := media.NewClock()
			defer clock.Close()
			s, err := NewSender(Config{Clock: clock, Tones: true})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var told diary
			d := NewDetector(told.note)
			r := mediatest.NewRecorder(f) // decides which law is spoken
			s.Source(media.Pad{}).Link(r)
			s.Source(media.Pad{}).Link(d)
			if err := s.Dial(digits, 80*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			time.Sleep(4 * time.Second)
			if got, durations := spells(t, f.String(), told.read()); got != digits || slices.Min(durations) < 70 || slices.Max(durations) > 90 {
				t.Errorf("%s: heard %q of %v ms", f, got, durations)
			}
			if n := len(r.Frames()); n != 16*8 { // 4 of tones, 4 of silence
				t.Errorf("%s: %d frames, expected %d", f, n, 16*8)
			}
		})
	}
}

// A digit that is pressed lasts until it is released, as an event and as tones.
func TestPressed(t *testing.T) {
	for _, tones := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			clock := media.NewClock()
			defer clock.Close()
			s, err := NewSender(Config{Clock: clock, Tones: tones})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var told diary
			s.Source(media.Pad{}).Link(NewCollector(told.note))
			if tones {
				s.Source(media.Pad{}).Link(NewDetector(told.note))
			}
			press := func(d byte) {
				t.Helper()
				if err := s.Press(d); err != nil {
					t.Fatal(err)
				}
			}
			heard := func(what, want string, least, most int) {
				t.Helper()
				got, durations := digitsOf(told.read())
				if got != want || len(durations) > 0 && (durations[0] < least-10 || durations[0] > most+10) {
					t.Errorf("tones %v, %s: heard %q of %v ms, expected %q of %d to %d", tones, what, got, durations, want, least, most)
				}
			}
			press('4')
			time.Sleep(500 * time.Millisecond)
			s.Release()
			s.Release()
			time.Sleep(500 * time.Millisecond)
			heard("held", "4", 480, 540)
			press('#')
			s.Release() // before its first packet
			time.Sleep(500 * time.Millisecond)
			heard("at once", "#", 40, 40)
			press('1')
			time.Sleep(100 * time.Millisecond)
			press('2') // releases the first
			time.Sleep(300 * time.Millisecond)
			s.Release()
			time.Sleep(500 * time.Millisecond)
			heard("one after the other", "12", 80, 140)
			press('9')
			time.Sleep(9 * time.Second)
			heard("never released", "9", 8000, 8000)
			s.Release()
			if err := s.Dial("3", 100*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			time.Sleep(500 * time.Millisecond)
			heard("after it", "3", 100, 100)
			if err := s.Press('x'); err == nil || !strings.Contains(err.Error(), "'x', expected one of "+digits) {
				t.Errorf("no digit: %v", err)
			}
		})
	}
}

func TestTonesConform(t *testing.T) {
	mediatest.Element(t, func() (media.Element, func()) {
		c := media.NewClock()
		s, err := NewSender(Config{Clock: c, Tones: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Dial(strings.Repeat("1", 100), 0); err != nil {
			t.Fatal(err)
		}
		return s, c.Close
	})
}
