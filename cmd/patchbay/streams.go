package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/stream"
)

// connectTime is how long an application has to take the WebSocket of a call, within the time that its hop may ring.
const connectTime = 10 * time.Second

// streams takes the calls of applications that have a URL: each is a WebSocket of its own.
type streams struct {
	gateway  *gateway.Gateway
	clock    *media.Clock
	registry *media.Registry
	log      *slog.Logger

	stops []func()
	calls sync.WaitGroup
}

// serveStreams listens for the calls of all applications that have a URL.
func (s *server) serveStreams() error {
	s.streams = &streams{gateway: s.gateway, clock: s.clock, registry: s.registry, log: s.log}
	for _, a := range s.cfg.Apps {
		if a.Stream.URL == "" {
			continue
		}
		stop, err := s.gateway.Listen(a.Tenant, a.ID, func(o gateway.Offer) {
			s.streams.calls.Go(func() { s.streams.take(a, o) })
		})
		if err != nil {
			return fmt.Errorf("apps: %w", err)
		}
		s.streams.stops = append(s.streams.stops, stop)
	}
	return nil
}

// close takes no more calls, and waits for the end of those there are: the gateway has ended them.
func (s *streams) close() {
	for _, stop := range s.stops {
		stop()
	}
	s.calls.Wait()
}

