package kurento

import (
	"reflect"

	"github.com/patchbay/patchbay/rpc"
)

// absentHTTP stands for endpoints that take media over HTTP, which can't be made.
type absentHTTP struct{ Element }

func (k *Core) httpEndpointClass() *rpc.Class {
	return &rpc.Class{Name: "HttpEndpoint", Doc: "Takes or gives media over HTTP.", Extends: k.SessionEndpoint, Abstract: true, Type: reflect.TypeFor[*absentHTTP](),
		Ops: []rpc.Op{rpc.Method("getUrl", (*absentHTTP).url)}}
}

func (k *Core) httpPostEndpointClass(http *rpc.Class) *rpc.Class {
	return &rpc.Class{Name: "HttpPostEndpoint", Doc: "Takes media that is posted over HTTP.", Extends: http, Parent: k.Pipeline,
		New: rpc.Make(func(_ *Pipeline, _ int, _ bool) (*absentHTTP, error) { return nil, missing("HttpPostEndpoint") },
			rpc.Arg("mediaPipeline"), rpc.OptArg("disconnectionTimeout", 2), rpc.OptArg("useEncodedMedia", false)),
		Events: []string{"EndOfStream"}}
}

func (*absentHTTP) url() (string, error) { return "", missing("HttpEndpoint") }

// absentURI stands for endpoints that open media by URI, which can't be made.
type absentURI struct{ Element }

func (k *Core) uriEndpointClass() *rpc.Class {
	return &rpc.Class{Name: "UriEndpoint", Doc: "Opens media by URI.", Extends: k.Endpoint, Abstract: true, Type: reflect.TypeFor[*absentURI](),
		Props: []rpc.Prop{
			rpc.Final("uri", (*absentURI).uri),
			rpc.ReadOnly("state", (*absentURI).state),
		},
		Ops:    []rpc.Op{rpc.Method("pause", (*absentURI).act), rpc.Method("stop", (*absentURI).act)},
		Events: []string{"UriEndpointStateChanged"}}
}

func (k *Core) playerEndpointClass() *rpc.Class {
	return &rpc.Class{Name: "PlayerEndpoint", Doc: "Plays what a URI names.", Extends: k.UriEndpoint, Parent: k.Pipeline,
		New: rpc.Make(func(_ *Pipeline, _ string, _ bool, _ int) (*absentURI, error) { return nil, missing("PlayerEndpoint") },
			rpc.Arg("mediaPipeline"), rpc.Arg("uri"), rpc.OptArg("useEncodedMedia", false), rpc.OptArg("networkCache", 2000)),
		Props: []rpc.Prop{
			rpc.ReadOnly("videoInfo", (*absentURI).videoInfo),
			rpc.ReadOnly("elementGstreamerDot", (*absentURI).uri),
			rpc.Property("position", (*absentURI).position, (*absentURI).setPosition),
		},
		Ops:    []rpc.Op{rpc.Method("play", (*absentURI).act)},
		Events: []string{"EndOfStream"}}
}

func (k *Core) recorderEndpointClass() *rpc.Class {
	return &rpc.Class{Name: "RecorderEndpoint", Doc: "Records to what a URI names.", Extends: k.UriEndpoint, Parent: k.Pipeline,
		New: rpc.Make(func(_ *Pipeline, _ string, _ MediaProfileSpecType, _ bool) (*absentURI, error) {
			return nil, missing("RecorderEndpoint")
		}, rpc.Arg("mediaPipeline"), rpc.Arg("uri"), rpc.OptArg("mediaProfile", MediaProfileSpecTypeWebm), rpc.OptArg("stopOnEndOfStream", false)),
		Ops:    []rpc.Op{rpc.Method("record", (*absentURI).act), rpc.Method("stopAndWait", (*absentURI).act)},
		Events: []string{"Recording", "Paused", "Stopped"}}
}

func (*absentURI) uri() (string, error)             { return "", missing("UriEndpoint") }
func (*absentURI) state() (UriEndpointState, error) { return "", missing("UriEndpoint") }
func (*absentURI) act() error                       { return missing("UriEndpoint") }
func (*absentURI) videoInfo() (VideoInfo, error)    { return VideoInfo{}, missing("PlayerEndpoint") }
func (*absentURI) position() (int64, error)         { return 0, missing("PlayerEndpoint") }
func (*absentURI) setPosition(int64) error          { return missing("PlayerEndpoint") }
