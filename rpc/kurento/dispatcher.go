package kurento

import "github.com/patchbay/patchbay/rpc"

// Dispatcher is a hub that sends what comes into one port out of others.
type Dispatcher struct{ Hub }

func (k *Core) dispatcherClass() *rpc.Class {
	return &rpc.Class{Name: "Dispatcher", Extends: k.Hub, Parent: k.Pipeline,
		New: rpc.Make(newDispatcher, rpc.Arg("mediaPipeline")),
		Ops: []rpc.Op{rpc.Method("connect", (*Dispatcher).Connect, rpc.Arg("source"), rpc.Arg("sink"))}}
}

func newDispatcher(self *rpc.Object, p *Pipeline) *Dispatcher {
	d := &Dispatcher{}
	d.Init(self, p)
	return d
}

// Connect sends what comes into one port out of another, which had another source until now. It fails with NotConnected
// for a port of another hub.
func (d *Dispatcher) Connect(source, sink *HubPort) error {
	return missing("Dispatcher.connect")
}

// DispatcherOneToMany is a hub that sends what comes into one port out of all others.
type DispatcherOneToMany struct{ Hub }

func (k *Core) dispatcherOneToManyClass() *rpc.Class {
	return &rpc.Class{Name: "DispatcherOneToMany", Extends: k.Hub, Parent: k.Pipeline,
		New: rpc.Make(newDispatcherOneToMany, rpc.Arg("mediaPipeline")),
		Ops: []rpc.Op{
			rpc.Method("setSource", (*DispatcherOneToMany).SetSource, rpc.Arg("source")),
			rpc.Method("removeSource", (*DispatcherOneToMany).RemoveSource),
		}}
}

func newDispatcherOneToMany(self *rpc.Object, p *Pipeline) *DispatcherOneToMany {
	d := &DispatcherOneToMany{}
	d.Init(self, p)
	return d
}

// SetSource makes a port the one whose media all others send. It fails with NotConnected for a port of another hub.
func (d *DispatcherOneToMany) SetSource(source *HubPort) error {
	return missing("DispatcherOneToMany.setSource")
}

// RemoveSource makes all ports silent.
func (d *DispatcherOneToMany) RemoveSource() error {
	return missing("DispatcherOneToMany.removeSource")
}
