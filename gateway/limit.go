package gateway

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
)

// admit makes the call and counts it against the limits. A call over a limit has a record all the same: ok is false
// and cause says why. Only when nothing can be recorded at all is there no call.
func (g *Gateway) admit(src source) (c *Call, cause call.Cause, ok bool) {
	if stalled, why := g.cfg.Journal.Stalled(); stalled && !src.urgent {
		cause := call.JournalDown
		cause.Text = why
		g.stats.refused.Add(1)
		return nil, cause, false
	}
	id := call.NewID()
	ctx, cancel := context.WithCancel(g.ctx)
	c = &Call{g: g, id: id, log: g.log.With("call", id), ctx: ctx, cancel: cancel, src: src, events: make(chan LegEvent, 16),
		box: make(chan command, 16), done: make(chan struct{}), reoffers: map[*sipLeg]*reoffering{},
		seized: map[string]int{}}
	c.rec.g, c.rec.lenient = g, src.urgent
	c.rec.call.ID = id
	c.pipeline = media.NewPipeline(media.Config{Registry: g.cfg.Media.Registry, Clock: g.cfg.Media.Clock, Log: c.log})

	g.mu.Lock()
	defer g.mu.Unlock()
	key := src.key()
	switch {
	case g.closed:
		cancel()
		g.stats.refused.Add(1)
		return nil, call.ShuttingDown, false
	case g.draining && (!src.urgent || g.quiet):
		cause = call.ShuttingDown
	case src.urgent:
		ok = true
	case g.admitted >= g.cfg.Limits.Calls:
		cause = call.Congested
		cause.Text = fmt.Sprintf("the gateway's limit of %d calls is reached", g.cfg.Limits.Calls)
	case g.busy[key] >= src.max():
		cause = call.Cause{Q850: 34, SIP: g.full(src.trunk), Text: fmt.Sprintf("the limit of %d calls of %s is reached", src.max(), key)}
	case src.bounds().Calls > 0 && g.busy[key+inward] >= src.bounds().Calls:
		cause = call.Cause{Q850: 34, SIP: g.full(src.trunk), Text: fmt.Sprintf("the limit of %d calls from %s is reached", src.bounds().Calls, key)}
	case !g.within(key+inward, src.bounds().Rate):
		cause = call.Cause{Q850: 34, SIP: g.full(src.trunk), Text: fmt.Sprintf("more than %g calls a second from %s", src.bounds().Rate, key)}
	default:
		ok = true
	}
	if ok {
		g.admitted++
		g.load.Store(int64(g.admitted))
		g.busy[key]++
		g.busy[key+inward]++
	}
	// A refused call is a call until its record is closed, but takes nobody's place.
	c.admitted = ok
	g.calls[id] = c
	g.wg.Add(1)
	g.stats.begun.Add(1)
	return c, cause, ok
}

// full is what a call gets that is beyond a bound of a trunk, or, t being nil, of a user or application. 503 tells who asks to try
// another way, 486 that there is none (RFC 3261 21.5.4, 21.4.24).
func (g *Gateway) full(t *trunk) int {
	if t != nil {
		return cmp.Or(t.Full, 503)
	}
	return cmp.Or(g.cfg.Limits.Full, 503)
}

// Directions of calls, as trunks see them, behind the keys of limits.
const (
	inward  = "/in"
	outward = "/out"
)

// leave forgets a call that is over.
func (g *Gateway) leave(c *Call) {
	c.cancel()
	close(c.done)
	for _, t := range c.clocks {
		t.Stop()
	}
	if c.app != nil {
		c.app.finish()
	}
	for _, l := range append(c.tries, c.caller) {
		if l != nil {
			l.abandon()
		}
	}
	if err := c.pipeline.Close(); err != nil {
		c.log.Warn("closing media", "err", err)
	}
	c.pays(time.Now(), c.rec.call.Cause)
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.calls, c.id)
	if c.admitted {
		g.admitted--
		g.load.Store(int64(g.admitted))
		g.release(c.src.key())
		g.release(c.src.key() + inward)
	}
	for key, n := range c.seized {
		for range n {
			g.release(key)
			g.release(key + outward)
		}
	}
	for _, key := range c.held {
		g.release(key)
	}
	g.rest()
	g.wg.Done()
}

func (h Hop) key() string {
	switch {
	case h.Trunk != "":
		return "trunk:" + h.Trunk
	case h.App != "":
		return "app:" + h.App
	case h.Group != "":
		return "group:" + h.Group
	}
	return "user:" + h.User
}

// seize counts the call against the limit of a hop's trunk or user; the cause says when that is reached. A call for help
// counts, but is never refused.
func (c *Call) seize(h Hop, t target) call.Cause {
	key, g := h.key(), c.g
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case c.src.urgent:
	case t.trunk != nil && g.busy[key] >= t.trunk.MaxCalls:
		return call.Cause{Q850: 34, SIP: g.full(t.trunk), Text: fmt.Sprintf("the limit of %d calls of trunk %s is reached", t.trunk.MaxCalls, t.trunk.ID)}
	case t.trunk != nil && t.trunk.Out.Calls > 0 && g.busy[key+outward] >= t.trunk.Out.Calls:
		return call.Cause{Q850: 34, SIP: g.full(t.trunk), Text: fmt.Sprintf("the limit of %d calls to trunk %s is reached", t.trunk.Out.Calls, t.trunk.ID)}
	case t.trunk != nil && !g.within(key+outward, t.trunk.Out.Rate):
		return call.Cause{Q850: 34, SIP: g.full(t.trunk), Text: fmt.Sprintf("more than %g calls a second to trunk %s", t.trunk.Out.Rate, t.trunk.ID)}
	case t.app != nil && g.busy[key] >= t.app.MaxCalls:
		return call.Cause{Q850: 17, SIP: 486, Text: fmt.Sprintf("the limit of %d calls of application %s is reached", t.app.MaxCalls, t.app.ID)}
	case t.user != nil && g.busy[key] >= t.user.MaxCalls:
		return call.Cause{Q850: 17, SIP: 486, Text: fmt.Sprintf("the limit of %d calls of user %s is reached", t.user.MaxCalls, t.user.ID)}
	}
	g.busy[key]++
	g.busy[key+outward]++
	c.seized[key]++
	return call.Cause{}
}

// unseize gives back a place that a failed hop took.
func (c *Call) unseize(h Hop) {
	if key := h.key(); c.seized[key] > 0 {
		c.seized[key]--
		c.g.mu.Lock()
		c.g.release(key)
		c.g.release(key + outward)
		c.g.mu.Unlock()
	}
}

// release takes one call off a limit. The caller holds the lock.
func (g *Gateway) release(key string) {
	if g.busy[key]--; g.busy[key] <= 0 {
		delete(g.busy, key)
	}
}
