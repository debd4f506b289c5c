package kurento

import (
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

// Room is what stands behind hubs that mix audio.
type Room interface {
	// Add makes a port.
	Add() (media.Element, error)
	// Connect has a port hear, or see, another, where that is chosen. It fails for a port that isn't the room's.
	Connect(kind media.Kind, from, to media.Element) error
	// Disconnect has a port hear another no more.
	Disconnect(from, to media.Element) error
	Close() error
}

// RoomOptions are what a room is made with.
type RoomOptions struct {
	Pipeline *media.Pipeline // has the registry and the clock
	// Chosen: ports hear and see those that Connect says; otherwise each hears all others.
	Chosen bool
}

func (k *Core) room(class string, p *Pipeline, chosen bool) (Room, error) {
	if k.cfg.Room == nil {
		return nil, rpc.Errorf(rpc.NotSupported, "%s", noRoom(class))
	}
	return k.cfg.Room(RoomOptions{Pipeline: p.Media(), Chosen: chosen})
}

func noRoom(class string) string {
	return class + " isn't available: mixing is switched off on this server."
}

// Mixer is a hub that mixes for each port the audio of those that it is connected to. Of video the last one connected is shown.
type Mixer struct {
	Hub
	room Room
}

func (k *Core) mixerClass() *rpc.Class {
	ports := []rpc.Param{rpc.Arg("media"), rpc.Arg("source"), rpc.Arg("sink")}
	return &rpc.Class{Name: "Mixer", Doc: "Mixes for each port the audio of those that it is connected to.", Extends: k.Hub, Parent: k.Pipeline, New: rpc.Make(k.newMixer, rpc.Arg("mediaPipeline")),
		Ops: []rpc.Op{
			rpc.Method("connect", (*Mixer).Connect, ports...),
			rpc.Method("disconnect", (*Mixer).Disconnect, ports...),
		}}
}

func (k *Core) newMixer(self *rpc.Object, p *Pipeline) (*Mixer, error) {
	room, err := k.room("Mixer", p, true)
	if err != nil {
		return nil, err
	}
	m := &Mixer{room: room}
	m.Init(self, p, room.Add)
	return m, nil
}

// Connect has the port sink hear source, beside whom it hears already, or see it instead of whom it saw. It fails with
// NotConnected for a port of another hub, and with UnsupportedMediaType for data.
func (m *Mixer) Connect(kind MediaType, source, sink *HubPort) error {
	k := media.Audio
	switch kind {
	case MediaTypeVideo:
		k = media.Video
	case MediaTypeData:
		return rpc.Errorf(rpc.UnsupportedMediaType, "'media' is DATA, should be AUDIO or VIDEO")
	}
	return m.strange(m.room.Connect(k, source.port, sink.port), source, sink)
}

// Disconnect has the port sink hear source no more. It fails with UnsupportedMediaType for other media than audio, as
// Kurento's does.
func (m *Mixer) Disconnect(kind MediaType, source, sink *HubPort) error {
	if kind != MediaTypeAudio {
		return rpc.Errorf(rpc.UnsupportedMediaType, "'media' is %s, should be AUDIO", kind)
	}
	return m.strange(m.room.Disconnect(source.port, sink.port), source, sink)
}

// strange turns the room's error into what a client is told.
func (m *Mixer) strange(err error, list ...*HubPort) error {
	if err == nil {
		return nil
	}
	for _, p := range list {
		if p.self.Parent() != m.self {
			return rpc.Errorf(rpc.NotConnected, "'%s' isn't a port of the hub '%s'", p.self.ID(), m.self.ID())
		}
	}
	return rpc.Errorf(rpc.NotConnected, "The port is being released")
}

// Close ends the room.
func (m *Mixer) Close() error { return m.room.Close() }

// Composite is a hub whose ports all hear one another. Its picture isn't there.
type Composite struct {
	Hub
	room Room
}

func (k *Core) compositeClass() *rpc.Class {
	return &rpc.Class{Name: "Composite", Doc: "Mixes the audio of all ports. Its picture isn't there: this server doesn't decode video.", Extends: k.Hub, Parent: k.Pipeline,
		New: rpc.Make(k.newComposite, rpc.Arg("mediaPipeline"), rpc.OptArg("width", 800), rpc.OptArg("height", 600), rpc.OptArg("framerate", 15))}
}

func (k *Core) newComposite(self *rpc.Object, p *Pipeline, width, height, rate int) (*Composite, error) {
	for _, v := range []struct {
		name  string
		value int
	}{{"width", width}, {"height", height}, {"framerate", rate}} {
		if v.value < 1 {
			return nil, rpc.Errorf(rpc.IllegalParam, "'%s' is %d, should be 1 or more", v.name, v.value)
		}
	}
	room, err := k.room("Composite", p, false)
	if err != nil {
		return nil, err
	}
	c := &Composite{room: room}
	c.Init(self, p, room.Add)
	return c, nil
}

// Close ends the room.
func (c *Composite) Close() error { return c.room.Close() }
