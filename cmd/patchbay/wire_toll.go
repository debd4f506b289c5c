package main

import (
	"fmt"
	"path/filepath"

	"github.com/patchbay/patchbay/gateway"
)

// tolls puts what accounts may call, and how calls for help go, into the gateway's settings.
func (c Config) tolls(gc *gateway.Config) (err error) {
	gc.Locks, gc.Countries = filepath.Join(c.Node.Data, "locks.json"), filepath.Join(c.Node.Data, "countries.json")
	for i, u := range c.Users {
		if gc.Users[i].Toll, err = u.Outbound.gateway(); err != nil {
			return fmt.Errorf("user %s: %w", u.ID, err)
		}
	}
	for _, t := range c.Tenants {
		toll, err := t.Outbound.gateway()
		if err != nil {
			return fmt.Errorf("tenant %s: %w", t.ID, err)
		}
		gc.Tenants = append(gc.Tenants, gateway.Tenant{ID: t.ID, Toll: toll})
	}
	gc.Emergency.Numbers, gc.Emergency.Alternative = c.Emergency.Numbers, c.Emergency.Without == "alternative"
	for _, h := range c.Emergency.To {
		gc.Emergency.Hops = append(gc.Emergency.Hops, gateway.Hop{Trunk: h.Trunk, User: h.User, Group: h.Group, Ring: h.Ring})
	}
	return nil
}

func (o Outbound) gateway() (gateway.Toll, error) {
	t := gateway.Toll{Allow: o.Allow, Deny: o.Deny, NoPremium: o.Premium == "refuse", Calls: o.MaxCalls, Rate: o.MaxRate, Duration: o.Duration, Hour: o.TalkHour, Day: o.TalkDay, LockAfter: o.LockAfter}
	for _, x := range [...]struct {
		key, v string
		to     *gateway.Price
	}{{"spend_hour", o.SpendHour, &t.SpendHour}, {"spend_day", o.SpendDay, &t.SpendDay}} {
		if x.v == "" {
			continue
		}
		p, err := gateway.ParsePrice(x.v)
		if err != nil {
			return t, fmt.Errorf("%s %q: %w", x.key, x.v, err)
		}
		*x.to = p
	}
	return t, nil
}
