package gateway

import (
	"strings"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/sip"
)

// offerApp offers the call to an application: when it takes the call, c.app is it. Otherwise it tells why not.
func (c *Call) offerApp(hop Hop) ending {
	cause := c.refusesApp(hop)
	if !cause.IsZero() {
		c.decide(hop.String() + ": " + cause.Text)
		return bySystem(cause)
	}
	g := c.g
	a := c.newAppCall(c.nextLeg(), hop.App)
	a.incoming, a.remote, a.offered = true, c.src.who.told(), c.callerWant(nil).Formats
	at := time.Now()
	c.rec.note(a.no, at, call.LegNew{Attempt: c.attempts, Role: call.CalleeLeg, Medium: "app", Direction: call.Out, FromURI: c.caller.d.Request().From.String(), ToURI: "app:" + hop.App})
	if err := c.rec.commit(); err != nil {
		c.stopped = true
		c.rec.note(a.no, time.Now(), call.LegEnd{Cause: call.JournalDown})
		return bySystem(call.JournalDown)
	}
	c.app = a
	limit := ringing(hop.Ring)
	g.mu.Lock()
	g.offered[c.id] = a
	desks := g.desks[deskKey{c.src.tenant(), hop.App}]
	g.mu.Unlock()
	o := c.offer(hop.App, limit)
	for _, d := range desks {
		d.ring(o)
	}
	c.log.Info("offered", "app", hop.App, "desks", len(desks))
	end := c.awaitApp(a, limit)
	if !a.taken {
		c.untaken(a, end)
	}
	return end
}

// refusesApp is why an application can't be asked; zero: it can.
func (c *Call) refusesApp(hop Hop) call.Cause {
	app := c.g.apps[hop.App]
	switch {
	case c.errand != nil:
		return call.Cause{Q850: 29, SIP: 501, Text: "a party can't be transferred to an application"}
	case c.src.app != nil:
		return call.Cause{Q850: 29, SIP: 501, Text: "an application can't call another"}
	case app == nil || app.Tenant != c.src.tenant():
		return call.Cause{Q850: 3, SIP: 404, Text: "application " + hop.App + " is not configured"}
	}
	c.g.mu.Lock()
	desks := len(c.g.desks[deskKey{app.Tenant, app.ID}])
	c.g.mu.Unlock()
	if desks == 0 {
		cause := call.NoApp
		cause.Text = "nobody listens as application " + app.ID
		return cause
	}
	return c.seize(hop, target{app: app})
}

func (c *Call) offer(app string, limit time.Duration) Offer {
	r := c.caller.d.Request()
	o := Offer{ID: c.id, Tenant: c.src.tenant(), App: app, From: c.src.who.told(), FromName: c.src.who.name, To: c.rec.call.Dialled(),
		User: c.rec.call.User, Trunk: c.rec.call.Trunk, Limit: limit}
	if c.src.who.privacy.hidden {
		o.FromName = ""
		return o.with(r.Headers)
	}
	if u := c.src.user; u != nil {
		o.FromName = u.CallerName
	}
	return o.with(r.Headers)
}

// with adds the caller's own header fields.
func (o Offer) with(headers sip.Headers) Offer {
	for _, h := range headers {
		if len(h.Name) > 2 && strings.EqualFold(h.Name[:2], "X-") && !strings.EqualFold(h.Name, markHeader) && len(o.Headers) < maxHeaders && checkText(h.Name, h.Value, maxHeader) == nil {
			o.Headers = append(o.Headers, h)
		}
	}
	return o
}

// untaken ends the part of an application that didn't take the call.
func (c *Call) untaken(a *AppCall, end ending) {
	now := time.Now()
	c.g.unclaimed(a)
	c.rec.note(a.no, now, call.LegEnd{Cause: end.cause, HungUp: end.by == call.Callee})
	c.app = nil
	if a.current() != nil {
		cut(c.caller.ep)
	}
	a.emit(AppEvent{Kind: AppEnded, At: now, By: end.by, Cause: end.cause})
}

// cut ends all links of an endpoint's audio: an application that has had its early media loses it.
func cut(e media.Endpoint) {
	from := e.Source(media.Pad{})
	for _, k := range from.Sinks() {
		from.Unlink(k)
	}
	nobody := media.NewSource(nil, nil)
	nobody.Link(e.Sink(media.Pad{}))
	nobody.Close()
}

