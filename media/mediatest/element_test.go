package mediatest

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
)

// filter is as good as an element can be.
type filter struct{ media.Filter }

func (f *filter) Sink(p media.Pad) media.Sink {
	if p == (media.Pad{}) {
		return f
	}
	return nil
}

func newFilter() *filter {
	f := new(filter)
	f.Init(nil, media.PCMU(), media.PCMA(), media.TelephoneEvent(8000))
	return f
}

func TestGoodElementPasses(t *testing.T) {
	Element(t, func() (media.Element, func()) { return newFilter(), nil })
}

// verdict is what a check says.
type verdict struct {
	testing.TB
	mu   sync.Mutex
	said []string
}

func (v *verdict) Helper() {}
func (v *verdict) Errorf(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.said = append(v.said, fmt.Sprintf(format, args...))
}
func (v *verdict) Fatalf(format string, args ...any) {
	v.Errorf(format, args...)
	runtime.Goexit()
}

func (v *verdict) Error(args ...any) { v.Errorf("%s", fmt.Sprint(args...)) }
func (v *verdict) Fatal(args ...any) {
	v.Error(args...)
	runtime.Goexit()
}

// judge runs one check on its own goroutine, since Fatalf ends it.
func judge(t *testing.T, name string, mk func() Subject) []string {
	t.Helper()
	v := &verdict{TB: t}
	done := make(chan struct{})
	for _, c := range checks {
		if c.name == name {
			go func() {
				defer close(done)
				run(v, c.check, mk)
			}()
			<-done
			return v.said
		}
	}
	t.Fatalf("no check is called %q", name)
	return nil
}

// Each kind of mistake is found by the check that is there for it.
func TestBadElementsFail(t *testing.T) {
	for _, c := range []struct {
		check string
		make  func() Subject
		says  string
	}{
		{"pads are consistent", func() Subject { return Subject{Element: &anyPad{newFilter()}} }, "has a pad"},
		{"pads are consistent", func() Subject { return Subject{Element: &nilSink{newFilter()}} }, "must be nil itself"},
		{"unknown formats are dropped", subject(func(f *broken, fr *media.Frame) {
			f.Source(media.Pad{}).SetFormats(fr.Format)
			f.Send(fr)
		}), "came out"},
		{"push changes nothing", subject(func(_ *broken, fr *media.Frame) { fr.Payload[0] ^= 1 }), "is changed"},
		{"push changes nothing", subject(func(_ *broken, fr *media.Frame) { fr.Timestamp++ }), "is changed"},
		{"push keeps nothing", keeper, "wrote into the payload later"},
		{"push doesn't block", subject(func(*broken, *media.Frame) { time.Sleep(2 * time.Millisecond) }), "push takes"},
		{"push doesn't allocate", subject(func(f *broken, fr *media.Frame) { f.kept = bytes.Clone(fr.Payload) }), "push allocates"},
		{"close twice", func() Subject { return Subject{Element: &once{filter: newFilter()}} }, "close number"},
		{"close twice", func() Subject { return Subject{Element: &leaker{newFilter()}} }, "after close"},
		{"closed is still", func() Subject { return Subject{Element: &open{newFilter()}} }, "still linked after close"},
		{"counts only rise", func() Subject { return Subject{Element: &falling{filter: newFilter()}} }, "counts fell"},
	} {
		said := strings.Join(judge(t, c.check, c.make), "\n")
		if !strings.Contains(said, c.says) {
			t.Errorf("%s: said %q, want %q", c.check, said, c.says)
		}
	}
}

// A stalled output that holds Push up is found; one behind a ring isn't blamed.
func TestStall(t *testing.T) {
	var gate sync.Mutex
	pushes := 0
	mk := func() Subject {
		s := subject(func(*broken, *media.Frame) {
			gate.Lock()
			pushes++
			gate.Unlock()
		})()
		s.Stall = func() func() {
			gate.Lock()
			timer := time.AfterFunc(100*time.Millisecond, gate.Unlock)
			return func() {
				if timer.Stop() {
					gate.Unlock()
				}
			}
		}
		return s
	}
	// The output is free again after 100 ms, so that rounds that follow are good: what the check sees is the first.
	if said := judge(t, "push doesn't block on a stalled output", mk); len(said) != 0 {
		t.Errorf("an output that recovers was blamed: %q", said)
	}
	mk = func() Subject {
		s := subject(func(*broken, *media.Frame) { time.Sleep(25 * time.Millisecond) })()
		s.Stall = func() func() { return func() {} }
		return s
	}
	if said := judge(t, "push doesn't block on a stalled output", mk); len(said) == 0 {
		t.Error("a push that waits for its output passed")
	}
}

// broken does something else than it should in Push.
type broken struct {
	*filter
	push func(*broken, *media.Frame)
	kept []byte
}

func (b *broken) Push(f *media.Frame) { b.push(b, f) }
func (b *broken) Sink(p media.Pad) media.Sink {
	if p == (media.Pad{}) {
		return b
	}
	return nil
}

func subject(push func(*broken, *media.Frame)) func() Subject {
	return func() Subject { return Subject{Element: &broken{filter: newFilter(), push: push}} }
}

// keeper sends each frame when the next one comes.
func keeper() Subject {
	var last media.Frame
	return subject(func(b *broken, f *media.Frame) {
		if last.Payload != nil {
			b.Send(&last)
		}
		last = *f
	})()
}

type anyPad struct{ *filter }

func (a *anyPad) Source(media.Pad) *media.Source { return a.filter.Source(media.Pad{}) }

type nilSink struct{ *filter }

func (n *nilSink) Sink(p media.Pad) media.Sink {
	if p.Kind == media.Video {
		return (*filter)(nil)
	}
	return n.filter.Sink(p)
}

type once struct {
	*filter
	closed atomic.Bool
}

func (o *once) Close() error {
	if o.closed.Swap(true) {
		return errors.New("closed already")
	}
	return o.filter.Close()
}

type leaker struct{ *filter }

func (l *leaker) Close() error {
	go time.Sleep(2 * time.Second)
	return l.filter.Close()
}

type open struct{ *filter }

func (*open) Close() error { return nil }

type falling struct {
	*filter
	n atomic.Uint64
}

func (f *falling) Stats(s *media.Snapshot) {
	s.Streams = append(s.Streams, media.Stream{Packets: 10 - f.n.Add(1)})
}

func TestToneAndLevel(t *testing.T) {
	for _, f := range []*media.Format{media.PCMU(), media.PCMA(), media.L16(8000), media.L16(16000)} {
		var samples []int16
		for _, p := range Tone(f, 1004, -10, 50) {
			samples = append(samples, Linear(f, p)...)
		}
		if len(samples) != f.Clock {
			t.Fatalf("%s: a second has %d samples", f, len(samples))
		}
		peak := 22827.0
		if f.Codec == "PCMU" {
			peak = 22657
		}
		if l := Level(samples, float64(f.Clock), 1004, peak); l < -10.05 || l > -9.95 {
			t.Errorf("%s: %.3f dBm0, want -10", f, l)
		}
		if l := Level(samples, float64(f.Clock), 700, peak); l > -50 {
			t.Errorf("%s: %.3f dBm0 at 700 Hz, want silence", f, l)
		}
	}
}
