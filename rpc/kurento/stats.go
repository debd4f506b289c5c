package kurento

import (
	"time"

	"github.com/patchbay/patchbay/rpc"
)

// Stats are the element's, by id, of one kind of media or all. Latencies are those of frames that came from the network, up to
// the element's input; they are measured while the pipeline's latencyStats are on.
func (e *Element) Stats(kind MediaType) map[string]AnyStats {
	base := ElementStats{
		Stats:        Stats{ID: e.self.ID(), Type: StatsTypeElement, TimestampMillis: time.Now().UnixMilli()},
		InputLatency: []MediaLatencyStat{},
	}
	e.pipeline.graph.Lock()
	stats := e.stats
	for _, f := range e.flows {
		if delay := f.delay.Load(); !f.out && delay != 0 && e.pipeline.latency.Load() && (kind == "" || kind == f.kind) {
			base.InputLatency = append(base.InputLatency, MediaLatencyStat{Name: f.description, Type: f.kind, Avg: float64(delay)})
		}
	}
	e.pipeline.graph.Unlock()
	if stats != nil {
		return stats(kind, base)
	}
	return map[string]AnyStats{base.ID: base}
}

// SetStats says who answers getStats for the element: an endpoint, say, that knows more than its base, which it is given.
func (e *Element) SetStats(stats func(kind MediaType, base ElementStats) map[string]AnyStats) {
	e.pipeline.graph.Lock()
	defer e.pipeline.graph.Unlock()
	e.stats = stats
}

// FlowingIn reports whether media of a kind comes into the element's pad with this description. It fails with IllegalParam
// for DATA.
func (e *Element) FlowingIn(kind MediaType, description string) (bool, error) {
	return e.flowing("isMediaFlowingIn", kind, description, false)
}

// FlowingOut reports whether media of a kind leaves the element's pad with this description. It fails with IllegalParam for
// DATA.
func (e *Element) FlowingOut(kind MediaType, description string) (bool, error) {
	return e.flowing("isMediaFlowingOut", kind, description, true)
}

func (e *Element) flowing(op string, kind MediaType, description string, out bool) (bool, error) {
	f, err := e.watching(op, kind, description, out)
	return f != nil && f.flowing.Load(), err
}

// Transcoding reports whether media of a kind that leaves the element's pad is converted for a sink. It fails with IllegalParam
// for DATA.
func (e *Element) Transcoding(kind MediaType, bin string) (bool, error) {
	f, err := e.watching("isMediaTranscoding", kind, bin, true)
	if f == nil {
		return false, err
	}
	_, converted := f.ways()
	return converted > 0, nil
}

func (e *Element) watching(op string, kind MediaType, description string, out bool) (*flow, error) {
	if kind == MediaTypeData {
		return nil, rpc.Errorf(rpc.IllegalParam, "'mediaType' is DATA, should be AUDIO or VIDEO for %s", op)
	}
	e.pipeline.graph.Lock()
	defer e.pipeline.graph.Unlock()
	return e.flow(kind, description, out), nil
}
