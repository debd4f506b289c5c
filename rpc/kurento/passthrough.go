package kurento

import "github.com/patchbay/patchbay/rpc"

// PassThrough is an element that sends what it receives.
type PassThrough struct{ Element }

func (k *Core) passThroughClass() *rpc.Class {
	return &rpc.Class{Name: "PassThrough", Extends: k.MediaElement, Parent: k.Pipeline, New: rpc.Make(newPassThrough, rpc.Arg("mediaPipeline"))}
}

func newPassThrough(self *rpc.Object, p *Pipeline) *PassThrough {
	e := &PassThrough{}
	e.Init(self, p, nil)
	return e
}
