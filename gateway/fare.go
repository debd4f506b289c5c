package gateway

import (
	"slices"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

// fare is what accounts owe for a leg at a trunk since its answer. It goes to another call where the leg does, so that who has
// called a number pays for as long as that party talks, whomever it is handed over to.
type fare struct {
	leg      *sipLeg
	accounts []*account
	since    time.Time
	price    Price         // per minute
	lease    *lease        // the charger's grant to call it; nil: there is none
	metered  time.Duration // how much of it they have been counted
	places   []*account    // those that count it as a call
}

// talks begins to count what an answered leg takes of the accounts that pay for it.
func (c *Call) talks(l *sipLeg, at time.Time) {
	if c.src.urgent || l.trunk == nil {
		return
	}
	f := &fare{leg: l, accounts: c.liable(), since: at, lease: c.takes(l.lease)}
	if f.lease != nil {
		f.price = f.lease.grant.Price
	}
	if f.price == 0 {
		f.price = l.cost
	}
	for a := range c.owing {
		f.places = append(f.places, a)
	}
	c.owing = nil
	c.fares = append(c.fares, f)
}

// takesFare gives up what is owed for a leg that goes to another call; nil if nothing is.
func (c *Call) takesFare(l *sipLeg) *fare {
	i := slices.IndexFunc(c.fares, func(f *fare) bool { return f.leg == l })
	if i < 0 {
		return nil
	}
	f := c.fares[i]
	c.fares = slices.Delete(c.fares, i, i+1)
	return f
}

// paysFor counts the last of what a leg took that leaves a call that goes on.
func (c *Call) paysFor(l *sipLeg, at time.Time, cause call.Cause) {
	if f := c.takesFare(l); f != nil {
		c.g.ends(f, at, cause)
	}
}

// ends counts the last of what is owed for a leg, gives back its places, and settles its grant.
func (g *Gateway) ends(f *fare, at time.Time, cause call.Cause) {
	f.meter(at)
	if s := f.lease; s != nil {
		f.lease = nil
		g.cfg.Charger.Settle(s.grant, Used{Talk: max(0, at.Sub(f.since)), Cause: cause})
	}
	for _, a := range f.places {
		a.leave()
	}
	f.places = nil
}

// meter counts what was taken since it was counted last; the cause is that an account has no more.
func (f *fare) meter(now time.Time) (over call.Cause) {
	talked := now.Sub(f.since)
	talk := max(0, talked-f.metered)
	cost := f.price.of(f.metered+talk) - f.price.of(f.metered)
	f.metered += talk
	for _, a := range f.accounts {
		if !a.uses(now, talk, cost) {
			over = usedUp(a)
		}
		if a.Duration > 0 && talked >= a.Duration {
			over = tooLongFor(a)
		}
	}
	return over
}

// left is how long the accounts let it go on, and why no longer; bound is false if as long as it likes.
func (f *fare) left(now time.Time) (least time.Duration, why call.Cause, bound bool) {
	for _, a := range f.accounts {
		if d := a.Duration - now.Sub(f.since); a.Duration > 0 && (!bound || d < least) {
			least, why, bound = d, tooLongFor(a), true
		}
		a.mu.Lock()
		d, bounded := a.left(now, f.price)
		a.mu.Unlock()
		if d = max(d, time.Second); bounded && (!bound || d < least) {
			least, why, bound = d, usedUp(a), true
		}
	}
	return least, why, bound
}

func usedUp(a *account) call.Cause {
	return call.Cause{Q850: 16, Text: "what " + a.name + " may talk or spend is used up"}
}

func tooLongFor(a *account) call.Cause {
	why := call.TooLong
	why.Text = a.name + " allows calls of " + a.Duration.String()
	return why
}

// meters counts what the call has taken since it was counted last; the cause is that an account has no more.
func (c *Call) meters(now time.Time) (over call.Cause, ends bool) {
	for _, f := range c.fares {
		if cause := f.meter(now); !cause.IsZero() {
			over = cause
		}
	}
	return over, !over.IsZero()
}

// tolls is how long the accounts let the call go on, and why no longer; 0 = as long as it likes.
func (c *Call) tolls() (least time.Duration, why call.Cause) {
	now := time.Now()
	for _, f := range c.fares {
		if d, cause, bound := f.left(now); bound && (least == 0 || d < least) {
			least, why = max(d, time.Millisecond), cause
		}
	}
	return least, why
}

// pays ends the call's part in accounts, at a time.
func (c *Call) pays(ended time.Time, cause call.Cause) {
	for _, f := range c.fares {
		if c.unsaid { // nobody has talked
			f.since = ended
		}
		c.g.ends(f, ended, cause)
	}
	c.fares = nil
	for a := range c.owing {
		a.leave()
	}
	c.owing = nil
}
