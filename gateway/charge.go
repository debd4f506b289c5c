package gateway

import (
	"errors"
	"slices"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

// clocks are what ends an answered call by time: the longest that it may last, and the end of its grants. They are set anew when a party
// comes from another call, with what it owes.
type clocks struct {
	from  time.Time // the answer
	limit *time.Timer
	why   call.Cause
	grant *time.Timer
}

func newClocks() *clocks {
	k := &clocks{from: time.Now(), limit: time.NewTimer(time.Hour), grant: time.NewTimer(time.Hour)}
	k.stop()
	return k
}

func (k *clocks) stop() {
	k.limit.Stop()
	k.grant.Stop()
}

// set starts them for what the call has now.
func (k *clocks) set(c *Call) {
	now := time.Now()
	k.stop()
	var d time.Duration
	if d, k.why = c.longest(now.Sub(k.from)); d > 0 {
		k.limit.Reset(d)
	}
	if due := c.granted(now); !due.IsZero() {
		k.grant.Reset(max(0, time.Until(due)))
	}
}

// lease is a charger's grant at work.
type lease struct {
	grant Grant
	until time.Time // zero: without end, or it hasn't begun
	of    string    // who pays, and the number; "" = it isn't for a call through a trunk
	tried bool      // an attempt at a trunk rests on it
	spent bool      // and nothing came of that; another attempt may still rest on it
}

// due is when it is used up, once somebody talks; zero: never.
func (s *lease) due(now time.Time) time.Time {
	if s.until.IsZero() && s.grant.For > 0 {
		s.until = now.Add(s.grant.For)
	}
	return s.until
}

// leases are the grants that the call has: its own, and those of parties at trunks, which go with them.
func (c *Call) leases() (list []*lease) {
	if c.lease != nil {
		list = append(list, c.lease)
	}
	for _, f := range c.fares {
		if f.lease != nil {
			list = append(list, f.lease)
		}
	}
	return list
}

// granted is when the first of its grants is used up; zero: never.
func (c *Call) granted(now time.Time) (first time.Time) {
	for _, s := range c.leases() {
		if due := s.due(now); !due.IsZero() && (first.IsZero() || due.Before(first)) {
			first = due
		}
	}
	return first
}

// extend asks for more of the grants that are used up.
func (c *Call) extend(now time.Time) (call.Cause, bool) {
	for _, s := range c.leases() {
		if due := s.due(now); due.IsZero() || due.After(now) {
			continue
		}
		if cause, ok := c.renew(s, now); !ok {
			return cause, false
		}
	}
	return call.Cause{}, true
}

func (c *Call) renew(s *lease, now time.Time) (call.Cause, bool) {
	spent := call.Cause{Q850: 16, Text: "credit is used up"}
	if s.grant.Final {
		return spent, false
	}
	g, err := c.g.cfg.Charger.Extend(c.ctx, s.grant)
	if err != nil {
		var r *Refusal
		if errors.As(err, &r) {
			return r.Cause, false
		}
		c.log.Error("charging", "err", err)
		return spent, false
	}
	s.grant, s.until = g, time.Time{}
	s.due(now)
	return call.Cause{}, true
}

// leaseFor is the grant for who pays and a number that no party at a trunk has; nil: there is none.
func (c *Call) leaseFor(key string) *lease {
	if c.lease != nil && c.lease.of == key {
		return c.lease
	}
	for _, s := range c.asked {
		if s.of == key {
			return s
		}
	}
	return nil
}

// lent is the grant that an attempt at a number through a trunk rests on, once the charger has given leave; nil: none is needed. Attempts
// at one number, together or one after the other, rest on the same: it goes with the first that talks.
func (c *Call) lent(number string) *lease {
	if c.g.cfg.Charger == nil || c.src.urgent {
		return nil
	}
	s := c.leaseFor(leaseOf(c.charged(number)))
	if s != nil {
		s.tried, s.spent = true, false
	}
	return s
}

// spend says that nothing came of the attempts so far.
func (c *Call) spend() {
	if c.lease != nil {
		c.lease.spent = c.lease.tried
	}
	for _, s := range c.asked {
		s.spent = true
	}
}

// giveBack tells the charger of grants that nothing was taken of.
func (c *Call) giveBack(which func(*lease) bool) {
	if s := c.lease; s != nil && which(s) {
		c.lease = nil
		c.g.cfg.Charger.Settle(s.grant, Used{})
	}
	c.asked = slices.DeleteFunc(c.asked, func(s *lease) bool {
		if !which(s) {
			return false
		}
		c.g.cfg.Charger.Settle(s.grant, Used{})
		return true
	})
}

// takes is the grant of a leg that answers, which goes with it from here on; all others were for nothing.
func (c *Call) takes(s *lease) *lease {
	if c.lease == s {
		c.lease = nil
	}
	c.asked = slices.DeleteFunc(c.asked, func(x *lease) bool { return x == s })
	c.giveBack(func(*lease) bool { return true })
	return s
}

// spares gives back what an answered call has no more use for: grants of attempts that somebody else has answered.
func (c *Call) spares() {
	c.giveBack(func(s *lease) bool { return s.tried || s != c.lease })
}

// settle tells the charger, once, what the call took of a grant that no party at a trunk has, and that it took nothing of others.
func (c *Call) settle(cause call.Cause) {
	for _, s := range c.asked {
		c.g.cfg.Charger.Settle(s.grant, Used{Cause: cause})
	}
	c.asked = nil
	if c.lease == nil {
		return
	}
	s := c.lease
	c.lease = nil
	c.g.cfg.Charger.Settle(s.grant, Used{Talk: time.Duration(c.rec.call.Bill) * time.Millisecond, Cause: cause})
}
