package media_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
)

func costly() *media.Format { return &media.Format{Codec: "COSTLY", Clock: 8000, Channels: 1} }

// slow is a costly converter: it repeats the payload, twice if it splits, and notes what happens to it.
type slow struct {
	hold     func() // nil, or what each conversion waits for
	split    bool
	left     []byte
	inside   atomic.Int32
	twice    atomic.Int64
	heard    atomic.Int64 // loss in percent
	released atomic.Int64
	sum      int // not atomic: the race detector watches that conversions are single
}

func (s *slow) Convert(dst, src *media.Frame) bool {
	if s.inside.Add(1) != 1 {
		s.twice.Add(1)
	}
	defer s.inside.Add(-1)
	if s.hold != nil {
		s.hold()
	}
	s.sum += len(src.Payload)
	dst.Payload = append(dst.Payload, src.Payload...)
	if s.split {
		dst.Sequence = 2 * src.Sequence
		s.left = append(s.left[:0], src.Payload...)
	}
	return true
}

func (s *slow) More(dst *media.Frame) bool {
	if len(s.left) == 0 {
		return false
	}
	dst.Payload = append(dst.Payload, s.left...)
	dst.Sequence++
	s.left = s.left[:0]
	return true
}

func (s *slow) Heed(loss float64) { s.heard.Store(int64(loss*100 + 0.5)) }
func (s *slow) Release()          { s.released.Add(1) }

// offloading is a registry whose only conversion, PCMU to COSTLY, is too costly to be inline. Each converter is made by make.
func offloading(t testing.TB, make func() media.Converter) *media.Registry {
	reg := media.NewRegistry()
	reg.Register(media.Conversion{From: media.PCMU(), To: costly(), Cost: media.Inline + 1, New: make})
	t.Cleanup(func() { _ = reg.Close() })
	return reg
}

