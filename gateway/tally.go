package gateway

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/patchbay/patchbay/gateway/call"
)

// tally counts what became of calls, by route, and of attempts, by trunk. Its keys come from the settings: there are no more than
// those name.
type tally struct {
	helps, barred, locks, countries atomic.Uint64

	mu       sync.Mutex
	routes   map[RouteOutcome]uint64
	attempts map[TrunkOutcome]uint64
}

// RouteOutcome names ended calls of a route.
type RouteOutcome struct {
	Route  string // its id; users and groups for those of their own numbers, "" for calls that no route took
	Result string // answered, failed
}

// TrunkOutcome names attempts at a trunk.
type TrunkOutcome struct {
	Trunk  string
	Result string // answered, busy, noanswer, refused (4xx, 6xx), failed (5xx, silence, transport), cancelled (by the caller, or somebody else has answered), passed
}

// passed counts a hop that wasn't tried.
func (t *tally) passed(h Hop) {
	if h.Trunk != "" {
		t.attempt(TrunkOutcome{h.Trunk, "passed"})
	}
}

func (t *tally) attempt(o TrunkOutcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.attempts == nil {
		t.attempts = map[TrunkOutcome]uint64{}
	}
	t.attempts[o]++
}

// count takes an ended call.
func (t *tally) count(c *call.Call) {
	o := RouteOutcome{Route: c.Route, Result: "failed"}
	switch {
	case strings.HasPrefix(c.Route, "user-"):
		o.Route = "users"
	case strings.HasPrefix(c.Route, "group-"):
		o.Route = "groups"
	}
	if c.AnsweredAt != nil {
		o.Result = "answered"
	}
	t.mu.Lock()
	if t.routes == nil {
		t.routes = map[RouteOutcome]uint64{}
	}
	t.routes[o]++
	t.mu.Unlock()
	for _, l := range c.Legs {
		if l.Role == call.CalleeLeg && l.Trunk != "" {
			t.attempt(TrunkOutcome{l.Trunk, outcome(l)})
		}
	}
}

// outcome is what became of an attempt.
func outcome(l *call.Leg) string {
	switch c := l.Cause; {
	case l.AnsweredAt != nil:
		return "answered"
	case c.Q850 == call.ElsewhereDone.Q850, c.SIP == 487:
		return "cancelled"
	case busy(c):
		return "busy"
	case c.Q850 == call.NoAnswer.Q850:
		return "noanswer"
	case c.Class() == call.Retry, c.SIP >= 500 && c.SIP < 600:
		return "failed"
	}
	return "refused"
}

// Outcomes are what became of calls by route, and of attempts by trunk, since the start.
func (g *Gateway) Outcomes() (routes map[RouteOutcome]uint64, attempts map[TrunkOutcome]uint64) {
	t := &g.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	routes, attempts = map[RouteOutcome]uint64{}, map[TrunkOutcome]uint64{}
	for k, v := range t.routes {
		routes[k] = v
	}
	for k, v := range t.attempts {
		attempts[k] = v
	}
	return routes, attempts
}

// Tolls counts calls for help, numbers that accounts may not call, and accounts that were locked, since the start.
func (g *Gateway) Tolls() (helps, barred, locked uint64) {
	return g.tally.helps.Load(), g.tally.barred.Load(), g.tally.locks.Load()
}
