package kurento

import (
	"reflect"

	"github.com/patchbay/patchbay/rpc"
)

// Hub is what every hub embeds. Its ports are its object's children.
type Hub struct {
	self     *rpc.Object
	pipeline *Pipeline
}

func hubClass() *rpc.Class {
	return &rpc.Class{Name: "Hub", Abstract: true, Type: reflect.TypeFor[*Hub](),
		Ops: []rpc.Op{
			rpc.Method("getGstreamerDot", (*Hub).Dot, rpc.Opt("details")),
			rpc.Method("dumpGstreamerDot", (*Hub).DumpDot, rpc.Opt("details")),
		}}
}

// Init makes the hub ready: self is how clients see it, p the pipeline that it is in.
func (h *Hub) Init(self *rpc.Object, p *Pipeline) { h.self, h.pipeline = self, p }

// HubPort is an element that enters a hub: what comes to its sinks goes into the hub, what the hub gives it leaves by its
// sources.
type HubPort struct {
	Element
	hub *Hub
}

func (k *Core) hubPortClass() *rpc.Class {
	return &rpc.Class{Name: "HubPort", Extends: k.MediaElement, Parent: k.Hub, New: rpc.Make(newHubPort, rpc.Arg("hub"))}
}

func newHubPort(self *rpc.Object, hub *Hub) *HubPort {
	p := &HubPort{hub: hub}
	p.Init(self, hub.pipeline, nil)
	return p
}
