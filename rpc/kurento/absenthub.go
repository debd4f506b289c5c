package kurento

import "github.com/patchbay/patchbay/rpc"

// absentHub stands for hubs that can't be made.
type absentHub struct{ Hub }

func absentHubOf(class string) func(*Pipeline) (*absentHub, error) {
	return func(*Pipeline) (*absentHub, error) { return nil, missing(class) }
}

func (k *Core) alphaBlendingClass() *rpc.Class {
	return &rpc.Class{Name: "AlphaBlending", Doc: "Shows ports on top of one another.", Extends: k.Hub, Parent: k.Pipeline,
		New: rpc.Make(absentHubOf("AlphaBlending"), rpc.Arg("mediaPipeline")),
		Ops: []rpc.Op{
			rpc.Method("setMaster", (*absentHub).setMaster, rpc.Arg("source"), rpc.Arg("zOrder")),
			rpc.Method("setPortProperties", (*absentHub).setPortProperties, rpc.Arg("relativeX"), rpc.Arg("relativeY"), rpc.Arg("zOrder"),
				rpc.Arg("relativeWidth"), rpc.Arg("relativeHeight"), rpc.Arg("port")),
		}}
}

func (*absentHub) setMaster(_ *HubPort, _ int) error { return missing("AlphaBlending") }

func (*absentHub) setPortProperties(_, _ float32, _ int, _, _ float32, _ *HubPort) error {
	return missing("AlphaBlending")
}
