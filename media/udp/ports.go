package udp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrExhausted is OpenPair's error when a range has no pair left.
var ErrExhausted = errors.New("no free port pair")

const defaultHold = 5 * time.Second

// PortsConfig is the settings of a port range.
type PortsConfig struct {
	// Min and Max bound the range, both included, 1 to 65535. It holds the
	// pairs of an even port and the odd one above it that lie wholly inside.
	Min, Max uint16
	// Hold is how long a pair stays out of use after a call if a packet came
	// in the call's last second, so that stale media can't reach the next
	// call; 0 is 5 s, a negative value is no time.
	Hold time.Duration
}

// Ports hands out pairs of ports of one media IP address, in random order: an
// attacker can't guess the next call's port, and a port comes back late. It
// may be used from any goroutine.
type Ports struct {
	min, max uint16
	hold     int64

	mu   sync.Mutex
	free []uint16 // even ports, in no order
	held []held   // oldest first: hold is the same for all, so due is sorted
	used int
}

type held struct {
	port uint16
	due  int64
}

// NewPorts makes a range. Use one per media IP address.
func NewPorts(cfg PortsConfig) (*Ports, error) {
	first, last := int(cfg.Min)+int(cfg.Min)%2, int(cfg.Max)
	if cfg.Min == 0 || first+1 > last {
		return nil, fmt.Errorf("udp: port range is %d-%d, expected a range within 1-65535 that holds an even port and the odd one above it", cfg.Min, cfg.Max)
	}
	p := &Ports{min: cfg.Min, max: cfg.Max, hold: int64(cfg.Hold)}
	switch {
	case cfg.Hold == 0:
		p.hold = int64(defaultHold)
	case cfg.Hold < 0:
		p.hold = 0
	}
	for port := first; port+1 <= last; port += 2 {
		p.free = append(p.free, uint16(port))
	}
	p.held = make([]held, 0, len(p.free))
	return p, nil
}

// PortsStats counts pairs.
type PortsStats struct {
	Free int // can be taken now
	Used int // a call has them
	Held int // wait for stale media to end, or another program has them
}

// Stats counts the pairs as they are now.
func (p *Ports) Stats() PortsStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reclaim(Now())
	return PortsStats{Free: len(p.free), Used: p.used, Held: len(p.held)}
}

// String is the range as it was configured: "16384-32767".
func (p *Ports) String() string { return fmt.Sprintf("%d-%d", p.min, p.max) }

// take removes a random free pair.
func (p *Ports) take(now int64) (uint16, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reclaim(now)
	if len(p.free) == 0 {
		return 0, fmt.Errorf("%w: range %s has %d pairs in use and %d held", ErrExhausted, p, p.used, len(p.held))
	}
	i := rand.IntN(len(p.free))
	last := len(p.free) - 1
	port := p.free[i]
	p.free[i] = p.free[last]
	p.free = p.free[:last]
	p.used++
	return port, nil
}

// give takes a pair back, at once or after the hold time.
func (p *Ports) give(port uint16, hold bool, now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used--
	if hold && p.hold > 0 {
		p.held = append(p.held, held{port, now + p.hold})
		return
	}
	p.free = append(p.free, port)
}

// reclaim frees what has been held long enough. Time passes at take and Stats:
// nothing else can see the difference, so there is no timer.
func (p *Ports) reclaim(now int64) {
	n := 0
	for n < len(p.held) && p.held[n].due <= now {
		p.free = append(p.free, p.held[n].port)
		n++
	}
	p.held = append(p.held[:0], p.held[n:]...)
}

// pair gives two ports back when the last of their sockets is closed.
type pair struct {
	ports  *Ports
	port   uint16
	open   atomic.Int32 // sockets of the pair that are bound
	recent atomic.Bool  // one of them had a packet in its last second
	taken  bool         // the kernel says another socket has the odd port
}

// done is called once by each socket, after its descriptor is closed.
func (p *pair) done(recent bool) {
	if recent {
		p.recent.Store(true)
	}
	if p.open.Add(-1) == 0 {
		p.ports.give(p.port, p.taken || p.recent.Load(), Now())
	}
}

// abandon gives the ports back when not even the first socket could be bound.
// Ports that another program has are held, not freed, to be tried later.
func (p *pair) abandon(err error) {
	p.ports.give(p.port, errors.Is(err, syscall.EADDRINUSE), Now())
}
