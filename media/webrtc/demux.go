package webrtc

import (
	"net/netip"
	"sync"

	"github.com/pion/stun/v4"

	"github.com/patchbay/patchbay/media/udp"
)

// socket is one of a port's. Its handler's calls come one after another.
type socket struct {
	port  *Port
	udp   *udp.Socket
	ready chan struct{} // closed once udp is known

	mu    sync.RWMutex
	paths map[udp.Addr]*resident // who has been found to be where
	moved uint32                 // how often paths was changed

	// The handler's own.
	coming         foreseen
	open           bool
	from           udp.Addr
	request, reply stun.Message
	limit          limiter
}

// resident is a party at an address, and the checks from there; these are the handler's.
type resident struct {
	party
	checks bucket
}

// A party has addresses of a socket: a peer of ours, or a PeerConnection.
type party interface {
	// datagram takes what isn't a connectivity check, from an address that the party has.
	datagram(s *socket, p []byte, from *udp.Addr, now int64)
	// live reports whether the party still uses the address.
	live(s *socket, a *udp.Addr, now int64) bool
	// warm has the processor fetch what the party's next packet touches, one step at a time: what a step finds out where to
	// look the one before has fetched.
	warm(step int)
}

// foreseen is who the next datagrams come from.
type foreseen struct {
	from  []udp.Addr
	who   []*resident
	next  int
	moved uint32
}

// warmSteps is how many steps a party has for warm.
const warmSteps = 3

// Foresee looks up who the next datagrams are from, and has what all of them will touch fetched side by side.
func (s *socket) Foresee(from []udp.Addr) {
	c := &s.coming
	c.from, c.who, c.next = from, c.who[:0], 0
	s.mu.RLock()
	c.moved = s.moved
	for i := range from {
		c.who = append(c.who, s.paths[from[i]])
	}
	s.mu.RUnlock()
	for step := range warmSteps {
		for _, o := range c.who {
			if o != nil {
				o.warm(step)
			}
		}
	}
}

// path is where a peer is.
type path struct {
	socket *socket
	addr   udp.Addr
}

func (p *path) valid() bool { return p.socket != nil }

func newSocket(p *Port) *socket {
	s := &socket{port: p, ready: make(chan struct{}), paths: map[udp.Addr]*resident{}}
	s.limit.init()
	return s
}

// takes reports whether the socket can send to an address.
func (s *socket) takes(a netip.Addr) bool {
	at := s.udp.LocalAddr().Addr()
	return a.Unmap().Is4() == at.Is4()
}

// Datagram sorts by the first byte (RFC 7983) and the remote address: nothing but a check that knows a password makes an
// address known.
func (s *socket) Datagram(p []byte, from udp.Addr, now int64) {
	s.from = from // in one place, so that it needn't be allocated for each
	if !s.open {
		select {
		case <-s.ready:
			s.open = true
		default:
			return
		}
	}
	switch {
	case len(p) < 12:
		s.port.drops.other.Add(1)
		return
	case p[0] < 4:
		s.check(p, &s.from, now)
		return
	case p[0] >= 20 && p[0] < 64, p[0] >= 128 && p[0] < 192:
	default:
		s.port.drops.other.Add(1)
		return
	}
	o := s.at(&s.from)
	if o == nil {
		s.port.drops.strangers.Add(1)
		return
	}
	o.datagram(s, p, &s.from, now)
}

// at is who has an address, nil if nobody.
func (s *socket) at(from *udp.Addr) *resident {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for c := &s.coming; c.next < len(c.who); {
		i := c.next
		c.next++
		if c.from[i] == *from {
			if c.moved == s.moved {
				return c.who[i]
			}
			break
		}
	}
	return s.paths[*from]
}

// Tick does nothing: the port has a ticker.
func (s *socket) Tick(int64) {}

// learn gives an address to a party. An address that another one still uses isn't taken from it: that its packets come from
// there is all that another has shown, and they may be forged.
func (s *socket) learn(a *udp.Addr, o party, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	had := s.paths[*a]
	switch {
	case had != nil && had.party == o:
		return true
	case had != nil && had.live(s, a, now):
		s.port.drops.taken.Add(1)
		return false
	}
	s.paths[*a] = &resident{party: o}
	s.moved++
	return true
}

// forget takes an address back.
func (s *socket) forget(a *udp.Addr, o party) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if had := s.paths[*a]; had != nil && had.party == o {
		delete(s.paths, *a)
		s.moved++
	}
}
