package main

import (
	"errors"
	"time"

	"github.com/patchbay/patchbay/cmd/patchbay/telephony"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/echo"
	"github.com/patchbay/patchbay/media/tone"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// elementClasses is the table of what JSON-RPC clients can create: Kurento's classes, phone calls, and one line for each other
// element of ours.
func elementClasses(cfg kurento.Config, calls telephony.Config) (*rpc.Classes, *kurento.Core, *telephony.Telephony) {
	c := rpc.NewClasses(append(kurento.Modules(), telephony.Module())...)
	core := kurento.Register(c, cfg)
	phone := telephony.Register(c, core, calls)
	owner := rpc.Arg("mediaPipeline")
	for _, k := range []*rpc.Class{
		{Name: "Echo", Doc: "Sends back what it receives.", New: rpc.Make(newEcho, owner, rpc.OptArg("events", true))},
		{Name: "Tone", Doc: "Sends a sine.", New: rpc.Make(newTone, owner, rpc.Arg("hz"), rpc.OptArg("level", -10.0), rpc.OptArg("duration", 0)), Ops: []rpc.Op{rpc.Method("start", (*toneElement).Start)}, Events: []string{"EndOfStream"}},
	} {
		k.Module, k.Extends, k.Parent = telephony.Name, core.MediaElement, core.Pipeline
		c.Register(k)
	}
	mixer, types := audioMixerClass(core)
	c.Types(types...)
	c.Register(mixer)
	return c, core, phone
}

// echoElement is an echo as clients see it.
type echoElement struct {
	kurento.Element
	echo *echo.Echo
}

// newEcho makes an echo, of DTMF too if events says so.
func newEcho(self *rpc.Object, p *kurento.Pipeline, events bool) *echoElement {
	e := &echoElement{echo: echo.New(echo.Config{Registry: p.Media().Registry(), Events: events})}
	e.Init(self, p, e.echo)
	return e
}

// Close ends the element's connections, then the echo.
func (e *echoElement) Close() error { return errors.Join(e.Element.Close(), e.echo.Close()) }

// toneElement is a tone as clients see it.
type toneElement struct {
	kurento.Element
	tone *tone.Tone
}

// newTone makes a tone of so many Hz at a level in dBm0, that ends after duration ms; 0 = never.
func newTone(self *rpc.Object, p *kurento.Pipeline, hz, level float64, duration int) (*toneElement, error) {
	sound := tone.Sound{Sines: []tone.Sine{{Hz: hz, Level: level}}, For: time.Duration(duration) * time.Millisecond}
	t, err := tone.New(tone.Config{Sound: sound, Clock: p.Media().Clock(), Registry: p.Media().Registry(),
		Post: func(media.Notice) { self.Post(kurento.EndOfStream{}) }}) // a tone posts nothing but its end
	if err != nil {
		return nil, rpc.Errorf(rpc.IllegalParam, "%v", err)
	}
	e := &toneElement{tone: t}
	e.Init(self, p, t)
	return e, nil
}

// Start begins the tone.
func (e *toneElement) Start() { e.tone.Start() }

// Close ends the element's connections, then the tone.
func (e *toneElement) Close() error { return errors.Join(e.Element.Close(), e.tone.Close()) }
