package main

import (
	"fmt"

	"github.com/patchbay/patchbay/cmd/patchbay/telephony"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mix"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// newRoom makes what stands behind Kurento's hubs that mix.
func newRoom(o kurento.RoomOptions) (kurento.Room, error) {
	return &mixRoom{mix.New(mix.Config{Registry: o.Pipeline.Registry(), Clock: o.Pipeline.Clock(), Chosen: o.Chosen, Video: o.Chosen})}, nil
}

// mixRoom is a room as package kurento sees it.
type mixRoom struct{ *mix.Room }

func (r *mixRoom) Add() (media.Element, error) {
	p, err := r.Room.Add()
	if err != nil {
		return nil, fmt.Errorf("port of a hub: %w", err) // and no port that is nil inside an interface that isn't
	}
	return p, nil
}

func (r *mixRoom) Connect(kind media.Kind, from, to media.Element) error {
	return r.Room.Connect(kind, mixPort(from), mixPort(to))
}

func (r *mixRoom) Disconnect(from, to media.Element) error {
	return r.Room.Disconnect(mixPort(from), mixPort(to))
}

// mixPort is nil for an element that isn't a port of a room.
func mixPort(e media.Element) *mix.Port {
	p, _ := e.(*mix.Port)
	return p
}

// audioMixer is a room as clients see it: each port hears all others.
type audioMixer struct {
	kurento.Hub
	self *rpc.Object
	room *mix.Room
}

// activeSpeakerChanged tells that another port of an AudioMixer is the one who speaks; none if that port was released.
type activeSpeakerChanged struct {
	Port string `rpc:"port"` // id of the HubPort; "" = nobody
}

func newAudioMixer(self *rpc.Object, p *kurento.Pipeline) *audioMixer {
	m := &audioMixer{self: self}
	m.room = mix.New(mix.Config{Registry: p.Media().Registry(), Clock: p.Media().Clock(), Speaker: func(port *mix.Port) {
		self.Post(activeSpeakerChanged{Port: m.id(port)})
	}})
	m.Init(self, p, (&mixRoom{m.room}).Add)
	return m
}

// id is what clients know a port by, "" for none.
func (m *audioMixer) id(port *mix.Port) string {
	for _, o := range m.self.Children() {
		if p, ok := o.Value().(*kurento.HubPort); ok && port != nil && mixPort(p.Media()) == port {
			return o.ID()
		}
	}
	return ""
}

// ActiveSpeaker is the id of the HubPort of who speaks, or spoke last; "" if nobody did.
func (m *audioMixer) ActiveSpeaker() string { return m.id(m.room.Speaker()) }

// SampleRate is what the hub mixes at, in Hz: the highest rate that any of its ports has.
func (m *audioMixer) SampleRate() int { return m.room.Rate() }

// portLevel is the register PortLevel.
type portLevel struct {
	Port  string  `rpc:"port"`  // id of the HubPort
	Level float64 `rpc:"level"` // dB below full scale
}

// Levels are how loud each port is now, in dB below full scale, -100 at least.
func (m *audioMixer) Levels() []portLevel {
	out := []portLevel{}
	for _, o := range m.self.Children() {
		if p, ok := o.Value().(*kurento.HubPort); ok {
			if port := mixPort(p.Media()); port != nil {
				out = append(out, portLevel{o.ID(), port.Level()})
			}
		}
	}
	return out
}

// audioMixerClass is the class of rooms, and its types.
func audioMixerClass(core *kurento.Core) (*rpc.Class, []rpc.Type) {
	return &rpc.Class{Module: telephony.Name, Name: "AudioMixer", Doc: "Mixes the audio of all ports: each hears all others, at the highest rate that any of them has.",
			Extends: core.Hub, Parent: core.Pipeline, New: rpc.Make(newAudioMixer, rpc.Arg("mediaPipeline")),
			Props: []rpc.Prop{
				rpc.ReadOnly("activeSpeaker", (*audioMixer).ActiveSpeaker).About("Id of the HubPort of who speaks, or spoke last; empty if nobody did."),
				rpc.ReadOnly("sampleRate", (*audioMixer).SampleRate).About("What is mixed at now, Hz: 8000, 16000 or 48000."),
			},
			Ops:    []rpc.Op{rpc.Method("getLevels", (*audioMixer).Levels)},
			Events: []string{"ActiveSpeakerChanged"},
		}, []rpc.Type{
			rpc.RegisterType[portLevel](telephony.Name, "PortLevel").About("How loud a port of an AudioMixer is, in dB below full scale."),
			rpc.EventType[activeSpeakerChanged](telephony.Name, "ActiveSpeakerChanged", rpc.Media).About("Another port of an AudioMixer is the one who speaks. Its port is empty if the one who spoke was released."),
		}
}

// Close ends the room.
func (m *audioMixer) Close() error { return m.room.Close() }
