package kurento

import "github.com/patchbay/patchbay/rpc"

// absentHub stands for hubs that can't be made.
type absentHub struct{ Hub }

func absentHubOf(class string) func(*Pipeline) (*absentHub, error) {
	return func(*Pipeline) (*absentHub, error) { return nil, missing(class) }
}

func (k *Core) mixerClass() *rpc.Class {
	ports := []rpc.Param{rpc.Arg("media"), rpc.Arg("source"), rpc.Arg("sink")}
	return &rpc.Class{Name: "Mixer", Doc: "Mixes for each port the audio of those that it is connected to.", Extends: k.Hub, Parent: k.Pipeline, New: rpc.Make(absentHubOf("Mixer"), rpc.Arg("mediaPipeline")),
		Ops: []rpc.Op{
			rpc.Method("connect", (*absentHub).route, ports...),
			rpc.Method("disconnect", (*absentHub).route, ports...),
		}}
}

func (k *Core) compositeClass() *rpc.Class {
	return &rpc.Class{Name: "Composite", Doc: "Shows all ports in one picture, and mixes their audio.", Extends: k.Hub, Parent: k.Pipeline,
		New: rpc.Make(func(_ *Pipeline, _, _, _ int) (*absentHub, error) { return nil, missing("Composite") },
			rpc.Arg("mediaPipeline"), rpc.OptArg("width", 800), rpc.OptArg("height", 600), rpc.OptArg("framerate", 15))}
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

func (*absentHub) route(_ MediaType, _, _ *HubPort) error { return missing("Mixer") }

func (*absentHub) setMaster(_ *HubPort, _ int) error { return missing("AlphaBlending") }

func (*absentHub) setPortProperties(_, _ float32, _ int, _, _ float32, _ *HubPort) error {
	return missing("AlphaBlending")
}
