package billing

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

// cpu is the time that this process has spent.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCommit measures events per second and CPU per event with so many goroutines that commit one event at a time.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 20, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := config(folder(b), None)
			c.SegmentBytes = 16 << 20
			s := open(b, c)
			var left atomic.Int64
			left.Store(int64(b.N))
			began := cpu()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					for {
						id := call.NewID()
						for _, e := range storyOf(id, time.Now(), 1) {
							if left.Add(-1) < 0 {
								return
							}
							if err := s.Commit(context.Background(), e); err != nil {
								b.Error(err)
								return
							}
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64((cpu()-began).Microseconds())/float64(b.N), "cpu-us/event")
		})
	}
}

// BenchmarkProject measures how fast a backlog goes to Postgres: rows of all three tables per second.
func BenchmarkProject(b *testing.B) {
	url := database(b)
	c := config(folder(b), url)
	c.SegmentBytes = 16 << 20
	s := openStopped(b, c)
	calls := b.N/12 + 1
	for range calls {
		commitMany(b, s)
	}
	began := cpu()
	b.ResetTimer()
	s.startProjector()
	for s.Stats().Outbox > 0 {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(calls)*15/b.Elapsed().Seconds(), "rows/s") // 12 events, 1 call, 2 legs
	b.ReportMetric(float64(calls)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(float64((cpu()-began).Microseconds())/float64(calls*15), "cpu-us/row")
}

func commitMany(b *testing.B, s *Store) {
	e := story(time.Now(), 1)
	for _, e := range e[:11] {
		s.Note(e)
	}
	if s.journal.pendingBytes() > 4<<20 {
		commit(b, s, e[11])
		return
	}
	s.Note(e[11])
}

func (j *journal) pendingBytes() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.pending.bytes
}

func BenchmarkEncode(b *testing.B) {
	e := story(time.Now(), 1)
	b.ReportAllocs()
	n := 0
	for i := range b.N {
		p, _, err := encode(&e[i%12])
		if err != nil {
			b.Fatal(err)
		}
		n += len(p)
	}
	b.ReportMetric(float64(n)/float64(b.N), "bytes/event")
}
