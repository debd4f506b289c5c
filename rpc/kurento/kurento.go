// Package kurento is Kurento's API over our media: its 29 classes, with the enums, registers and events that a generator
// makes of the table of the API; and the gate, which compares our table of classes with that one.
//
// The program hands over in Config what stands behind endpoints: this package knows package media alone. Elements of
// other modules embed Element and extend one of Core's classes.
package kurento

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

//go:generate go run ./gen

// Version is that of Kurento's API.
const Version = "7.3.0"

// Config is what the program hands over. The zero value is useful: endpoints can't be made then.
type Config struct {
	Pipeline media.Config // of the pipelines that clients make
	Version  string       // the server's, for getInfo; "" = Version
	Metadata string       // what getMetadata answers
	Dots     string       // folder that dumpGstreamerDot writes to; "" = it isn't supported
	// Sessions lists the ids of the sessions that the caller may know of; rpc.ScopeOf tells from ctx who that is. nil = none.
	Sessions func(ctx context.Context) []string
	// Now is the clock of frames' Arrival, CLOCK_MONOTONIC in ns; nil = latencies aren't measured.
	Now func() int64
	// FlowPoll is how often pads are asked whether media still flows; 0 = 2 s.
	FlowPoll time.Duration

	RTP    func(RTPOptions) (RTP, error)       // stands behind RtpEndpoint; nil = there is none
	WebRTC func(WebRTCOptions) (WebRTC, error) // stands behind WebRtcEndpoint; nil = there is none
	Room   func(RoomOptions) (Room, error)     // stands behind hubs that mix; nil = there are none
	Player func(PlayerOptions) (Player, error) // stands behind PlayerEndpoint; nil = there is none

	Recorder func(RecorderOptions) (Recorder, error) // stands behind RecorderEndpoint; nil = there is none
	Post     func(PostOptions) (Post, error)         // stands behind HttpPostEndpoint; nil = there is none
}

// Modules are Kurento's, for rpc.NewClasses.
func Modules() []rpc.Module {
	m := func(name, requires string) rpc.Module {
		return rpc.Module{Name: name, Namespace: "kurento", Version: Version, Requires: requires,
			NPM: "kurento-client-" + name, Java: "org.kurento.client"}
	}
	return []rpc.Module{m("core", ""), m("elements", "^7.1.0"), m("filters", "^7.1.0")}
}

// Core are the classes that elements of other modules extend or own, and what all objects share.
type Core struct {
	MediaObject     *rpc.Class
	ServerManager   *rpc.Class
	Pipeline        *rpc.Class
	MediaElement    *rpc.Class
	Filter          *rpc.Class
	Endpoint        *rpc.Class
	SessionEndpoint *rpc.Class
	SdpEndpoint     *rpc.Class
	BaseRtpEndpoint *rpc.Class
	UriEndpoint     *rpc.Class
	Hub             *rpc.Class
	HubPort         *rpc.Class

	cfg     Config
	log     *slog.Logger
	manager *Manager
	flows   *flows
	dots    sync.Mutex // of the folder that dumpGstreamerDot writes to
}

// Register adds Kurento's classes and types to a table that was made with its Modules.
func Register(c *rpc.Classes, cfg Config) *Core {
	cfg.Version = cmp.Or(cfg.Version, Version)
	cfg.FlowPoll = cmp.Or(cfg.FlowPoll, 2*time.Second)
	k := &Core{cfg: cfg, log: cfg.Pipeline.Log, flows: newFlows(cfg.FlowPoll)}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	k.manager = &Manager{core: k, started: time.Now()}
	c.Types(rpc.BaseTypes("core")...)
	c.Types(enums()...)
	c.Types(registers()...)
	c.Types(events()...)
	k.registerCore(c)
	k.registerElements(c)
	k.registerFilters(c)
	return k
}

// registerCore adds the classes of module core: abstract ones, pipelines, and what elements of all modules extend.
func (k *Core) registerCore(c *rpc.Classes) {
	k.MediaObject = rpc.MediaObject("core", "MediaPipeline")
	k.ServerManager = managerClass()
	k.Pipeline = k.pipelineClass()
	k.MediaElement = elementClass()
	k.Filter = &rpc.Class{Name: "Filter", Doc: "Changes media on its way.", Extends: k.MediaElement, Abstract: true}
	k.Endpoint = &rpc.Class{Name: "Endpoint", Doc: "Is at the edge of a pipeline.", Extends: k.MediaElement, Abstract: true}
	k.SessionEndpoint = k.sessionEndpointClass()
	k.SdpEndpoint = k.sdpEndpointClass()
	k.BaseRtpEndpoint = k.baseRtpEndpointClass()
	k.UriEndpoint = k.uriEndpointClass()
	k.Hub = hubClass()
	k.HubPort = k.hubPortClass()
	c.Register(k.MediaObject)
	for _, class := range []*rpc.Class{k.ServerManager, k.Pipeline, k.MediaElement, k.Filter, k.Endpoint, k.SessionEndpoint,
		k.SdpEndpoint, k.BaseRtpEndpoint, k.UriEndpoint, k.Hub, k.HubPort, k.passThroughClass()} {
		class.Module = "core"
		if class.Extends == nil {
			class.Extends = k.MediaObject
		}
		c.Register(class)
	}
}

func (k *Core) registerElements(c *rpc.Classes) {
	http := k.httpEndpointClass()
	for _, class := range []*rpc.Class{k.rtpEndpointClass(), k.webRtcEndpointClass(), k.dispatcherClass(), k.dispatcherOneToManyClass(),
		k.mixerClass(), k.compositeClass(), k.alphaBlendingClass(), http, k.httpPostEndpointClass(http), k.playerEndpointClass(), k.recorderEndpointClass()} {
		class.Module = "elements"
		c.Register(class)
	}
}

// Open opens the space of a table that Register has filled: the server's manager is in it, and is told of every object.
// cfg.Watch is told, too. It is called once; what it starts ends when the space is closed.
func (k *Core) Open(c *rpc.Classes, cfg rpc.Config) (*rpc.Space, error) {
	cfg.Watch = &watcher{k.manager, cfg.Watch}
	space := c.Open(cfg)
	k.flows.start() // the manager's Close ends it
	self, err := space.Place(rpc.Placement{Class: k.ServerManager, Value: k.manager, ID: "manager_ServerManager"})
	if err != nil {
		return nil, fmt.Errorf("place the server's manager: %w", err)
	}
	k.manager.self.Store(self)
	return space, nil
}
