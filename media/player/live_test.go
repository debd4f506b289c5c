package player

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/mediatest"
)

// camera is a live stream of units of 20 ms, one each period of a test's time.
type camera struct {
	period time.Duration
	at     time.Duration
	paused atomic.Bool
	ended  chan struct{}
}

func (c *camera) Tracks() []container.Track {
	return []container.Track{{Format: media.PCMU()}}
}
func (c *camera) Duration() time.Duration  { return 0 }
func (c *camera) Seek(time.Duration) error { return container.ErrSeek }
func (c *camera) Pause(on bool)            { c.paused.Store(on) }
func (c *camera) Refresh()                 {}
func (c *camera) Close() error {
	select {
	case <-c.ended:
	default:
		close(c.ended)
	}
	return nil
}

func (c *camera) Read(u *container.Unit) error {
	for {
		select {
		case <-c.ended:
			return io.EOF
		case <-time.After(c.period):
		}
		if !c.paused.Load() {
			break
		}
	}
	*u = container.Unit{At: c.at, For: media.Tick, Key: true, Data: make([]byte, 160)}
	c.at += media.Tick
	return nil
}

// A live stream is played with the delay that is asked for, also when its clock is faster, and goes on after a pause with what comes then.
func TestLive(t *testing.T) {
	for _, period := range []time.Duration{20 * time.Millisecond, 19900 * time.Microsecond} {
		synctest.Test(t, func(t *testing.T) {
			var c *camera
			s := newStage(t, 2*time.Second, func(context.Context) (Stream, error) {
				c = &camera{period: period, ended: make(chan struct{})}
				return c, nil
			})
			defer s.close()
			r := mediatest.NewRecorder(media.PCMU())
			s.Source(media.Pad{}).Link(r)
			if err := s.Seek(t.Context(), time.Hour); err != nil { // which nobody can know of it yet
				t.Fatal(err)
			}
			if err := s.Play(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(1950 * time.Millisecond)
			if r.Len() != 0 {
				t.Errorf("%d frames before the delay was over", r.Len())
			}
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if behind := c.at - s.Position(); behind < 1900*time.Millisecond || behind > 2400*time.Millisecond {
				t.Errorf("a unit each %s: %s behind", period, behind)
			}
			times := r.Times()
			for i := 1; i < len(times); i++ {
				if gap := times[i].Sub(times[i-1]); gap > 40*time.Millisecond {
					t.Fatalf("frame %d comes %s after the last", i, gap)
				}
			}
			if err := s.Pause(); err != nil {
				t.Fatal(err)
			}
			n := r.Len()
			time.Sleep(20 * time.Second)
			if !c.paused.Load() || r.Len() != n {
				t.Errorf("it goes on while it pauses: %d frames", r.Len()-n)
			}
			if err := s.Play(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			if r.Len() < n+490 || c.paused.Load() {
				t.Errorf("%d frames in 10 s after a pause", r.Len()-n)
			}
			if i := s.Info(); i.Seekable || i.Duration != 0 || !i.Known {
				t.Errorf("info %+v", i)
			}
		})
	}
}
