package rpc

import "sync"

// outbox is what waits to be sent on one connection. Whoever puts something in never waits.
type outbox struct {
	most int
	wake chan struct{} // of one

	mu    sync.Mutex
	queue [][]byte
	bytes int
	state outState
	code  int    // of the close frame, 0 = none is sent; set before outOver, fixed after it
	why   string // at most 123 bytes (RFC 6455 5.5)
}

type outState uint8

const (
	outOpen outState = iota
	outOver          // what is queued is sent, then it ends
	outLost          // nothing more is sent
)

// maxWaiting bounds the messages that wait, beside their bytes.
const maxWaiting = 16384

// push adds a message. false: there is too much already. After the end it does nothing.
func (o *outbox) push(msg []byte) bool {
	o.mu.Lock()
	if o.state != outOpen {
		o.mu.Unlock()
		return true
	}
	if len(o.queue) > 0 && (o.bytes+len(msg) > o.most || len(o.queue) >= maxWaiting) {
		o.mu.Unlock()
		return false
	}
	o.queue = append(o.queue, msg)
	o.bytes += len(msg)
	first := len(o.queue) == 1
	o.mu.Unlock()
	if first {
		o.signal()
	}
	return true
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take waits for messages, or for the end.
func (o *outbox) take() ([][]byte, outState) {
	for {
		o.mu.Lock()
		batch, state := o.queue, o.state
		o.queue, o.bytes = nil, 0
		o.mu.Unlock()
		if len(batch) > 0 || state != outOpen {
			return batch, state
		}
		<-o.wake
	}
}

// finish ends it with a close frame.
func (o *outbox) finish(code int, why string) {
	o.mu.Lock()
	if o.state == outOpen {
		o.state, o.code, o.why = outOver, code, why
	}
	o.mu.Unlock()
	o.signal()
}

// shut ends it without one: the peer has gone.
func (o *outbox) shut() {
	o.mu.Lock()
	if o.state == outOpen {
		o.state = outOver
	}
	o.mu.Unlock()
	o.signal()
}

// abandon drops what is queued. true: it hadn't ended before.
func (o *outbox) abandon() bool {
	o.mu.Lock()
	was := o.state
	o.state, o.queue = outLost, nil
	o.mu.Unlock()
	o.signal()
	return was == outOpen
}
