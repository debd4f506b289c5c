package dns

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// record is an SRV record (RFC 2782).
type record struct {
	host             string // "" = there is no such service
	port             uint16
	priority, weight uint16
}

// weigh puts records in the order of trying: by priority, and among equals by chance, in proportion to their weights, as
// RFC 2782 says it: those of weight 0 stand first in the draw, so that they have a small chance.
func weigh(list []record) []record {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.weight, b.weight))
	})
	for i := 0; i < len(list); {
		j := i
		for j < len(list) && list[j].priority == list[i].priority {
			j++
		}
		draw(list[i:j])
		i = j
	}
	return list
}

func draw(list []record) {
	total := 0
	for _, r := range list {
		total += int(r.weight)
	}
	for i := range list {
		at, sum := rand.IntN(total+1), 0
		for j := i; j < len(list); j++ {
			if sum += int(list[j].weight); sum >= at {
				won := list[j]
				copy(list[i+1:j+1], list[i:j]) // the others keep their order
				list[i] = won
				total -= int(won.weight)
				break
			}
		}
	}
}

// quarantine is a memory of targets that failed.
type quarantine struct {
	mu    sync.Mutex
	until map[spot]time.Time
}

// spot is a target without the name that led to it: who is down is down for all names.
type spot struct {
	network string
	addr    netip.AddrPort
}

// maxFailed bounds the memory of failures.
const maxFailed = 1024

func (q *quarantine) add(t Target, until time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.until == nil || len(q.until) >= maxFailed {
		q.until = map[spot]time.Time{}
	}
	q.until[spot{t.Network, t.Addr}] = until
}

func (q *quarantine) remove(t Target) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.until, spot{t.Network, t.Addr})
}

// order puts what failed last, the one that comes back soonest first, and forgets what is over.
func (q *quarantine) order(list []Target, now time.Time) []Target {
	q.mu.Lock()
	defer q.mu.Unlock()
	back := func(t Target) time.Time {
		u := q.until[spot{t.Network, t.Addr}]
		if !u.After(now) {
			delete(q.until, spot{t.Network, t.Addr})
			return time.Time{}
		}
		return u
	}
	out := make([]Target, 0, len(list))
	for _, t := range list {
		if !slices.ContainsFunc(out, func(o Target) bool { return o.Network == t.Network && o.Addr == t.Addr }) {
			out = append(out, t)
		}
	}
	slices.SortStableFunc(out, func(a, b Target) int { return back(a).Compare(back(b)) })
	return out
}
