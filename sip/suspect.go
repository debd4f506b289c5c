package sip

import (
	"container/list"
	"crypto/sha256"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/patchbay/patchbay/sip/flow"
)

// Guessing passwords is cut short: who has given so many wrong ones within guessWindow isn't heard for guessWindow. One
// name's bound is for one source, so that a phone with an old password silences itself and nobody beside it; that of a
// source is for all names, so that many are not tried in turn. That of a name from everywhere is for those who guess from many
// sources; where the name's owner has been lately it is heard all the same.
const (
	guessesOfName   = 30
	guessesOfAll    = 300 // of one name, from all sources together
	guessesOfSource = 300
	guessWindow     = time.Minute
	provedFor       = 2 * time.Hour // an hour is the longest registration
	maxGuessers     = 16384         // of each kind; who failed longest ago is forgotten
	maxProved       = 65536         // peers; who proved itself longest ago is
	namesOfPeer     = 16            // that one peer proves: a PBX registers several
)

// suspects are who gave wrong passwords lately, and who gave right ones: these are heard whatever their neighbours behind
// the same address do.
type suspects struct {
	now func() time.Time

	mu      sync.Mutex
	names   table[guesser, guesses]
	sources table[netip.Addr, guesses]
	all     table[[sha256.Size]byte, guesses] // by name
	proved  table[origin, proof]
	homes   table[guesser, time.Time] // where a name gave its password, and when last
}

// guesser is a name as one source claims it.
type guesser struct {
	source netip.Addr
	name   [sha256.Size]byte
}

// guesses are the wrong passwords since a time; the last one begins a ban.
type guesses struct {
	count int
	since time.Time
}

// origin is a peer: behind one address each has a port of its own.
type origin struct {
	network string
	at      netip.AddrPort
}

type proof struct {
	names [][sha256.Size]byte // the newest last
	last  time.Time
}

func newSuspects() *suspects {
	return &suspects{
		now: time.Now, names: newTable[guesser, guesses](maxGuessers), sources: newTable[netip.Addr, guesses](maxGuessers),
		all: newTable[[sha256.Size]byte, guesses](maxGuessers), proved: newTable[origin, proof](maxProved), homes: newTable[guesser, time.Time](maxProved),
	}
}

func originOf(fl *flow.Flow) origin { return origin{fl.Network(), fl.Remote()} }

// subscriber is an address; of IPv6 the network that one subscriber has (RFC 6177).
func subscriber(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64) // 64 is good for every IPv6 address
		return p.Addr()
	}
	return a
}

// wait is how long until a peer is heard again; 0 = now. name is whom its credentials claim, "" without.
func (s *suspects) wait(from origin, name string) time.Duration {
	who, source := sha256.Sum256([]byte(name)), subscriber(from.at.Addr())
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if p := s.proved.get(from); p != nil && now.Sub(p.last) < provedFor && (name == "" || slices.Contains(p.names, who)) {
		return 0
	}
	w := s.sources.get(source).wait(guessesOfSource, now)
	if name != "" {
		w = max(w, s.names.get(guesser{source, who}).wait(guessesOfName, now))
		if h := s.homes.get(guesser{source, who}); h == nil || now.Sub(*h) >= provedFor {
			w = max(w, s.all.get(who).wait(guessesOfAll, now))
		}
	}
	return w
}

func (g *guesses) wait(limit int, now time.Time) time.Duration {
	if g == nil || g.count < limit {
		return 0
	}
	return max(0, guessWindow-now.Sub(g.since))
}

// failed notes a wrong password. It tells whether a ban begins with it.
func (s *suspects) failed(from origin, name string) bool {
	who, source := sha256.Sum256([]byte(name)), subscriber(from.at.Addr())
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if p := s.proved.get(from); p != nil { // a peer that knows a password doesn't guess it: another may sit there now
		p.names = slices.DeleteFunc(p.names, func(n [sha256.Size]byte) bool { return n == who })
	}
	a := s.names.touch(guesser{source, who}).add(guessesOfName, now)
	b := s.sources.touch(source).add(guessesOfSource, now)
	c := s.all.touch(who).add(guessesOfAll, now)
	return a || b || c
}

func (g *guesses) add(limit int, now time.Time) bool {
	if g.count == 0 || now.Sub(g.since) > guessWindow {
		*g = guesses{since: now}
	}
	g.count++
	if g.count == limit {
		g.since = now // the ban runs from here
	}
	return g.count == limit
}

// right notes a right password.
func (s *suspects) right(from origin, name string) {
	who := sha256.Sum256([]byte(name))
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.proved.touch(from)
	p.last = s.now()
	*s.homes.touch(guesser{subscriber(from.at.Addr()), who}) = p.last
	p.names = append(slices.DeleteFunc(p.names, func(n [sha256.Size]byte) bool { return n == who }), who)
	p.names = p.names[max(0, len(p.names)-namesOfPeer):]
}

// gone forgets what a peer proved: its connection has ended, and its port may become another's.
func (s *suspects) gone(from origin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proved.forget(from)
}

// table is a bounded map: who hasn't been touched for longest makes room.
type table[K comparable, V any] struct {
	max   int
	by    map[K]*list.Element
	order *list.List // of *row[K, V], that touched longest ago first
}

type row[K comparable, V any] struct {
	key   K
	value V
}

func newTable[K comparable, V any](n int) table[K, V] {
	return table[K, V]{max: n, by: map[K]*list.Element{}, order: list.New()}
}

// get is nil for who isn't there.
func (t *table[K, V]) get(k K) *V {
	if e := t.by[k]; e != nil {
		return &e.Value.(*row[K, V]).value
	}
	return nil
}

func (t *table[K, V]) touch(k K) *V {
	e := t.by[k]
	if e == nil {
		if len(t.by) >= t.max {
			t.forget(t.order.Front().Value.(*row[K, V]).key)
		}
		e = t.order.PushBack(&row[K, V]{key: k})
		t.by[k] = e
	}
	t.order.MoveToBack(e)
	return &e.Value.(*row[K, V]).value
}

func (t *table[K, V]) forget(k K) {
	if e := t.by[k]; e != nil {
		t.order.Remove(e)
		delete(t.by, k)
	}
}
