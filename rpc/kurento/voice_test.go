package kurento_test

import (
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// voice is an element that says what a test tells it, and keeps what it hears.
type voice struct {
	kurento.Element
	say  *mediatest.Talker
	hear *mediatest.Recorder
}

// voicePads are what stands behind a voice: pads of one kind of media.
type voicePads struct {
	*voice
	at media.Pad
}

func (p *voicePads) Source(at media.Pad) *media.Source {
	if at == p.at {
		return p.say.Source
	}
	return nil
}

func (p *voicePads) Sink(at media.Pad) media.Sink {
	if at == p.at {
		return p.hear
	}
	return nil
}

func (p *voicePads) Pads() []media.Pad     { return []media.Pad{p.at} }
func (p *voicePads) Stats(*media.Snapshot) {}
func (p *voicePads) Close() error          { return nil }

func (v *voice) Close() error {
	err := v.Element.Close()
	v.say.Close()
	return err
}

// voices is a table's class of them, of one kind and one format.
func voices(name string, at media.Pad, say, hear *media.Format) func(*rpc.Classes, *kurento.Core) {
	return func(c *rpc.Classes, k *kurento.Core) {
		c.Register(&rpc.Class{Module: "test", Name: name, Extends: k.Endpoint, Parent: k.Pipeline,
			New: rpc.Make(func(self *rpc.Object, p *kurento.Pipeline, late bool) *voice {
				v := &voice{say: mediatest.NewTalker(p.Media().Registry(), say), hear: mediatest.NewRecorder(hear)}
				v.Init(self, p, nil)
				if !late {
					v.Attach(&voicePads{v, at})
				}
				return v
			}, rpc.Arg("mediaPipeline"), rpc.OptArg("late", false))})
	}
}

func voiceOf(o *rpc.Object) *voice { return o.Value().(*voice) }
