package rpc

import (
	"sync"
	"sync/atomic"
	"time"
)

// sessionKey names a session: a client chooses the id, so it means something within its principal alone.
type sessionKey struct{ principal, id string }

// session is what a client application has beside its connections: references, subscriptions, and the order of its
// requests. It outlives a connection for a while.
type session struct {
	server *Server
	key    sessionKey
	quoted []byte // the id as JSON

	conn    atomic.Pointer[conn] // that it is bound to: gets its events
	pending atomic.Int64         // requests that are queued or running
	used    atomic.Int64         // when it was last asked for something, or lost its connection; unix ns
	ended   atomic.Bool          // closed by its client, and not used since
	reads   atomic.Bool          // its principal may not control: it keeps nothing alive

	holds map[*Object]bool // guarded by space.mu

	mu      sync.Mutex
	queue   []*task
	waiting int // tasks that aren't begun: those of queue and of lanes
	bytes   int // of them
	running bool
	lanes   map[string]*lane
	still   *sync.Cond // on mu: a lane has ended
	recent  answers
	hears   map[*Object]struct{} // objects that it subscribed to
}

// Bounds of the requests of a session that wait for the one that is running.
const (
	maxTasks     = 1024
	maxTaskBytes = 4 << 20
)

// task is a request on its way through a session.
type task struct {
	conn    *conn
	session *session // nil: none is known
	request *request
	method  *method
	scope   Scope
	answer  *answer // nil: a notification
}

func (s *session) keeps() bool { return !s.reads.Load() }

func (s *session) touch() { s.used.Store(time.Now().UnixNano()) }

// Event is called while an object's subscribers are told.
func (s *session) Event(ev Event) {
	if c := s.conn.Load(); c != nil {
		s.server.stats.events.Add(1)
		c.send(ev.frame)
	}
}

// bind makes a connection the one that gets the session's events.
func (s *session) bind(c *conn) {
	if old := s.conn.Swap(c); old == nil {
		s.server.space.attention(s)
	}
}

// unbind is told that a connection is over, or belongs to another session now.
func (s *session) unbind(c *conn) {
	if s.conn.CompareAndSwap(c, nil) {
		s.touch()
		s.server.space.attention(s)
	}
}

// listen remembers that the session subscribed to an object.
func (s *session) listen(o *Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hears == nil {
		s.hears = map[*Object]struct{}{}
	}
	s.hears[o] = struct{}{}
}

func (s *session) forget(o *Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.hears, o)
}

// forgetAll ends all subscriptions.
func (s *session) forgetAll() {
	s.mu.Lock()
	heard := s.hears
	s.hears = nil
	s.mu.Unlock()
	for o := range heard {
		o.events.drop(s)
	}
}

// enqueue has a task run after those before it; pending was raised for it. With reader, a task that there is nothing before
// is left to the caller: mine, which calls lead.
func (s *session) enqueue(t *task, reader bool) (mine bool, err error) {
	size := len(t.request.params)
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.request.id != nil {
		old, fresh := s.recent.add(t.request.id, time.Now())
		if !fresh {
			s.pending.Add(-1)
			s.server.stats.duplicates.Add(1)
			if reply := old.reply; reply != nil {
				t.conn.send(reply)
			} else {
				old.wait(t.conn)
			}
			return false, nil
		}
		t.answer = old
	}
	if s.waiting >= maxTasks || s.waiting > 0 && s.bytes+size > maxTaskBytes {
		s.pending.Add(-1)
		if t.answer != nil {
			s.recent.remove(t.answer)
		}
		return false, Errorf(NotEnoughResources, "Too many requests: %d of this session wait already", s.waiting)
	}
	s.waiting++
	s.bytes += size
	if reader && !s.running && !t.method.alone {
		s.running = true
		return true, nil
	}
	s.queue = append(s.queue, t)
	if !s.running {
		s.running = true
		s.server.work.Go(s.run) // its reader is being waited for, so the count isn't zero
	}
	return false, nil
}

// finish sends a reply to whoever asked, and keeps it for who asks again.
func (s *session) finish(t *task, reply []byte) {
	if t.answer == nil {
		return
	}
	s.mu.Lock()
	others := s.recent.done(t.answer, reply, time.Now())
	s.mu.Unlock()
	t.conn.answer(reply)
	for _, c := range others {
		c.send(reply)
	}
}
