//go:build e2e

package e2e

import (
	"math"
	"testing"
	"time"
)

const (
	cycles          = 2000
	cycleGoroutines = 5
	cycleHeap       = 10 << 20
)

// Pipelines that come and go leave nothing behind.
func TestRpcCycles(t *testing.T) {
	g := startRPC(t, "")
	c := openRPC(t, g.url)
	round := func() {
		pipeline := c.create(t, "MediaPipeline", nil)
		a := c.create(t, "PassThrough", o{"mediaPipeline": pipeline})
		b := c.create(t, "WebRtcEndpoint", o{"mediaPipeline": pipeline})
		e := c.create(t, "RtpEndpoint", o{"mediaPipeline": pipeline})
		c.value(t, "subscribe", o{"object": a, "type": "ElementConnected"})
		c.invoke(t, a, "connect", o{"sink": b})
		c.invoke(t, e, "connect", o{"sink": a, "mediaType": "AUDIO"})
		if _, err := c.call("release", o{"object": pipeline}); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 { // pools and caches get their size
		round()
	}
	goroutines, heap := liveHeap(t, c, g)
	began := time.Now()
	for range cycles {
		round()
	}
	took := time.Since(began)
	var goroutinesAfter, heapAfter float64
	eventually(10*time.Second, func() bool {
		goroutinesAfter, heapAfter = liveHeap(t, c, g)
		return math.Abs(goroutinesAfter-goroutines) <= cycleGoroutines && heapAfter-heap <= cycleHeap
	})
	t.Logf("%d rounds in %v; goroutines %.0f, then %.0f; live heap %.2f MiB, then %.2f", cycles, took.Round(time.Millisecond),
		goroutines, goroutinesAfter, heap/(1<<20), heapAfter/(1<<20))
	if math.Abs(goroutinesAfter-goroutines) > cycleGoroutines {
		t.Errorf("%.0f goroutines after %d rounds, %.0f before, expected %d more at most", goroutinesAfter, cycles, goroutines, cycleGoroutines)
	}
	if heapAfter-heap > cycleHeap {
		t.Errorf("%.2f MiB of live heap after %d rounds, %.2f before, expected %d more at most", heapAfter/(1<<20), cycles, heap/(1<<20), cycleHeap>>20)
	}
}

// liveHeap is how many goroutines the gateway has, and how much memory was in use right after one of three garbage
// collections, which requests that make garbage bring about.
func liveHeap(t *testing.T, c *rpcClient, g *rpcGateway) (goroutines, heap float64) {
	t.Helper()
	heap = math.Inf(1)
	end := g.Metric(t, "go_gc_duration_seconds_count") + 3
	for began := time.Now(); time.Since(began) < 30*time.Second; {
		c.invoke(t, manager, "getKmd", o{"moduleName": "core"})
		m := g.Metrics(t)
		goroutines, heap = m["go_goroutines"], min(heap, m["go_memstats_heap_alloc_bytes"])
		if m["go_gc_duration_seconds_count"] >= end {
			return goroutines, heap
		}
	}
	t.Fatal("no garbage was collected in 30 s")
	return 0, 0
}
