package webrtc

import (
	"encoding/binary"
	"sync"

	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/udp"
)

const (
	laneSize = rtpstream.HistorySize // packets that wait, or may be asked for again
	laneSlot = rtpstream.HeaderSize + maxPicture + 2
	laneMost = laneSize / 2 // packets that go again in a row. Each needs one that went for the first time: who asks for all all the time has twice the stream
)

// lane is the pictures' packets on their way to a goroutine, and those that went: a peer that has lost one is sent it again, in
// a stream beside (RFC 4588). Under SRTP the same packet can't go again in its own: its number would be used twice.
type lane struct {
	some chan struct{} // there is something to do
	done chan struct{}
	once sync.Once

	mu    sync.Mutex
	past  rtpstream.History
	queue []laneJob // in order; nil before the first packet
	head  int       // of what waits in it
	count int
	rtx   [128]uint8 // payload type of the stream beside, by that of the packet; 0 = there is none
	ssrc  uint32     // of the stream beside
	seq   uint16
	lost  uint64 // packets that there was no room for
	again uint64 // packets sent again
	owed  int    // packets that may go again
}

type laneJob struct {
	seq   uint16
	again bool
}

func (n *lane) init() { n.some, n.done = make(chan struct{}, 1), make(chan struct{}) }

// beside says in which stream packets go again.
func (n *lane) beside(ssrc uint32, rtx [128]uint8) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ssrc, n.rtx = ssrc, rtx
}

// put adds a packet. One whose number was used is refused, or is too old for that to be known.
func (n *lane) put(p []byte) error {
	if len(p) > laneSlot {
		return errLong
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.queue == nil {
		n.queue = make([]laneJob, laneSize)
	}
	if n.past.Keep(p) == nil {
		return ErrReused
	}
	n.owed = min(n.owed+1, laneMost)
	return n.add(laneJob{seq: binary.BigEndian.Uint16(p[2:])})
}

// add queues. The caller holds mu.
func (n *lane) add(j laneJob) error {
	full := n.count == laneSize
	if full {
		n.head, n.count = (n.head+1)%laneSize, n.count-1
		n.lost++
	}
	n.queue[(n.head+n.count)%laneSize] = j
	n.count++
	select {
	case n.some <- struct{}{}:
	default:
	}
	if full {
		return udp.ErrFull // an earlier one's
	}
	return nil
}

// want queues a packet that the peer has lost, if it is still there and wasn't sent again a moment ago.
func (n *lane) want(seq uint16, now int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := n.past.Again(seq, now)
	if k == nil || n.rtx[k.Type()] == 0 || n.count > laneSize/2 || n.owed == 0 {
		return
	}
	n.owed--
	k.Sent = now
	_ = n.add(laneJob{seq, true}) // there is room
}

// next is the packet that is due, written into b; false if there is none.
func (n *lane) next(b []byte, now int64) ([]byte, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.count > 0 {
		j := n.queue[n.head]
		n.head, n.count = (n.head+1)%laneSize, n.count-1
		k := n.past.Get(j.seq)
		if k == nil {
			continue // a later one has its place
		}
		k.Sent = now
		if j.again {
			n.again++
			n.seq++
			return k.Beside(b, n.rtx[k.Type()], n.seq, n.ssrc), true
		}
		return b[:copy(b, k.Packet())], true
	}
	return nil, false
}

// drain hands packets over until the lane is closed.
func (n *lane) drain(do func([]byte)) {
	b := make([]byte, laneSlot+2)
	for {
		select {
		case <-n.some:
		case <-n.done:
			return
		}
		for {
			p, ok := n.next(b, udp.Now())
			if !ok {
				break
			}
			do(p)
		}
	}
}

func (n *lane) close() { n.once.Do(func() { close(n.done) }) }

// counts are what there was no room for, and what went again.
func (n *lane) counts() (lost, again uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lost, n.again
}
