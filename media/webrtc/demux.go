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
	paths map[udp.Addr]party // who has been found to be where

	// The handler's own.
	open           bool
	from           udp.Addr
	request, reply stun.Message
	checks         [1024]bucket
}

// A party has addresses of a socket: a peer of ours, or a PeerConnection.
type party interface {
	// datagram takes what isn't a connectivity check, from an address that the party has.
	datagram(s *socket, p []byte, from *udp.Addr, now int64)
	// live reports whether the party still uses the address.
	live(s *socket, a *udp.Addr, now int64) bool
}

// path is where a peer is.
type path struct {
	socket *socket
	addr   udp.Addr
}

func (p *path) valid() bool { return p.socket != nil }

// bucket counts the checks from some addresses in one second.
type bucket struct{ second, count uint32 }

// maxChecks is how many checks of one address are looked at in a second. Browsers send at most 20 while they connect, and
// one in two seconds later.
const maxChecks = 100

func newSocket(p *Port) *socket {
	return &socket{port: p, ready: make(chan struct{}), paths: map[udp.Addr]party{}}
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
	s.mu.RLock()
	o := s.paths[from]
	s.mu.RUnlock()
	if o == nil {
		s.port.drops.strangers.Add(1)
		return
	}
	o.datagram(s, p, &s.from, now)
}

// Tick does nothing: the port has a ticker.
func (s *socket) Tick(int64) {}

// learn gives an address to a party. An address that another one still uses isn't taken from it: that its packets come from
// there is all that another has shown, and they may be forged.
func (s *socket) learn(a *udp.Addr, o party, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if had := s.paths[*a]; had != nil && had != o && had.live(s, a, now) {
		s.port.drops.taken.Add(1)
		return false
	}
	s.paths[*a] = o
	return true
}

// forget takes an address back.
func (s *socket) forget(a *udp.Addr, o party) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paths[*a] == o {
		delete(s.paths, *a)
	}
}

// allows reports whether another check from there is looked at now. Addresses share buckets; a flood from one may cost a
// few others their checks, for as long as it lasts.
func (s *socket) allows(from *udp.Addr, now int64) bool {
	h := uint32(2166136261)
	ip := from.IP().As16()
	for _, b := range ip {
		h = (h ^ uint32(b)) * 16777619
	}
	h = (h ^ uint32(from.Port())) * 16777619
	b := &s.checks[(h^h>>16)%uint32(len(s.checks))]
	if second := uint32(now / 1e9); b.second != second {
		*b = bucket{second: second}
	}
	b.count++
	return b.count <= maxChecks
}
