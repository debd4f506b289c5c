package billing

import (
	"fmt"

	"github.com/patchbay/patchbay/gateway/call"
)

// builder makes a call of its events.
type builder struct{ call *call.Call }

// maxGap bounds the events that one event may find missing.
const maxGap = 1000

// add applies the next event and returns what is now to be written: the event, after one event of our own for every
// number that is missing before it. An event that was added before yields nothing.
// The error tells of an event that doesn't fit its call; the call goes on behind it.
func (b *builder) add(e call.Event) ([]call.Event, error) {
	if b.call == nil {
		if e.Seq != 1 {
			return nil, fmt.Errorf("event %s/%d (%s): the call's beginning isn't in the journal", e.Call, e.Seq, e.Data.Kind())
		}
		b.call = &call.Call{}
	}
	c := b.call
	if e.Seq <= c.Version {
		return nil, nil
	}
	if e.Seq-c.Version > maxGap {
		return nil, fmt.Errorf("event %s/%d (%s) comes after %d, expected the one that follows", e.Call, e.Seq, e.Data.Kind(), c.Version)
	}
	var out []call.Event
	for c.Version > 0 && e.Seq > c.Version+1 {
		gap := call.Event{Call: e.Call, Seq: c.Version + 1, At: e.At, Mono: e.Mono,
			Data: call.Note{Text: "an event is missing here: it never reached the disk, or the journal is damaged", Lost: true}}
		if err := c.Apply(gap); err != nil {
			return nil, err
		}
		out = append(out, gap)
	}
	err := c.Apply(e)
	if c.Version == e.Seq {
		out = append(out, e)
	}
	return out, err
}
