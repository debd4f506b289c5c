package gateway

import (
	"errors"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

// granted fires when the charger's grant is used up; never without one.
func (c *Call) granted() *time.Timer {
	if !c.authed || c.grant.For == 0 {
		t := time.NewTimer(time.Hour)
		t.Stop()
		return t
	}
	return time.NewTimer(c.grant.For)
}

func (c *Call) extend(t *time.Timer) (call.Cause, bool) {
	spent := call.Cause{Q850: 16, Text: "credit is used up"}
	if c.grant.Final {
		return spent, false
	}
	g, err := c.g.cfg.Charger.Extend(c.ctx, c.grant)
	if err != nil {
		var r *Refusal
		if errors.As(err, &r) {
			return r.Cause, false
		}
		c.log.Error("charging", "err", err)
		return spent, false
	}
	c.grant = g
	if g.For > 0 {
		t.Reset(g.For)
	}
	return call.Cause{}, true
}

// settle tells the charger, once, what the call took.
func (c *Call) settle(cause call.Cause) {
	if !c.authed {
		return
	}
	c.authed = false
	c.g.cfg.Charger.Settle(c.grant, Used{Talk: time.Duration(c.rec.call.Bill) * time.Millisecond, Cause: cause})
}
