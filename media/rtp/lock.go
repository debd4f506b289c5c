package rtp

import (
	"time"

	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/udp"
)

const (
	probation = 4                      // packets in sequence that lock the source
	window    = int64(3 * time.Second) // in which they must come
)

// lock decides whose packets are the peer's. Packets of the pair that the SDP names flow at once. A pair gets the lock
// after four packets in sequence if its IP address is the SDP's or the signalling's; from then on no other pair gets in,
// until there is new SDP. While the named pair sends, no other can get the lock.
type lock struct {
	named      [2]udp.Addr // the SDP's pair; the pair that had the lock before new SDP
	signalling udp.Addr    // its IP address counts
	barred     []udp.Addr  // pairs of other early dialogs
	open       bool        // any address may be the peer's, until one has the lock
	held       bool
	pair       udp.Addr // who holds it, or held it last
	heard      int64    // when a named pair sent last, 0 = never
	waiting    [4]candidate
}

// candidate is a pair that may get the lock.
type candidate struct {
	from  udp.Addr
	began int64
	ssrc  uint32
	next  uint16
	count int
}

// reopen begins anew after SDP. keep says that it is the same peer's: whoever held the lock flows on meanwhile.
func (l *lock) reopen(signalled udp.Addr, barred []udp.Addr, keep, open bool) {
	named := [2]udp.Addr{signalled}
	if keep && l.pair.IsValid() {
		named[1] = l.pair
	}
	*l = lock{named: named, signalling: l.signalling, barred: barred, open: open}
	if keep {
		l.pair = named[1]
	}
}

// admit says whether a packet is the peer's, and whether its pair has just got the lock.
func (l *lock) admit(from *udp.Addr, h *rtpstream.Header, now int64) (ok, locked bool) {
	if l.held {
		return *from == l.pair, false
	}
	named := *from == l.named[0] || *from == l.named[1]
	if named {
		l.heard = now
	} else if !l.eligible(from) || l.heard != 0 && now-l.heard < window {
		return false, false
	}
	c := l.candidate(from, now)
	if c.count == 0 || c.ssrc != h.SSRC || c.next != h.Seq {
		c.began, c.count = now, 0
	}
	c.ssrc, c.next = h.SSRC, h.Seq+1
	if c.count++; c.count < probation {
		return named, false
	}
	l.held, l.pair, l.waiting = true, *from, [4]candidate{}
	return true, true
}

// eligible reports whether an IP address may be the peer's.
func (l *lock) eligible(from *udp.Addr) bool {
	for i := range l.barred {
		if l.barred[i] == *from {
			return false
		}
	}
	return l.open || from.SameIP(&l.named[0]) || from.SameIP(&l.named[1]) || from.SameIP(&l.signalling)
}

// candidate finds the pair's place, or gives it the one that waited longest.
func (l *lock) candidate(from *udp.Addr, now int64) *candidate {
	oldest := &l.waiting[0]
	for i := range l.waiting {
		c := &l.waiting[i]
		if c.from == *from {
			if now-c.began > window {
				c.count = 0
			}
			return c
		}
		if c.began < oldest.began {
			oldest = c
		}
	}
	*oldest = candidate{from: *from, began: now}
	return oldest
}

// trusts reports whether RTCP may come from there: the IP address of whoever holds the lock, else of the named pairs.
func (l *lock) trusts(from *udp.Addr) bool {
	if l.held {
		return from.SameIP(&l.pair)
	}
	return from.SameIP(&l.named[0]) || from.SameIP(&l.named[1])
}
