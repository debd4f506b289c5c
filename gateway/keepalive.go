package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/patchbay/patchbay/sip"
)

// Hysteresis of trunks that are watched by OPTIONS: one lost answer, or one that comes, says nothing yet.
const (
	pingsDown = 3 // failures in a row that take a trunk out
	pingsUp   = 2 // answers in a row that bring it back
)

// pulse is what OPTIONS has found out about a trunk (RFC 3261 11).
type pulse struct {
	mu     sync.Mutex
	down   bool
	why    string // the last failure
	streak int    // answers, or below zero failures, in a row
}

// beat takes the outcome of one OPTIONS, and tells whether the trunk's state changed with it.
func (p *pulse) beat(why string) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if why == "" {
		p.streak = max(p.streak, 0) + 1
	} else {
		p.streak = min(p.streak, 0) - 1
		p.why = why
	}
	switch {
	case !p.down && p.streak <= -pingsDown:
		p.down = true
	case p.down && p.streak >= pingsUp:
		p.down, p.why = false, ""
	default:
		return false
	}
	return true
}

// dead tells whether the trunk doesn't answer, and how its last OPTIONS failed.
func (p *pulse) dead() (bool, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.down, p.why
}

// watch asks the carrier whether it is there, until ctx ends. Any final response says so, except those by which it, or a
// proxy before it, says that it isn't: 408 and 503.
func (t *trunk) watch(ctx context.Context) {
	tick := time.NewTicker(t.Options)
	defer tick.Stop()
	for {
		if t.pulse.beat(t.ping(ctx)) && ctx.Err() == nil {
			dead, why := t.pulse.dead()
			if dead {
				t.g.log.Warn("trunk doesn't answer", "trunk", t.ID, "err", why)
			} else {
				t.g.log.Info("trunk answers again", "trunk", t.ID)
			}
			ts := t.status()
			t.g.changed(Change{Tenant: t.Tenant, Trunk: &ts})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// ping sends one OPTIONS; "" is a good answer.
func (t *trunk) ping(ctx context.Context) (why string) {
	uri, err := sip.NewURI("", t.Domain, 0)
	if err != nil {
		return err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, min(t.Options, 10*time.Second))
	defer cancel()
	switch status, err := t.ua.Ping(ctx, uri, t.at(t.next(t.Proxy))); {
	case err != nil:
		return "OPTIONS: " + err.Error()
	case status == 408 || status == 503:
		return fmt.Sprintf("OPTIONS was answered %d", status)
	}
	return ""
}
