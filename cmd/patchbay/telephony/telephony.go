// Package telephony is the module telephony of the RPC: phone calls as elements of a media pipeline (SipEndpoint), and the
// singleton that knows trunks, registrations, applications and records (TelephonyManager). Behind it is package gateway.
package telephony

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/billing/report"
	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// Name of the module, and of its namespace.
const Name = "telephony"

// Version of the module.
const Version = "0.1.0"

// ManagerID is the id of the manager, as clients know it.
const ManagerID = "manager_TelephonyManager"

// Module is what rpc.NewClasses has to know of the module.
func Module() rpc.Module {
	return rpc.Module{Name: Name, Version: Version, Requires: "^7.1.0", NPM: "kurento-client-telephony"}
}

// Config is what the program hands over.
type Config struct {
	Gateway *gateway.Gateway
	// Records finds records of calls, the newest first.
	Records func(context.Context, billing.Filter) ([]*call.Call, error)
	// Dial reaches the servers of StreamEndpoints; nil = any address.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Reports answers a question about many calls; a *report.Error is the asker's.
	Reports func(context.Context, report.Query) (*report.Report, error)
	Log     *slog.Logger
}

// Telephony is the module at work.
type Telephony struct {
	cfg     Config
	manager *Manager

	calls sync.WaitGroup // goroutines that follow calls, and that hang up

	mu       sync.Mutex
	families map[*kurento.Pipeline]*family
	states   map[string]string // of trunks, as they were told
	lines    map[lineKey]*line
	stop     func() // ends the watch over trunks and registrations
}

// family is the calls of one pipeline: their records carry the id of the first.
type family struct {
	id      call.ID
	members int
}

// Register adds the module's classes and types to a table that was made with Module, and that Kurento's classes are in.
func Register(c *rpc.Classes, core *kurento.Core, cfg Config) *Telephony {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	t := &Telephony{cfg: cfg, families: map[*kurento.Pipeline]*family{}, states: map[string]string{}, lines: map[lineKey]*line{}}
	t.manager = &Manager{t: t}
	c.Types(types()...)
	c.Types(streamTypes()...)
	endpoint := t.endpointClass(core)
	t.manager.class = managerClass(core)
	for _, k := range []*rpc.Class{endpoint, t.streamClass(core), t.listenerClass(core), t.manager.class} {
		k.Module = Name
		c.Register(k)
	}
	return t
}

// Open puts the manager into the space, and begins to tell of trunks and registrations.
func (t *Telephony) Open(space *rpc.Space) error {
	self, err := space.Place(rpc.Placement{Class: t.manager.class, Value: t.manager, ID: ManagerID})
	if err != nil {
		return fmt.Errorf("place the manager of telephony: %w", err)
	}
	t.manager.self.Store(self)
	t.stop = t.cfg.Gateway.Watch(t.changed)
	return nil
}

// Close waits until the calls of objects that were released have ended. The space is closed before it, the gateway after it.
func (t *Telephony) Close() {
	if t.stop != nil {
		t.stop()
	}
	t.calls.Wait()
}

// family is the one of a pipeline; the zero id if it has none yet. The caller holds the lock.
func (t *Telephony) family(p *kurento.Pipeline) call.ID {
	if f := t.families[p]; f != nil {
		return f.id
	}
	return call.ID{}
}

// join counts a call of a pipeline's family, which begins with the first. The caller holds the lock.
func (t *Telephony) join(p *kurento.Pipeline, id call.ID) {
	f := t.families[p]
	if f == nil {
		f = &family{id: id}
		t.families[p] = f
	}
	f.members++
}

// part is told that an endpoint with a call is released.
func (t *Telephony) part(p *kurento.Pipeline) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.families[p]
	if f == nil {
		return
	}
	if f.members--; f.members <= 0 {
		delete(t.families, p)
	}
}

// hangupTime is how long a call may take to obey an order to end; it ends in any case.
const hangupTime = 5 * time.Second

// hangUp ends a call beside the caller, who may hold locks.
func (t *Telephony) hangUp(a *gateway.AppCall, why call.Cause) {
	t.calls.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), hangupTime)
		defer cancel()
		if err := a.Hangup(ctx, why); err != nil && err != gateway.ErrNoCall {
			t.cfg.Log.Warn("call not hung up", "call", a.ID(), "err", err)
		}
	})
}
