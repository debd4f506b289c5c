package rpc

import (
	"sync"
	"time"
)

// A connection's reader executes short requests itself: handing each to another goroutine, and its reply to a third, takes
// longer than most requests do. A request that turns out not to be short loses its reader: relief has another goroutine read
// on, so that what comes after it is heard (pings, other sessions, the end of the connection).

// Times of relief: a reader is relieved between reliefAfter and twice that; without requests nobody looks any more.
const (
	reliefAfter = 2 * time.Millisecond
	reliefIdle  = 50 // looks in a row
)

type relief struct {
	wake chan struct{} // of one
	stop chan struct{}
	once sync.Once

	mu      sync.Mutex
	looking bool
	busy    map[*conn]time.Time // that execute a request since then
}

func newRelief() *relief {
	return &relief{wake: make(chan struct{}, 1), stop: make(chan struct{}), busy: map[*conn]time.Time{}}
}

// begin is told that a connection's reader executes a request.
func (r *relief) begin(c *conn) {
	now := time.Now()
	r.mu.Lock()
	r.busy[c] = now
	asleep := !r.looking
	r.looking = true
	r.mu.Unlock()
	if asleep {
		r.wake <- struct{}{}
	}
}

// end is told that it is done. True: the reader has been relieved meanwhile.
func (r *relief) end(c *conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, still := r.busy[c]
	delete(r.busy, c)
	return !still
}

// run calls relieve for each connection whose request takes long, until it is ended. end waits until relieve has returned.
func (r *relief) run(relieve func(*conn)) {
	for {
		select {
		case <-r.wake:
			r.look(relieve)
		case <-r.stop:
			return
		}
	}
}

func (r *relief) look(relieve func(*conn)) {
	tick := time.NewTicker(reliefAfter)
	defer tick.Stop()
	for idle := 0; ; {
		select {
		case <-tick.C:
		case <-r.stop:
			return
		}
		r.mu.Lock()
		if idle++; len(r.busy) > 0 {
			idle = 0
		}
		for c, since := range r.busy {
			if time.Since(since) >= reliefAfter {
				delete(r.busy, c)
				relieve(c)
			}
		}
		if idle >= reliefIdle {
			r.looking = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
	}
}

func (r *relief) close() { r.once.Do(func() { close(r.stop) }) }

// relieve has a goroutine read on for one that is busy, which counts for itself from now on.
func (s *Server) relieve(c *conn) {
	s.work.Add(1) // the connection is counted until it is dismissed
	go c.read()
}

// execute has the reader do a task that is its session's only one. True: it isn't the reader any more.
func (c *conn) execute(t *task) (relieved bool) {
	c.server.relief.begin(c)
	t.session.lead(t)
	if !c.server.relief.end(c) {
		return false
	}
	c.server.work.Done()
	return true
}
