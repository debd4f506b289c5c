package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

// Call is a live call. Its goroutine owns all state: others send commands to its mailbox.
type Call struct {
	g      *Gateway
	id     call.ID
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	src    source

	events chan LegEvent
	box    chan command
	done   chan struct{}

	rec      record
	pipeline *media.Pipeline
	caller   *sipLeg
	callee   *sipLeg   // the party that answered
	tries    []*sipLeg // every attempt
	reoffers map[*sipLeg]*reoffering
	seized   map[string]bool // what the call counts against beside its source: "trunk:ID", "user:ID"
	stopped  bool            // dialling ended for good: no further hop
	grant    Grant
	authed   bool
}

// command is what others ask of a call. reply, if not nil, gets the outcome.
type command struct {
	kind  cmdKind
	leg   *sipLeg
	no    int
	dir   sdp.Direction
	cause call.Cause
	by    call.Party
	text  string
	err   error
	reply chan error
}

type cmdKind uint8

const (
	cmdHangup cmdKind = iota + 1
	cmdDigits
	cmdReoffered
)

// ErrNoCall is returned for a call that isn't there, or has just ended.
var ErrNoCall = errors.New("no such call")

// order puts a command into the mailbox; false when the call is over.
func (c *Call) order(cmd command) bool {
	select {
	case c.box <- cmd:
		return true
	case <-c.done:
		return false
	}
}

// Do sends a command and waits for its outcome until ctx ends.
func (c *Call) do(ctx context.Context, cmd command) error {
	cmd.reply = make(chan error, 1)
	select {
	case c.box <- cmd:
	case <-c.done:
		return ErrNoCall
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-cmd.reply:
		return err
	case <-c.done:
		return ErrNoCall
	case <-ctx.Done():
		return ctx.Err()
	}
}

// inbound takes a new INVITE whose source is known: a user who has proved who they are, or a trunk.
func (g *Gateway) inbound(d *sip.Dialog, src source) {
	c, cause, ok := g.admit(src)
	if c == nil {
		_ = d.Reject(cause.Status(), "Service Unavailable", append(reasonHeader(cause), sip.Header{Name: "Retry-After", Value: "5"})...)
		g.log.Warn("call refused without a record", "source", src.key(), "cause", cause.String())
		return
	}
	defer g.leave(c)
	c.run(d, cause, ok)
}

// admit makes the call and counts it against the limits. A call over a limit has a record all the same: ok is false
// and cause says why. Only when nothing can be recorded at all is there no call.
func (g *Gateway) admit(src source) (c *Call, cause call.Cause, ok bool) {
	if stalled, why := g.cfg.Journal.Stalled(); stalled {
		cause := call.JournalDown
		cause.Text = why
		g.stats.refused.Add(1)
		return nil, cause, false
	}
	id := call.NewID()
	ctx, cancel := context.WithCancel(context.Background())
	c = &Call{g: g, id: id, log: g.log.With("call", id), ctx: ctx, cancel: cancel, src: src, events: make(chan LegEvent, 64),
		box: make(chan command, 16), done: make(chan struct{}), reoffers: map[*sipLeg]*reoffering{},
		seized: map[string]bool{}}
	c.rec = record{g: g}
	c.rec.call.ID = id
	c.pipeline = media.NewPipeline(media.Config{Registry: g.cfg.Media.Registry, Clock: g.cfg.Media.Clock, Log: c.log})

	g.mu.Lock()
	defer g.mu.Unlock()
	key := src.key()
	switch {
	case g.draining:
		cause = call.ShuttingDown
	case len(g.calls) >= g.cfg.Limits.Calls:
		cause = call.Congested
		cause.Text = fmt.Sprintf("the gateway's limit of %d calls is reached", g.cfg.Limits.Calls)
	case g.busy[key] >= src.max():
		cause = call.Cause{Q850: 34, SIP: 503, Text: fmt.Sprintf("the limit of %d calls of %s is reached", src.max(), key)}
	default:
		ok = true
	}
	g.calls[id] = c
	g.busy[key]++
	g.stats.begun.Add(1)
	return c, cause, ok
}

