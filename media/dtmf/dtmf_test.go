package dtmf

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
)

// diary keeps notices; reading it empties it.
type diary struct {
	mu  sync.Mutex
	all []media.Notice
}

func (d *diary) note(n media.Notice) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, n)
}

func (d *diary) read() (all []media.Notice) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all, d.all = d.all, nil
	return all
}

// digitsOf is what a collector told.
func digitsOf(notices []media.Notice) (s string, durations []int) {
	for _, n := range notices {
		if d, ok := n.(media.Digit); ok {
			s += string(d.Digit)
			durations = append(durations, d.Duration)
		}
	}
	return s, durations
}

func TestAllDigitsArriveOnce(t *testing.T) {
	for _, rate := range []int{8000, 48000} {
		synctest.Test(t, func(t *testing.T) {
			clock := media.NewClock()
			defer clock.Close()
			var ended atomic.Int64
			begin := time.Now()
			s, err := NewSender(Config{Clock: clock, Rate: rate, Post: func(media.Notice) { ended.Store(int64(time.Since(begin))) }})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var told diary
			c := NewCollector(told.note)
			s.Source(media.Pad{}).Link(c)
			r := mediatest.NewRecorder(media.TelephoneEvent(rate))
			s.Source(media.Pad{}).Link(r)
			if err := s.Dial("0123456789*#ABC", 0); err != nil {
				t.Fatal(err)
			}
			if err := s.Dial("d", 200*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			got, durations := digitsOf(told.read())
			if got != "0123456789*#ABCD" {
				t.Errorf("heard %q", got)
			}
			for i, d := range durations {
				if want := map[bool]int{true: 200, false: 100}[i == 15]; d != want {
					t.Errorf("digit %d lasts %d ms, want %d", i, d, want)
				}
			}
			// 15 of 100 ms, one of 200 ms, 16 gaps of 80 ms.
			if want := 2980 * time.Millisecond; time.Duration(ended.Load()) < want-40*time.Millisecond || time.Duration(ended.Load()) > want+60*time.Millisecond {
				t.Errorf("ended after %s, want %s", time.Duration(ended.Load()), want)
			}
			packets(t, r, rate)
			if err := s.Dial("5", 0); err != nil { // again after the end
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if got, _ := digitsOf(told.read()); got != "5" {
				t.Errorf("heard %q after the first were sent", got)
			}
		})
	}
}

// packets checks the form of RFC 4733.
func packets(t *testing.T, r *mediatest.Recorder, rate int) {
	t.Helper()
	frames, times := r.Frames(), r.Times()
	var ends int
	for i, f := range frames {
		e, ok := parse(f.Payload)
		if !ok || f.Kind != media.Event || len(f.Payload) != 4 || e.volume != volume || f.Sequence != uint16(i) {
			t.Fatalf("frame %d: %+v", i, f)
		}
		first := i == 0 || frames[i-1].Timestamp != f.Timestamp
		if f.Marker != first {
			t.Errorf("frame %d: marker %v", i, f.Marker)
		}
		if first {
			if e.duration != uint16(rate/50) || i > 0 && ends != 3 {
				t.Errorf("frame %d: begins with duration %d after %d ends", i, e.duration, ends)
			}
			ends = 0
			if i > 0 {
				before, _ := parse(frames[i-1].Payload)
				pause := int(f.Timestamp-frames[i-1].Timestamp) - int(before.duration)
				if pause < rate/20 {
					t.Errorf("frame %d: pause of %d units of 1/%d s, want 50 ms or more", i, pause, rate)
				}
			}
		} else {
			before, _ := parse(frames[i-1].Payload)
			if e.duration < before.duration || !before.end && e.duration != before.duration+uint16(rate/50) {
				t.Errorf("frame %d: duration %d after %d", i, e.duration, before.duration)
			}
			if d := times[i].Sub(times[i-1]); d != media.Tick {
				t.Errorf("frame %d came %s after the one before", i, d)
			}
		}
		if e.end {
			ends++
		}
	}
	if ends != 3 {
		t.Errorf("the last digit has %d ends", ends)
	}
}

func TestCollectorWithLossAndDisorder(t *testing.T) {
	for name, c := range map[string]struct {
		frames []media.Frame
		want   string
	}{
		"one end of three":         {[]media.Frame{ev(1, 100, 160, false), ev(1, 100, 800, true)}, "1"},
		"three ends":               {[]media.Frame{ev(1, 100, 800, true), ev(1, 100, 800, true), ev(1, 100, 800, true)}, "1"},
		"all ends lost":            {[]media.Frame{ev(1, 100, 160, false), ev(2, 2000, 160, false), ev(2, 2000, 800, true)}, "12"},
		"same digit twice":         {[]media.Frame{ev(7, 100, 800, true), ev(7, 2000, 800, true)}, "77"},
		"late packet of the first": {[]media.Frame{ev(1, 100, 800, true), ev(2, 2000, 160, false), ev(1, 100, 800, true), ev(2, 2000, 800, true)}, "12"},
		"timestamps wrap":          {[]media.Frame{ev(1, 0xffffff00, 800, true), ev(2, 0x500, 800, true)}, "12"},
		"another stream":           {[]media.Frame{ev(1, 0x70000000, 800, true), epoch(ev(2, 5, 800, true), 2)}, "12"},
		"not digits":               {[]media.Frame{ev(16, 100, 800, true), ev(255, 1000, 800, true)}, ""},
		"only the end":             {[]media.Frame{ev(12, 100, 800, true)}, "A"},
	} {
		var told []media.Notice
		k := NewCollector(func(n media.Notice) { told = append(told, n) })
		s := media.NewSource(nil, nil)
		f := media.TelephoneEvent(8000)
		s.SetFormats(f)
		s.Link(k)
		for _, fr := range c.frames {
			fr.Format = f
			s.Send(&fr)
		}
		if got, _ := digitsOf(told); got != c.want {
			t.Errorf("%s: heard %q, want %q", name, got, c.want)
		}
	}
}

func ev(code byte, ts uint32, duration uint16, end bool) media.Frame {
	var b [4]byte
	event{code: code, end: end, duration: duration}.put(&b)
	return media.Frame{Kind: media.Event, Timestamp: ts, Payload: b[:]}
}

func epoch(f media.Frame, n uint32) media.Frame { f.Epoch = n; return f }

// A digit enters a linked leg by override, and the audio is back afterwards.
func TestOverride(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := media.NewClock()
		defer clock.Close()
		done := make(chan struct{})
		s, _ := NewSender(Config{Clock: clock, Post: func(media.Notice) { close(done) }})
		defer s.Close()
		voice := mediatest.NewTalker(nil, media.PCMU())
		k := mediatest.NewRecorder(media.PCMU(), media.TelephoneEvent(8000))
		voice.Link(k)
		restore := voice.Override(s.Source(media.Pad{}))
		s.Dial("1", 0)
		<-done
		restore()
		voice.Say([]byte{1})
		got := k.Frames()
		if len(got) != 8 || got[0].Kind != media.Event || got[7].Kind != media.Audio || got[7].Epoch == got[6].Epoch {
			t.Errorf("%d frames: %+v", len(got), got)
		}
	})
}

