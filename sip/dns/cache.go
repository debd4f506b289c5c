package dns

import (
	"context"
	"net/netip"
	"sync"
	"time"

	mdns "github.com/miekg/dns"
)

// Bounds of what is remembered.
const (
	maxEntries  = 4096
	leastLife   = time.Second     // what says 0 would be asked for with each request of a dialog
	longestLife = 24 * time.Hour  // RFC 8767 4 advises a week at most
	absentLife  = time.Minute     // at most, of what isn't there (RFC 2308)
	staleLife   = time.Hour       // after its end an answer still serves while no server answers (RFC 8767)
	staleStep   = 5 * time.Second // and for so long without asking again
)

// cache remembers answers. Questions of several goroutines for the same are asked once.
type cache struct {
	mu      sync.Mutex
	entries map[question]*entry
	hosts   map[string]*entry // found outside of DNS
}

type question struct {
	host string
	typ  uint16
}

type entry struct {
	list  []mdns.RR // none: there are no such records
	addrs []netip.Addr
	until time.Time     // answers without a question
	fresh time.Time     // what the server allowed
	asked chan struct{} // closed when the question under way is answered; nil: none is
}

// ask answers from memory, or asks.
func (r *Resolver) ask(ctx context.Context, host string, typ uint16) ([]mdns.RR, error) {
	key := question{host, typ}
	for {
		e, mine := r.cache.claim(key, r.now())
		switch {
		case e.asked == nil:
			return some(e.list)
		case !mine:
			select {
			case <-e.asked:
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		defer close(e.asked)
		m, err := r.exchange.ask(ctx, host, typ)
		list, err := r.cache.settle(key, m, err, r.now())
		r.trace.answered(host, typ, m, list, err)
		if err != nil {
			r.cfg.Log.Warn("DNS question isn't answered", "name", host, "type", mdns.TypeToString[typ], "err", err)
			return nil, err
		}
		return some(list)
	}
}

func some(list []mdns.RR) ([]mdns.RR, error) {
	if len(list) == 0 {
		return nil, errNoRecords
	}
	return list, nil
}

// claim gives an answer that holds, or what closes when the question under way is answered; mine says that the caller
// is to ask it.
func (c *cache) claim(key question, now time.Time) (e entry, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.entries[key]
	switch {
	case known == nil:
		if c.entries == nil || len(c.entries) >= maxEntries {
			c.entries = map[question]*entry{}
		}
		known = &entry{}
		c.entries[key] = known
	case known.asked != nil, now.Before(known.until):
		return *known, false
	}
	known.asked = make(chan struct{})
	return *known, true
}

// settle keeps an answer. Where none came, what was known before serves on for a while.
func (c *cache) settle(key question, m *mdns.Msg, err error, now time.Time) ([]mdns.RR, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil { // the memory was full and began anew
		e = &entry{}
	}
	e.asked = nil
	switch {
	case err == nil:
		e.list = answers(m, key.typ)
		e.until = now.Add(life(m, e.list))
		e.fresh = e.until
	case len(e.list) > 0 && now.Before(e.fresh.Add(staleLife)):
		e.until = now.Add(staleStep)
	default:
		delete(c.entries, key)
		return nil, err
	}
	return e.list, nil
}

func answers(m *mdns.Msg, typ uint16) []mdns.RR {
	var out []mdns.RR
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == typ {
			out = append(out, rr)
		}
	}
	return out
}

// life is how long an answer holds: the least of its records' times, those of aliases on the way included.
func life(m *mdns.Msg, list []mdns.RR) time.Duration {
	if len(list) == 0 {
		least := absentLife
		for _, rr := range m.Ns {
			if soa, ok := rr.(*mdns.SOA); ok {
				least = min(least, time.Duration(min(soa.Minttl, soa.Hdr.Ttl))*time.Second)
			}
		}
		return max(least, leastLife)
	}
	least := longestLife
	for _, rr := range m.Answer {
		least = min(least, time.Duration(rr.Header().Ttl)*time.Second)
	}
	return max(least, leastLife)
}

func (c *cache) addrs(host string, now time.Time) ([]netip.Addr, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.hosts[host]; e != nil && now.Before(e.until) {
		return e.addrs, true
	}
	return nil, false
}

func (c *cache) keepAddrs(host string, list []netip.Addr, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hosts == nil || len(c.hosts) >= maxEntries {
		c.hosts = map[string]*entry{}
	}
	c.hosts[host] = &entry{addrs: list, until: until}
}
