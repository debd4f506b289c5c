package flow

import (
	"sync"
	"time"
)

// Serial runs functions of the same key one after the other, those of different keys at the same time. A key costs
// nothing while nothing waits for it.
type Serial struct {
	max    int // keys at work
	perKey int // functions waiting for one key

	mu     sync.Mutex
	queues map[string][]func()
	idle   []chan job  // who waits for a key, the last to have worked at the end
	sweep  *time.Timer // set while more are idle than stay
	closed bool
	work   sync.WaitGroup
}

// job is the first function of a key.
type job struct {
	key string
	fn  func()
}

// Goroutines are kept between two keys: a new one would have to grow its stack again, for each message.
const (
	maxIdle  = 64 // at once
	stayIdle = 4  // of them, when the burst that they came of is over
	sweepIn  = 10 * time.Second
)

// NewSerial bounds the keys at work and what waits for each.
func NewSerial(keys, perKey int) *Serial {
	return &Serial{max: keys, perKey: perKey, queues: map[string][]func(){}}
}

// Do queues fn. It returns false, and fn never runs, if a bound is reached or Close was called.
func (s *Serial) Do(key string, fn func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, busy := s.queues[key]
	if s.closed || (busy && len(q) >= s.perKey) || (!busy && len(s.queues) >= s.max) {
		return false
	}
	if busy {
		s.queues[key] = append(q, fn)
		return true
	}
	s.queues[key] = nil
	if n := len(s.idle); n > 0 {
		s.idle[n-1] <- job{key, fn} // has room: who is idle was given nothing yet
		s.idle = s.idle[:n-1]
		return true
	}
	s.work.Go(func() { s.run(job{key, fn}) })
	return true
}

// run works for one key after the other, until there are others enough.
func (s *Serial) run(j job) {
	next := make(chan job, 1)
	for {
		s.drain(j)
		if !s.wait(next) {
			return
		}
		var more bool
		if j, more = <-next; !more {
			return
		}
	}
}

// drain runs what a key has, until nothing waits.
func (s *Serial) drain(j job) {
	for fn := j.fn; fn != nil; {
		fn()
		fn = s.after(j.key)
	}
}

// after is what waits for a key; nil: nothing, and the key is forgotten.
func (s *Serial) after(key string) (fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[key]
	if len(q) == 0 {
		delete(s.queues, key)
		return nil
	}
	fn, s.queues[key] = q[0], q[1:]
	return fn
}

// wait has a goroutine given the next key, unless none is needed.
func (s *Serial) wait(next chan job) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.idle) >= maxIdle {
		return false
	}
	if s.idle = append(s.idle, next); len(s.idle) > stayIdle && s.sweep == nil {
		s.sweep = time.AfterFunc(sweepIn, s.dismiss)
	}
	return true
}

// dismiss lets the goroutines go that have been idle the longest.
func (s *Serial) dismiss() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep = nil
	for ; len(s.idle) > stayIdle; s.idle = s.idle[1:] {
		close(s.idle[0])
	}
}

// Close refuses new work and awaits what was queued.
func (s *Serial) Close() {
	s.mu.Lock()
	s.closed = true
	if s.sweep != nil {
		s.sweep.Stop()
	}
	for _, next := range s.idle {
		close(next)
	}
	s.idle = nil
	s.mu.Unlock()
	s.work.Wait()
}
