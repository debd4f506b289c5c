package kurento

import (
	"context"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/patchbay/patchbay/rpc"
)

// Manager is what stands behind manager_ServerManager, which every tenant has.
type Manager struct {
	core    *Core
	started time.Time
	self    atomic.Pointer[rpc.Object] // nil until it is placed
}

func managerClass() *rpc.Class {
	return &rpc.Class{Name: "ServerManager", Doc: "Tells what the server can do and what it uses.", Abstract: true, Type: reflect.TypeFor[*Manager](),
		Props: []rpc.Prop{
			rpc.ReadOnly("info", (*Manager).Info),
			rpc.ReadOnly("pipelines", (*Manager).Pipelines).Of("MediaPipeline"),
			rpc.ReadOnly("sessions", (*Manager).Sessions),
			rpc.ReadOnly("metadata", (*Manager).Metadata),
		},
		Ops: []rpc.Op{
			rpc.Method("getKmd", (*Manager).Kmd, rpc.Arg("moduleName")),
			rpc.Method("getCpuCount", (*Manager).CPUCount),
			rpc.Method("getUsedCpu", (*Manager).UsedCPU, rpc.Arg("interval").Default(1000)).Waits(),
			rpc.Method("getUsedMemory", (*Manager).UsedMemory),
		},
		Events: []string{"ObjectCreated", "ObjectDestroyed"}}
}

// Close ends what the server does for all its elements. The manager is the last object of a space that is closing.
func (m *Manager) Close() error {
	m.core.flows.close()
	return nil
}

// Info tells what the server can do: its modules and what can be created of each.
func (m *Manager) Info(self *rpc.Object) ServerInfo {
	info := ServerInfo{Version: m.core.cfg.Version, Type: ServerTypeKms, Capabilities: []string{"transactions"}}
	for _, mod := range self.Space().Classes().Modules() {
		info.Modules = append(info.Modules, ModuleInfo{Version: mod.Version, Name: mod.Name, GenerationTime: "", Factories: mod.Factories})
	}
	return info
}

// Pipelines are those that the caller may know of, oldest first.
func (m *Manager) Pipelines(ctx context.Context) []*rpc.Object {
	scope, ok := rpc.ScopeOf(ctx)
	if !ok {
		return nil
	}
	return scope.Objects("MediaPipeline")
}

// Sessions are the ids of the sessions that the caller may know of.
func (m *Manager) Sessions(ctx context.Context) []string {
	if m.core.cfg.Sessions == nil {
		return nil
	}
	return m.core.cfg.Sessions(ctx)
}

// Metadata is what the operator wrote for clients to read.
func (m *Manager) Metadata() string { return m.core.cfg.Metadata }

// Kmd is the description of a module, as JSON. It fails with Undefined for one that there isn't.
func (m *Manager) Kmd(self *rpc.Object, module string) (string, error) {
	b, err := self.Space().Classes().Kmd(module)
	return string(b), err
}

// CPUCount is how many processors the server can use.
func (m *Manager) CPUCount() int { return runtime.GOMAXPROCS(0) }

// maxInterval bounds how long a measurement may take, ms: a request is answered in time.
const maxInterval = 10_000

// UsedCPU measures for interval ms, 1 to 10,000, how much of the processors the server uses, in percent of all of them.
func (m *Manager) UsedCPU(ctx context.Context, interval int) (float32, error) {
	if interval < 1 || interval > maxInterval {
		return 0, rpc.Errorf(rpc.IllegalParam, "'interval' is %d ms, should be 1 to %d", interval, maxInterval)
	}
	before, at := processorTime(), time.Now()
	wait := time.NewTimer(time.Duration(interval) * time.Millisecond)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	used, passed := processorTime()-before, time.Since(at)
	return float32(100 * used.Seconds() / passed.Seconds() / float64(m.CPUCount())), nil
}

// processorTime is what the process has used since it began.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// UsedMemory is what the process has in memory, KiB.
func (m *Manager) UsedMemory() (int64, error) {
	b, err := os.ReadFile("/proc/self/statm") // pages: all, resident, …
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0, rpc.Errorf(rpc.Unexpected, "The system doesn't tell how much memory is used")
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()) / 1024, err
}

// watcher tells the manager of objects.
type watcher struct {
	manager *Manager
	next    rpc.Watcher // nil = nobody
}

func (w *watcher) Created(o *rpc.Object) {
	if self := w.manager.self.Load(); self != nil {
		self.RaiseFor(o.Tenant(), ObjectCreated{Object: o})
	}
	if w.next != nil {
		w.next.Created(o)
	}
}

func (w *watcher) Released(o *rpc.Object) {
	if self := w.manager.self.Load(); self != nil {
		self.RaiseFor(o.Tenant(), ObjectDestroyed{ObjectID: o.ID()})
	}
	if w.next != nil {
		w.next.Released(o)
	}
}
