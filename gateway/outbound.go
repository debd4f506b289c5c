package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

// target is one INVITE that a hop sends: a trunk, or one of a user's contacts.
type target struct {
	ua     *sip.UA
	uri    sip.URI
	dest   sip.Destination
	from   sip.NameAddr
	to     sip.NameAddr
	party  party
	user   *User
	trunk  *trunk
	header []sip.Header
}

// dial tries the plan's hops in order until one answers. winner is nil when none did; cause is then what the caller
// is told: the last hop's, since it was the one that decided.
func (c *Call) dial(plan Plan) (winner *sipLeg, end ending) {
	for i, hop := range plan.Hops {
		winner, end = c.dialHop(hop, plan.Number)
		if winner != nil || end.by == call.Caller || end.by == call.Admin || c.stopped {
			return winner, end
		}
		c.unseize(hop)
		if i+1 < len(plan.Hops) {
			if !hop.Failover.Next(end.cause) {
				c.decide("no further hop is tried after " + end.cause.String())
				return nil, end
			}
			c.decide("next hop after " + end.cause.String())
		}
	}
	return nil, end
}

func (c *Call) decide(text string) {
	c.rec.note(0, time.Now(), call.Decision{Text: text})
	c.log.Info("routing", "decision", text)
}

// dialHop rings everything that the hop names, at once; the first to answer wins.
func (c *Call) dialHop(hop Hop, number string) (*sipLeg, ending) {
	targets, cause := c.g.targets(hop, number, &c.rec.call, c.src)
	if len(targets) > 0 {
		cause = c.seize(hop, targets[0])
	}
	if !cause.IsZero() {
		c.decide(hop.String() + ": " + cause.Text)
		return nil, bySystem(cause)
	}
	var ringing []*sipLeg
	cause = call.Failure
	for _, t := range targets {
		l, err := c.invite(t, hop)
		if err != nil {
			c.log.Warn("attempt could not begin", "to", t.uri.String(), "err", err)
			c.rec.note(0, time.Now(), call.Note{Text: "attempt could not begin: " + err.Error()})
			var sc causeError
			if errors.As(err, &sc) {
				cause = sc.cause
			}
			continue
		}
		ringing = append(ringing, l)
	}
	if len(ringing) == 0 {
		return nil, bySystem(cause)
	}
	return c.await(ringing)
}

func (h Hop) String() string {
	if h.Trunk != "" {
		return "trunk " + h.Trunk
	}
	return "user " + h.User
}

type causeError struct {
	cause call.Cause
	err   error
}

func (e causeError) Error() string { return e.err.Error() }
func (e causeError) Unwrap() error { return e.err }

// targets resolves a hop.
func (g *Gateway) targets(h Hop, number string, c *call.Call, src source) ([]target, call.Cause) {
	if h.User != "" {
		return g.contacts(h.User, c, src)
	}
	t := g.trunks[h.Trunk]
	if t == nil {
		return nil, call.Cause{Q850: 3, SIP: 404, Text: "trunk " + h.Trunk + " is not configured"}
	}
	if !t.up() {
		cause := call.Cause{Q850: 38, SIP: 503, Text: "trunk " + t.ID + " is not registered"}
		if s := t.reg.Status(); s.Err != nil {
			cause.Text += ": " + s.Err.Error()
		}
		return nil, cause
	}
	uri, err := sip.NewURI(number, t.Domain, 0)
	if err != nil {
		return nil, call.Cause{Q850: 28, SIP: 484, Text: fmt.Sprintf("number %q can't be dialled: %v", clip(number), err)}
	}
	caller := c.From
	switch {
	case t.From == "account" && t.User != "":
		caller = t.User
	case t.From == "fixed" && t.FromNumber != "":
		caller = t.FromNumber
	}
	from, err := sip.NewURI(caller, t.Domain, 0)
	if err != nil {
		return nil, call.Cause{Q850: 21, SIP: 403, Text: fmt.Sprintf("caller %q can't be shown: %v", clip(caller), err)}
	}
	na := sip.NameAddr{URI: from}
	if src.user != nil {
		na.Display = src.user.CallerName
	}
	return []target{{ua: t.ua, uri: uri, dest: t.at(t.Proxy), from: na, to: sip.NameAddr{URI: uri}, trunk: t,
		party: party{media: t.Media, codecs: t.Codecs, dtmf: t.DTMF, peer: t.peer()}}}, call.Cause{}
}

