package player

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/mediatest"
)

// library is a server of a film of a length, that sends it in its time, one unit each 20 ms, and goes on at whole seconds alone.
type library struct {
	length time.Duration

	mu     sync.Mutex
	more   *sync.Cond
	at     time.Duration
	ready  int // units
	paused bool
	halted bool // until it is sought
	woken  bool
	closed bool
	from   time.Duration
	asked  atomic.Int32
	sought []time.Duration
	stop   func()
}

func newLibrary(length time.Duration) *library {
	l := &library{length: length}
	l.more = sync.NewCond(&l.mu)
	t := time.NewTicker(media.Tick)
	done := make(chan struct{})
	l.stop = sync.OnceFunc(func() { t.Stop(); close(done) })
	go func() {
		for {
			select {
			case <-done:
				return
			case <-t.C:
				l.mu.Lock()
				if !l.paused && !l.halted && l.at+time.Duration(l.ready)*media.Tick < l.length {
					l.ready++
				}
				l.more.Broadcast()
				l.mu.Unlock()
			}
		}
	}()
	return l
}

func (l *library) Tracks() []container.Track { return []container.Track{{Format: media.PCMU()}} }
func (l *library) Duration() time.Duration   { return l.length }
func (l *library) From() time.Duration       { return l.from }
func (l *library) Refresh()                  { l.asked.Add(1) }

func (l *library) Pause(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused = on; on {
		l.ready, l.halted = 0, true
	}
}

func (l *library) Wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.woken = true
	l.more.Broadcast()
}

func (l *library) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.more.Broadcast()
	l.stop()
	return nil
}

func (l *library) Seek(to time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sought = append(l.sought, to)
	l.from = to
	if !l.paused {
		l.from = to.Truncate(time.Second)
		l.at, l.ready, l.halted = l.from, 0, false
	}
	return nil
}

func (l *library) Read(u *container.Unit) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.ready == 0 {
		switch {
		case l.closed, l.at >= l.length:
			return io.EOF
		case l.woken:
			l.woken = false
			*u = container.Unit{Track: -1}
			return nil
		}
		l.more.Wait()
	}
	code := make([]byte, 160)
	for i := range code {
		code[i] = byte(l.at / (100 * time.Millisecond))
	}
	*u = container.Unit{At: l.at, For: media.Tick, Key: true, Data: code}
	l.at += media.Tick
	l.ready--
	return nil
}

// What a server sends in its time is sought, paused and resumed where the server can go on, and ends after its length; a sink that needs a key
// picture has the server asked.
func TestSeeker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l *library
		s := newStage(t, 500*time.Millisecond, func(context.Context) (Stream, error) {
			l = newLibrary(10 * time.Second)
			return l, nil
		})
		defer s.close()
		r := mediatest.NewRecorder(media.PCMU())
		s.Source(media.Pad{}).Link(r)
		if err := s.Seek(t.Context(), 2500*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if err := s.Play(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(490 * time.Millisecond)
		if r.Len() != 0 || s.Position() != 2*time.Second {
			t.Errorf("%d frames before the delay was over, at %s", r.Len(), s.Position())
		}
		time.Sleep(1100 * time.Millisecond)
		if f := r.Frames(); len(f) < 45 || f[0].Payload[0] != 20 {
			t.Fatalf("%d frames, the first is of %d00 ms", len(f), f[0].Payload[0])
		}
		if i := s.Info(); !i.Seekable || i.Duration != 10*time.Second {
			t.Errorf("info %+v", i)
		}
		if err := s.Seek(t.Context(), 5200*time.Millisecond); err != nil || s.Position() != 5*time.Second {
			t.Errorf("sought: %v, at %s", err, s.Position())
		}
		time.Sleep(1600 * time.Millisecond)
		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
		n, at := r.Len(), s.Position()
		if last := r.Frames()[n-1].Payload[0]; last < 60 || last > 61 || at < 6*time.Second || at > 6200*time.Millisecond {
			t.Errorf("1.6 s after it was sought, 0.5 of them for the delay, at %s, frames to %d00 ms", at, last)
		}
		time.Sleep(time.Minute)
		if err := s.Play(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(700 * time.Millisecond)
		if f := r.Frames(); len(f) == n || f[n].Payload[0] != 60 || l.sought[len(l.sought)-1] != at {
			t.Errorf("%d frames after the pause, sought %v", len(f)-n, l.sought)
		}
		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
		if err := s.Seek(t.Context(), 9300*time.Millisecond); err != nil || s.Position() != 9300*time.Millisecond {
			t.Errorf("sought while it pauses: %v, at %s", err, s.Position())
		}
		s.asked(media.Feedback{Kind: media.Loss})
		s.asked(media.Feedback{Kind: media.KeyFrame})
		_ = s.Play()
		time.Sleep(5 * time.Second)
		f := r.Frames()
		if last := f[len(f)-1].Payload[0]; last != 99 {
			t.Errorf("it ended with %d00 ms", last)
		}
		heard := s.heard()
		if len(heard) < 2 || heard[len(heard)-1] != "media.Ended" || heard[len(heard)-2] != "state 0" {
			t.Errorf("told %q", heard)
		}
		if l.asked.Load() != 1 {
			t.Errorf("asked %d times for a key picture", l.asked.Load())
		}
	})
}
