package sip

import (
	"net/netip"
	"sync"
	"time"
)

// What nobody has vouched for is read at a bounded pace, before a byte of it is looked at: each source has its own bucket of
// messages, and all together have one, so that a flood from forged addresses leaves the machine to those who are known.
const (
	strangerMessages  = 50   // a second, of one source; four seconds' worth at once: an office whose phones all come back
	strangersMessages = 2000 // of all together, two seconds' worth at once
	strangerSeconds   = 4
	strangersSeconds  = 2
	phoneMessages     = 20    // times as many as a stranger's of one source: there are phones, and who else is behind that address
	maxStrangers      = 16384 // sources; who was heard of longest ago is forgotten
	maxFamiliar       = 65536
	familiarFor       = 2 * time.Hour // an hour is the longest registration
)

// gate keeps the pace of strangers. Familiar is an address, of IPv6 a network of 64 bits, where a peer has shown who it is, a
// trunk's calls come from, or where we have sent a request.
type gate struct {
	one, all float64 // messages a second
	now      func() time.Time

	mu       sync.Mutex
	familiar table[netip.Addr, familiar]
	sources  table[netip.Addr, bucket]
	rest     bucket
}

// familiar is where somebody known is.
type familiar struct {
	at    time.Time // when it was last seen to be
	trunk bool      // a trunk is there, which has bounds of its own
	bucket
}

// bucket is a token bucket; the zero value is full.
type bucket struct {
	level float64
	last  time.Time
}

// take takes one token of a bucket that fills at a rate up to a size.
func (b *bucket) take(rate, size float64, now time.Time) bool {
	if b.last.IsZero() {
		b.level = size
	} else {
		b.level = min(size, b.level+rate*now.Sub(b.last).Seconds())
	}
	b.last = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}

func newGate(one, all int) *gate {
	return &gate{
		one: float64(one), all: float64(all), now: time.Now,
		familiar: newTable[netip.Addr, familiar](maxFamiliar), sources: newTable[netip.Addr, bucket](maxStrangers),
	}
}

// pass tells whether a message from an address may be read. vouched is asked about those that aren't familiar yet.
func (g *gate) pass(from netip.Addr, vouched func(netip.Addr) (known, trunk bool)) bool {
	from = from.Unmap().WithZone("")
	source := subscriber(from)
	if ok, known := g.usual(source); known {
		return ok
	}
	if known, trunk := vouched(from); known { // without the lock: it has its own
		g.know(from, trunk)
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	// Its own bucket first: who is too fast alone takes nothing from the others.
	return g.sources.touch(source).take(g.one, g.one*strangerSeconds, now) && g.rest.take(g.all, g.all*strangersSeconds, now)
}

// usual is pass for who is familiar.
func (g *gate) usual(source netip.Addr) (ok, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	f := g.familiar.get(source)
	if f == nil || now.Sub(f.at) >= familiarFor {
		return false, false
	}
	return f.trunk || f.take(g.one*phoneMessages, g.one*phoneMessages*strangerSeconds, now), true
}

// know notes that somebody at an address is known; trunk, that it is no phone.
func (g *gate) know(from netip.Addr, trunk bool) {
	source := subscriber(from)
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.familiar.touch(source)
	f.at, f.trunk = g.now(), f.trunk || trunk
}

// vouched tells whether a UA expects messages from an address: a trunk's, or one where a phone is registered.
func (f *Front) vouched(a netip.Addr) (known, trunk bool) {
	f.mu.RLock()
	uas := f.uas
	f.mu.RUnlock()
	for _, u := range uas {
		if u.cfg.Knows != nil && u.cfg.Knows(a) {
			return true, true
		}
		known = known || u.cfg.Registrar != nil && u.cfg.Registrar.Knows(a)
	}
	return known, false
}
