package kurento

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

// Player is what stands behind a PlayerEndpoint.
type Player interface {
	media.Element
	// Play begins, or goes on. What can't be opened is told by Options' Notify.
	Play() error
	Pause() error
	Stop()
	Position() time.Duration
	// Seek goes on elsewhere. ctx bounds how long it may take to get there.
	Seek(ctx context.Context, to time.Duration) error
	// Info is what is known of the media, in ms.
	Info() VideoInfo
}

// PlayerOptions are what a PlayerEndpoint is made with.
type PlayerOptions struct {
	Pipeline *media.Pipeline // has the registry and the clock
	Name     string          // in logs
	Tenant   string          // whose it is
	URI      string
	Cache    time.Duration // what is kept against a network's whims
	// Notify is told media.Ended, and media.Failed and media.Lacks with a Failure; Changed each other state, before that. Neither blocks.
	Notify  func(media.Notice)
	Changed func(UriEndpointState)
}

// PlayerEndpoint plays what a URI names.
type PlayerEndpoint struct {
	UriEndpoint
	player Player
}

func (k *Core) playerEndpointClass() *rpc.Class {
	return &rpc.Class{Name: "PlayerEndpoint", Doc: "Plays what a URI names.", Extends: k.UriEndpoint, Parent: k.Pipeline,
		New: rpc.Make(k.newPlayerEndpoint, rpc.Arg("mediaPipeline"), rpc.Arg("uri"), rpc.OptArg("useEncodedMedia", false), rpc.OptArg("networkCache", 2000)),
		Props: []rpc.Prop{
			rpc.ReadOnly("videoInfo", (*PlayerEndpoint).VideoInfo),
			rpc.ReadOnly("elementGstreamerDot", (*PlayerEndpoint).ElementDot),
			rpc.Property("position", (*PlayerEndpoint).Position, (*PlayerEndpoint).SetPosition),
		},
		Ops:    []rpc.Op{rpc.Method("play", (*PlayerEndpoint).Play)},
		Events: []string{"EndOfStream"}}
}

// newPlayerEndpoint ignores useEncodedMedia: media goes out as it is wherever its sinks take it.
func (k *Core) newPlayerEndpoint(self *rpc.Object, p *Pipeline, uri string, _ bool, cache int) (*PlayerEndpoint, error) {
	if k.cfg.Player == nil {
		return nil, rpc.Errorf(rpc.NotSupported, noPlayer)
	}
	if cache < 0 {
		return nil, rpc.Errorf(rpc.IllegalParam, "'networkCache' is %d ms, should be 0 or more", cache)
	}
	e := &PlayerEndpoint{}
	var err error
	e.player, err = k.cfg.Player(PlayerOptions{Pipeline: p.Media(), Name: self.ID(), Tenant: self.Tenant(), URI: uri,
		Cache: time.Duration(cache) * time.Millisecond, Notify: e.notice, Changed: func(s UriEndpointState) { e.become(s) }})
	if err != nil {
		return nil, refusedURI("uri", err)
	}
	e.Open(self, p, e.player, uri, e.player.Pause, e.player.Stop)
	return e, nil
}

// refusedURI is what a client is told of a URI that it may not use.
func refusedURI(param string, err error) error {
	if f, ok := errors.AsType[*Failure](err); ok {
		return &rpc.Error{Code: rpc.IllegalParam, Message: "'" + param + "': " + f.Error(), Err: err}
	}
	return err
}

func (e *PlayerEndpoint) notice(n media.Notice) {
	switch n := n.(type) {
	case media.Ended:
		e.news.put(func() {
			e.self.Raise(EndOfStream{})
			e.ended()
		})
	case media.Failed:
		e.fail(n.Err)
	case media.Lacks:
		e.fail(n.Err)
	}
}

// Play begins, or goes on. What can't be opened is told by an Error event.
func (e *PlayerEndpoint) Play() error { return e.player.Play() }

// Position is what has been played, ms.
func (e *PlayerEndpoint) Position() int64 { return e.player.Position().Milliseconds() }

// maxSeek is how long a client waits for another position: less than it waits for an answer.
const maxSeek = 8 * time.Second

// SetPosition goes on from another position, ms. It fails with SeekFailed where the media can't be sought.
func (e *PlayerEndpoint) SetPosition(ctx context.Context, ms int64) error {
	if ms < 0 || ms > 1<<40 {
		return rpc.Errorf(rpc.SeekFailed, "Seek fails: position %d ms, should be 0 or more", ms)
	}
	ctx, cancel := context.WithTimeout(ctx, maxSeek)
	defer cancel()
	if err := e.player.Seek(ctx, time.Duration(ms)*time.Millisecond); err != nil {
		return &rpc.Error{Code: rpc.SeekFailed, Message: "Seek fails", Err: err}
	}
	return nil
}

// VideoInfo is what is known of the media, once it is open.
func (e *PlayerEndpoint) VideoInfo() VideoInfo { return e.player.Info() }

// ElementDot is the element in the language of Graphviz.
func (e *PlayerEndpoint) ElementDot() string { return e.Dot(GstreamerDotDetailsShowVerbose) }

// Close ends the element's connections, then the player.
func (e *PlayerEndpoint) Close() error {
	err := errors.Join(e.Element.Close(), e.player.Close())
	e.Shut()
	return err
}

// ended tells elements that are fed by this one, directly or through what passes on, that no more comes.
func (e *Element) ended() {
	e.pipeline.graph.Lock()
	var told []interface{ inputEnded() }
	seen := []*Element{e}
	for i := 0; i < len(seen); i++ {
		for _, c := range seen[i].out {
			if slices.Contains(seen, c.sink) {
				continue
			}
			if to, ok := c.sink.self.Value().(interface{ inputEnded() }); ok {
				told = append(told, to)
			}
			if c.sink.passes {
				seen = append(seen, c.sink)
			}
		}
	}
	e.pipeline.graph.Unlock()
	for _, to := range told {
		to.inputEnded()
	}
}
