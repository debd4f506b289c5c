package flow

import "sync"

// Serial runs functions of the same key one after the other, those of different keys at the same time. A key costs
// nothing while nothing waits for it.
type Serial struct {
	max    int // keys at work
	perKey int // functions waiting for one key

	mu     sync.Mutex
	queues map[string][]func()
	closed bool
	work   sync.WaitGroup
}

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
	s.work.Go(func() { s.run(key, fn) })
	return true
}

func (s *Serial) run(key string, fn func()) {
	for {
		fn()
		s.mu.Lock()
		q := s.queues[key]
		if len(q) == 0 {
			delete(s.queues, key)
			s.mu.Unlock()
			return
		}
		fn, s.queues[key] = q[0], q[1:]
		s.mu.Unlock()
	}
}

// Close refuses new work and awaits what was queued.
func (s *Serial) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.work.Wait()
}