// awaitApp watches an offered call, and its caller, until the application takes it or it is to go elsewhere.
func (c *Call) awaitApp(a *AppCall, limit time.Duration) ending {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case e := <-c.events:
			if l := e.Leg.(*sipLeg); l != c.caller {
				continue
			}
			if c.callerWhileRinging(e) {
				return c.gone(e)
			}
		case cmd := <-c.box:
			if c.stale(cmd) {
				continue
			}
			if end, over := c.decides(a, cmd); over {
				return end
			}
		case <-timer.C:
			cause := call.NoAnswer
			if cause.Text = "application " + a.app + " didn't accept in " + limit.String(); c.g.unclaimed(a) {
				cause.Text = "no client of application " + a.app + " took the call in " + limit.String()
			}
			return bySystem(cause)
		case <-c.ctx.Done():
			c.stopped = true
			return bySystem(call.ShuttingDown)
		}
	}
}

// decides obeys an order before an offered call is taken; over when the application has decided.
func (c *Call) decides(a *AppCall, cmd command) (ending, bool) {
	switch cmd.kind {
	case cmdProgress:
		respond(cmd, c.progressCaller(a, cmd.app.status))
	case cmdAccept:
		end, ok := c.answerCaller(a)
		if !ok {
			c.stopped = true
			respond(cmd, &Refusal{end.cause})
			return end, true
		}
		respond(cmd, nil)
		return ending{}, true
	case cmdReject:
		respond(cmd, nil)
		return ending{by: call.Callee, cause: cmd.cause}, true
	case cmdHangup:
		respond(cmd, nil)
		if cmd.app.from == nil { // an operator's, or the end of the gateway
			c.stopped = true
			return ending{by: cmd.by, cause: cmd.cause}, true
		}
		cmd.cause.SIP = 480
		return ending{by: call.Callee, cause: cmd.cause}, true
	case cmdLink:
		c.joinFamily(cmd)
	default:
		respond(cmd, ErrNotAnswered)
	}
	return ending{}, false
}

// progressCaller tells the caller how an application's call goes, with early media for 183.
func (c *Call) progressCaller(a *AppCall, status int) error {
	early := status == 183
	if early && !c.caller.hasOffer() {
		return bad("status", "183: the caller has made no offer, so there is no media before the answer")
	}
	if err := c.caller.Progress(status, phraseOf(status), early, c.callerWant(nil)); err != nil {
		return err
	}
	now := time.Now()
	c.rec.note(a.no, now, call.Progress{Status: status, EarlyMedia: early})
	c.rec.note(1, now, call.Progress{Status: status, EarlyMedia: early})
	c.rang = c.rang || status == 180
	if early {
		c.caller.earlier = true
		c.noteMedia(c.caller, now)
		a.setLeg(c.caller)
		a.emit(AppEvent{Kind: AppEarlyMedia, At: now, Status: status, Endpoint: c.caller.ep})
	}
	return nil
}

// answerCaller answers the caller for an application. The record of the answer is on disk before the 200 leaves.
func (c *Call) answerCaller(a *AppCall) (ending, bool) {
	want := c.callerWant(nil)
	noted := false
	err := c.caller.Answer(want, func() error {
		if closed(c.caller.d.Ended()) {
			return sip.ErrEnded
		}
		at := time.Now()
		c.caller.answered.Store(c.g.clock.at(at))
		c.rec.note(a.no, at, call.Answer{})
		c.rec.note(1, at, call.Answer{RemoteTag: c.caller.d.RemoteTag(), Dialog: c.caller.confirmed()})
		c.noteMedia(c.caller, at)
		c.rec.note(0, at, call.Bridge{With: a.no})
		noted = true
		return c.rec.commit()
	})
	if err != nil {
		c.unsaid = noted
		return c.unanswered(err), false
	}
	a.taken = true
	c.caller.want = want.Direction
	c.g.stats.answered.Add(1)
	c.log.Info("call answered", "app", a.app, "codec", agreed(c.caller.ep).Codec)
	c.canDial(c.caller)
	a.setLeg(c.caller)
	a.emit(AppEvent{Kind: AppAnswered, Status: 200, Endpoint: c.caller.ep})
	return ending{}, true
}
