package kurento

import (
	"errors"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

// PassThrough is an element that sends what it receives.
type PassThrough struct {
	Element
	pads *media.PassThrough
}

func (k *Core) passThroughClass() *rpc.Class {
	return &rpc.Class{Name: "PassThrough", Doc: "Sends what it receives.", Extends: k.MediaElement, Parent: k.Pipeline,
		New: rpc.Make(newPassThrough, rpc.Arg("mediaPipeline"))}
}

func newPassThrough(self *rpc.Object, p *Pipeline) *PassThrough {
	e := &PassThrough{pads: media.NewPassThrough(p.media.Registry())}
	e.passes = true
	e.Init(self, p, e.pads)
	return e
}

// Close ends the element's connections, then its pads.
func (e *PassThrough) Close() error { return errors.Join(e.Element.Close(), e.pads.Close()) }
