package kurento

import "github.com/patchbay/patchbay/rpc"

// absentFilter stands for filters that can't be made.
type absentFilter struct{ Element }

func absentFilterOf(class string) func(*Pipeline) (*absentFilter, error) {
	return func(*Pipeline) (*absentFilter, error) { return nil, missing(class) }
}

// registerFilters adds the classes of module filters.
func (k *Core) registerFilters(c *rpc.Classes) {
	owner := rpc.Arg("mediaPipeline")
	offsets := []rpc.Param{rpc.Arg("uri"), rpc.Arg("offsetXPercent"), rpc.Arg("offsetYPercent"), rpc.Arg("widthPercent"), rpc.Arg("heightPercent")}
	image := append(append([]rpc.Param{rpc.Arg("id")}, offsets...), rpc.Arg("keepAspectRatio"), rpc.Arg("center"))
	for _, class := range []*rpc.Class{
		{Name: "FaceOverlayFilter", Doc: "Puts a picture over faces.", New: rpc.Make(absentFilterOf("FaceOverlayFilter"), owner),
			Ops: []rpc.Op{rpc.Method("unsetOverlayedImage", (*absentFilter).unset), rpc.Method("setOverlayedImage", (*absentFilter).overlay, offsets...)}},
		{Name: "GStreamerFilter", Doc: "Runs an element of GStreamer.",
			New: rpc.Make(func(_ *Pipeline, _ string, _ FilterType) (*absentFilter, error) {
				return nil, missing("GStreamerFilter")
			},
				owner, rpc.Arg("command"), rpc.OptArg("filterType", FilterTypeAutodetect)),
			Props: []rpc.Prop{rpc.ReadOnly("command", (*absentFilter).command)},
			Ops:   []rpc.Op{rpc.Method("setElementProperty", (*absentFilter).setProperty, rpc.Arg("propertyName"), rpc.Arg("propertyValue"))}},
		{Name: "ImageOverlayFilter", Doc: "Puts pictures over video.", New: rpc.Make(absentFilterOf("ImageOverlayFilter"), owner),
			Ops: []rpc.Op{rpc.Method("removeImage", (*absentFilter).removeImage, rpc.Arg("id")), rpc.Method("addImage", (*absentFilter).addImage, image...)}},
		{Name: "OpenCVFilter", Doc: "Runs OpenCV on video.", Abstract: true},
		{Name: "ZBarFilter", Doc: "Reads bar codes in video.", New: rpc.Make(absentFilterOf("ZBarFilter"), owner), Events: []string{"CodeFound"}},
	} {
		class.Module, class.Extends = "filters", k.Filter
		if !class.Abstract {
			class.Parent = k.Pipeline
		}
		c.Register(class)
	}
}

func (*absentFilter) unset() error                               { return missing("FaceOverlayFilter") }
func (*absentFilter) overlay(_ string, _, _, _, _ float32) error { return missing("FaceOverlayFilter") }
func (*absentFilter) command() (string, error)                   { return "", missing("GStreamerFilter") }
func (*absentFilter) setProperty(_, _ string) error              { return missing("GStreamerFilter") }
func (*absentFilter) removeImage(string) error                   { return missing("ImageOverlayFilter") }
func (*absentFilter) addImage(_, _ string, _, _, _, _ float32, _, _ bool) error {
	return missing("ImageOverlayFilter")
}
