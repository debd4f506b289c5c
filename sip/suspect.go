package sip

import (
	"net/netip"
	"sync"
	"time"
)

// Guessing passwords is cut short: a source with suspectFailures wrong ones within suspectWindow is not answered for
// suspectWindow. A phone with a wrong password retries far more slowly.
const (
	suspectFailures = 30
	suspectWindow   = time.Minute
	maxSuspects     = 16384
)

type suspects struct {
	mu     sync.Mutex
	source map[netip.Addr]*suspect
}

type suspect struct {
	failures int
	since    time.Time
}

func newSuspects() *suspects { return &suspects{source: map[netip.Addr]*suspect{}} }

// failed notes a wrong password.
func (s *suspects) failed(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	p := s.source[a]
	if p == nil || now.Sub(p.since) > suspectWindow {
		if len(s.source) >= maxSuspects {
			s.sweep(now)
		}
		p = &suspect{since: now}
		s.source[a] = p
	}
	p.failures++
	if p.failures == suspectFailures {
		p.since = now // the ban runs from here
	}
}

func (s *suspects) sweep(now time.Time) {
	for a, p := range s.source {
		if now.Sub(p.since) > suspectWindow {
			delete(s.source, a)
		}
	}
	if len(s.source) >= maxSuspects {
		clear(s.source) // better to forget than to grow
	}
}

// banned tells whether the source is not answered now.
func (s *suspects) banned(a netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.source[a]
	return p != nil && p.failures >= suspectFailures && time.Since(p.since) <= suspectWindow
}
