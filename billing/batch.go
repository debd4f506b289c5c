package billing

import (
	"fmt"

	"github.com/patchbay/patchbay/gateway/call"
)

// entry is an event on its way to the disk.
type entry struct {
	call    call.ID
	seq     uint64
	kind    recordKind
	begins  bool
	payload []byte
	event   call.Event // what the payload says; without data if it wasn't made here
	data    int        // where in the payload the event's data begin
	pos     position
	lsn     uint64 // 0 until it's written
	skip    bool   // its call was refused while it waited
	ok      bool   // it's durable
}

func (e entry) size() int64 { return int64(len(e.payload)) + recordHeader }

// batch is what one fdatasync makes durable.
type batch struct {
	entries []entry
	bytes   int64
	wanted  bool // somebody waits for it
	retried int  // so many entries at its front are of earlier batches
	done    chan struct{}
	err     error // of the entries that aren't durable; valid when done is closed
}

// outcome of the entries that were accepted as from to to.
func (b *batch) outcome(from, to int) error {
	for _, e := range b.entries[b.retried+from : b.retried+to] {
		switch {
		case e.ok:
		case e.skip:
			return fmt.Errorf("event %s/%d: %w", e.call, e.seq, ErrUnknown)
		default:
			return b.err
		}
	}
	return nil
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }
