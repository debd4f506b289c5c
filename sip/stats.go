package sip

import (
	"sync"
	"sync/atomic"
)

// FrontStats are counters since the start and gauges.
type FrontStats struct {
	Dropped            map[string]uint64 // by reason
	Connections        int               // accepted and open
	ClientTransactions int
	ServerTransactions int
}

// Stats reads the counters.
func (f *Front) Stats() FrontStats {
	s := FrontStats{Dropped: f.drops.snapshot()}
	f.mu.RLock()
	defer f.mu.RUnlock()
	s.ClientTransactions, s.ServerTransactions = len(f.clients), len(f.servers)
	for _, k := range f.sockets {
		if k.tcp != nil {
			s.Connections += k.tcp.Connections()
		}
	}
	for _, w := range f.webs {
		s.Connections += w.Connections()
	}
	return s
}

// counters are counters by name; names come from a small fixed set.
type counters struct{ m sync.Map }

func (c *counters) add(name string) {
	v, ok := c.m.Load(name)
	if !ok {
		v, _ = c.m.LoadOrStore(name, new(atomic.Uint64))
	}
	v.(*atomic.Uint64).Add(1)
}

func (c *counters) snapshot() map[string]uint64 {
	out := map[string]uint64{}
	c.m.Range(func(k, v any) bool {
		out[k.(string)] = v.(*atomic.Uint64).Load()
		return true
	})
	return out
}

// method counts a method; unknown ones share a counter, so that peers can't make names.
func (c *counters) method(m string) {
	switch m {
	case "INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "INFO", "REFER", "NOTIFY", "UPDATE", "PRACK", "MESSAGE", "SUBSCRIBE", "PUBLISH":
		c.add(m)
	default:
		c.add("OTHER")
	}
}

// status counts a status class.
func (c *counters) status(s int) {
	if s >= 100 && s < 700 {
		c.add(string([]byte{byte('0' + s/100), 'x', 'x'}))
	}
}

// Stats are a UA's counters since its start, and gauges.
type Stats struct {
	RequestsIn, RequestsOut   map[string]uint64 // by method; unknown methods are OTHER
	ResponsesIn, ResponsesOut map[string]uint64 // by class, "1xx" to "6xx"
	Dialogs                   int               // not ended
	Connections               int               // opened by us
	Challenged                uint64            // requests answered 401 or 407
	Refused                   uint64            // of them with wrong credentials
	EventsLost                uint64            // events that nobody read in time
}

// Stats reads the counters.
func (u *UA) Stats() Stats {
	return Stats{
		RequestsIn: u.count.requestsIn.snapshot(), RequestsOut: u.count.requestsOut.snapshot(),
		ResponsesIn: u.count.responsesIn.snapshot(), ResponsesOut: u.count.responsesOut.snapshot(),
		Dialogs: int(u.dialogs.Load()), Connections: u.dialer.Connections(),
		Challenged: u.count.challenged.Load(), Refused: u.count.refused.Load(), EventsLost: u.count.eventsLost.Load(),
	}
}
