package gateway

import (
	"slices"

	"github.com/patchbay/patchbay/sip"
)

// Change is a change of a trunk's state, or of a user's registration.
type Change struct {
	Tenant string
	Trunk  *TrunkStatus // nil: of a user
	User   string       // id
	Online bool         // the user is registered somewhere now
}

type watcher struct{ told func(Change) }

// Watch has told called for each change from now on, until stop is called. It returns soon, and may be called by several
// goroutines at once.
func (g *Gateway) Watch(told func(Change)) (stop func()) {
	w := &watcher{told}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watchers = append(slices.Clone(g.watchers), w)
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.watchers = slices.DeleteFunc(slices.Clone(g.watchers), func(o *watcher) bool { return o == w })
	}
}

func (g *Gateway) changed(c Change) {
	g.mu.Lock()
	list := g.watchers
	g.mu.Unlock()
	for _, w := range list {
		w.told(c)
	}
}

// Registration is a user's.
type Registration struct {
	User   string
	Online bool
}

// Registrations lists a tenant's users, in the order of the settings, and whether each is registered now.
func (g *Gateway) Registrations(tenant string) []Registration {
	var online []string
	if g.registrar != nil {
		online = g.registrar.Users()
	}
	var out []Registration
	for _, u := range g.cfg.Users {
		if u.Tenant == tenant {
			out = append(out, Registration{u.ID, slices.Contains(online, u.Login)})
		}
	}
	return out
}

// Trunks lists a tenant's trunks, in the order of the settings.
func (g *Gateway) Trunks(tenant string) []TrunkStatus {
	var out []TrunkStatus
	for _, t := range g.order {
		if t.Tenant == tenant {
			out = append(out, t.status())
		}
	}
	return out
}

func (t *trunk) status() TrunkStatus {
	ts := TrunkStatus{ID: t.ID, Tenant: t.Tenant, State: "static", Up: !t.Register, Messages: t.ua.Stats()}
	t.g.mu.Lock()
	ts.Calls = t.g.busy["trunk:"+t.ID]
	t.g.mu.Unlock()
	if reg := t.reg.Load(); reg != nil {
		ts.registration(reg.Status())
	}
	t.beating(&ts)
	return ts
}

// beating says of a trunk that doesn't answer that it is down, whatever else it is.
func (t *trunk) beating(ts *TrunkStatus) {
	if dead, why := t.pulse.dead(); dead {
		ts.Up, ts.State, ts.Error = false, "unreachable", why
	}
}

func (ts *TrunkStatus) registration(st sip.RegistrationStatus) {
	ts.Up = st.State == sip.Registered
	ts.State, ts.Expires = string(st.State), st.Expires
	if st.Err != nil {
		ts.Error = st.Err.Error()
	}
}
