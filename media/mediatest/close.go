package mediatest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
)

// within runs do and gives up waiting after d.
func within(d time.Duration, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("not done after %s", d)
	}
}

func closeTwice(tb testing.TB, s Subject) {
	for i := range 3 {
		if err := within(5*time.Second, s.Element.Close); err != nil {
			tb.Fatalf("close number %d: %v", i+1, err)
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := s.Element.Close(); err != nil {
				tb.Errorf("one of four at once: %v", err)
			}
		})
	}
	wg.Wait()
	var after media.Snapshot
	s.Element.Stats(&after) // must be possible
}

func closeDuringPush(tb testing.TB, s Subject) {
	for _, src := range sources(s.Element) {
		src.Link(NewCounter(src.Formats()...))
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, k := range sinks(s.Element) {
		if len(formats(k)) == 0 {
			continue
		}
		f := formats(k)[0]
		t := NewTalker(nil, f)
		t.Link(k)
		wg.Go(func() {
			defer t.Close()
			for p := payloads(f); ; {
				for i := range p {
					select {
					case <-stop:
						return
					default:
						t.Say(p[i])
					}
				}
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
	time.Sleep(3 * media.Tick)
	err := within(5*time.Second, s.Element.Close)
	time.Sleep(media.Tick)
	close(stop)
	wg.Wait()
	if err != nil {
		tb.Fatalf("close during push: %v", err)
	}
}

func closedIsStill(tb testing.TB, s Subject) {
	var heard []*Recorder
	for _, src := range sources(s.Element) {
		r := NewRecorder(src.Formats()...)
		src.Link(r)
		heard = append(heard, r)
	}
	time.Sleep(3 * media.Tick)
	type entry struct {
		sink   media.Sink
		format *media.Format
	}
	var ways []entry
	for _, k := range sinks(s.Element) {
		for _, f := range formats(k) {
			ways = append(ways, entry{k, f})
		}
	}
	if err := within(5*time.Second, s.Element.Close); err != nil {
		tb.Fatalf("close: %v", err)
	}
	var before []int
	for _, r := range heard {
		before = append(before, r.Len())
	}
	for _, w := range ways { // past the core, as a frame in flight might
		w.sink.Push(&media.Frame{Kind: w.format.Kind, Format: w.format, Payload: payloads(w.format)[0]})
		t := NewTalker(nil, w.format)
		t.Link(w.sink)
		t.Say(payloads(w.format)[0])
		t.Close()
	}
	time.Sleep(3 * media.Tick)
	for i, r := range heard {
		if n := r.Len(); n != before[i] {
			tb.Errorf("%d frames came after close", n-before[i])
		}
		if r.Linked() {
			tb.Errorf("source %d is still linked after close", i)
		}
	}
}
