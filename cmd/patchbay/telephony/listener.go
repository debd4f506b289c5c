package telephony

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// Listener takes the calls of an application for as long as it lives and a client that has it is connected: without one,
// calls go to the route's next hop at once.
type Listener struct {
	t    *Telephony
	self *rpc.Object
	app  string

	closed bool // guarded by the module's lock
}

type lineKey struct{ tenant, app string }

// line is all listeners of an application.
type line struct {
	stop      func()
	listeners []*Listener // replaced, never changed
}

func (t *Telephony) listenerClass(core *kurento.Core) *rpc.Class {
	return &rpc.Class{Name: "SipListener", Extends: core.MediaObject,
		Doc: "Takes the calls that are routed to an application. TelephonyManager's listen makes it; releasing it ends that.",
		New: rpc.Make(t.newListener, rpc.Arg("app").About("Id of a configured application.")),
		Props: []rpc.Prop{
			rpc.Final("app", (*Listener).App).About("Whose calls they are."),
		},
		Events: []string{"IncomingCall"}}
}

func (t *Telephony) newListener(self *rpc.Object, app string) (*Listener, error) {
	l := &Listener{t: t, self: self, app: app}
	if err := l.listen(); err != nil {
		return nil, fault(err)
	}
	return l, nil
}

// App is the application's id.
func (l *Listener) App() string { return l.app }

// Listen makes a listener for the client.
func (m *Manager) Listen(ctx context.Context, app string) (*rpc.Object, error) {
	scope, ok := rpc.ScopeOf(ctx)
	if !ok {
		return nil, rpc.Errorf(rpc.Internal, "Internal error")
	}
	params, err := json.Marshal(map[string]string{"app": app})
	if err != nil {
		return nil, err
	}
	return scope.New(ctx, "SipListener", params)
}

func (l *Listener) key() lineKey { return lineKey{l.self.Tenant(), l.app} }

// listen puts the listener on its line, if it isn't there.
func (l *Listener) listen() error {
	t, key := l.t, l.key()
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.closed {
		return nil
	}
	on := t.lines[key]
	if on == nil {
		on = &line{}
		stop, err := t.cfg.Gateway.Listen(key.tenant, key.app, func(o gateway.Offer) { t.rings(key, o) })
		if err != nil {
			return err
		}
		on.stop = stop
		t.lines[key] = on
	}
	if !slices.Contains(on.listeners, l) {
		on.listeners = append(slices.Clone(on.listeners), l)
	}
	return nil
}

// silence takes the listener off its line, which ends with the last.
func (l *Listener) silence(closed bool) {
	t, key := l.t, l.key()
	t.mu.Lock()
	defer t.mu.Unlock()
	l.closed = l.closed || closed
	on := t.lines[key]
	if on == nil {
		return
	}
	on.listeners = slices.DeleteFunc(slices.Clone(on.listeners), func(o *Listener) bool { return o == l })
	if len(on.listeners) == 0 {
		on.stop()
		delete(t.lines, key)
	}
}

// rings tells of a call: each listener its own subscribers, the manager the tenant's.
func (t *Telephony) rings(key lineKey, o gateway.Offer) {
	ev := IncomingCall{CallID: o.ID.String(), App: o.App, From: o.From, FromName: o.FromName, To: o.To, User: o.User, Trunk: o.Trunk,
		Headers: []SIPHeader{}, Limit: int(o.Limit.Milliseconds())}
	for _, h := range o.Headers {
		ev.Headers = append(ev.Headers, SIPHeader{h.Name, h.Value})
	}
	t.mu.Lock()
	var list []*Listener
	if on := t.lines[key]; on != nil {
		list = on.listeners
	}
	t.mu.Unlock()
	for _, l := range list {
		l.self.Raise(ev)
	}
	if self := t.manager.self.Load(); self != nil {
		self.RaiseFor(key.tenant, ev)
	}
}

// Attended implements rpc.Attended.
func (l *Listener) Attended(there bool) {
	if !there {
		l.silence(false)
		return
	}
	if err := l.listen(); err != nil {
		l.t.cfg.Log.Warn("listening again", "app", l.app, "err", err)
	}
}

// Close ends the listening.
func (l *Listener) Close() error {
	l.silence(true)
	return nil
}
