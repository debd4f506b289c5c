package rpc

import (
	"sync"
	"sync/atomic"
)

// outbox is what waits to be sent on one connection. Whoever puts something in never waits.
type outbox struct {
	most int
	all  *budget
	wake chan struct{} // of one

	mu     sync.Mutex
	queue  [][]byte
	held   int  // bytes that are queued or being written
	flying int  // of these, what take gave last, or what is claimed
	direct bool // who claimed it writes
	state  outState
	code   int    // of the close frame, 0 = none is sent; set before outOver, fixed after it
	why    string // at most 123 bytes (RFC 6455 5.5)
}

type outState uint8

const (
	outOpen outState = iota
	outOver          // what is queued is sent, then it ends
	outLost          // nothing more is sent
)

// budget bounds what waits on all connections together. When it is used up those who have more than a fair share waiting
// are cut off; the others go on.
type budget struct {
	most int64
	used atomic.Int64
}

// fairShare is what may wait for a client whatever there is for others, in bytes.
const fairShare = 64 << 10

func (b *budget) take(n, held int) bool {
	if b.used.Add(int64(n)) > b.most && held+n > fairShare {
		b.used.Add(int64(-n))
		return false
	}
	return true
}

// maxWaiting bounds the messages that wait, beside their bytes.
const maxWaiting = 16384

// push adds a message. false: there is too much already. After the end it does nothing.
func (o *outbox) push(msg []byte) bool {
	o.mu.Lock()
	if o.state != outOpen {
		o.mu.Unlock()
		return true
	}
	full := len(o.queue) > 0 && (o.held+len(msg) > o.most || len(o.queue) >= maxWaiting)
	if full || !o.all.take(len(msg), o.held) {
		o.mu.Unlock()
		return false
	}
	o.queue = append(o.queue, msg)
	o.held += len(msg)
	first := len(o.queue) == 1
	o.mu.Unlock()
	if first {
		o.signal()
	}
	return true
}

// claim lets the caller write a message of n bytes itself, because nothing waits or is being written. It calls landed then.
func (o *outbox) claim(n int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state != outOpen || o.direct || o.held > 0 || !o.all.take(n, 0) {
		return false
	}
	o.direct, o.held, o.flying = true, n, n
	return true
}

// landed is told that what was claimed is written, or can't be.
func (o *outbox) landed() {
	o.mu.Lock()
	o.direct = false
	o.settle(o.flying)
	waits := len(o.queue) > 0 || o.state != outOpen
	o.mu.Unlock()
	if waits {
		o.signal()
	}
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// settle gives back n bytes of the budget; o.mu is held.
func (o *outbox) settle(n int) {
	o.held -= n
	o.flying = 0
	o.all.used.Add(int64(-n))
}

// leave is called when nobody takes messages any more.
func (o *outbox) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = nil
	o.settle(o.held)
}

// take waits for messages, or for the end. Those that it gave before are written then.
func (o *outbox) take() ([][]byte, outState) {
	for {
		o.mu.Lock()
		if o.direct && o.state != outLost {
			o.mu.Unlock()
			<-o.wake
			continue
		}
		o.settle(o.flying)
		batch, state := o.queue, o.state
		o.queue, o.flying = nil, o.held
		o.mu.Unlock()
		if len(batch) > 0 || state != outOpen {
			return batch, state
		}
		<-o.wake
	}
}

// ending reports whether nothing more than what is queued will be sent.
func (o *outbox) ending() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.state != outOpen
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
