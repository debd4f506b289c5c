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
