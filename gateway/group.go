package gateway

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

// Group rings several callees for one number.
type Group struct {
	ID, Tenant string
	Numbers    []string
	Members    []Hop // users, and trunks with a Number; Ring of a member goes before the group's
	Strategy   Strategy
	Ring       time.Duration // how long all ring, or with Sequential and Random each
}

// Strategy is the order in which a group's members ring.
type Strategy uint8

const (
	Parallel   Strategy = iota // all at once
	Sequential                 // one after the other, as they are listed
	Random                     // one after the other, each call in an order of its own
)

// dialGroup rings a group's members. A member that is busy, away or declines doesn't end the search; the outcome is that of the
// member who said most (see rank). A member's own forwarding isn't followed: its mailbox would take the group's calls.
func (c *Call) dialGroup(hop Hop) tried {
	g := c.g.groups[hop.Group]
	if g == nil {
		return c.passes(hop, call.Cause{Q850: 3, SIP: 404, Text: "group " + hop.Group + " is not configured"})
	}
	members := slices.Clone(g.Members)
	for i := range members {
		if members[i].Ring == 0 {
			members[i].Ring = ringing(g.Ring)
		}
		if hop.Ring > 0 && g.Strategy == Parallel {
			members[i].Ring = min(members[i].Ring, hop.Ring)
		}
	}
	if g.Strategy == Parallel {
		return c.dialAll(members)
	}
	if g.Strategy == Random {
		rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	}
	return c.dialEach(members)
}

// dialEach rings members one after the other.
func (c *Call) dialEach(members []Hop) tried {
	out := tried{end: bySystem(call.NoRoute)}
	best := 0
	for _, m := range members {
		if end, gone := c.left(); gone {
			return tried{end: end}
		}
		list, r, ok := c.member(m)
		if ok {
			if r.winner, r.end = c.ring(list); r.winner != nil || c.stopped {
				return r
			}
			c.unseize(m)
		}
		c.spend()
		if n := rank(r.end.cause); n >= best {
			best, out = n, tried{end: r.end}
		}
	}
	return out
}

// dialAll rings members all at once.
func (c *Call) dialAll(members []Hop) tried {
	out := tried{end: bySystem(call.NoRoute)}
	var list []attempt
	var held []Hop
	best := 0
	for _, m := range members {
		more, r, ok := c.member(m)
		if ok {
			list, held = append(list, more...), append(held, m)
			continue
		}
		if n := rank(r.end.cause); n >= best {
			best, out = n, tried{end: r.end}
		}
	}
	if len(list) == 0 {
		return out
	}
	winner, end := c.ring(list)
	kept := false
	for _, m := range held {
		if winner != nil && !kept && m.key() == winner.hop {
			kept = true
			continue
		}
		c.unseize(m)
	}
	if winner == nil && !c.stopped && rank(end.cause) < best {
		return out
	}
	return tried{winner: winner, end: end}
}

// member is the attempts that a group's member is worth, with a place taken for it; ok is false when there are none, and r why.
func (c *Call) member(m Hop) (list []attempt, r tried, ok bool) {
	if m.Trunk != "" {
		return c.atTrunk(m, m.Number)
	}
	shown, src := c.presents()
	targets, cause := c.g.contacts(m.User, shown, src)
	if cause.IsZero() {
		cause = c.seize(m, targets[0])
	}
	if !cause.IsZero() {
		return nil, c.passes(m, cause), false
	}
	for _, t := range targets {
		list = append(list, attempt{t, m})
	}
	return list, tried{}, true
}
