package kurento_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// actor is a player, or a recorder, that does what a test says.
type actor struct {
	*media.PassThrough
	mu      sync.Mutex
	did     []string
	at      time.Duration
	seek    error
	notify  func(media.Notice)
	changed func(kurento.UriEndpointState)
}

func (a *actor) do(what string, s kurento.UriEndpointState) error {
	a.mu.Lock()
	a.did = append(a.did, what)
	a.mu.Unlock()
	a.changed(s)
	return nil
}

func (a *actor) Play() error             { return a.do("play", kurento.UriEndpointStateStart) }
func (a *actor) Pause() error            { return a.do("pause", kurento.UriEndpointStatePause) }
func (a *actor) Stop()                   { _ = a.do("stop", kurento.UriEndpointStateStop) }
func (a *actor) Position() time.Duration { return a.at }
func (a *actor) Info() kurento.VideoInfo { return kurento.VideoInfo{Duration: 7} }
func (a *actor) Seek(_ context.Context, to time.Duration) error {
	if a.seek == nil {
		a.at = to
	}
	return a.seek
}

func events(list []map[string]any, fields ...string) string {
	out := ""
	for _, e := range list {
		out += fmt.Sprint(e["event"])
		for _, f := range fields {
			if v, ok := e[f]; ok {
				out += fmt.Sprint(":", v)
			}
		}
		out += " "
	}
	return out
}

// A player is told what its client says, and its client what becomes of it: states and the end in order, failures with their words.
func TestPlayerEndpoint(t *testing.T) {
	var a *actor
	r := newRig(t, kurento.Config{Player: func(o kurento.PlayerOptions) (kurento.Player, error) {
		if o.URI == "bad" {
			return nil, &kurento.Failure{Kind: "INVALID_URI", Err: errors.New("bad URI")}
		}
		if o.Cache != 2*time.Second || o.Tenant != "a" {
			t.Errorf("options %+v", o)
		}
		a = &actor{PassThrough: media.NewPassThrough(nil), notify: o.Notify, changed: o.Changed}
		return a, nil
	}})
	params := func(uri string) string { return `{"mediaPipeline":"` + r.pipe.ID() + `","uri":"` + uri + `"}` }
	if _, err := r.a.New(t.Context(), "PlayerEndpoint", []byte(params("bad"))); rpc.Outside(err).Code != rpc.IllegalParam || rpc.Outside(err).Message != "'uri': bad URI" {
		t.Errorf("bad URI: %v", err)
	}
	p := r.make("PlayerEndpoint", params("a.wav"))
	ear := r.listen(p, "UriEndpointStateChanged", "EndOfStream", "Error")
	if got := r.call(p, "getState", "{}") + r.call(p, "getUri", "{}") + r.call(p, "getPosition", "{}"); got != `"STOP""a.wav"0` {
		t.Errorf("state, uri, position: %s", got)
	}
	for _, op := range []string{"play", "pause", "play", "stop", "stop"} {
		r.call(p, op, "{}")
	}
	r.call(p, "play", "{}")
	a.changed(kurento.UriEndpointStateStop)
	a.notify(media.Ended{})
	a.notify(media.Failed{Err: &kurento.Failure{Kind: "RESOURCE_ERROR_OPEN", Code: 5, Err: errors.New("no such file")}})
	a.notify(media.Failed{Err: errors.New("inner secret")})
	want := "UriEndpointStateChanged:START UriEndpointStateChanged:PAUSE UriEndpointStateChanged:START UriEndpointStateChanged:STOP " +
		"UriEndpointStateChanged:START UriEndpointStateChanged:STOP EndOfStream:EndOfStream Error:RESOURCE_ERROR_OPEN:no such file:5 Error:UNEXPECTED_ELEMENT_ERROR:The media can't be used:0 "
	list := ear.wait(t, 9)
	for _, e := range list {
		if e["event"] == "UriEndpointStateChanged" {
			delete(e, "type")
		}
	}
	if got := events(list, "state", "type", "description", "errorCode"); got != want {
		t.Errorf("told\n%s\nwant\n%s", got, want)
	}
	r.call(p, "setPosition", `{"position":1500}`)
	if got := r.call(p, "getPosition", "{}") + r.call(p, "getVideoInfo", "{}"); got != `1500{"isSeekable":false,"seekableInit":0,"seekableEnd":0,"duration":7,"__module__":"kurento","__type__":"VideoInfo"}` {
		t.Errorf("position, info: %s", got)
	}
	a.seek = errors.New("not here")
	r.refused(rpc.SeekFailed, p, "setPosition", `{"position":1}`)
	r.refused(rpc.SeekFailed, p, "setPosition", `{"position":-1}`)
	r.a.Release(p.ID())
}