// peer is where the trunk's signalling comes from, if that is known before anything came.
func (t *trunk) peer() netip.AddrPort {
	if a, err := netip.ParseAddr(t.Proxy.Host); err == nil {
		return netip.AddrPortFrom(a, port(t.Proxy))
	}
	return netip.AddrPort{}
}

// contacts are the places where a user is registered now.
func (g *Gateway) contacts(id string, c *call.Call, src source) ([]target, call.Cause) {
	u := g.userByID[id]
	if u == nil || g.registrar == nil {
		return nil, call.Cause{Q850: 1, SIP: 404, Text: "user " + id + " is not configured"}
	}
	to, err := sip.NewURI(u.Login, g.cfg.Domain, 0)
	if err != nil {
		return nil, call.Failure
	}
	from, err := sip.NewURI(c.From, g.cfg.Domain, 0)
	if err != nil {
		return nil, call.Cause{Q850: 21, SIP: 403, Text: fmt.Sprintf("caller %q can't be shown: %v", clip(c.From), err)}
	}
	na := sip.NameAddr{URI: from}
	if src.user != nil {
		na.Display = src.user.CallerName
	}
	var out []target
	for _, ct := range g.registrar.Contacts(u.Login) {
		out = append(out, target{ua: g.users, uri: ct.URI, dest: ct.Destination(), from: na, to: sip.NameAddr{URI: to}, user: u,
			party: party{codecs: u.Codecs, dtmf: u.DTMF, peer: ct.Source}})
	}
	if len(out) == 0 {
		cause := call.Offline
		cause.Text = "user " + u.ID + " is not registered"
		return nil, cause
	}
	return out, call.Cause{}
}

func (h Hop) key() string {
	if h.Trunk != "" {
		return "trunk:" + h.Trunk
	}
	return "user:" + h.User
}

// seize counts the call against the limit of a hop's trunk or user; the cause says when that is reached.
func (c *Call) seize(h Hop, t target) call.Cause {
	key := h.key()
	if c.seized[key] {
		return call.Cause{}
	}
	g := c.g
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case t.trunk != nil && g.busy[key] >= t.trunk.MaxCalls:
		return call.Cause{Q850: 34, SIP: 503, Text: fmt.Sprintf("the limit of %d calls of trunk %s is reached", t.trunk.MaxCalls, t.trunk.ID)}
	case t.user != nil && g.busy[key] >= t.user.MaxCalls:
		return call.Cause{Q850: 17, SIP: 486, Text: fmt.Sprintf("the limit of %d calls of user %s is reached", t.user.MaxCalls, t.user.ID)}
	}
	g.busy[key]++
	c.seized[key] = true
	return call.Cause{}
}

// unseize gives back what a failed hop counted.
func (c *Call) unseize(h Hop) {
	if key := h.key(); c.seized[key] {
		delete(c.seized, key)
		c.g.mu.Lock()
		c.g.release(key)
		c.g.mu.Unlock()
	}
}

// release takes one call off a limit. The caller holds the lock.
func (g *Gateway) release(key string) {
	if g.busy[key]--; g.busy[key] <= 0 {
		delete(g.busy, key)
	}
}

