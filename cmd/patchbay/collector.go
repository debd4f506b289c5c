package main

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
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
