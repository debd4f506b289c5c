package sip

import (
	"net/netip"
	"sync"
	"time"

	"github.com/patchbay/patchbay/sip/wire"
)

// What nobody has vouched for is read at a bounded pace, before a byte of it is looked at: each source has its own bucket of
// messages, and all together have one, so that a flood from forged addresses leaves the machine to those who are known. What a trunk's
// address begins is bounded too, since that address may be the one that is forged.
const (
	strangerMessages  = 50   // a second, of one source; four seconds' worth at once: an office whose phones all come back
	strangersMessages = 2000 // of all together, two seconds' worth at once
	trunkMessages     = 2000 // of what a trunk's address begins, four seconds' worth at once: more than a carrier's server has calls
	urgentMessages    = 50   // calls for help beyond these bounds, of all together
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
	one, all, trunk float64 // messages a second
	now             func() time.Time

	mu       sync.Mutex
	familiar table[netip.Addr, familiar]
	sources  table[netip.Addr, bucket]
	rest     bucket
	urgent   bucket
}

// familiar is where somebody known is.
type familiar struct {
	at    time.Time // when it was last seen to be
	trunk bool      // a trunk is there
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

func newGate(one, all, trunk int) *gate {
	return &gate{
		one: float64(one), all: float64(all), trunk: float64(trunk), now: time.Now,
		familiar: newTable[netip.Addr, familiar](maxFamiliar), sources: newTable[netip.Addr, bucket](maxStrangers),
	}
}

// pass tells whether a message from an address may be read; "" if it may, else the reason why not. What belongs to a dialog or
// a transaction of ours always may: whoever forges a trunk's address knows none of them.
func (g *gate) pass(from netip.Addr, m *seen) (reason string) {
	from = from.Unmap().WithZone("")
	source := subscriber(from)
	known, trunk := g.familiarTo(source)
	if !known {
		if known, trunk = m.vouched(from); known { // without the lock: it has its own
			g.know(from, trunk)
		}
	}
	switch {
	case trunk && m.belongs(): // first: a call's messages are not counted
		return ""
	case g.take(source, known, trunk), !trunk && m.belongs(), m.urgent() && g.takeUrgent():
		return ""
	case trunk:
		return DropTrunkFlood
	}
	return DropFlood
}

func (g *gate) familiarTo(source netip.Addr) (known, trunk bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.familiar.get(source)
	if f == nil || g.now().Sub(f.at) >= familiarFor {
		return false, false
	}
	return true, f.trunk
}

// take takes a token of the bucket that a source has.
func (g *gate) take(source netip.Addr, known, trunk bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if f := g.familiar.get(source); known && f != nil {
		rate := g.one * phoneMessages
		if trunk {
			rate = g.trunk
		}
		return f.take(rate, rate*strangerSeconds, now)
	}
	// Its own bucket first: who is too fast alone takes nothing from the others.
	return g.sources.touch(source).take(g.one, g.one*strangerSeconds, now) && g.rest.take(g.all, g.all*strangersSeconds, now)
}

func (g *gate) takeUrgent() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.urgent.take(urgentMessages, urgentMessages*strangerSeconds, g.now())
}

// know notes that somebody at an address is known; trunk, that it is no phone.
func (g *gate) know(from netip.Addr, trunk bool) {
	source := subscriber(from)
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.familiar.touch(source)
	f.at, f.trunk = g.now(), f.trunk || trunk
}

// seen is a message that nobody has read yet. Each question to it costs more than the gate itself.
type seen struct {
	front  *Front
	data   []byte
	glance wire.Glance
	looked bool
}

func (s *seen) look() *wire.Glance {
	if !s.looked {
		s.glance, s.looked = wire.Look(s.data), true
	}
	return &s.glance
}

// vouched tells whether a UA expects messages from an address that isn't familiar yet: a trunk's, or one where a phone is registered.
func (s *seen) vouched(a netip.Addr) (known, trunk bool) {
	s.front.mu.RLock()
	uas := s.front.uas
	s.front.mu.RUnlock()
	for _, u := range uas {
		if u.cfg.Knows != nil && u.cfg.Knows(a) {
			return true, true
		}
		known = known || u.cfg.Registrar != nil && u.cfg.Registrar.Knows(a)
	}
	return known, false
}

// belongs tells whether the message is of a dialog of ours, or of a transaction: a response to us, or a request again.
func (s *seen) belongs() bool {
	g, f := s.look(), s.front
	var room [192]byte
	if g.Method == nil {
		key := append(append(append(room[:0], g.Branch()...), '|'), g.CSeq...)
		f.mu.RLock()
		t := f.clients[string(key)]
		f.mu.RUnlock()
		return t != nil && t.callID == string(g.CallID)
	}
	if len(g.ToTag) > 0 {
		key := append(append(append(room[:0], g.CallID...), 0), g.ToTag...)
		f.mu.RLock()
		d := f.dialogs[string(key)]
		f.mu.RUnlock()
		if d != nil {
			return true
		}
	}
	key := g.Key()
	if key == "" {
		return false
	}
	t := f.server(key)
	return t != nil && t.callID == string(g.CallID)
}

// urgent tells whether it is a call for help.
func (s *seen) urgent() bool {
	g := s.look()
	if s.front.cfg.Urgent == nil || string(g.Method) != "INVITE" {
		return false
	}
	uri, err := wire.ParseURI(string(g.URI))
	return err == nil && s.front.cfg.Urgent(uri)
}
