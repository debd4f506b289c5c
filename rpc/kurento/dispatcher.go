package kurento

import (
	"errors"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

// ports are those of a hub that sends what comes into one out of others.
type ports struct {
	*media.Switch
	hub *Hub
}

func (s *ports) init(hub *Hub, self *rpc.Object, p *Pipeline) {
	s.Switch, s.hub = media.NewSwitch(p.media.Registry()), hub
	hub.Init(self, p, func() (media.Element, error) { return s.Add(), nil })
	hub.heard = func(p *HubPort) media.Element {
		if f := s.Feeder(s.port(p)); f != nil {
			return f
		}
		return nil
	}
}

// port is what the switch knows a port by, nil for one of another kind of hub.
func (s *ports) port(p *HubPort) *media.Port {
	port, _ := p.port.(*media.Port)
	return port
}

// strange turns the switch's error into what a client is told.
func (s *ports) strange(err error, list ...*HubPort) error {
	if !errors.Is(err, media.ErrStranger) {
		return err
	}
	for _, p := range list {
		if p.self.Parent() != s.hub.self {
			return rpc.Errorf(rpc.NotConnected, "'%s' isn't a port of the hub '%s'", p.self.ID(), s.hub.self.ID())
		}
	}
	return rpc.Errorf(rpc.NotConnected, "The port is being released")
}

// Dispatcher is a hub that sends what comes into one port out of others.
type Dispatcher struct {
	Hub
	ports ports
}

func (k *Core) dispatcherClass() *rpc.Class {
	return &rpc.Class{Name: "Dispatcher", Doc: "Sends what comes into one port out of others.", Extends: k.Hub, Parent: k.Pipeline,
		New: rpc.Make(newDispatcher, rpc.Arg("mediaPipeline")),
		Ops: []rpc.Op{rpc.Method("connect", (*Dispatcher).Connect, rpc.Arg("source"), rpc.Arg("sink"))}}
}

func newDispatcher(self *rpc.Object, p *Pipeline) *Dispatcher {
	d := &Dispatcher{}
	d.ports.init(&d.Hub, self, p)
	return d
}

// Connect sends what comes into one port out of another, which had another source until now. It fails with NotConnected
// for a port of another hub.
func (d *Dispatcher) Connect(source, sink *HubPort) error {
	return d.ports.strange(d.ports.Connect(d.ports.port(source), d.ports.port(sink)), source, sink)
}

// DispatcherOneToMany is a hub that sends what comes into one port out of all.
type DispatcherOneToMany struct {
	Hub
	ports ports
}

func (k *Core) dispatcherOneToManyClass() *rpc.Class {
	return &rpc.Class{Name: "DispatcherOneToMany", Doc: "Sends what comes into one port out of all.", Extends: k.Hub, Parent: k.Pipeline,
		New: rpc.Make(newDispatcherOneToMany, rpc.Arg("mediaPipeline")),
		Ops: []rpc.Op{
			rpc.Method("setSource", (*DispatcherOneToMany).SetSource, rpc.Arg("source")),
			rpc.Method("removeSource", (*DispatcherOneToMany).RemoveSource),
		}}
}

func newDispatcherOneToMany(self *rpc.Object, p *Pipeline) *DispatcherOneToMany {
	d := &DispatcherOneToMany{}
	d.ports.init(&d.Hub, self, p)
	return d
}

// SetSource makes a port the one whose media all ports send, itself included. It fails with NotConnected for a port of
// another hub.
func (d *DispatcherOneToMany) SetSource(source *HubPort) error {
	return d.ports.strange(d.ports.Broadcast(d.ports.port(source)), source)
}

// RemoveSource makes all ports silent.
func (d *DispatcherOneToMany) RemoveSource() { d.ports.Silence() }
