package sip

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/patchbay/patchbay/sip/flow"
	"github.com/patchbay/patchbay/sip/wire"
)

// Some phones give up at a challenge whose algorithm they don't know, though one that they know follows (against RFC 8760
// 2.4). Who has been asked by several algorithms, and asks again without an answer, is asked by the simplest from then on: its
// owner sees one failed try and not a dead phone.
const (
	puzzledAfter = time.Second // a phone that has an answer gives it sooner
	puzzledFor   = 2 * time.Hour
	maxPuzzled   = 16384 // peers; who was asked longest ago is forgotten
)

// puzzled are the peers that were asked by several algorithms.
type puzzled struct {
	now func() time.Time

	mu    sync.Mutex
	peers table[asker, question]
}

// asker is who asks: behind one proxy there are many.
type asker struct {
	origin
	from [sha256.Size]byte
}

func askerOf(fl *flow.Flow, m *wire.Message) asker {
	return asker{originOf(fl), sha256.Sum256([]byte(m.From.URI.String()))}
}

// question is what a peer was asked.
type question struct {
	at     time.Time // by several algorithms, first of those without an answer
	simple bool      // it is asked by one now
}

func newPuzzled() *puzzled {
	return &puzzled{now: time.Now, peers: newTable[asker, question](maxPuzzled)}
}

// asked tells whether a peer that is about to be challenged should be asked simply; tried, that it did give some answer.
func (p *puzzled) asked(from asker, tried bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	q := p.peers.touch(from)
	switch {
	case q.at.IsZero() || now.Sub(q.at) > puzzledFor || tried && !q.simple:
		*q = question{at: now}
	case !q.simple:
		q.simple = now.Sub(q.at) >= puzzledAfter
	}
	if q.simple {
		q.at = now
	}
	return q.simple
}

// answered notes the right answer: who can answer several is asked so again.
func (p *puzzled) answered(from asker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if q := p.peers.get(from); q != nil && !q.simple {
		p.peers.forget(from)
	}
}
