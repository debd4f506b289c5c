package rpc

import (
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
)

// maxSessionID bounds what a client chooses, in bytes.
const maxSessionID = 256

// resolve finds the session that a request belongs to and raises its count of pending requests: the one that it names, or
// the connection's, or a new one. A session that is named is bound to the connection.
func (c *conn) resolve(id string) (*session, error) {
	if s := c.session; s != nil && (id == "" || id == s.key.id) {
		s.pending.Add(1)
		if s.conn.Load() == c { // so it isn't swept
			return s, nil
		}
		s.pending.Add(-1)
	}
	if id == "" {
		id = uuid.NewString()
	}
	if len(id) > maxSessionID {
		return nil, Errorf(BadEnvelope, "'sessionId' parameter has %d bytes, may have %d", len(id), maxSessionID)
	}
	s, err := c.server.open(sessionKey{c.who.Name, id}, c)
	if err != nil {
		return nil, err
	}
	c.adopt(s)
	return s, nil
}

// adopt binds a session to the connection, in place of the one before.
func (c *conn) adopt(s *session) {
	if old := c.session; old != nil && old != s {
		old.unbind(c)
	}
	c.session = s
	s.bind(c)
}

// known finds a session that is there already, and raises its count of pending requests; nil if there is none.
func (c *conn) known(id string) *session {
	srv := c.server
	srv.mu.Lock()
	defer srv.mu.Unlock()
	s := srv.sessions[sessionKey{c.who.Name, id}]
	if s == nil || s.ended.Load() {
		return nil
	}
	s.pending.Add(1)
	return s
}

// open finds or makes a session for a connection, and raises its count of pending requests.
func (s *Server) open(key sessionKey, c *conn) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.sessions[key]; x != nil {
		x.pending.Add(1)
		return x, nil
	}
	if len(s.sessions) >= s.cfg.MaxSessions && !s.evict(maps.Values(s.sessions)) {
		return nil, Errorf(NotEnoughResources, "No session can be opened: there are %d already", s.cfg.MaxSessions)
	}
	p := c.standing
	if most := c.who.Quota.Sessions; most > 0 && len(p.sessions) >= most && !s.evict(maps.Keys(p.sessions)) {
		return nil, Errorf(NotEnoughResources, "No session can be opened: you have %d already", most)
	}
	x := &session{server: s, key: key, quoted: quote(key.id), holds: map[*Object]bool{}, recent: answers{all: &s.remembered}}
	x.still = sync.NewCond(&x.mu)
	x.reads.Store(!c.who.Roles.Grant(Control))
	x.pending.Store(1)
	x.touch()
	s.sessions[key] = x
	p.sessions[x] = struct{}{}
	return x, nil
}

// idle reports whether a session can go without anybody missing it: no connection, no requests, nothing to keep.
func (s *session) idle() bool {
	if s.conn.Load() != nil || s.pending.Load() != 0 {
		return false
	}
	s.server.space.mu.RLock()
	defer s.server.space.mu.RUnlock()
	return len(s.holds) == 0
}

// maxEvict is how many sessions are looked at to find one that can go.
const maxEvict = 1000

// evict makes room by ending one of these sessions that nobody would miss; s.mu is held.
func (s *Server) evict(among iter.Seq[*session]) bool {
	looked := 0
	for x := range among { // in no order, so that another part is looked at next time
		if x.idle() {
			s.forget(x)
			x.forgetAll()
			return true
		}
		if looked++; looked == maxEvict {
			break
		}
	}
	return false
}

// forget takes a session out of the table; s.mu is held.
func (s *Server) forget(x *session) {
	if s.sessions[x.key] != x {
		return
	}
	delete(s.sessions, x.key)
	delete(s.standing(x.key.principal).sessions, x)
	x.mu.Lock()
	x.recent.drop()
	x.mu.Unlock()
}

// trim has all sessions forget answers that nobody can ask for any more: one that is idle doesn't by itself.
func (s *Server) trim(now time.Time) {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.sessions))
	s.mu.Unlock()
	for _, x := range all {
		x.mu.Lock()
		x.recent.trim(now)
		x.mu.Unlock()
	}
}

// sweep ends sessions that have been without a connection for too long, and connections whose principal has expired.
func (s *Server) sweep() {
	tick := time.NewTicker(min(max(s.cfg.Keep/8, 10*time.Millisecond), 10*time.Second))
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case now := <-tick.C:
			s.expire(now)
			s.trim(now)
			for _, x := range s.overdue(now) {
				held := s.space.holdings(x)
				s.space.unreferAll(x, false)
				s.log.Info("session ended: its connection is gone", "session", x.key.id, "principal", x.key.principal, "objects", held)
			}
		}
	}
}

// overdue takes sessions out of the table whose time is over.
func (s *Server) overdue(now time.Time) []*session {
	before := now.Add(-s.cfg.Keep).UnixNano()
	var out []*session
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.sessions {
		if x.conn.Load() == nil && x.pending.Load() == 0 && (x.ended.Load() || x.used.Load() < before) {
			s.forget(x)
			out = append(out, x)
		}
	}
	for name, p := range s.principals {
		if p.connections == 0 && len(p.sessions) == 0 && p.rate.full(now) {
			delete(s.principals, name)
		}
	}
	return out
}

// expire closes the connections of principals whose time is over.
func (s *Server) expire(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if t := c.who.Expires; !t.IsZero() && !now.Before(t) {
			c.end(websocket.ClosePolicyViolation, "the token has expired")
		}
	}
}

func (s *Space) holdings(by *session) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(by.holds)
}

// Sessions lists the ids of the client's sessions, of everybody's for an admin; those of other clients are no business of
// its. In order of their ids.
func (s Scope) Sessions() []string {
	if s.by == nil {
		return nil
	}
	srv := s.by.server
	var out []string
	srv.mu.Lock()
	for key, x := range srv.sessions {
		if (s.all || key.principal == s.by.key.principal) && !x.ended.Load() {
			out = append(out, key.id)
		}
	}
	srv.mu.Unlock()
	slices.Sort(out)
	return out
}

// Session is the id of the client's session; "" for the program itself.
func (s Scope) Session() string {
	if s.by == nil {
		return ""
	}
	return s.by.key.id
}

// bucket bounds a rate.
type bucket struct {
	left float64
	at   time.Time
	size float64
}

// take reports whether n more fit a rate per second; a burst may be of two seconds' worth, and of n at least. The
// caller locks.
func (b *bucket) take(n, rate float64, now time.Time) bool {
	b.size = max(2*rate, 1)
	if b.at.IsZero() {
		b.left = b.size
	} else {
		b.left = min(b.size, b.left+now.Sub(b.at).Seconds()*rate)
	}
	b.at = now
	if b.left < min(n, b.size) {
		return false
	}
	b.left -= n
	return true
}

// full reports whether nothing is lost when the bucket is forgotten.
func (b *bucket) full(now time.Time) bool {
	return b.at.IsZero() || now.Sub(b.at) > time.Minute
}
