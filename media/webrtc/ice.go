package webrtc

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/pion/stun/v4"

	"github.com/patchbay/patchbay/media/udp"
)

// user is credentials in use, and the peers that know them.
type user struct {
	*credentials
	key   stun.MessageIntegrity
	held  bool             // by an endpoint
	peers map[string]party // by the peer's ufrag
}

// checked is a party that takes part in connectivity checks.
type checked interface {
	party
	// check takes an authenticated request. true = the port answers it.
	check(s *socket, u *user, m *stun.Message, raw []byte, from *udp.Addr, now int64) verdictOfCheck
}

// An asker has asked a question by STUN, whose answer it is given.
type asker interface {
	answered(s *socket, m *stun.Message, from *udp.Addr, now int64)
}

// verdictOfCheck says what becomes of a check.
type verdictOfCheck uint8

const (
	ignore   verdictOfCheck = iota // or the party answers itself
	accept                         // answered
	conflict                       // answered with 487 (RFC 8445 7.3.1.1)
)

const (
	ufragSize = 8  // 47 bits
	pwdSize   = 24 // 142 bits
)

// token makes a random string of letters and digits, each evenly likely.
func token(n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	out := make([]byte, 0, n)
	for b := make([]byte, 2*n); len(out) < n; {
		_, _ = rand.Read(b) // crypto/rand never fails
		for _, c := range b {
			if int(c) < 256/len(alphabet)*len(alphabet) && len(out) < n {
				out = append(out, alphabet[int(c)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// enroll makes credentials known.
func (p *Port) enroll() (*credentials, error) {
	c := &credentials{ufrag: token(ufragSize), pwd: token(pwdSize)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("webrtc: the port is closed: %w", net.ErrClosed)
	}
	if p.users[c.ufrag] != nil {
		return nil, errors.New("webrtc: a random ufrag came twice")
	}
	p.users[c.ufrag] = &user{credentials: c, key: stun.NewShortTermIntegrity(c.pwd), held: true, peers: map[string]party{}}
	return c, nil
}

// withdraw says that no SDP has the credentials any more. They go with their last peer.
func (p *Port) withdraw(c *credentials) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if u := p.users[c.ufrag]; u != nil {
		u.held = false
		p.prune(u)
	}
}

func (p *Port) prune(u *user) {
	if !u.held && len(u.peers) == 0 {
		delete(p.users, u.ufrag)
	}
}

// meet lets a peer in under our credentials and its own ufrag.
func (p *Port) meet(c *credentials, theirs string, o party) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.users[c.ufrag]
	if u == nil { // a rollback brings back what was withdrawn
		u = &user{credentials: c, key: stun.NewShortTermIntegrity(c.pwd), peers: map[string]party{}}
		p.users[c.ufrag] = u
	}
	if had := u.peers[theirs]; had != nil && had != o {
		p.prune(u)
		return fmt.Errorf("webrtc: ice-ufrag is %q in two answers, expected different ones", theirs)
	}
	u.peers[theirs] = o
	return nil
}

// part ends that.
func (p *Port) part(c *credentials, theirs string, o party) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if u := p.users[c.ufrag]; u != nil && u.peers[theirs] == o {
		delete(u.peers, theirs)
		p.prune(u)
	}
}

// find looks up both halves of a USERNAME: ours, a colon, theirs.
func (p *Port) find(name []byte) (*user, party) {
	i := 0
	for i < len(name) && name[i] != ':' {
		i++
	}
	if i == len(name) {
		return nil, nil
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	u := p.users[string(name[:i])]
	if u == nil {
		return nil, nil
	}
	return u, u.peers[string(name[i+1:])]
}

// check takes a STUN message. Who doesn't know the password gets no answer: the port is neither an amplifier nor an oracle.
func (s *socket) check(p []byte, from *udp.Addr, now int64) {
	m := &s.request
	m.Raw = append(m.Raw[:0], p...)
	if m.Decode() != nil {
		s.port.drops.stun.Add(1)
		return
	}
	switch m.Type {
	case stun.BindingRequest:
		if stun.Fingerprint.Check(m) != nil || !s.asks(m, p, from, now) {
			s.port.drops.stun.Add(1)
		}
	case stun.BindingSuccess, stun.BindingError:
		s.answers(m, p, from, now)
	default: // indications only keep a NAT's mapping
	}
}

// asks takes a request. false is one that gets no answer.
func (s *socket) asks(m *stun.Message, p []byte, from *udp.Addr, now int64) bool {
	name, err := m.Get(stun.AttrUsername)
	if err != nil {
		return false
	}
	u, o := s.port.find(name)
	c, ok := o.(checked)
	if !ok {
		return false
	}
	var known *bucket
	if at := s.at(from); at != nil {
		known = &at.checks
	}
	b, forged := s.limit.of(known, u.ufrag, from, now)
	if b.good >= maxChecks || b.forged >= forged {
		s.port.drops.limited.Add(1)
		return true
	}
	// Check compares in constant time. What stands behind MESSAGE-INTEGRITY isn't signed, and Decode has dropped it.
	if u.key.Check(m) != nil {
		b.forged++
		return false
	}
	b.good++
	r := &s.reply
	r.Reset()
	r.TransactionID = m.TransactionID
	switch c.check(s, u, m, p, from, now) {
	case accept:
		r.SetType(stun.BindingSuccess)
		r.WriteHeader()
		ip := from.IP()
		err = stun.XORMappedAddress{IP: ip.AsSlice(), Port: int(from.Port())}.AddTo(r)
	case conflict:
		r.SetType(stun.BindingError)
		r.WriteHeader()
		err = stun.CodeRoleConflict.AddTo(r)
	default:
		return true
	}
	if err = errors.Join(err, u.key.AddTo(r), stun.Fingerprint.AddTo(r)); err != nil {
		s.port.cfg.Log.Error("answer connectivity check", "err", err)
		return true
	}
	_ = s.udp.WriteTo(r.Raw, from) // counted by the socket; the peer asks again
	return true
}

// answers takes a response: to a peer's check of ours, or a PeerConnection's own, which knows where it asked.
func (s *socket) answers(m *stun.Message, p []byte, from *udp.Addr, now int64) {
	s.port.mu.RLock()
	asked := s.port.asked[m.TransactionID]
	s.port.mu.RUnlock()
	if asked != nil {
		asked.answered(s, m, from, now)
		return
	}
	o := s.at(from)
	if o == nil {
		return
	}
	o.checks.turn(now)
	if o.checks.forged++; o.checks.forged > maxForgedKnown { // we can't tell whether it is
		s.port.drops.limited.Add(1)
		return
	}
	o.datagram(s, p, from, now)
}

// priority of our checks: that of a peer-reflexive candidate (RFC 8445 7.1.1).
type priority uint32

func (p priority) AddTo(m *stun.Message) error {
	m.Add(stun.AttrPriority, binary.BigEndian.AppendUint32(nil, uint32(p)))
	return nil
}

// role is ICE-CONTROLLING or ICE-CONTROLLED with a tie-breaker.
type role struct {
	attr stun.AttrType
	tie  uint64
}

func (r role) AddTo(m *stun.Message) error {
	m.Add(r.attr, binary.BigEndian.AppendUint64(nil, r.tie))
	return nil
}

// useCandidate nominates.
type useCandidate bool

func (u useCandidate) AddTo(m *stun.Message) error {
	if u {
		m.Add(stun.AttrUseCandidate, nil)
	}
	return nil
}
