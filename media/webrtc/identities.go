package webrtc

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// How many certificates wait to be taken, and for how long: making one on P-256 takes a tenth of a millisecond, one with an RSA key
// a tenth of a second and more.
const (
	readyECDSA = 64
	readyRSA   = 4
	readyTime  = 24 * time.Hour
	readyCheck = time.Hour // for those that have waited too long
	restRSA    = 4         // times as long as making an RSA key took: clients that want many don't get a processor for it
)

// identities are a port's. An endpoint has its own, so that peers can't tell by it that they speak to one machine, unless its
// Config says that this doesn't matter: then it has the day's. A goroutine makes them ahead, and nobody waits for it.
type identities struct {
	log  *slog.Logger
	wake chan struct{} // something was taken
	rest int           // times as long as making an RSA key took

	mu    sync.Mutex
	ready [RSA + 1][]*identity // by key, oldest first
	most  [RSA + 1]int
	day   [RSA + 1]*identity // that endpoints share, for readyTime
}

// init makes the first, and tells if that can't be done. The RSA pool begins when one is first asked for, or at once.
func (p *identities) init(cfg *PortConfig) error {
	p.log, p.wake, p.rest = cfg.Log, make(chan struct{}, 1), max(cfg.rest, 0)
	p.most[ECDSA] = readyECDSA
	if cfg.RSA {
		p.most[RSA] = readyRSA
	}
	return p.add(ECDSA)
}

// shared is the day's.
func (p *identities) shared(k Key) (*identity, error) {
	p.mu.Lock()
	it := p.day[k]
	p.mu.Unlock()
	if it != nil && time.Since(it.made) < readyTime {
		return it, nil
	}
	it, err := p.get(k)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.day[k] = it
	return it, nil
}

// get takes one that nobody had. It never waits: where none is ready it makes an ECDSA one.
func (p *identities) get(k Key) (*identity, error) {
	it := p.take(k)
	if it == nil && k == RSA {
		it = p.take(ECDSA)
	}
	if it != nil {
		return it, nil
	}
	it, err := newIdentity(ECDSA)
	if err != nil {
		return nil, fmt.Errorf("webrtc: make certificate: %w", err)
	}
	return it, nil
}

func (p *identities) take(k Key) *identity {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k == RSA {
		p.most[RSA] = readyRSA
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
	p.forget(k, time.Now())
	if len(p.ready[k]) == 0 {
		return nil
	}
	it := p.ready[k][0]
	p.ready[k][0] = nil
	p.ready[k] = p.ready[k][1:]
	return it
}

// forget drops those that have waited too long. The caller holds mu.
func (p *identities) forget(k Key, now time.Time) {
	for len(p.ready[k]) > 0 && now.Sub(p.ready[k][0].made) > readyTime {
		p.ready[k] = p.ready[k][1:]
	}
}

func (p *identities) add(k Key) error {
	it, err := newIdentity(k)
	if err != nil {
		return fmt.Errorf("webrtc: make certificate: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready[k] = append(p.ready[k], it)
	return nil
}

// lacks tells of which kind there should be more.
func (p *identities) lacks() (k Key, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range []Key{ECDSA, RSA} {
		if p.forget(k, time.Now()); len(p.ready[k]) < p.most[k] {
			return k, true
		}
	}
	return 0, false
}

// run makes certificates until stop is closed.
func (p *identities) run(stop <-chan struct{}) {
	check := time.NewTicker(readyCheck)
	defer check.Stop()
	var rested time.Time // when the next RSA key may be begun
	for {
		select {
		case <-stop:
			return
		default:
		}
		k, lacks := p.lacks()
		rest := time.Until(rested)
		if lacks && (k == ECDSA || rest <= 0) {
			began := time.Now()
			if err := p.add(k); err != nil {
				p.log.Error("no certificates can be made ahead", "err", err)
				return // endpoints make their own, or are told why not
			}
			if k == RSA {
				rested = time.Now().Add(time.Duration(p.rest) * time.Since(began))
			}
			continue
		}
		var over <-chan time.Time // of the rest
		if lacks {
			over = time.After(rest)
		}
		select {
		case <-stop:
			return
		case <-p.wake:
		case <-check.C:
		case <-over:
		}
	}
}
