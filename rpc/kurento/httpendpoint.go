package kurento

import (
	"errors"
	"reflect"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

// Post is what stands behind an HttpPostEndpoint.
type Post interface {
	media.Element
	// URL is where media may be posted to. Who knows it may.
	URL() string
}

// PostOptions are what an HttpPostEndpoint is made with.
type PostOptions struct {
	Pipeline *media.Pipeline // has the registry and the clock
	Name     string          // in logs
	Tenant   string          // whose it is
	Timeout  time.Duration   // a session is over when nothing was posted for so long
	// Notify is told media.Ended when all that was posted has been played, and media.Failed and media.Lacks with a Failure; Session whether
	// somebody posts. Neither blocks.
	Notify  func(media.Notice)
	Session func(on bool)
}

// HttpEndpoint is what endpoints embed that take or give media over HTTP.
type HttpEndpoint struct {
	SessionEndpoint
	url func() string
}

func (k *Core) httpEndpointClass() *rpc.Class {
	return &rpc.Class{Name: "HttpEndpoint", Doc: "Takes or gives media over HTTP.", Extends: k.SessionEndpoint, Abstract: true, Type: reflect.TypeFor[*HttpEndpoint](),
		Ops: []rpc.Op{rpc.Method("getUrl", (*HttpEndpoint).URL)}}
}

// URL is where the media goes to, or comes from.
func (e *HttpEndpoint) URL() string { return e.url() }

// HttpPostEndpoint plays what is posted to its URL.
type HttpPostEndpoint struct {
	HttpEndpoint
	post Post
	news inbox
}

func (k *Core) httpPostEndpointClass(http *rpc.Class) *rpc.Class {
	return &rpc.Class{Name: "HttpPostEndpoint", Doc: "Takes media that is posted over HTTP.", Extends: http, Parent: k.Pipeline,
		New:    rpc.Make(k.newHTTPPostEndpoint, rpc.Arg("mediaPipeline"), rpc.OptArg("disconnectionTimeout", 2), rpc.OptArg("useEncodedMedia", false)),
		Events: []string{"EndOfStream"}}
}

// newHTTPPostEndpoint ignores useEncodedMedia: media goes out as it is wherever its sinks take it.
func (k *Core) newHTTPPostEndpoint(self *rpc.Object, p *Pipeline, timeout int, _ bool) (*HttpPostEndpoint, error) {
	if k.cfg.Post == nil {
		return nil, rpc.Errorf(rpc.NotSupported, noPost)
	}
	if timeout < 0 {
		return nil, rpc.Errorf(rpc.IllegalParam, "'disconnectionTimeout' is %d s, should be 0 or more", timeout)
	}
	e := &HttpPostEndpoint{}
	e.news.start()
	var err error
	e.post, err = k.cfg.Post(PostOptions{Pipeline: p.Media(), Name: self.ID(), Tenant: self.Tenant(), Timeout: time.Duration(timeout) * time.Second,
		Notify: e.notice, Session: e.session})
	if err != nil {
		e.news.close()
		return nil, err
	}
	e.url = e.post.URL
	e.Init(self, p, e.post)
	return e, nil
}

func (e *HttpPostEndpoint) session(on bool) {
	if on {
		e.Started()
	} else {
		e.Terminated()
	}
}

func (e *HttpPostEndpoint) notice(n media.Notice) {
	switch n := n.(type) {
	case media.Ended:
		e.news.put(func() {
			e.self.Raise(EndOfStream{})
			e.ended()
		})
	case media.Failed:
		e.news.put(func() { e.self.Raise(raised(n.Err)) })
	case media.Lacks:
		e.news.put(func() { e.self.Raise(raised(n.Err)) })
	}
}

// Close ends the element's connections, then the endpoint.
func (e *HttpPostEndpoint) Close() error {
	err := errors.Join(e.Element.Close(), e.post.Close())
	e.news.close()
	return err
}