func numbered(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

func TestCostlyConversionsKeepOrder(t *testing.T) {
	for _, split := range []bool{false, true} {
		leaks := goleak.IgnoreCurrent()
		var made []*slow
		reg := offloading(t, func() media.Converter {
			made = append(made, &slow{split: split})
			return made[len(made)-1]
		})
		const streams, frames = 20, 50
		var talkers []*mediatest.Talker
		var ears []*mediatest.Recorder
		for range streams {
			s, k := mediatest.NewTalker(reg, media.PCMU()), mediatest.NewRecorder(costly())
			s.Link(k)
			talkers, ears = append(talkers, s), append(ears, k)
		}
		per := 1
		if split {
			per = 2
		}
		for i := range frames {
			for j, s := range talkers {
				p := numbered(i)
				s.Say(p)
				clear(p) // the frame is the caller's again
				if i%4 == 3 {
					ears[j].Wait(t, (i+1)*per, 5*time.Second)
				}
			}
		}
		for _, k := range ears {
			for i, f := range k.Wait(t, frames*per, 5*time.Second) {
				if !bytes.Equal(f.Payload, numbered(i/per)) || split && f.Sequence != uint16(2000+i) || !split && f.Sequence != uint16(1000+i) {
					t.Fatalf("split %v: frame %d is %x, number %d", split, i, f.Payload, f.Sequence)
				}
			}
		}
		for _, c := range made {
			if c.twice.Load() != 0 {
				t.Error("a converter was used twice at a time")
			}
		}
		st := reg.Offload()
		if st.Frames != streams*frames || st.Dropped != 0 || st.Converters != streams || st.Workers == 0 {
			t.Errorf("offload: %+v", st)
		}
		for _, s := range talkers {
			s.Close()
		}
		if st := reg.Offload(); st.Converters != 0 {
			t.Errorf("%d converters after their sources were closed", st.Converters)
		}
		deadline := time.Now().Add(5 * time.Second)
		for _, c := range made {
			for c.released.Load() != 1 && time.Now().Before(deadline) {
				time.Sleep(time.Millisecond)
			}
			if n := c.released.Load(); n != 1 {
				t.Errorf("a converter was released %d times", n)
			}
		}
		_ = reg.Close()
		_ = reg.Close()
		goleak.VerifyNone(t, leaks)
	}
}

// A converter that can't keep up holds nobody up: the oldest frames are dropped, and counted.
func TestCostlyConversionsDropTheOldest(t *testing.T) {
	hold, begun := make(chan struct{}), make(chan struct{}, 100)
	reg := offloading(t, func() media.Converter {
		return &slow{hold: func() { begun <- struct{}{}; <-hold }}
	})
	s, k, beside := mediatest.NewTalker(reg, media.PCMU()), mediatest.NewRecorder(costly()), mediatest.NewRecorder(media.PCMU())
	s.Link(k)
	s.Link(beside)
	s.Say(numbered(0))
	<-begun
	worst := time.Duration(0)
	for i := 1; i <= 30; i++ {
		before := time.Now()
		s.Say(numbered(i))
		worst = max(worst, time.Since(before))
	}
	if worst > 50*time.Millisecond {
		t.Errorf("a stalled converter held Send up for %s", worst)
	}
	if beside.Len() != 31 || k.Len() != 0 {
		t.Errorf("%d frames relayed beside and %d converted, want 31 and 0", beside.Len(), k.Len())
	}
	if reg.Offload().Dropped != 22 || s.Dropped() != 22 {
		t.Errorf("%d dropped, %d of the source, want 22", reg.Offload().Dropped, s.Dropped())
	}
	close(hold)
	want := []int{0, 23, 24, 25, 26, 27, 28, 29, 30}
	for i, f := range k.Wait(t, len(want), 5*time.Second) {
		if !bytes.Equal(f.Payload, numbered(want[i])) {
			t.Errorf("frame %d is %x, want that of %d", i, f.Payload, want[i])
		}
	}
}

// After Unlink no frame is in the sink or enters it, though workers push; Push is single beside the frames that are relayed.
func TestUnlinkWhileWorkersPush(t *testing.T) {
	reg := offloading(t, func() media.Converter { return new(slow) })
	u, ev := media.PCMU(), media.TelephoneEvent(8000)
	k := &guarded{caps: &media.Caps{Formats: []*media.Format{costly(), media.TelephoneEvent(8000)}}}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var sources []*media.Source
	for range 3 {
		s := media.NewSource(reg, nil)
		s.SetFormats(u, ev)
		sources = append(sources, s)
		wg.Go(func() {
			voice, event := &media.Frame{Format: u, Payload: []byte{1}}, &media.Frame{Kind: media.Event, Format: ev, Payload: []byte{1}}
			for {
				select {
				case <-stop:
					return
				default:
					s.Send(voice)
					s.Send(event)
				}
			}
		})
	}
	wg.Go(func() {
		other := mediatest.NewCounter(costly())
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			restore := sources[i%3].Override(sources[(i+1)%3])
			sources[i%3].Link(other)
			sources[i%3].SetFormats(u, ev)
			restore()
		}
	})
	for i := range 200 {
		k.open.Store(true)
		sources[i%3].Link(k)
		for n := k.frames.Load(); i%20 == 0 && k.frames.Load() == n; time.Sleep(10 * time.Microsecond) {
			// somebody is heard
		}
		sources[i%3].Unlink(k)
		k.open.Store(false)
	}
	close(stop)
	wg.Wait()
	if k.late.Load() != 0 || k.twice.Load() != 0 {
		t.Errorf("%d frames after unlink, %d pushes at once", k.late.Load(), k.twice.Load())
	}
	if reg.Offload().Frames == 0 {
		t.Error("workers converted nothing")
	}
}

// Closing the registry, or a source, while its workers are busy leaves nothing behind and stops nobody.
func TestCloseWhileWorkersPush(t *testing.T) {
	for i := range 20 {
		leaks := goleak.IgnoreCurrent()
		c := new(slow)
		reg := offloading(t, func() media.Converter { return c })
		s, k := mediatest.NewTalker(reg, media.PCMU()), mediatest.NewRecorder(costly())
		s.Link(k)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					s.Say([]byte{1})
				}
			}
		})
		k.Wait(t, 1, 5*time.Second)
		if i%2 == 0 {
			_ = reg.Close()
			s.Close()
		} else {
			s.Close()
			_ = reg.Close()
		}
		n := k.Len()
		time.Sleep(time.Millisecond)
		if k.Len() != n {
			t.Error("a frame came after close")
		}
		close(stop)
		wg.Wait()
		goleak.VerifyNone(t, leaks)
	}
	reg := offloading(t, func() media.Converter { return new(slow) })
	_ = reg.Close()
	s, k := mediatest.NewTalker(reg, media.PCMU()), mediatest.NewRecorder(costly())
	s.Link(k)
	s.Say([]byte{1})
	if reg.Offload().Dropped != 1 || reg.Offload().Workers != 0 {
		t.Errorf("a closed registry: %+v", reg.Offload())
	}
}

