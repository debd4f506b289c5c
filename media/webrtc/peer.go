package webrtc

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/pion/stun/v4"

	"github.com/patchbay/patchbay/media/udp"
)

var errShort = errors.New("webrtc: packet is shorter than a header")

const (
	consentEvery = 5 * time.Second       // between our checks, where the peer makes none
	firstRetry   = 50 * time.Millisecond // of a check; it doubles
	lastRetry    = 1600 * time.Millisecond
)

// check takes an authenticated request (RFC 8445 7.3): a path that may be used, a sign of consent, with USE-CANDIDATE a
// nomination.
func (p *peer) check(s *socket, u *user, m *stun.Message, _ []byte, from *udp.Addr, now int64) verdictOfCheck {
	p.mu.Lock()
	mine := stun.AttrICEControlled
	if p.control {
		mine = stun.AttrICEControlling
	}
	// Two lite sides both ask, and both say that they control.
	if m.Contains(mine) && !(p.lite && p.control) {
		p.mu.Unlock()
		return conflict
	}
	ok := p.validate(s, u.credentials, from, m.Contains(stun.AttrUseCandidate), now)
	back := ok && p.port.cfg.Check && !p.probe.done && !p.lite
	if back {
		p.probe.to = []netip.AddrPort{from.AddrPort()}
	}
	p.mu.Unlock()
	if !ok {
		return ignore
	}
	if back {
		p.ask()
	}
	return accept
}

// validate notes a path that a check has shown to be the peer's. The caller holds mu.
func (p *peer) validate(s *socket, c *credentials, from *udp.Addr, use bool, now int64) bool {
	if p.closed {
		return false
	}
	at := path{s, *from}
	known := false
	for _, a := range p.paths {
		known = known || a == at
	}
	if !known {
		if !s.learn(from, p, now) {
			return false
		}
		p.admit(at)
	}
	p.seen.Store(now)
	p.stats.Checks++
	if c == p.now.ours && use && p.was.ours != nil { // the restarted session is nominated
		was := p.was
		p.was = pairing{}
		p.port.part(was.ours, was.theirs.ufrag, p)
	}
	if !p.path.valid() || use && p.path != at {
		p.move(at)
	}
	if p.state == disconnected {
		p.state = connected
		p.nominated()
		p.out.Lock()
		p.out.quiet = false
		p.out.Unlock()
	}
	if p.client && !p.shaken {
		p.shake(from.IP())
	}
	return true
}

// admit adds a validated path; the oldest that isn't in use makes room.
func (p *peer) admit(at path) {
	if len(p.paths) == maxPaths {
		i := 0
		if p.paths[0] == p.path {
			i = 1
		}
		old := p.paths[i]
		old.socket.forget(&old.addr, p)
		p.paths = append(p.paths[:i], p.paths[i+1:]...)
	}
	p.paths = append(p.paths, at)
}

// move sends to another address from here on. The caller holds mu.
func (p *peer) move(at path) {
	if p.path.valid() {
		p.stats.Moves++
	}
	p.path = at
	p.out.Lock()
	p.out.path = at
	p.out.Unlock()
	p.nominated()
}

// nominated tells the path that is used. The caller holds mu.
func (p *peer) nominated() {
	local := p.port.main()
	for _, a := range p.port.addresses {
		if p.path.socket.takes(a.Addr()) {
			local = a
			break
		}
	}
	from := p.path.addr.AddrPort()
	p.r.Network(p, netFound, PairSelected{
		Local:  "candidate:" + candidate(0, local),
		Remote: fmt.Sprintf("candidate:0 1 udp %d %s %d typ prflx", 110<<24|65535<<8|255, from.Addr(), from.Port()),
	})
}

// probe is a check of ours: towards a peer that is lite too, or in answer to each of its checks if the port's Check is set.
type probe struct {
	to    []netip.AddrPort
	id    [stun.TransactionIDSize]byte
	retry time.Duration
	timer *time.Timer
	done  bool // it was answered
}

func (q *probe) stop() {
	if q.timer != nil {
		q.timer.Stop()
	}
}

// ask sends a check to all of the probe's addresses, and again until it is answered.
func (p *peer) ask() {
	p.mu.Lock()
	if p.closed || len(p.probe.to) == 0 {
		p.mu.Unlock()
		return
	}
	old := p.probe.id
	p.probe.id = stun.NewTransactionID()
	p.probe.retry = firstRetry
	id := p.probe.id
	p.mu.Unlock()
	p.port.mu.Lock()
	delete(p.port.asked, old)
	p.port.asked[id] = p
	p.port.mu.Unlock()
	p.repeat()
}

// repeat sends the check. Where the peer asks too, its checks are what repeats ours.
func (p *peer) repeat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	r := role{stun.AttrICEControlled, p.tie}
	if p.control {
		r.attr = stun.AttrICEControlling
	}
	m, err := stun.Build(stun.BindingRequest, stun.NewTransactionIDSetter(p.probe.id),
		stun.NewUsername(p.now.theirs.ufrag+":"+p.now.ours.ufrag), priority(110<<24|65535<<8|255), r,
		useCandidate(p.control), stun.NewShortTermIntegrity(p.now.theirs.pwd), stun.Fingerprint)
	if err != nil {
		p.port.cfg.Log.Error("write connectivity check", "err", err)
		return
	}
	for _, a := range p.probe.to {
		for _, s := range p.port.sockets {
			if s.takes(a.Addr()) {
				to := udp.From(a)
				_ = s.udp.WriteTo(m.Raw, &to) // it goes out again
				break
			}
		}
	}
	if !p.lite {
		return
	}
	p.probe.stop()
	if p.probe.retry <= lastRetry*16 {
		p.probe.timer = time.AfterFunc(min(p.probe.retry, lastRetry), func() {
			p.mu.Lock()
			again := !p.closed && p.port.waits(p)
			p.mu.Unlock()
			if again {
				p.repeat()
			}
		})
		p.probe.retry *= 2
	}
}

// waits reports whether the peer's check has no answer yet.
func (p *Port) waits(o *peer) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.asked[o.probe.id] == o
}

// answered takes the response to a check of ours.
func (p *peer) answered(s *socket, m *stun.Message, from *udp.Addr, now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || m.TransactionID != p.probe.id || stun.NewShortTermIntegrity(p.now.theirs.pwd).Check(m) != nil {
		s.port.drops.stun.Add(1)
		return
	}
	if m.Type != stun.BindingSuccess {
		return // a role conflict: the peer's own checks will do
	}
	p.probe.done = true
	p.probe.stop()
	s.port.mu.Lock()
	delete(s.port.asked, m.TransactionID)
	s.port.mu.Unlock()
	p.validate(s, p.now.ours, from, p.control, now)
}
