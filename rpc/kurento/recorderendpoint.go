package kurento

import (
	"context"
	"errors"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

// Recorder is what stands behind a RecorderEndpoint.
type Recorder interface {
	media.Element
	// Record begins, or goes on. What can't be written is told by Options' Notify. After Stop it does nothing.
	Record() error
	Pause() error
	// Stop ends the recording; that it is saved is told by Options' Changed.
	Stop()
	// Wait waits until it is saved, or ctx ends.
	Wait(ctx context.Context) error
}

// RecorderOptions are what a RecorderEndpoint is made with.
type RecorderOptions struct {
	Name    string // in logs
	Tenant  string // whose it is
	URI     string
	Profile MediaProfileSpecType
	// Notify is told media.Failed with a Failure; Changed each other state, of STOP once all is saved. Neither blocks.
	Notify  func(media.Notice)
	Changed func(UriEndpointState)
}

// RecorderEndpoint records to what a URI names.
type RecorderEndpoint struct {
	UriEndpoint
	recorder Recorder
	ends     bool // with its source
}

func (k *Core) recorderEndpointClass() *rpc.Class {
	return &rpc.Class{Name: "RecorderEndpoint", Doc: "Records to what a URI names.", Extends: k.UriEndpoint, Parent: k.Pipeline,
		New: rpc.Make(k.newRecorderEndpoint, rpc.Arg("mediaPipeline"), rpc.Arg("uri"), rpc.OptArg("mediaProfile", MediaProfileSpecTypeWebm),
			rpc.OptArg("stopOnEndOfStream", false)),
		Ops:    []rpc.Op{rpc.Method("record", (*RecorderEndpoint).Record), rpc.Method("stopAndWait", (*RecorderEndpoint).StopAndWait).Waits()},
		Events: []string{"Recording", "Paused", "Stopped"}}
}

func (k *Core) newRecorderEndpoint(self *rpc.Object, p *Pipeline, uri string, profile MediaProfileSpecType, ends bool) (*RecorderEndpoint, error) {
	if k.cfg.Recorder == nil {
		return nil, rpc.Errorf(rpc.NotSupported, noRecorder)
	}
	e := &RecorderEndpoint{ends: ends}
	var err error
	e.recorder, err = k.cfg.Recorder(RecorderOptions{Name: self.ID(), Tenant: self.Tenant(), URI: uri, Profile: profile, Notify: e.notice, Changed: e.changed})
	if err != nil {
		return nil, refusedURI("uri", err)
	}
	e.Open(self, p, e.recorder, uri, e.recorder.Pause, e.recorder.Stop)
	// Video is recorded as it comes, so what feeds the element had better send what the profile holds. Of sound others may say what it is.
	if s := e.recorder.Sink(media.Pad{Kind: media.Video}); s != nil {
		e.Prefer(s.Caps().Formats)
	}
	return e, nil
}

func (e *RecorderEndpoint) notice(n media.Notice) {
	if f, ok := n.(media.Failed); ok {
		e.fail(f.Err)
	}
}

// changed tells of a state, and the event of its own that each has.
func (e *RecorderEndpoint) changed(s UriEndpointState) {
	switch s {
	case UriEndpointStateStart:
		e.become(s, Recording{})
	case UriEndpointStatePause:
		e.become(s, Paused{})
	default:
		e.become(s, Stopped{})
	}
}

// Record begins, or goes on. What can't be written is told by an Error event.
func (e *RecorderEndpoint) Record() error { return e.recorder.Record() }

// maxSave is how long a client waits for a recording to be saved: less than it waits for an answer. That of one which takes longer,
// to a slow server, is told by Stopped.
const maxSave = 8 * time.Second

// StopAndWait ends the recording and waits until it is saved.
func (e *RecorderEndpoint) StopAndWait(ctx context.Context) {
	e.recorder.Stop()
	ctx, cancel := context.WithTimeout(ctx, maxSave)
	defer cancel()
	_ = e.recorder.Wait(ctx) // if it isn't saved by then, Stopped tells
}

// inputEnded is told by what feeds the element: no more comes.
func (e *RecorderEndpoint) inputEnded() {
	if e.ends {
		e.recorder.Stop()
	}
}

// Close ends the element's connections, then the recording.
func (e *RecorderEndpoint) Close() error {
	err := errors.Join(e.Element.Close(), e.recorder.Close())
	e.Shut()
	return err
}
