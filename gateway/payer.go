package gateway

import (
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

// mayCall asks the accounts that pay whether a number may be called through a trunk, and counts the call with them; the cause is
// why not. It is asked before each attempt at a trunk.
func (c *Call) mayCall(number string) call.Cause {
	if c.src.urgent {
		return call.Cause{}
	}
	number = c.g.dialledAs(number)
	now := time.Now()
	list := c.liable()
	for _, a := range list {
		cause, locks := a.refuses(number, now)
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
		if a.user {
			c.goesAbroad(a, number)
		}
	}
	return call.Cause{}
}

// never is why who pays may not call a number through a trunk, whenever.
func (c *Call) never(number string) call.Cause {
	if slices.Contains(c.g.cfg.Emergency.Numbers, number) {
		return call.Cause{}
	}
	number = c.g.dialledAs(number)
	for _, a := range c.liable() {
		if text := a.never(number); text != "" {
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
