package kurento

import (
	"errors"
	"reflect"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

// Hub is what every hub embeds. Its ports are its object's children.
type Hub struct {
	self     *rpc.Object
	pipeline *Pipeline
	enter    func() (media.Element, error)
	heard    func(*HubPort) media.Element // what stands behind the port whose media leaves another; nil = it isn't known
}

func hubClass() *rpc.Class {
	return &rpc.Class{Name: "Hub", Doc: "Has ports between which it mixes or switches media.", Abstract: true, Type: reflect.TypeFor[*Hub](),
		Ops: []rpc.Op{
			rpc.Method("getGstreamerDot", (*Hub).Dot, rpc.Opt("details")),
			rpc.Method("dumpGstreamerDot", (*Hub).DumpDot, rpc.Opt("details")),
		}}
}

// Init makes the hub ready: self is how clients see it, p the pipeline that it is in, and enter makes what stands behind a
// port of it.
func (h *Hub) Init(self *rpc.Object, p *Pipeline, enter func() (media.Element, error)) {
	h.self, h.pipeline, h.enter = self, p, enter
}

// Object is the hub as clients see it.
func (h *Hub) Object() *rpc.Object { return h.self }

func (h *Hub) base() *Hub { return h }

// feeder is the port whose media leaves another one, nil if there is none.
func (h *Hub) feeder(p *HubPort) *HubPort {
	if h.heard == nil {
		return nil
	}
	from := h.heard(p)
	for _, o := range h.self.Children() {
		if port, ok := o.Value().(*HubPort); ok && from != nil && port.port == from {
			return port
		}
	}
	return nil
}

// HubPort is an element that enters a hub: what comes to its sinks goes into the hub, what the hub gives it leaves by its
// sources.
type HubPort struct {
	Element
	port media.Element
}

func (k *Core) hubPortClass() *rpc.Class {
	return &rpc.Class{Name: "HubPort", Doc: "Enters a hub.", Extends: k.MediaElement, Parent: k.Hub, New: rpc.Make(newHubPort, rpc.Arg("hub"))}
}

func newHubPort(self *rpc.Object, hub *Hub) (*HubPort, error) {
	port, err := hub.enter()
	if err != nil {
		return nil, err
	}
	p := &HubPort{port: port}
	p.Init(self, hub.pipeline, port)
	return p, nil
}

// Media is what stands behind the port, as its hub made it.
func (p *HubPort) Media() media.Element { return p.port }

// Close ends the port's connections, then takes it out of its hub.
func (p *HubPort) Close() error { return errors.Join(p.Element.Close(), p.port.Close()) }
