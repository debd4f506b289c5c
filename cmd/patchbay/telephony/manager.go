package telephony

import (
	"context"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// Manager is what stands behind manager_TelephonyManager, which every tenant has: each sees what is its own.
type Manager struct {
	t     *Telephony
	class *rpc.Class
	self  atomic.Pointer[rpc.Object] // nil until it is placed
}

func managerClass(core *kurento.Core) *rpc.Class {
	return &rpc.Class{Name: "TelephonyManager", Extends: core.MediaObject, Abstract: true, Type: reflect.TypeFor[*Manager](),
		Doc: "Trunks, registrations, applications, running calls and records of the client's tenant. There is one: manager_TelephonyManager.",
		Props: []rpc.Prop{
			rpc.ReadOnly("trunks", (*Manager).Trunks).About("The trunks and their state."),
			rpc.ReadOnly("registrations", (*Manager).Registrations).About("The users, and who is registered."),
			rpc.ReadOnly("apps", (*Manager).Apps).About("Ids of the configured applications."),
			rpc.ReadOnly("liveCalls", (*Manager).LiveCalls).About("The calls that run, the oldest first."),
		},
		Ops: []rpc.Op{
			rpc.Method("listen", (*Manager).Listen, rpc.Arg("app").About("Id of a configured application.")).Of("SipListener").
				About("Takes the calls that are routed to an application: the event IncomingCall tells of each. It ends when the listener that it returns is released, or when no client that has it is connected."),
			rpc.Method("cdr", (*Manager).CDR, rpc.Opt("filter").About("Which; without it the newest 100.")).Needs(rpc.Billing).Waits().
				About("Records of calls, the newest first."),
			rpc.Method("report", (*Manager).Report, rpc.Arg("name").About("traffic, money, quality, destinations, worst or concurrency."), rpc.Opt("query").About("Which calls, and how they are told apart; without it those of this month.")).Needs(rpc.Billing).Waits().
				About("What calls came to."),
		},
		Events: []string{"IncomingCall", "TrunkStateChanged", "RegistrationStateChanged"}}
}

// tenant is whose request it is.
func tenant(ctx context.Context) string {
	scope, _ := rpc.ScopeOf(ctx)
	return scope.Name()
}

// Trunks are the tenant's.
func (m *Manager) Trunks(ctx context.Context) []SIPTrunk {
	out := []SIPTrunk{}
	for _, t := range m.t.cfg.Gateway.Trunks(tenant(ctx)) {
		r := SIPTrunk{ID: t.ID, State: t.State, Up: t.Up, Calls: t.Calls, Error: t.Error}
		if !t.Expires.IsZero() {
			r.Expires = t.Expires.UnixMilli()
		}
		out = append(out, r)
	}
	return out
}

// Registrations are those of the tenant's users.
func (m *Manager) Registrations(ctx context.Context) []SIPRegistration {
	out := []SIPRegistration{}
	for _, r := range m.t.cfg.Gateway.Registrations(tenant(ctx)) {
		out = append(out, SIPRegistration{r.User, r.Online})
	}
	return out
}

// Apps are the ids of the tenant's applications.
func (m *Manager) Apps(ctx context.Context) []string {
	out := []string{}
	for _, a := range m.t.cfg.Gateway.Apps(tenant(ctx)) {
		out = append(out, a.ID)
	}
	return out
}

// LiveCalls are the tenant's, oldest first.
func (m *Manager) LiveCalls(ctx context.Context) []LiveCall {
	out := []LiveCall{}
	for _, l := range m.t.cfg.Gateway.Live() {
		if l.Tenant == tenant(ctx) {
			out = append(out, LiveCall{l.ID.String(), l.From, l.Number, l.App, l.Since.UnixMilli()})
		}
	}
	return out
}

// CDR finds records of the tenant.
func (m *Manager) CDR(ctx context.Context, filter *CDRFilter) ([]CallRecord, error) {
	if filter == nil {
		filter = &CDRFilter{Limit: newest}
	}
	f, err := filter.billing(tenant(ctx))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	calls, err := m.t.cfg.Records(ctx, f)
	if err != nil {
		m.t.cfg.Log.Warn("records can't be read", "err", err)
		return nil, rpc.Errorf(rpc.Unexpected, "Records can't be read now")
	}
	out := make([]CallRecord, len(calls))
	for i, c := range calls {
		out[i] = recordOf(c)
	}
	return out, nil
}

// changed tells of a trunk or a registration.
func (t *Telephony) changed(c gateway.Change) {
	self := t.manager.self.Load()
	if self == nil {
		return
	}
	if c.Trunk == nil {
		self.RaiseFor(c.Tenant, RegistrationStateChanged{c.User, c.Online})
		return
	}
	t.mu.Lock()
	now := c.Trunk.State + "\x00" + c.Trunk.Error
	same := t.states[c.Trunk.ID] == now
	t.states[c.Trunk.ID] = now
	t.mu.Unlock()
	if !same { // a refresh is no news
		self.RaiseFor(c.Tenant, TrunkStateChanged{c.Trunk.ID, c.Trunk.State, c.Trunk.Up, c.Trunk.Error})
	}
}

// moment is a time as registers have it, ms since 1970; 0 = none.
func moment(t *time.Time) int64 {
	if t == nil {
		return 0
	}
	return t.UnixMilli()
}

// number is a duration in ms that may be missing.
func number(ms *int64) int64 {
	if ms == nil {
		return 0
	}
	return *ms
}

// text of an id that may be missing.
func text(id call.ID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}
