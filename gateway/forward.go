package gateway

import (
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

// Diversion is one step by which a call was led away from whom it was for: what History-Info and Diversion tell the next
// callee (RFC 7044, RFC 5806).
type Diversion struct {
	From   string // the number or name that was called
	User   string // id of the user who had it forwarded; "" = a trunk redirected
	To     string // the number or name that is called instead
	Reason string // always, busy, no-answer, offline, redirect
	Cause  int    // the SIP status that stands for it: 302, 486, 408, 480 (RFC 4458)
	At     time.Time
}

// dialUser rings all phones of a user.
func (c *Call) dialUser(hop Hop, number string) tried {
	targets, cause := c.g.targets(hop, number, &c.rec.call, c.src)
	if len(targets) > 0 {
		cause = c.seize(hop, targets[0])
	}
	if !cause.IsZero() {
		c.decide(hop.String() + ": " + cause.Text)
		return tried{end: bySystem(cause)}
	}
	var list []attempt
	for _, t := range targets {
		list = append(list, attempt{t, hop})
	}
	winner, end := c.ring(list)
	if winner == nil {
		c.unseize(hop)
	}
	return tried{winner: winner, end: end}
}

var _ = call.NoRoute
