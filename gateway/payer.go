package gateway

import (
	"fmt"
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
	if n := c.g.plan.In(numbering.Called, number).Number; n != "" {
		number = n
	}
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
	return call.Cause{}
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

// talks begins to count what the answered call takes of the accounts that pay for it.
func (c *Call) talks(hop Hop) {
	if c.src.urgent {
		return
	}
	c.charged, c.price = c.liable(), c.grant.Price
	if c.price == 0 && hop.Priced {
		c.price = hop.Cost
	}
}

// meters counts what the call has taken since it was counted last; the cause is that an account has no more.
func (c *Call) meters(now time.Time) (call.Cause, bool) {
	answered := c.rec.call.AnsweredAt
	if len(c.charged) == 0 || answered == nil {
		return call.Cause{}, false
	}
	talk := max(0, now.Sub(*answered)-c.metered)
	cost := c.price.of(c.metered+talk) - c.price.of(c.metered)
	c.metered += talk
	var over call.Cause
	for _, a := range c.charged {
		if !a.uses(now, talk, cost) {
			over = call.Cause{Q850: 16, Text: "what " + a.name + " may talk or spend is used up"}
		}
	}
	return over, !over.IsZero()
}

// tolls is how long the accounts let the call last from its answer, and why no longer; 0 = as long as it likes.
func (c *Call) tolls() (least time.Duration, why call.Cause) {
	now := time.Now()
	for _, a := range c.charged {
		a.mu.Lock()
		left, bound := a.left(now, c.price)
		a.mu.Unlock()
		if a.Duration > 0 && (least == 0 || a.Duration < least) {
			least, why = a.Duration, call.TooLong
			why.Text = fmt.Sprintf("%s allows calls of %s", a.name, a.Duration)
		}
		if left = max(left, time.Second); bound && (least == 0 || left < least) {
			least, why = left, call.Cause{Q850: 16, Text: "what " + a.name + " may talk or spend is used up"}
		}
	}
	return least, why
}

// pays ends the call's part in accounts.
func (c *Call) pays() {
	for a := range c.owing {
		a.leave()
	}
	c.owing = nil
}
