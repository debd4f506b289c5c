package main

import (
	"reflect"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/echo"
	"github.com/patchbay/patchbay/media/tone"
	"github.com/patchbay/patchbay/rpc"
)

// elementClasses is the table of what JSON-RPC clients can create: the classes that all others extend, and one line for
// each element of ours. Pipelines are made with cfg.
func elementClasses(cfg media.Config) *rpc.Classes {
	c := rpc.NewClasses(
		rpc.Module{Name: "core", Namespace: "kurento", Version: "7.3.0", NPM: "kurento-client-core", Java: "org.kurento.client"},
		rpc.Module{Name: "elements", Namespace: "kurento", Version: "7.3.0", Requires: "^7.1.0", NPM: "kurento-client-elements", Java: "org.kurento.client"},
		rpc.Module{Name: "telephony", Version: "0.1.0", Requires: "^7.1.0"},
	)
	c.Types(rpc.BaseTypes("core")...)
	c.Types(rpc.EventType[endOfStream]("elements", "EndOfStream", rpc.Media))

	object := rpc.MediaObject("core", "MediaPipeline")
	pipeline := &rpc.Class{Module: "core", Name: "MediaPipeline", Extends: object,
		New: rpc.Make(func() *media.Pipeline { return media.NewPipeline(cfg) })}
	element := &rpc.Class{Module: "core", Name: "MediaElement", Extends: object, Abstract: true, Type: reflect.TypeFor[media.Element]()}
	c.Register(object, pipeline, element)

	owner := rpc.Arg("mediaPipeline")
	for _, k := range []*rpc.Class{
		{Name: "Echo", Doc: "Sends back what it receives.", New: rpc.Make(newEcho, owner, rpc.OptArg("events", true))},
		{Name: "Tone", Doc: "Sends a sine.", New: rpc.Make(newTone, owner, rpc.Arg("hz"), rpc.OptArg("level", -10.0), rpc.OptArg("duration", 0)), Ops: []rpc.Op{rpc.Method("start", (*tone.Tone).Start)}, Events: []string{"EndOfStream"}},
	} {
		k.Module, k.Extends, k.Parent = "telephony", element, pipeline
		c.Register(k)
	}
	return c
}

// endOfStream is raised by an element that has no more to send.
type endOfStream struct{}

// newEcho makes an echo, of DTMF too if events says so.
func newEcho(p *media.Pipeline, events bool) *echo.Echo {
	return echo.New(echo.Config{Registry: p.Registry(), Events: events})
}

// newTone makes a tone of so many Hz at a level in dBm0, that ends after duration ms; 0 = never.
func newTone(self *rpc.Object, p *media.Pipeline, hz, level float64, duration int) (*tone.Tone, error) {
	sound := tone.Sound{Sines: []tone.Sine{{Hz: hz, Level: level}}, For: time.Duration(duration) * time.Millisecond}
	t, err := tone.New(tone.Config{Sound: sound, Clock: p.Clock(), Registry: p.Registry(),
		Post: func(media.Notice) { self.Post(endOfStream{}) }}) // a tone posts nothing but its end
	if err != nil {
		return nil, rpc.Errorf(rpc.IllegalParam, "%v", err)
	}
	return t, nil
}
