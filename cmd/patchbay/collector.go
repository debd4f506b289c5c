package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// What the collector does while media flows is felt as delay, and our heap is small beside what a host has: it may grow fivefold
// before it is collected, up to half of the memory that there is. GOGC and GOMEMLIMIT of the environment go before.
const calmGC = 400

func calmCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(calmGC)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		if n := memory(); n > 0 {
			debug.SetMemoryLimit(n / 2)
		}
	}
}

// A process that has nothing to do any more collects nothing either, so what a storm has left behind would stay. Looked at every
// returnEvery, memory beyond returnSpare is given back to the system if fewer than returnQuiet bytes were allocated since.
const (
	returnEvery = 10 * time.Second
	returnSpare = 16 << 20
	returnQuiet = 64 << 20
)

// returnMemory gives back what isn't needed, until ctx ends.
func returnMemory(ctx context.Context) {
	tick := time.NewTicker(returnEvery)
	defer tick.Stop()
	var s spare
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		held, allocated := heapNow()
		if s.due(held, allocated) {
			debug.FreeOSMemory()
			s.left, _ = heapNow()
		}
	}
}

// spare decides when memory is given back.
type spare struct {
	allocated uint64 // in the process's life, when it was last looked at
	left      uint64 // what was held after memory was given back: that much is needed
}

func (s *spare) due(held, allocated uint64) bool {
	quiet := allocated-s.allocated < returnQuiet
	s.allocated = allocated
	return quiet && held > s.left+returnSpare
}

// heapNow is what the heap holds of the system's memory, and how much was ever allocated, in bytes.
func heapNow() (held, allocated uint64) {
	list := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(list)
	return list[0].Value.Uint64() + list[1].Value.Uint64() + list[2].Value.Uint64(), list[3].Value.Uint64()
}

// memory is how many bytes this process may have, 0 if that is not known: the host's, or less in a container (cgroup v2).
func memory() int64 {
	var least int64
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		_, after, _ := strings.Cut(string(b), "MemTotal:")
		if f := strings.Fields(after); len(f) > 0 {
			kB, _ := strconv.ParseInt(f[0], 10, 64)
			least = kB << 10
		}
	}
	if b, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	return least
}