// invite begins one attempt: endpoint, offer, record, and then the INVITE, which leaves only once the record is on disk.
func (c *Call) invite(t target, hop Hop) (*sipLeg, error) {
	no := len(c.tries) + 2
	l, err := c.g.newLeg(no, call.CalleeLeg, t.party, c.events, c.log)
	if err != nil {
		return nil, causeError{call.Congested, err}
	}
	l.user, l.trunk, l.peer = t.user, t.trunk, sdp.SendRecv
	c.tries = append(c.tries, l)
	if err := c.pipeline.Add(l.ep); err != nil {
		return nil, err
	}
	want := media.Want{Formats: firstOf(formats(t.party.codecs, t.party.dtmf), c.callerFormats()),
		Direction: direction(c.caller.peer.Sends(), c.caller.peer.Receives())}
	l.want = want.Direction
	o, err := l.ep.Offer(c.ctx, want)
	if err != nil {
		return nil, err
	}
	l.offer = o
	// The INVITE waits until this goroutine, which owns the record, has written that it will leave.
	written := make(chan error, 1)
	ready := make(chan *sip.Dialog)
	inv := sip.Invite{Target: t.uri, To: t.to, From: t.from, Destination: t.dest, Headers: t.header, Body: o.SDP(),
		Timeout: hop.Ring, TrialTimeout: c.g.cfg.Limits.Response, Before: func(d *sip.Dialog) error {
			select {
			case ready <- d:
				return <-written
			case <-c.ctx.Done():
				return c.ctx.Err()
			}
		}}
	d, err := t.ua.Dial(c.ctx, inv)
	if err != nil {
		return nil, causeError{call.Cause{Q850: 38, SIP: 503, Text: "attempt could not be sent: " + err.Error()}, err}
	}
	begun := call.LegNew{Attempt: len(c.tries), Role: call.CalleeLeg, Medium: "sip", Direction: call.Out, User: l.user.id(), Trunk: l.trunkID(),
		SIPCallID: d.CallID(), LocalTag: d.LocalTag(), FromURI: t.from.String(), ToURI: t.to.String(), RequestURI: t.uri.String(), Signalling: t.party.peer}
	select {
	case <-ready:
		l.attach(d)
		begun.Dialog, begun.Transport = l.state(), d.State().Network
		c.rec.note(no, time.Now(), begun)
		err = c.rec.commit()
		written <- err
		if err != nil {
			c.attemptEnded(l, LegEvent{At: time.Now(), Cause: call.JournalDown})
			return nil, causeError{call.JournalDown, err}
		}
	case e := <-d.Events(): // it has ended before anything was sent: no way to the peer
		l.d = d
		c.rec.note(no, time.Now(), begun)
		end := l.endOf(e)
		c.attemptEnded(l, end)
		return nil, causeError{end.Cause, errors.New(end.Cause.Text)}
	}
	c.log.Info("attempt", "leg", no, "to", t.uri.String(), "dialog", d.CallID())
	return l, nil
}

func (l *sipLeg) trunkID() string {
	if l.trunk == nil {
		return ""
	}
	return l.trunk.ID
}

// callerFormats is what the caller offers, in its order; all that it may use when it offers nothing yet.
func (c *Call) callerFormats() []*media.Format {
	if c.caller.hasOffer() {
		if d, err := c.caller.ep.Remote(c.caller.d.Request().Body); err == nil {
			return offered(d)
		}
	}
	return formats(c.caller.party.codecs, c.caller.party.dtmf)
}

// await watches ringing attempts, and the caller, until one answers or all have failed.
func (c *Call) await(ringing []*sipLeg) (*sipLeg, ending) {
	end := bySystem(call.NoAnswer)
	best := 0
	for len(ringing) > 0 {
		select {
		case e := <-c.events:
			l := e.Leg.(*sipLeg)
			if l == c.caller {
				if c.callerWhileRinging(e) {
					c.drop(ringing, e.Cause)
					by := call.System
					if e.ByPeer {
						by = call.Caller
					}
					c.stopped = true
					return nil, ending{by, e.Cause}
				}
				continue
			}
			if l.over {
				continue
			}
			switch e.Kind {
			case LegProgress:
				c.progress(l, e)
			case LegForked:
				c.rec.note(l.no, e.At, call.Note{Text: e.Phrase})
			case LegAnswered:
				c.noteAnswer(l, e)
				c.drop(without(ringing, l), call.ElsewhereDone)
				return l, ending{}
			case LegEnded:
				c.attemptEnded(l, e)
				ringing = without(ringing, l)
				if r := rank(e.Cause); r >= best {
					best, end = r, bySystem(e.Cause)
					if e.ByPeer {
						end.by = call.Callee
					}
				}
			}
		case cmd := <-c.box:
			if cmd.kind == cmdHangup {
				c.drop(ringing, cmd.cause)
				respond(cmd, nil)
				c.stopped = true
				return nil, ending{cmd.by, cmd.cause}
			}
			respond(cmd, errors.New("the call isn't answered yet"))
		}
	}
	return nil, end
}

// rank orders the outcomes of parallel attempts for the caller (RFC 3261 16.7 step 6): 6xx before all, then what a
// person decided, then what went wrong on the way.
func rank(c call.Cause) int {
	switch {
	case c.SIP >= 600:
		return 4
	case c.Class() == call.Final && c.SIP != 480 && c.SIP != 487:
		return 3
	case c.Class() == call.Final:
		return 2
	}
	return 1
}

// callerWhileRinging handles the caller's events before the answer; true when the caller has gone.
func (c *Call) callerWhileRinging(e LegEvent) bool {
	switch e.Kind {
	case LegEnded:
		c.legEnded(c.caller, e)
		return true
	case LegOffered:
		_ = e.Offer.Reject(call.Cause{Q850: 41, SIP: 491, Text: "Request Pending"})
	case LegRefer:
		_ = e.Refer.Reject(call.Cause{SIP: 603, Q850: 21, Text: "Decline"})
	}
	return false
}

