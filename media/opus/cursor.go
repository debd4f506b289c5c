package opus

import "github.com/patchbay/patchbay/media"

const (
	// farthest is how far off a sequence number of the same numbering may be.
	farthest = 1000
	// patience is how many frames in a row come behind before they are a stream that began anew.
	patience = 5
)

// place is where a frame belongs in its stream.
type place uint8

const (
	next   place = iota
	behind       // too late, or there already
	anew         // the first of a stream
)

// cursor follows the sequence numbers of a stream.
type cursor struct {
	begun    bool
	epoch    uint32
	expected uint16
	stale    int // frames behind, in a row
}

// take tells how many frames are missing before f, and where it belongs.
func (c *cursor) take(f *media.Frame) (missing int, where place) {
	gap := int(int16(f.Sequence - c.expected))
	switch {
	case !c.begun || c.epoch != f.Epoch || gap < -farthest || gap > farthest:
		where = anew
	case gap < 0 && c.stale < patience:
		c.stale++
		return 0, behind
	case gap < 0:
		where = anew
	}
	*c = cursor{begun: true, epoch: f.Epoch, expected: f.Sequence + 1}
	if where == anew {
		gap = 0
	}
	return gap, where
}
