package gateway

import (
	"slices"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
)

// Offer is a call that waits for an application to take it.
type Offer struct {
	ID       call.ID
	Tenant   string
	App      string
	From     string // number or name of who calls
	FromName string
	To       string // the number that was called
	User     string // id of the user or trunk it comes from
	Trunk    string
	Headers  []sip.Header  // those that begin with X-
	Limit    time.Duration // how long it waits, until the next hop has its turn
}

type deskKey struct{ tenant, app string }

// desk is somebody who listens for an application's calls.
type desk struct{ ring func(Offer) }

// Listen has ring called for each call that comes for a tenant's application from now on, until stop is called. Of several
// who listen each is told, and the first to Claim has it. ring returns soon: it holds up the call.
func (g *Gateway) Listen(tenant, app string, ring func(Offer)) (stop func(), err error) {
	known := g.apps[app]
	if known == nil || known.Tenant != tenant {
		return nil, bad("app", "%q: there is no such application", clip(app))
	}
	key, d := deskKey{tenant, app}, &desk{ring}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.desks[key] = append(g.desks[key], d)
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if i := slices.Index(g.desks[key], d); i >= 0 {
			g.desks[key] = slices.Delete(slices.Clone(g.desks[key]), i, i+1)
		}
		if len(g.desks[key]) == 0 {
			delete(g.desks, key)
		}
	}, nil
}

// Apps lists a tenant's applications, by id.
func (g *Gateway) Apps(tenant string) []App {
	var out []App
	for i := range g.cfg.Apps {
		if g.cfg.Apps[i].Tenant == tenant {
			out = append(out, g.cfg.Apps[i])
		}
	}
	return out
}

// Claim takes a call that is offered: nobody else can then. session is the RPC session that will drive it. ErrNoCall: it is
// over, taken, given to another hop, or another tenant's.
func (g *Gateway) Claim(tenant string, id call.ID, session string) (*AppCall, error) {
	if err := checkText("session", session, maxName); err != nil {
		return nil, err
	}
	g.mu.Lock()
	a := g.offered[id]
	if a != nil && a.c.src.tenant() == tenant {
		delete(g.offered, id)
	} else {
		a = nil
	}
	g.mu.Unlock()
	if a == nil {
		return nil, ErrNoCall
	}
	a.mu.Lock()
	a.claimed = true
	a.mu.Unlock()
	a.c.order(command{kind: cmdLink, app: appOrder{from: a, session: session}})
	return a, nil
}

// unclaimed takes an offer back; false when somebody has it.
func (g *Gateway) unclaimed(a *AppCall) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.offered[a.c.id] != a {
		return false
	}
	delete(g.offered, a.c.id)
	return true
}
