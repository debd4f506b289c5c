package gateway

import (
	"errors"
	"slices"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/gateway/numbering"
)

// payer is the user who pays for where the call goes now: the last who has forwarded it, else its source; nil: a trunk's, or an
// application's.
func (c *Call) payer() *User {
	if n := len(c.payers); n > 0 {
		return c.payers[n-1]
	}
	return c.src.user
}

// liable are the accounts whose bounds hold for where the call goes now: the payer's and the tenant's.
func (c *Call) liable() (list []*account) {
	tenant := c.src.tenant()
	if u := c.payer(); u != nil {
		tenant = u.Tenant
		list = append(list, c.g.accounts["user:"+u.ID])
	}
	if a := c.g.accounts["tenant:"+tenant]; a != nil {
		list = append(list, a)
	}
	return list
}

// mayCall asks the accounts that pay whether a hop's number may be called at its trunk, and what the trunk makes of it, and counts the
// call with them; the cause is why not. It is asked before each attempt at a trunk.
func (c *Call) mayCall(h Hop) call.Cause {
	if c.src.urgent {
		return call.Cause{}
	}
	number, told := c.g.asked(h)
	now := time.Now()
	list := c.liable()
	for _, a := range list {
		cause, locks := a.refuses(number, told, now)
		if cause.IsZero() {
			continue
		}
		c.g.tally.barred.Add(1)
		if locks {
			c.locked(a)
		}
		c.decide(cause.Text)
		c.barred = true
		return cause
	}
	for _, a := range list {
		if c.owing[a] {
			continue
		}
		if cause := a.enter(now); !cause.IsZero() {
			c.decide(cause.Text)
			return cause
		}
		if c.owing == nil {
			c.owing = map[*account]bool{}
		}
		c.owing[a] = true
	}
	for _, a := range list {
		if a.user && told.Same {
			c.goesAbroad(a, number)
		} else if a.user {
			c.goesAbroad(a, told.Number)
		}
	}
	return c.leave(number)
}

// never is why who pays may not call a hop's number at its trunk, whenever.
func (c *Call) never(h Hop) call.Cause {
	if slices.Contains(c.g.cfg.Emergency.Numbers, h.Number) {
		return call.Cause{}
	}
	number, told := c.g.asked(h)
	for _, a := range c.liable() {
		if text := a.never(number, told); text != "" {
			return call.Cause{Q850: 21, SIP: 403, Text: text}
		}
	}
	return call.Cause{}
}

// dialledAs understands a number as our users dial it, where it can be.
func (g *Gateway) dialledAs(number string) string {
	if n := g.plan.In(numbering.Called, number).Number; n != "" {
		return n
	}
	return number
}

// charged is the call as the charger sees it where it goes through a trunk: who pays for that, and the number.
func (c *Call) charged(number string) *call.Call {
	as := c.rec.call
	as.Payer, as.Direction, as.To, as.ToN = "", call.Out, number, c.g.dialledAs(number)
	if u := c.payer(); u != nil {
		as.Payer, as.Tenant = u.ID, u.Tenant
	}
	return &as
}

func leaseOf(c *call.Call) string { return c.Payer + " " + c.ToN }

// leave asks the charger for leave to call a number through a trunk, unless it has given it: who forwards a call, or redirects it,
// changes the number and perhaps who pays. The cause is why not.
func (c *Call) leave(number string) call.Cause {
	if c.g.cfg.Charger == nil {
		return call.Cause{}
	}
	as := c.charged(number)
	key := leaseOf(as)
	if c.leaseFor(key) != nil {
		return call.Cause{}
	}
	c.giveBack(func(s *lease) bool { return s.spent })
	grant, err := c.g.cfg.Charger.Authorize(c.ctx, as)
	if err != nil {
		var r *Refusal
		if errors.As(err, &r) {
			c.decide(r.Cause.Text)
			return r.Cause
		}
		c.log.Error("charging", "err", err)
		return call.Failure
	}
	c.asked = append(c.asked, &lease{grant: grant, of: key})
	return call.Cause{}
}

// loss is why a hop isn't taken that would cost more than it brings; "" = it may be.
func (c *Call) loss(h Hop) string {
	if c.g.cfg.Margins == nil || c.src.urgent {
		return ""
	}
	return c.g.cfg.Margins.Loss(c.ctx, c.charged(h.Number), h)
}

// locked tells everybody whom it concerns that an account was locked.
func (c *Call) locked(a *account) {
	a.mu.Lock()
	why := a.lockedFor
	a.mu.Unlock()
	text := "calls of " + a.name + " through trunks are locked after " + why
	c.rec.note(0, time.Now(), call.Alarm{Account: a.name, Text: text})
	c.log.Error("account locked", "account", a.name, "err", why)
	c.g.tally.locks.Add(1)
	c.g.keepLocks()
}
