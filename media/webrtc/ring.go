package webrtc

import (
	"sync"

	"github.com/patchbay/patchbay/media/rtpstream"
)

const (
	ringSize = 32 // packets; 640 ms of audio
	ringSlot = rtpstream.HeaderSize + maxPayload
)

// ring is packets on their way to a goroutine: bounded, without allocation. When it is full the oldest goes.
type ring struct {
	slots      [ringSize][ringSlot]byte
	sizes      [ringSize]int
	free, full chan int
	done       chan struct{}
	once       sync.Once
}

func (r *ring) init() {
	r.free, r.full, r.done = make(chan int, ringSize), make(chan int, ringSize), make(chan struct{})
	for i := range ringSize {
		r.free <- i
	}
}

// put adds a packet, by one goroutine at a time. lost says that the oldest had to make room.
func (r *ring) put(p []byte) (lost bool) {
	var i int
	select {
	case i = <-r.free:
	default:
		select {
		case i = <-r.full:
			lost = true
		case i = <-r.free: // one has just been handed over
		}
	}
	r.sizes[i] = copy(r.slots[i][:], p)
	r.full <- i
	return lost
}

// drain hands packets over until the ring is closed, and then those that still wait.
func (r *ring) drain(do func([]byte)) {
	for {
		select {
		case i := <-r.full:
			do(r.slots[i][:r.sizes[i]])
			r.free <- i
		case <-r.done:
			for len(r.full) > 0 {
				i := <-r.full
				do(r.slots[i][:r.sizes[i]])
			}
			return
		}
	}
}

func (r *ring) close() { r.once.Do(func() { close(r.done) }) }
