package webrtc

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/udp"
)

const (
	laneSize  = 512 // packets that wait, or may be asked for again: about a second of 4 Mbit/s
	laneSlot  = rtpstream.HeaderSize + maxPicture + 2
	laneAgain = int64(20 * time.Millisecond) // before a packet is sent again, and again
)

// lane is the pictures' packets on their way to a goroutine, and those that went: a peer that has lost one is sent it again, in
// a stream beside (RFC 4588). Under SRTP the same packet can't go again in its own: its number would be used twice.
type lane struct {
	some chan struct{} // there is something to do
	done chan struct{}
	once sync.Once

	mu    sync.Mutex
	slots []laneEntry // by sequence number; nil before the first packet
	queue []laneJob   // in order
	head  int         // of what waits in it
	count int
	top   uint16
	begun bool
	rtx   [128]uint8 // payload type of the stream beside, by that of the packet; 0 = there is none
	ssrc  uint32     // of the stream beside
	seq   uint16
	lost  uint64 // packets that there was no room for
	again uint64 // packets sent again
}

type laneEntry struct {
	p     [laneSlot]byte
	size  int
	seq   uint16
	sent  int64 // when it went last
	valid bool
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
	seq := binary.BigEndian.Uint16(p[2:])
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.slots == nil {
		n.slots, n.queue = make([]laneEntry, laneSize), make([]laneJob, laneSize)
	}
	s := &n.slots[seq%laneSize]
	switch d := int16(seq - n.top); {
	case !n.begun || d > 0:
		n.begun, n.top = true, seq
	case d <= -laneSize || s.valid && s.seq == seq:
		return ErrReused
	}
	s.size, s.seq, s.sent, s.valid = copy(s.p[:], p), seq, 0, true
	return n.add(laneJob{seq: seq})
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
	if n.slots == nil {
		return
	}
	s := &n.slots[seq%laneSize]
	if !s.valid || s.seq != seq || s.sent == 0 || now-s.sent < laneAgain || n.rtx[s.p[1]&0x7f] == 0 || n.count > laneSize/2 {
		return
	}
	s.sent = now
	_ = n.add(laneJob{seq, true}) // there is room
}

// next is the packet that is due, written into b; false if there is none.
func (n *lane) next(b []byte, now int64) ([]byte, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.count > 0 {
		j := n.queue[n.head]
		n.head, n.count = (n.head+1)%laneSize, n.count-1
		s := &n.slots[j.seq%laneSize]
		if !s.valid || s.seq != j.seq {
			continue // a later one has its place
		}
		s.sent = now
		if j.again {
			n.again++
			return n.repeat(b, s), true
		}
		return b[:copy(b, s.p[:s.size])], true
	}
	return nil, false
}

// repeat writes a packet as the stream beside has it (RFC 4588 4).
func (n *lane) repeat(b []byte, s *laneEntry) []byte {
	const head = rtpstream.HeaderSize
	copy(b, s.p[:head])
	b[1] = b[1]&0x80 | n.rtx[b[1]&0x7f]
	n.seq++
	binary.BigEndian.PutUint16(b[2:], n.seq)
	binary.BigEndian.PutUint32(b[8:], n.ssrc)
	binary.BigEndian.PutUint16(b[head:], s.seq)
	return b[:head+2+copy(b[head+2:], s.p[head:s.size])]
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
