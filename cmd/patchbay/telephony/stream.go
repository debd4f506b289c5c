package telephony

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/patchbay/patchbay/media/stream"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// StreamState is where a StreamEndpoint stands.
type StreamState string

const (
	StreamIdle    StreamState = "IDLE"    // not started yet
	StreamOpen    StreamState = "OPEN"    // connected
	StreamStopped StreamState = "STOPPED" // for good
)

// StreamEndpoint sends what it hears to an application's WebSocket server, and plays what that sends.
type StreamEndpoint struct {
	kurento.Element
	t    *Telephony
	self *rpc.Object
	cfg  stream.Config

	mu       sync.Mutex
	state    StreamState
	starting bool
	stream   *stream.Stream // nil: not started
}

// Events of a StreamEndpoint.
type (
	// StreamStartedEvent is StreamStarted.
	StreamStartedEvent struct{}
	// StreamStoppedEvent is StreamStopped.
	StreamStoppedEvent struct {
		Reason string `rpc:"reason"`
		Error  string `rpc:"error"`
	}
	// MarkPlayedEvent is MarkPlayed.
	MarkPlayedEvent struct {
		Name    string `rpc:"name"`
		Cleared bool   `rpc:"cleared"`
	}
)

func streamTypes() []rpc.Type {
	return []rpc.Type{
		rpc.EnumType(Name, "StreamState", StreamIdle, StreamOpen, StreamStopped).
			About("Where a StreamEndpoint stands: IDLE, it hasn't been started; OPEN, it is connected; STOPPED, for good."),
		rpc.EventType[StreamStartedEvent](Name, "StreamStarted", rpc.Media).About("The application is connected and media flows."),
		rpc.EventType[StreamStoppedEvent](Name, "StreamStopped", rpc.Media).About("The application stopped the stream, or the connection broke: then error says how."),
		rpc.EventType[MarkPlayedEvent](Name, "MarkPlayed", rpc.Media).About("What the application sent before a mark has been played, or cleared."),
	}
}

func (t *Telephony) streamClass(core *kurento.Core) *rpc.Class {
	return &rpc.Class{Name: "StreamEndpoint", Extends: core.Endpoint, Parent: core.Pipeline,
		Doc: "Sends what it hears to a WebSocket server and plays what that sends: voice agents, transcription.",
		New: rpc.Make(t.newStream,
			rpc.Arg("mediaPipeline").About("The pipeline that it is an element of."),
			rpc.Arg("url").About("ws:// or wss://. Servers at private addresses must be allowed in the settings."),
			rpc.OptArg("encoding", string(stream.PCM16)).About("pcm16, pcmu or pcma."),
			rpc.OptArg("rate", 0).About("Hz, of pcm16: 8000, 16000 or 24000; 0 = 16000. The others have 8000."),
			rpc.OptArg("binary", false).About("Whether audio goes to the server in binary messages."),
			rpc.Opt("token").About("Sent as Authorization: Bearer."),
			rpc.Opt("parameters").About("Names and values that the server is told first.")),
		Props: []rpc.Prop{
			rpc.ReadOnly("state", (*StreamEndpoint).State).About("Where it stands."),
		},
		Ops: []rpc.Op{
			rpc.Method("start", (*StreamEndpoint).Start).Waits().About("Connects. Returns once media flows."),
			rpc.Method("stop", (*StreamEndpoint).Stop, rpc.OptArg("reason", "stopped").About("Told to the server.")).Waits().About("Ends the connection, for good."),
		},
		Events: []string{"StreamStarted", "StreamStopped", "MarkPlayed"}}
}

func (t *Telephony) newStream(self *rpc.Object, p *kurento.Pipeline, url, encoding string, rate int, binary bool, token string, parameters map[string]string) (*StreamEndpoint, error) {
	e := &StreamEndpoint{t: t, self: self, state: StreamIdle}
	e.cfg = stream.Config{URL: url, Dial: t.cfg.Dial, Encoding: stream.Encoding(encoding), Rate: rate, Binary: binary, Digits: true, Log: t.cfg.Log,
		Clock: p.Media().Clock(), Registry: p.Media().Registry(), Post: e.took, Start: stream.Start{ID: self.ID(), Parameters: parameters}}
	if token != "" {
		e.cfg.Header = http.Header{"Authorization": {"Bearer " + token}}
	}
	if field, expected, ok := e.cfg.Check(); !ok {
		return nil, rpc.Errorf(rpc.IllegalParam, "'%s' is %v, %s", field, map[string]any{"url": url, "encoding": encoding, "rate": rate}[field], expected)
	}
	e.Init(self, p, nil)
	return e, nil
}

// State is where the endpoint stands.
func (e *StreamEndpoint) State() StreamState {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

// Start connects.
func (e *StreamEndpoint) Start(ctx context.Context) error {
	e.mu.Lock()
	if e.state != StreamIdle || e.starting {
		defer e.mu.Unlock()
		return rpc.Errorf(rpc.NotSupported, "The stream was started already: create another one")
	}
	e.starting = true
	e.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	st, err := stream.Open(ctx, e.cfg)
	e.mu.Lock()
	e.starting = false
	late := e.state != StreamIdle // released or stopped meanwhile, or the server has stopped already
	if err == nil {
		e.stream = st
		if !late {
			e.state = StreamOpen
		}
	}
	e.mu.Unlock()
	switch {
	case err != nil:
		return rpc.Errorf(rpc.Unexpected, "The server can't be reached: %v", err)
	case late:
		return errors.Join(rpc.Errorf(rpc.NotSupported, "The stream has ended"), st.Close())
	}
	e.Attach(st)
	e.self.Raise(StreamStartedEvent{})
	return nil
}

// Stop ends the connection.
func (e *StreamEndpoint) Stop(reason string) error {
	if len(reason) > 100 {
		return rpc.Errorf(rpc.IllegalParam, "'reason' has %d bytes, should have 100 at most", len(reason))
	}
	return e.finish(reason)
}

// finish ends the stream, if there is one.
func (e *StreamEndpoint) finish(reason string) error {
	e.mu.Lock()
	st := e.stream
	e.state = StreamStopped
	e.mu.Unlock()
	if st == nil {
		return nil
	}
	e.Attach(nil)
	return st.Hangup(reason)
}

// took is told what happens on the stream.
func (e *StreamEndpoint) took(ev stream.Event) {
	switch ev.Kind {
	case stream.Marked:
		e.self.Raise(MarkPlayedEvent{ev.Text, ev.Missed})
	case stream.Stopped:
		e.mu.Lock()
		e.state = StreamStopped
		e.mu.Unlock()
		told := StreamStoppedEvent{Reason: ev.Text}
		if ev.Failed != nil {
			told.Error = fmt.Sprint(ev.Failed)
		}
		e.self.Raise(told)
	}
}

// Close ends the element's connections, then the stream.
func (e *StreamEndpoint) Close() error {
	return errors.Join(e.Element.Close(), e.finish("released"))
}