func TestMistakes(t *testing.T) {
	clock := media.NewClock()
	defer clock.Close()
	for name, cfg := range map[string]Config{
		"no clock": {}, "rate": {Clock: clock, Rate: 7999}, "gap": {Clock: clock, Gap: time.Millisecond},
	} {
		if _, err := NewSender(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	s, err := NewSender(Config{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Dial("12x", 0); err == nil || !strings.Contains(err.Error(), "'X' at 3") {
		t.Errorf("bad digit: %v", err)
	}
	if s.Dial("1", time.Millisecond) == nil || s.Dial("1", time.Hour) == nil {
		t.Error("digits of impossible length")
	}
	if s.Dial(strings.Repeat("1", maxQueue+1), 0) == nil {
		t.Error("more digits than the queue holds")
	}
	s.Close()
	if s.Dial("1", 0) == nil {
		t.Error("a closed sender dials")
	}
}

func TestSenderConforms(t *testing.T) {
	mediatest.Element(t, func() (media.Element, func()) {
		c := media.NewClock()
		s, err := NewSender(Config{Clock: c})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Dial(strings.Repeat("1", 100), 0); err != nil {
			t.Fatal(err)
		}
		return s, c.Close
	})
}

func TestCollectorConforms(t *testing.T) {
	mediatest.Element(t, func() (media.Element, func()) {
		return NewCollector(nil), nil
	})
}

func FuzzCollector(f *testing.F) {
	f.Add([]byte{5, 0x8a, 3, 0x20}, uint32(7))
	f.Fuzz(func(t *testing.T, b []byte, ts uint32) {
		n := 0
		k := NewCollector(func(m media.Notice) {
			n++
			if d := m.(media.Digit); !strings.Contains(digits, string(d.Digit)) || d.Duration < 0 || d.Duration > 65535*1000/8000 {
				t.Fatalf("told %+v", d)
			}
		})
		for i := range 3 {
			k.Push(&media.Frame{Kind: media.Event, Format: k.caps.Formats[i%2], Payload: b, Timestamp: ts})
		}
		if n > 1 {
			t.Fatalf("one event was told %d times", n)
		}
	})
}