func TestCostlyConversionsInlineIfThereAreNoWorkers(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	reg := offloading(t, func() media.Converter { return &slow{split: true} })
	reg.SetWorkers(-1)
	s, k := mediatest.NewTalker(reg, media.PCMU()), mediatest.NewRecorder(costly())
	s.Link(k)
	s.Say([]byte{1})
	if k.Len() != 2 {
		t.Errorf("%d frames came at once, want 2", k.Len())
	}
	if st := reg.Offload(); st != (media.OffloadStats{}) {
		t.Errorf("offload: %+v", st)
	}
	goleak.VerifyNone(t, leaks)
}

// Links that form a circle through workers don't run for ever.
func TestCirclesThroughWorkersEnd(t *testing.T) {
	reg := media.NewRegistry()
	closed := make(chan struct{})
	way := func(from, to *media.Format) {
		reg.Register(media.Conversion{From: from, To: to, Cost: 50, New: func() media.Converter {
			return &slow{hold: func() { <-closed }}
		}})
	}
	way(media.PCMU(), costly())
	way(costly(), media.PCMU())
	t.Cleanup(func() { _ = reg.Close() })
	s, a, b := mediatest.NewTalker(reg, media.PCMU()), new(circle), new(circle)
	a.Init(reg, media.PCMU())
	b.Init(reg, costly())
	s.Link(a)
	a.Source(media.Pad{}).Link(b)
	s.Say([]byte{1})
	b.Source(media.Pad{}).Link(a) // while the frame is with a worker
	close(closed)
	for last, same := uint64(0), 0; same < 20; time.Sleep(5 * time.Millisecond) {
		now := reg.Offload().Frames
		if same++; now == 0 || now != last {
			last, same = now, 0
		}
		if now > 10 {
			break
		}
	}
	if n := reg.Offload().Frames; n < 2 || n > 10 {
		t.Errorf("one frame was converted %d times, want a few", n)
	}
}

// An encoder hears what loss its sinks tell, also where its source's element doesn't care.
func TestConvertersHeedLoss(t *testing.T) {
	c := new(slow)
	reg := offloading(t, func() media.Converter { return c })
	s, k := mediatest.NewTalker(reg, media.PCMU()), mediatest.NewRecorder(costly())
	s.Source = media.NewSource(reg, nil)
	s.SetFormats(s.Format)
	s.Link(k)
	k.Upstream(media.Feedback{Kind: media.Loss, Value: 0.12})
	for i := range 50 {
		s.Say([]byte{1})
		k.Wait(t, i+1, 5*time.Second)
	}
	if c.heard.Load() != 12 {
		t.Errorf("heard of a loss of %d %%, want 12", c.heard.Load())
	}
}

func TestOffloadDoesNotAllocate(t *testing.T) {
	reg := offloading(t, func() media.Converter { return new(slow) })
	reg.SetWorkers(1)
	s, k := mediatest.NewTalker(reg, media.PCMU()), mediatest.NewCounter(costly())
	s.Link(k)
	payload := make([]byte, 160)
	sent := int64(0)
	if n := testing.AllocsPerRun(500, func() {
		s.Say(payload)
		for sent++; k.Frames.Load() < sent; {
			time.Sleep(10 * time.Microsecond)
		}
	}); n != 0 {
		t.Errorf("%v allocations per frame, want 0", n)
	}
}

// BenchmarkOffload is what a frame costs on its way through a ring and a worker.
func BenchmarkOffload(b *testing.B) {
	for _, workers := range []int{-1, 1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			reg := offloading(b, func() media.Converter { return new(slow) })
			reg.SetWorkers(workers)
			s, k := mediatest.NewTalker(reg, media.PCMU()), mediatest.NewCounter(costly())
			s.Link(k)
			payload := make([]byte, 160)
			b.ReportAllocs()
			for b.Loop() {
				s.Say(payload)
			}
		})
	}
}
