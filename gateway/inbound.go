package gateway

import (
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/sip"
)

// inbound takes a new INVITE whose source is known: a user who has proved who they are, or a trunk.
func (g *Gateway) inbound(d *sip.Dialog, src source) {
	_ = deepen()
	select {
	case <-g.ready:
	case <-g.ctx.Done(): // admit refuses it
	}
	if src.user != nil {
		src.help, src.urgent = g.cfg.Emergency.help(d.Request().URI)
	}
	c, cause, ok := g.admit(src)
	if c == nil {
		_ = d.Reject(cause.Status(), "Service Unavailable", append(reasonHeader(cause), sip.Header{Name: "Retry-After", Value: "5"})...)
		g.log.Warn("call refused without a record", "source", src.key(), "cause", cause.String())
		return
	}
	defer g.leave(c)
	c.run(d, cause, ok)
}

// run is a call from its INVITE to its record's last event, top to bottom.
func (c *Call) run(d *sip.Dialog, refused call.Cause, admitted bool) {
	c.src.hear(c.g, d.Request())
	begun := c.begin(d, d.Request().At)
	if !admitted { // cheaply: no media, no routing
		c.rec.note(1, d.Request().At, begun)
		c.refuse(d, bySystem(refused))
		return
	}
	if cause, ok := c.lost(); ok {
		c.rec.note(1, d.Request().At, begun)
		c.refuse(d, bySystem(cause))
		return
	}
	if err := c.attend(d, begun); err != nil {
		c.log.Error("call could not begin", "err", err)
		cause := call.Failure
		if errors.Is(err, udp.ErrExhausted) {
			cause = call.Congested
			cause.Text = "no media ports are left"
		}
		c.refuse(d, bySystem(cause))
		return
	}
	if d.Request().Replaces != nil {
		if cause, ok := c.acceptable(); !ok {
			c.refuse(d, bySystem(cause))
			return
		}
		c.stepIn(d)
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
	if end, ok := c.awaitConditions(); !ok {
		c.refuse(d, end)
		return
	}
	winner, end := c.dial(plan)
	switch {
	case winner == nil && c.unsaid:
		c.disappoint(end.cause)
		c.close(end)
		return
	case winner == nil && c.app == nil:
		c.disappoint(end.cause)
		c.refuse(d, end)
		return
	case winner == nil:
		c.disappoint(call.Cause{Q850: 21, SIP: 603, Text: "an application has the call"})
		c.close(c.bridged())
		return
	}
	join := c.connect
	if c.heir != nil {
		join = c.inherit
	}
	if end, ok := join(winner); !ok {
		c.close(end)
		return
	}
	c.close(c.bridged())
}

// ending is who ended a call, and why.
type ending struct {
	by    call.Party
	cause call.Cause
	at    time.Time // zero: now
}

func bySystem(c call.Cause) ending { return ending{by: call.System, cause: c} }

// begin opens the record: who calls whom, over what. It returns what there is to say of the caller's leg.
func (c *Call) begin(d *sip.Dialog, at time.Time) call.LegNew {
	r := d.Request()
	to, toN, cut := c.src.dialledNumber(c.g, c.src.called(r))
	c.cut = cut
	if r.URI.Scheme == "urn" {
		to, toN = clip(r.URI.String()), c.src.help
	}
	st := call.Start{Tenant: c.src.tenant(), LinkedID: c.id, Node: c.g.cfg.Node, Epoch: c.g.cfg.Journal.Epoch(), Origin: "sip",
		From: c.src.who.raw, FromN: c.src.who.shown(), To: to, ToN: toN, Direction: call.In}
	ln := call.LegNew{Role: call.CallerLeg, Medium: "sip", Direction: call.In, Transport: r.Network, SIPCallID: d.CallID(),
		LocalTag: d.LocalTag(), RemoteTag: d.RemoteTag(), FromURI: r.From.String(), ToURI: r.To.String(),
		RequestURI: r.URI.String(), Contact: r.Contact.String(), UserAgent: clip(r.Headers.Get("User-Agent")), Signalling: r.Source}
	if u := c.src.user; u != nil {
		st.User, ln.User, st.Direction = u.ID, u.ID, call.Out
	} else {
		st.Trunk, ln.Trunk = c.src.trunk.ID, c.src.trunk.ID
		if c.src.trunk.Trusted { // of others, what they assert is nothing
			if pai := r.Asserted(); len(pai) > 0 {
				ln.PAI = pai[0].String()
			}
			ln.Diversion = clip(r.Headers.Get("Diversion"))
			charging(r.Headers.Get("P-Charging-Vector"), &st)
		}
	}
	ln.Claims = claims(r.Headers, c.src.user == nil && c.src.trunk.Trusted)
	c.rec.note(0, at, st)
	if c.src.who.cut && c.src.user != nil {
		c.decide(callerTooLong + ": what the phone says of it isn't told on")
	}
	c.alive.Store(&Live{ID: c.id, From: c.src.key(), Since: c.id.Started(), Tenant: st.Tenant, Number: st.To})
	c.log.Info("call", "from", st.From, "to", st.To, "source", c.src.key(), "dialog", d.CallID())
	return ln
}

// attend makes the caller's leg: ports for its media, and a goroutine for its events.
func (c *Call) attend(d *sip.Dialog, ln call.LegNew) error {
	r := d.Request()
	at := r.At
	p := party{codecs: c.src.codecs(), dtmf: c.src.dtmf(), srtp: c.src.srtp(), passing: c.src.passing(), peer: r.Source, urgent: c.src.urgent}
	switch {
	case c.src.trunk != nil:
		p.media, p.ptime, p.preconditions = c.src.trunk.Media, c.src.trunk.Ptime, c.src.trunk.conditions()
	case c.src.user != nil:
		p.media, p.preconditions = c.src.user.Media, sdp.PreconditionsAnswered
	}
	if isSDP(r.ContentType, r.Body) {
		p.browser, p.offers = webrtcOffer(r.Body), offersAt(r.Body)
	} else {
		p.browser = overWeb(r.Network)
	}
	if p.browser {
		ln.Medium = "webrtc"
	}
	l, err := c.g.newLeg(1, call.CallerLeg, p, c.events, c.log)
	if err == nil {
		err = c.pipeline.Add(l.ep)
	}
	if err != nil {
		c.rec.note(1, at, ln)
		return err
	}
	l.user, l.trunk = c.src.user, c.src.trunk
	l.call.Store(c)
	l.peer = sdp.SendRecv
	c.caller = l
	l.attach(d)
	ln.Dialog = l.state()
	c.rec.note(1, at, ln)
	return nil
}

// acceptable reads the caller's offer before anybody is disturbed: an offer that we can't answer is refused at once.
func (c *Call) acceptable() (call.Cause, bool) {
	l := c.caller
	if !l.hasOffer() {
		return call.Cause{}, true
	}
	d, err := l.firstOffer()
	if err != nil {
		cause := call.NoCodec
		cause.Text = "the offer is not usable: " + err.Error()
		return cause, false
	}
	// An answer is tried before anybody's phone rings: nobody shall pick up a call that the caller can't have.
	p, err := l.ep.Answer(c.ctx, l.d.Request().Body, media.Want{Formats: formats(l.party.codecs, l.party.dtmf), SRTP: l.party.srtp})
	if err != nil {
		if c.demands = demanded(err); c.demands != nil {
			return preconditionFailed(err), false
		}
		cause := call.NoCodec
		cause.Text = err.Error()
		code, text, ok := sdp.Warning(err)
		if ok {
			c.warning, cause.Text = code, text
		}
		if code == 305 {
			cause = noCodec(l.party.codecs)
		}
		return cause, false
	}
	p.Rollback()
	l.peer = d.Direction()
	return call.Cause{}, true
}

// route asks where the call goes.
func (c *Call) route() (Plan, call.Cause, bool) {
	if c.src.urgent {
		return c.callHelp()
	}
	if c.cut {
		return Plan{}, call.Cause{Q850: 28, SIP: 484, Text: numberTooLong}, false
	}
	if c.src.who.cut && c.src.user == nil {
		return Plan{}, call.Cause{Q850: 28, SIP: 400, Text: callerTooLong}, false
	}
	plan, err := c.g.router.Route(c.ctx, &c.rec.call)
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
	return c.authorize(plan)
}

// authorize writes down where the call goes, and asks the charger for leave.
func (c *Call) authorize(plan Plan) (Plan, call.Cause, bool) {
	dir := c.rec.call.Direction
	switch to := plan.Hops[0]; {
	case c.src.app != nil && to.Trunk == "":
		dir = call.Internal
	case c.src.user != nil && to.User != "":
		dir = call.Internal
	case c.src.trunk != nil && to.Trunk != "":
		dir = call.Internal
	}
	c.rec.note(0, time.Now(), call.Decision{Route: plan.Route, ToN: c.g.understood(plan), To: dir, Text: plan.Why})
	if c.g.cfg.Charger == nil {
		return plan, call.Cause{}, true
	}
	as := &c.rec.call
	if dir == call.Internal && c.src.trunk != nil { // it is inside for the record; who brings it pays for where it goes
		as = c.charged(plan.Number)
	}
	grant, err := c.g.cfg.Charger.Authorize(c.ctx, as)
	if err != nil {
		var r *Refusal
		if errors.As(err, &r) {
			return plan, r.Cause, false
		}
		c.log.Error("charging", "err", err)
		return plan, call.Failure, false
	}
	c.lease = &lease{grant: grant}
	if as.Direction == call.Out {
		c.lease.of = leaseOf(c.charged(plan.Number))
	}
	return plan, call.Cause{}, true
}

// refuse tells the caller why not, and closes the record.
func (c *Call) refuse(d *sip.Dialog, end ending) {
	if c.caller != nil && c.caller.over { // the caller has gone already
		c.close(end)
		return
	}
	if gone, ok := c.left(); ok {
		c.close(gone)
		return
	}
	now := time.Now()
	cause := end.cause
	c.settle(cause)
	c.rec.note(0, now, call.Decision{Text: "refused: " + cause.String(), Refuse: true})
	c.log.Info("call refused", "cause", cause.String())
	status := cause.Status()
	if c.src.urgent && end.by == call.System && cause.SIP == 380 { // ours, which means nothing but what it says
		status = 380
	}
	var h []sip.Header
	told := cause
	if end.by == call.System && status != 488 {
		told = cause.Public()
	}
	h = append(h, reasonHeader(told)...)
	if c.caller != nil {
		h = append(h, c.caller.along()...)
	}
	if status == 488 {
		code := c.warning
		if code == 0 {
			code = 399
		}
		h = append(h, warning(code, cause.Text, c.g.cfg.Domain))
	}
	if c.barred && cause.SIP == 403 && c.src.user != nil && c.payer() == c.src.user {
		h = append(h, warning(399, cause.Text, c.g.cfg.Domain))
	}
	if c.src.urgent || status == 400 && end.by == call.System {
		h = append(h, warning(399, cause.Text, c.g.cfg.Domain))
	} else if status == 503 {
		h = append(h, sip.Header{Name: "Retry-After", Value: strconv.Itoa(int(math.Ceil(c.comeBack().Seconds())))})
	}
	leg := call.LegEnd{Cause: cause}
	if c.caller != nil {
		c.caller.over = true
		leg.Quality = counted(c.caller.ep, 0)
	}
	c.rec.note(1, now, leg)
	// The end is on disk before the caller hears of it.
	_ = c.rec.commit(c.rec.event(0, now, call.End{By: end.by, Cause: cause}))
	content, body := c.refusalBody(status)
	if err := d.RejectWith(status, phrase(status, told), content, body, h...); err != nil && !errors.Is(err, sip.ErrEnded) {
		c.log.Warn("rejection not sent", "err", err)
	}
	c.g.count(&c.rec.call)
}