// progress relays a provisional response to the caller, with early media if there is some.
func (c *Call) progress(l *sipLeg, e LegEvent) {
	first := c.rec.call.ProgressAt == nil
	c.rec.note(l.no, e.At, call.Progress{Status: e.Status, Phrase: clip(e.Phrase), Tag: e.Tag, EarlyMedia: e.Early, Dialog: l.state()})
	early := false
	if e.Early {
		c.noteMedia(l, e.At)
		c.link(l)
		early = c.caller.hasOffer()
	}
	status := e.Status
	if status > 183 || status == 182 || status == 181 {
		status = 180
	}
	if status == 183 && !early { // 183 without media tells a phone nothing
		status = 180
	}
	if !first && !early && status == 180 && c.caller.body == nil && c.rang() {
		return
	}
	if err := c.caller.Progress(status, phraseOf(status), early, c.callerWant(l)); err != nil && !errors.Is(err, sip.ErrEnded) {
		c.log.Warn("progress not relayed", "err", err)
		c.rec.note(1, time.Now(), call.Note{Text: "progress not relayed: " + err.Error()})
		return
	}
	c.rec.note(1, time.Now(), call.Progress{Status: status, EarlyMedia: early})
	if early {
		c.noteMedia(c.caller, time.Now())
	}
}

// rang tells whether the caller has had a 180 already: repeated ones of several phones would say nothing new.
func (c *Call) rang() bool {
	l := c.rec.call.Leg(1)
	return l != nil && len(c.tries) > 1
}

func phraseOf(status int) string {
	if status == 183 {
		return "Session Progress"
	}
	return "Ringing"
}

// callerWant is our answer to the caller's offer, made from what the callee agreed to, so that media passes through.
func (c *Call) callerWant(l *sipLeg) media.Want {
	own := formats(c.caller.party.codecs, c.caller.party.dtmf)
	if c.caller.hasOffer() {
		if d, err := c.caller.ep.Remote(c.caller.d.Request().Body); err == nil {
			own = firstOf(own, offered(d))
		}
	}
	own = firstOf(own, l.current())
	if c.caller.hasOffer() {
		var common []*media.Format
		theirs := c.callerFormats()
		for _, f := range own {
			if find(theirs, f) != nil {
				common = append(common, f)
			}
		}
		own = only(common)
	}
	return media.Want{Formats: own, Direction: sdp.SendRecv}
}

// link joins the caller's media with that of one attempt; an attempt linked before is left.
func (c *Call) link(l *sipLeg) {
	pad := media.Pad{}
	for _, o := range c.tries {
		if o != l && o.ep.Sink(pad) != nil {
			c.pipeline.Unbridge(c.caller.ep, o.ep, pad)
		}
	}
	if err := c.pipeline.Bridge(c.caller.ep, l.ep, pad); err != nil {
		c.log.Error("bridge", "err", err)
	}
}

// attemptEnded closes an attempt's record and its media.
func (c *Call) attemptEnded(l *sipLeg, e LegEvent) {
	if l.over {
		return
	}
	l.over = true
	defer l.confirm()
	if c.rec.call.Leg(l.no) != nil {
		c.rec.note(l.no, e.At, call.LegEnd{Cause: e.Cause, HungUp: e.ByPeer, Quality: quality(l.ep, 0)})
	}
	c.log.Info("attempt ended", "leg", l.no, "cause", e.Cause.String())
	if err := c.pipeline.Remove(l.ep); err != nil {
		c.log.Warn("closing media", "leg", l.no, "err", err)
	}
	if l.d == nil {
		l.abandon()
	}
}

// drop hangs up attempts that aren't needed any more, all at once, and doesn't wait for them.
func (c *Call) drop(list []*sipLeg, why call.Cause) {
	for _, l := range list {
		c.attemptEnded(l, LegEvent{At: time.Now(), Cause: why})
		c.g.wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
			defer cancel()
			if err := l.Hangup(ctx, why); err != nil && !errors.Is(err, sip.ErrEnded) {
				l.log.Warn("attempt not hung up", "err", err)
			}
			l.abandon()
		})
	}
}

func without(list []*sipLeg, l *sipLeg) []*sipLeg {
	var out []*sipLeg
	for _, o := range list {
		if o != l {
			out = append(out, o)
		}
	}
	return out
}

func respond(cmd command, err error) {
	if cmd.reply != nil {
		cmd.reply <- err
	}
}