// take is one call, from its offer to its end. If the application can't be reached the route's next hop has it.
func (s *streams) take(a App, o gateway.Offer) {
	log := s.log.With("call", o.ID, "app", a.ID)
	c, err := s.gateway.Claim(o.Tenant, o.ID, "")
	if err != nil {
		return // it is over, or a client listens as the application, too, and has it
	}
	limit := connectTime
	if o.Limit > 0 {
		limit = min(limit, o.Limit)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	// The caller may hang up meanwhile.
	go func() {
		select {
		case <-c.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	f := newFollower()
	st, err := stream.Open(ctx, a.Stream.config(o, s, f.post))
	if err != nil {
		log.Warn("application can't be reached", "err", err)
		if err := c.Reject(context.WithoutCancel(ctx), http.StatusServiceUnavailable, "the application can't be reached"); err != nil && !errors.Is(err, gateway.ErrNoCall) {
			log.Warn("call not rejected", "err", err)
		}
		for range c.Events() { // until its end
		}
		return
	}
	f.run(c, st, log)
}

// config is that of one call's stream.
func (a AppStream) config(o gateway.Offer, s *streams, post func(stream.Event)) stream.Config {
	cfg := stream.Config{URL: a.URL, Encoding: stream.Encoding(a.Encoding), Rate: a.Rate, Binary: a.Binary, Buffer: a.Buffer,
		Clock: s.clock, Registry: s.registry, Log: s.log, Post: post, Transfers: true,
		Start: stream.Start{ID: o.ID.String(), Call: o.ID.String(), From: o.From, To: o.To}}
	for _, p := range a.Parameters {
		if cfg.Start.Parameters == nil {
			cfg.Start.Parameters = map[string]string{}
		}
		name, value, _ := strings.Cut(p, "=")
		cfg.Start.Parameters[name] = value
	}
	if a.Token != "" {
		cfg.Header = http.Header{"Authorization": {"Bearer " + string(a.Token)}}
	}
	for _, h := range o.Headers {
		if cfg.Start.Headers == nil {
			cfg.Start.Headers = map[string]string{}
		}
		cfg.Start.Headers[h.Name] = h.Value
	}
	return cfg
}

// follower joins a call and its stream.
type follower struct {
	dials     chan string
	transfers chan string
	refused   chan string // what is too much, for the application
	over      chan stream.Event
}

func newFollower() *follower {
	return &follower{dials: make(chan string, 16), transfers: make(chan string, 1), refused: make(chan string, 16), over: make(chan stream.Event, 1)}
}

// post takes what the application wants. Digits that it asks for faster than they are sent are refused, as is a transfer while another one waits.
func (f *follower) post(e stream.Event) {
	switch e.Kind {
	case stream.Dial:
		select {
		case f.dials <- e.Text:
		default:
			f.refuse(fmt.Sprintf("digits is %q: %d such messages wait already, and no more may", e.Text, cap(f.dials)))
		}
	case stream.Transfer:
		select {
		case f.transfers <- e.Text:
		default:
			f.refuse(fmt.Sprintf("to is %.80q: a transfer waits already", e.Text))
		}
	case stream.Stopped:
		f.over <- e // there is one
	}
}

// refuse has the application told; one that asks for far too much is told of some of it.
func (f *follower) refuse(what string) {
	select {
	case f.refused <- what:
	default:
	}
}

// each does what is wanted, one after the other: in order, and whoever wants more at a time than is done fills the list and no memory.
func each(ctx context.Context, list <-chan string, do func(ctx context.Context, what string)) {
	for {
		select {
		case <-ctx.Done():
			return
		case what := <-list:
			func() {
				ctx, cancel := context.WithTimeout(ctx, errandTime)
				defer cancel()
				do(ctx, what)
			}()
		}
	}
}

// errandTime bounds one thing that is asked of a call.
const errandTime = 30 * time.Second

// serve does what the application wants of its call, until ctx ends.
func (f *follower) serve(ctx context.Context, errands *sync.WaitGroup, c *gateway.AppCall, st *stream.Stream, log *slog.Logger) {
	errands.Go(func() {
		each(ctx, f.dials, func(ctx context.Context, digits string) {
			if err := c.SendDTMF(ctx, digits); failed(log, "digits", err) {
				st.Wrong(fmt.Sprintf("digits is %q: %v", digits, err))
			}
		})
	})
	errands.Go(func() {
		each(ctx, f.transfers, func(ctx context.Context, to string) {
			if err := c.Transfer(ctx, to); failed(log, "transfer", err) {
				st.Wrong(fmt.Sprintf("to is %.80q: %v", to, err))
			}
		})
	})
}

// failed reports, and logs, an error that isn't of the call's end.
func failed(log *slog.Logger, what string, err error) bool {
	if err == nil || errors.Is(err, gateway.ErrNoCall) || errors.Is(err, context.Canceled) {
		return false
	}
	log.Warn(what, "err", err)
	return true
}

// run answers the call and follows both sides until it has ended.
func (f *follower) run(c *gateway.AppCall, st *stream.Stream, log *slog.Logger) {
	ctx, cancel := context.WithCancel(context.Background())
	reason := "call ended"
	var errands sync.WaitGroup
	defer func() {
		cancel()
		errands.Wait()
		if err := st.Hangup(reason); err != nil {
			log.Warn("stream", "err", err)
		}
	}()
	errand := func(what string, do func(context.Context) error) {
		errands.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, errandTime)
			defer cancel()
			failed(log, what, do(ctx))
		})
	}
	errand("answer", c.Accept)
	f.serve(ctx, &errands, c, st, log)
	for {
		select {
		case e, ok := <-c.Events():
			if !ok {
				return
			}
			switch e.Kind {
			case gateway.AppAnswered, gateway.AppEarlyMedia:
				if e.Endpoint != nil {
					bind(e.Endpoint, st)
				}
			case gateway.AppDigit:
				st.Digit(e.Digit, e.Held)
			case gateway.AppTransferred:
				st.Transferred(e.Status, e.Phrase)
			case gateway.AppEnded:
				reason = ending(e)
			}
		case what := <-f.refused:
			st.Wrong(what)
		case e := <-f.over:
			cause := call.Normal
			if e.Failed != nil {
				log.Warn("stream broke", "err", e.Failed)
				cause = call.Cause{Q850: 41, Text: e.Text}
			}
			errand("hang up", func(ctx context.Context) error { return c.Hangup(ctx, cause) })
		}
	}
}

// bind links a call's media and the stream, both ways.
func bind(ep media.Endpoint, st *stream.Stream) {
	ep.Source(media.Pad{}).Link(st.Sink(media.Pad{}))
	st.Source(media.Pad{}).Link(ep.Sink(media.Pad{}))
}

// ending says why a call ended, as the application is told.
func ending(e gateway.AppEvent) string {
	if e.Cause.Text != "" {
		return fmt.Sprintf("%s ended the call: %s", e.By, e.Cause.Text)
	}
	return fmt.Sprintf("%s ended the call, cause %d", e.By, e.Cause.Q850)
}
