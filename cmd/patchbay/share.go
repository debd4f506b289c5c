package main

import (
	"sync"

	"github.com/patchbay/patchbay/rpc"
)

// What programs over JSON-RPC may take of a thing that phone calls need too, in fifths: four of them, and one tenant two if
// there are others.
const (
	programsFifths = 4
	tenantFifths   = 2
)

// share keeps programs from taking all that there is of a thing: phone calls may, and nobody could call otherwise.
type share struct {
	what    string // "media ports"
	several bool   // tenants: none takes all of the programs' share

	mu sync.Mutex
	by map[string]int // what each tenant has
}

// take builds an endpoint for a tenant, one at a time, unless too much is taken. count tells how much is, by whomever, and how much
// there is. Who was given one gives it back.
func (s *share) take(tenant string, count func() (taken, all int), build func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken, all := count()
	switch {
	case taken*5 >= all*programsFifths:
		return rpc.Errorf(rpc.NotEnoughResources, "%d of %d %s are taken: the rest is kept for phone calls", taken, all, s.what)
	case s.several && s.by[tenant]*5 >= all*tenantFifths:
		return rpc.Errorf(rpc.NotEnoughResources, "Your tenant has %d of %d %s: the rest is kept for others and for phone calls", s.by[tenant], all, s.what)
	}
	if err := build(); err != nil {
		return err
	}
	if s.by == nil {
		s.by = map[string]int{}
	}
	s.by[tenant]++
	return nil
}

func (s *share) give(tenant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by[tenant]--; s.by[tenant] <= 0 {
		delete(s.by, tenant)
	}
}

// severalTenants tells whether programs of more than one tenant may come: those without a token are the default's.
func (c Config) severalTenants() bool {
	for _, t := range c.Tokens {
		if t.Tenant != ownHost().Tenant {
			return true
		}
	}
	return false
}
