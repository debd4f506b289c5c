package gateway

import (
	"slices"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

// Failover is the table of what an outcome of a hop means: whether the next one is tried. Silence counts as 408, a failed
// transport as 503. A number of one digit is a class: 5 is every 5xx. The first list that has the outcome decides, in the order
// Stop, Later, Status; what none has ends the call, and so do busy and declined (486, 603, 6xx) unless they are listed.
type Failover struct {
	Retry  bool  // the next hop: after those of class call.Retry
	Status []int // and after these SIP statuses
	Stop   []int // the end, whatever the other lists say
	Later  []int // the next hop, and the trunk is put aside for Aside, or for what its Retry-After says
	Aside  time.Duration
}

// Verdict is what an outcome means for the search of a callee.
type Verdict uint8

const (
	VerdictStop  Verdict = iota // the callee has spoken: nobody else is tried
	VerdictNext                 // the next hop is tried
	VerdictLater                // likewise, and this one is left alone for a while
)

// Verdict of an outcome.
func (f Failover) Verdict(c call.Cause) Verdict {
	status := c.SIP
	if status == 0 {
		status = c.Status()
	}
	switch {
	case listed(f.Stop, status):
		return VerdictStop
	case listed(f.Later, status):
		return VerdictLater
	case f.Retry && c.Class() == call.Retry, listed(f.Status, status):
		return VerdictNext
	}
	return VerdictStop
}

// Next reports whether the cause goes on to the next hop.
func (f Failover) Next(c call.Cause) bool { return f.Verdict(c) != VerdictStop }

// listed tells whether a status, or its class, is in a list.
func listed(list []int, status int) bool {
	return slices.Contains(list, status) || slices.Contains(list, status/100)
}

// Bounds of how long a trunk is put aside.
const (
	defaultAside = 30 * time.Second
	maxAside     = 5 * time.Minute // a carrier that asks for more is asked again before
)

// putAside keeps calls from the trunk for a while: it has said that it can't take any (RFC 3261 20.33, 21.5.4).
func (t *trunk) putAside(d time.Duration, why string) {
	if d <= 0 {
		d = defaultAside
	}
	until := time.Now().Add(min(d, maxAside))
	t.mu.Lock()
	defer t.mu.Unlock()
	if until.After(t.asideUntil) {
		t.asideUntil, t.asideWhy = until, why
	}
}

// takesPart ends what putAside began: the trunk has taken a call.
func (t *trunk) takesPart() {
	t.mu.Lock()
	t.asideUntil = time.Time{}
	t.mu.Unlock()
}

// aside tells for how long calls still pass the trunk by; 0 = they don't.
func (t *trunk) aside() (left time.Duration, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(0, time.Until(t.asideUntil)), t.asideWhy
}
