package main

import (
	"container/list"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"
)

// Failed logins that a source, and a user, has in a minute; then all others are refused unheard.
const (
	maxFailures   = 5
	failureWindow = time.Minute
	maxSuspects   = 10_000 // of each kind; the one that failed longest ago is forgotten
)

// guesses slows down who tries passwords. Names that nobody has count as those of users do: otherwise the refusals
// would tell which is which. A name that others try is refused to its owner too, for a minute at most: who guesses from
// many places would not be slowed down otherwise.
type guesses struct {
	now func() time.Time

	mu      sync.Mutex
	sources suspects
	users   suspects
}

func newGuesses() *guesses {
	return &guesses{now: time.Now, sources: newSuspects(), users: newSuspects()}
}

// try has a login tested unless there were too many failures; then wait is how long until the next is heard, and ok is false.
// One at a time: none of many at once gets past the limit.
func (g *guesses) try(from netip.Addr, user string, test func() bool) (ok bool, wait time.Duration) {
	source, name := sourceKey(from), sha256.Sum256([]byte(user))
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if wait = max(g.sources.wait(source, now), g.users.wait(name, now)); wait > 0 {
		return false, wait
	}
	if test() {
		return true, 0
	}
	g.sources.failed(source, now)
	g.users.failed(name, now)
	return false, 0
}

// sourceKey is an address; of IPv6 the network that one subscriber has (RFC 6177).
func sourceKey(a netip.Addr) [sha256.Size]byte {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64) // 64 is good for every IPv6 address
		a = p.Addr()
	}
	return sha256.Sum256(a.AsSlice())
}

// suspects are those who failed in the last minute.
type suspects struct {
	by    map[[sha256.Size]byte]*list.Element
	order *list.List // of *suspect, whose last failure is oldest first
}

type suspect struct {
	key    [sha256.Size]byte
	failed []time.Time // oldest first, at most maxFailures
}

func newSuspects() suspects {
	return suspects{by: map[[sha256.Size]byte]*list.Element{}, order: list.New()}
}

// wait is how long until somebody is heard again; 0 = now.
func (s *suspects) wait(key [sha256.Size]byte, now time.Time) time.Duration {
	e := s.by[key]
	if e == nil {
		return 0
	}
	f := e.Value.(*suspect).failed
	if len(f) < maxFailures {
		return 0
	}
	return max(0, failureWindow-now.Sub(f[0]))
}

func (s *suspects) failed(key [sha256.Size]byte, now time.Time) {
	for e := s.order.Front(); e != nil; e = s.order.Front() { // whose failures are over
		x := e.Value.(*suspect)
		if len(s.by) < maxSuspects && now.Sub(x.failed[len(x.failed)-1]) < failureWindow {
			break
		}
		s.order.Remove(e)
		delete(s.by, x.key)
	}
	e := s.by[key]
	if e == nil {
		e = s.order.PushBack(&suspect{key: key})
		s.by[key] = e
	}
	x := e.Value.(*suspect)
	x.failed = append(x.failed, now)
	x.failed = x.failed[max(0, len(x.failed)-maxFailures):]
	s.order.MoveToBack(e)
}
