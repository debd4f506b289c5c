package media_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/media"
)

// In a bubble time passes only when all sleep, so that these figures are exact.
func TestClockDoesNotDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := media.NewClock()
		defer c.Close()
		var due [12][]time.Time
		begin := time.Now()
		for i := range due {
			c.Every(func(now time.Time) { due[i] = append(due[i], now) })
		}
		time.Sleep(2*time.Second + time.Millisecond)
		c.Close()
		burst := map[time.Duration]int{}
		for i, ticks := range due {
			if len(ticks) < 100 || len(ticks) > 101 {
				t.Errorf("task %d ran %d times in 2 s, want 100", i, len(ticks))
			}
			for j := 1; j < len(ticks); j++ {
				if d := ticks[j].Sub(ticks[j-1]); d != media.Tick {
					t.Fatalf("task %d: tick %d came %s after the one before", i, j, d)
				}
			}
			burst[ticks[0].Sub(begin)]++
		}
		for at, n := range burst {
			if n > 2 {
				t.Errorf("%d of 12 tasks fall on %s: the phases aren't used", n, at)
			}
		}
	})
}

func TestClockMakesUpAtMostFive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := media.NewClock()
		defer c.Close()
		var mu sync.Mutex
		var at []time.Time
		stalled := false
		c.Every(func(time.Time) {
			mu.Lock()
			at = append(at, time.Now())
			stall := len(at) == 3 && !stalled
			mu.Unlock()
			if stall {
				stalled = true
				time.Sleep(time.Second)
			}
		})
		time.Sleep(1200 * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		most := 0
		for _, a := range at {
			n := 0
			for _, b := range at {
				if b.Equal(a) {
					n++
				}
			}
			most = max(most, n)
		}
		if most != 5 {
			t.Errorf("%d ticks were made up at once after a second's stall, want 5", most)
		}
		if n := len(at); n < 14 || n > 18 {
			t.Errorf("%d ticks in all", n)
		}
	})
}

func TestClockStop(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c := media.NewClock()
	defer c.Close()
	for range 20 {
		var inside atomic.Bool
		ran := make(chan struct{}, 1000)
		stop := c.Every(func(time.Time) {
			inside.Store(true)
			select {
			case ran <- struct{}{}:
			default:
			}
			time.Sleep(100 * time.Microsecond)
			inside.Store(false)
		})
		<-ran
		stop()
		if inside.Load() {
			t.Fatal("runs after stop returned")
		}
		n := len(ran)
		stop()
		time.Sleep(time.Millisecond)
		if len(ran) != n {
			t.Fatal("ran again after stop")
		}
	}
	c.Close()
	c.Every(func(time.Time) { t.Error("a closed clock runs something") })()
}

func TestClockWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := media.NewClock()
		defer c.Close()
		var n atomic.Int64
		stop := c.While(func(time.Time) bool { return n.Add(1) < 3 })
		time.Sleep(time.Second)
		if n.Load() != 3 {
			t.Errorf("ran %d times, want 3", n.Load())
		}
		stop()
	})
}

// An idle clock costs nothing: in a bubble, time only jumps a long way if no timer of the clock is running. Its ticker would
// make 180,000 stops in an hour; the jump takes no time if it sleeps.
func TestClockSleepsWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := media.NewClock()
		defer c.Close()
		stop := c.Every(func(time.Time) {})
		time.Sleep(time.Second)
		stop()
		time.Sleep(time.Second)
		var first time.Time
		before := time.Now()
		time.Sleep(100 * 24 * time.Hour)
		late := time.Now()
		end := c.Every(func(now time.Time) {
			if first.IsZero() {
				first = now
			}
		})
		time.Sleep(100 * time.Millisecond)
		end()
		if first.Before(late) || first.Sub(late) > media.Tick || late.Sub(before) < 24*time.Hour {
			t.Errorf("woke for %s, want within 20 ms after %s: what was slept through isn't made up", first, late)
		}
	})
}

// On the wall clock: 2 s have 100 ticks, and they come when they are due. What is exact is tested in a bubble; here a busy
// machine may lose a few.
func TestClockOnTheWall(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c := media.NewClock()
	var late []time.Duration
	begin := time.Now()
	var last time.Time
	c.Every(func(due time.Time) {
		late = append(late, time.Since(due))
		last = due
	})
	time.Sleep(2 * time.Second)
	c.Close()
	if n := len(late); n < 85 || n > 101 {
		t.Errorf("%d ticks in 2 s, want 100", n)
	}
	if d := last.Sub(begin); d < 1850*time.Millisecond || d > 2020*time.Millisecond {
		t.Errorf("the last tick was due after %s, want 2 s: the clock drifts", d)
	}
	slices.Sort(late)
	if m := late[len(late)/2]; m < 0 || m > 10*time.Millisecond {
		t.Errorf("a tick is %s late as a rule", m)
	}
}
