package kurento

import (
	"time"

	"github.com/patchbay/patchbay/rpc"
)

// Stats are the element's, by id, of one kind of media or all.
func (e *Element) Stats(MediaType) map[string]AnyStats {
	id := e.self.ID()
	return map[string]AnyStats{id: ElementStats{
		Stats:        Stats{ID: id, Type: StatsTypeElement, TimestampMillis: time.Now().UnixMilli()},
		InputLatency: []MediaLatencyStat{},
	}}
}

// FlowingIn reports whether media of a kind comes into the element's pad with this description.
func (e *Element) FlowingIn(kind MediaType, description string) (bool, error) {
	return false, e.noData("isMediaFlowingIn", kind)
}

// FlowingOut reports whether media of a kind leaves the element's pad with this description.
func (e *Element) FlowingOut(kind MediaType, description string) (bool, error) {
	return false, e.noData("isMediaFlowingOut", kind)
}

// Transcoding reports whether media of a kind that leaves the element's pad is converted for a sink.
func (e *Element) Transcoding(kind MediaType, bin string) (bool, error) {
	return false, e.noData("isMediaTranscoding", kind)
}

func (e *Element) noData(op string, kind MediaType) error {
	if kind == MediaTypeData {
		return rpc.Errorf(rpc.IllegalParam, "'mediaType' is DATA, should be AUDIO or VIDEO for %s", op)
	}
	return nil
}
