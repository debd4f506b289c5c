package kurento

import (
	"sync"
	"sync/atomic"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

// Pipeline is what stands behind a MediaPipeline: it owns elements, hubs and their connections.
type Pipeline struct {
	self    *rpc.Object
	core    *Core
	media   *media.Pipeline
	latency atomic.Bool

	// graph orders all changes of the pipeline's connections. It is held while elements tell of a change, so that they
	// tell in the order in which things changed.
	graph sync.Mutex
}

func (k *Core) pipelineClass() *rpc.Class {
	return &rpc.Class{Name: "MediaPipeline", Doc: "Owns elements and their connections.",
		New: rpc.Make(func(self *rpc.Object) *Pipeline {
			return &Pipeline{self: self, core: k, media: media.NewPipeline(k.cfg.Pipeline)}
		}),
		Props: []rpc.Prop{rpc.Property("latencyStats", (*Pipeline).LatencyStats, (*Pipeline).SetLatencyStats).Default(false)},
		Ops: []rpc.Op{
			rpc.Method("getGstreamerDot", (*Pipeline).Dot, rpc.Opt("details")),
			rpc.Method("dumpGstreamerDot", (*Pipeline).DumpDot, rpc.Opt("details")),
		}}
}

// Object is the pipeline as clients see it.
func (p *Pipeline) Object() *rpc.Object { return p.self }

// Media is the pipeline's registry and clock. Who adds elements to it removes them, or they are closed with it.
func (p *Pipeline) Media() *media.Pipeline { return p.media }

// LatencyStats reports whether elements measure their latency.
func (p *Pipeline) LatencyStats() bool { return p.latency.Load() }

// SetLatencyStats says whether elements measure their latency.
func (p *Pipeline) SetLatencyStats(on bool) { p.latency.Store(on) }

// Close closes what is in the pipeline. Its elements are closed already: a pipeline is the last of its tree.
func (p *Pipeline) Close() error { return p.media.Close() }