// leave forgets a call that is over.
func (g *Gateway) leave(c *Call) {
	c.cancel()
	close(c.done)
	for _, l := range append(c.tries, c.caller) {
		if l != nil {
			l.abandon()
		}
	}
	if err := c.pipeline.Close(); err != nil {
		c.log.Warn("closing media", "err", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.calls, c.id)
	if key := c.src.key(); g.busy[key] > 1 {
		g.busy[key]--
	} else {
		delete(g.busy, key)
	}
	for key := range c.seized {
		g.release(key)
	}
	if g.draining && len(g.calls) == 0 {
		close(g.idle)
	}
}

// run is a call from its INVITE to its record's last event, top to bottom.
func (c *Call) run(d *sip.Dialog, refused call.Cause, admitted bool) {
	at := d.Request().At
	if err := c.begin(d, at); err != nil {
		c.log.Error("call could not begin", "err", err)
		cause := call.Failure
		if c.caller == nil {
			cause = call.Congested
		}
		c.refuse(d, bySystem(cause))
		return
	}
	if !admitted {
		c.refuse(d, bySystem(refused))
		return
	}
	plan, cause, ok := c.route()
	if !ok {
		c.refuse(d, bySystem(cause))
		return
	}
	if cause, ok := c.acceptable(); !ok {
		c.refuse(d, bySystem(cause))
		return
	}
	winner, end := c.dial(plan)
	if winner == nil {
		c.refuse(d, end)
		return
	}
	if end, ok := c.connect(winner); !ok {
		c.close(end)
		return
	}
	c.close(c.bridged())
}

// ending is who ended a call, and why.
type ending struct {
	by    call.Party
	cause call.Cause
}

func bySystem(c call.Cause) ending { return ending{call.System, c} }

// begin opens the record: who calls whom, over what.
func (c *Call) begin(d *sip.Dialog, at time.Time) error {
	r := d.Request()
	from, to := number(r.From.URI), number(r.URI)
	st := call.Start{Tenant: c.src.tenant(), LinkedID: c.id, Node: c.g.cfg.Node, Epoch: c.g.cfg.Journal.Epoch(), Origin: "sip",
		From: clip(from), To: clip(to), Direction: call.In}
	ln := call.LegNew{Role: call.CallerLeg, Medium: "sip", Direction: call.In, Transport: r.Network, SIPCallID: d.CallID(),
		LocalTag: d.LocalTag(), RemoteTag: d.RemoteTag(), FromURI: r.From.String(), ToURI: r.To.String(),
		RequestURI: r.URI.String(), Contact: r.Contact.String(), UserAgent: clip(r.Headers.Get("User-Agent")), Signalling: r.Source,
		Diversion: clip(r.Headers.Get("Diversion"))}
	if u := c.src.user; u != nil {
		st.User, ln.User, st.Direction = u.ID, u.ID, call.Out
		st.From = u.CallerID
	} else {
		st.Trunk, ln.Trunk = c.src.trunk.ID, c.src.trunk.ID
		if pai := r.Asserted(); len(pai) > 0 {
			ln.PAI = pai[0].String()
			st.From = clip(number(pai[0].URI))
		}
	}
	if v := r.Headers.Get("P-Charging-Vector"); v != "" && c.src.trunk != nil {
		st.ICID = icid(v)
	}
	c.rec.note(0, at, st)
	p := party{codecs: c.src.codecs(), dtmf: c.src.dtmf(), peer: r.Source}
	if t := c.src.trunk; t != nil {
		p.media = t.Media
	}
	l, err := c.g.newLeg(1, call.CallerLeg, p, c.events, c.log)
	if err != nil {
		ln.Dialog = nil
		c.rec.note(1, at, ln)
		return err
	}
	l.user, l.trunk = c.src.user, c.src.trunk
	l.peer = sdp.SendRecv
	if err := c.pipeline.Add(l.ep); err != nil {
		return err
	}
	c.caller = l
	l.attach(d)
	ln.Dialog = l.state()
	c.rec.note(1, at, ln)
	c.log.Info("call", "from", st.From, "to", st.To, "source", c.src.key(), "dialog", d.CallID())
	return nil
}

// acceptable reads the caller's offer before anybody is disturbed: an offer that we can't answer is refused at once.
func (c *Call) acceptable() (call.Cause, bool) {
	l := c.caller
	if !l.hasOffer() {
		return call.Cause{}, true
	}
	d, err := l.ep.Remote(l.d.Request().Body)
	if err != nil {
		cause := call.NoCodec
		cause.Text = "the offer is not usable: " + err.Error()
		return cause, false
	}
	for _, f := range offered(d) {
		if f.Kind == media.Audio && find(formats(l.party.codecs, ""), f) != nil {
			l.peer = d.Direction()
			return call.Cause{}, true
		}
	}
	return noCodec(l.party.codecs), false
}

// route asks where the call goes.
func (c *Call) route() (Plan, call.Cause, bool) {
	plan, err := c.g.router.Route(c.ctx, &c.rec.call)
	now := time.Now()
	if err != nil {
		var r *Refusal
		cause := call.Failure
		if errors.As(err, &r) {
			cause = r.Cause
		} else {
			c.log.Error("routing", "err", err)
		}
		return plan, cause, false
	}
	if len(plan.Hops) == 0 {
		return plan, call.NoRoute, false
	}
	dir := c.rec.call.Direction
	switch to := plan.Hops[0]; {
	case c.src.user != nil && to.User != "":
		dir = call.Internal
	case c.src.trunk != nil && to.Trunk != "":
		dir = call.Internal
	}
	c.rec.note(0, now, call.Decision{Route: plan.Route, ToN: plan.Number, FromN: c.rec.call.From, To: dir, Text: plan.Why})
	if c.g.cfg.Charger == nil {
		return plan, call.Cause{}, true
	}
	grant, err := c.g.cfg.Charger.Authorize(c.ctx, &c.rec.call)
	if err != nil {
		var r *Refusal
		if errors.As(err, &r) {
			return plan, r.Cause, false
		}
		c.log.Error("charging", "err", err)
		return plan, call.Failure, false
	}
	c.grant, c.authed = grant, true
	return plan, call.Cause{}, true
}

// refuse tells the caller why not, and closes the record.
func (c *Call) refuse(d *sip.Dialog, end ending) {
	now := time.Now()
	cause := end.cause
	if c.caller != nil && c.caller.over { // the caller has gone already
		c.close(end)
		return
	}
	c.rec.note(0, now, call.Decision{Text: "refused: " + cause.String(), Refuse: true})
	c.log.Info("call refused", "cause", cause.String())
	status := cause.Status()
	var h []sip.Header
	h = append(h, reasonHeader(cause)...)
	if status == 488 {
		code := 305
		if cause.Q850 != call.NoCodec.Q850 {
			code = 399
		}
		h = append(h, warning(code, cause.Text, c.g.cfg.Domain))
	}
	if status == 503 {
		h = append(h, sip.Header{Name: "Retry-After", Value: "5"})
	}
	if c.caller != nil {
		c.caller.over = true
		c.rec.note(1, now, call.LegEnd{Cause: cause, Quality: quality(c.caller.ep, 0)})
	}
	// The end is on disk before the caller hears of it.
	_ = c.rec.commit(c.rec.event(0, now, call.End{By: end.by, Cause: cause}))
	if err := d.Reject(status, phrase(status, cause), h...); err != nil && !errors.Is(err, sip.ErrEnded) {
		c.log.Warn("rejection not sent", "err", err)
	}
	c.g.stats.failed.Add(1)
	c.g.count(cause)
}

// phrase is the reason phrase of a refusal: the standard one, so that logs of all peers read alike.
func phrase(status int, c call.Cause) string {
	if p, ok := phrases[status]; ok {
		return p
	}
	if t := headerText(c.Text); t != "" {
		return t
	}
	return "Call Failed"
}

// warning is a Warning header (RFC 3261 20.43).
func warning(code int, text, agent string) sip.Header {
	if agent == "" {
		agent = "patchbay"
	}
	return sip.Header{Name: "Warning", Value: fmt.Sprintf("%d %s \"%s\"", code, agent, headerText(text))}
}

func reasonHeader(c call.Cause) []sip.Header {
	r := reason(c)
	if r.IsZero() {
		return nil
	}
	return []sip.Header{{Name: "Reason", Value: r.String()}}
}
