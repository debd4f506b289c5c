package gateway

import (
	"cmp"
	"errors"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
)

// dial tries the plan's hops in order until one answers. winner is nil when none did; cause is then what the caller
// is told: the last hop's, since it was the one that decided. An application that takes the call is c.app.
func (c *Call) dial(plan Plan) (winner *sipLeg, end ending) {
	for i, hop := range plan.Hops {
		r := c.dialHop(hop, plan.Number)
		if end = r.end; r.winner != nil || c.app != nil && c.app.taken || c.stopped {
			return r.winner, end
		}
		verdict := c.verdict(hop, r)
		if i+1 == len(plan.Hops) || r.passed {
			continue
		}
		if verdict == VerdictStop {
			c.decide("no further hop is tried after " + end.cause.String())
			return nil, end
		}
		c.decide("next hop after " + end.cause.String())
	}
	return nil, end
}

// verdict is what the outcome of a hop means, by its table; a trunk that asks for it is put aside.
func (c *Call) verdict(hop Hop, r tried) Verdict {
	v := hop.Failover.Verdict(r.end.cause)
	switch {
	case r.barred:
		return VerdictStop
	case c.src.urgent: // somebody must answer
		return VerdictNext
	}
	t := c.g.trunks[hop.Trunk]
	if t == nil || r.passed || r.end.by != call.Callee || v != VerdictLater && (r.later == 0 || r.end.cause.SIP != 503) {
		return v
	}
	aside := r.later
	if aside == 0 {
		aside = hop.Failover.Aside
	}
	t.putAside(aside, r.end.cause.String())
	left, _ := t.aside()
	c.decide("trunk " + t.ID + " is put aside for " + left.Round(time.Second).String() + " after " + r.end.cause.String())
	return v
}

func (c *Call) decide(text string) {
	c.rec.note(0, time.Now(), call.Decision{Text: text})
	c.log.Info("routing", "decision", text)
}

// tried is what came of a hop.
type tried struct {
	winner *sipLeg
	end    ending
	passed bool          // it wasn't tried: full, down or put aside
	barred bool          // the account may not call there: nothing else is tried
	later  time.Duration // what the callee's Retry-After says; 0 = nothing
}

// passes writes down that a hop is passed by, and why.
func (c *Call) passes(hop Hop, cause call.Cause) tried {
	text := hop.String() + " is passed by: " + cause.Text
	c.rec.note(0, time.Now(), call.Decision{Text: text, Passed: hop.key(), Cause: &cause})
	c.log.Info("routing", "decision", text)
	c.g.tally.passed(hop)
	return tried{end: bySystem(cause), passed: true}
}

// dialHop rings everything that the hop names; the first to answer wins.
func (c *Call) dialHop(hop Hop, number string) tried {
	if end, gone := c.left(); gone {
		return tried{end: end}
	}
	switch {
	case hop.App != "":
		end := c.offerApp(hop)
		if c.app == nil || !c.app.taken {
			c.unseize(hop)
		}
		return tried{end: end}
	case hop.Group != "":
		return c.dialGroup(hop)
	case hop.User != "":
		return c.dialUser(hop, number)
	}
	return c.dialTrunk(hop, number)
}

// dialTrunk calls a number at a carrier.
func (c *Call) dialTrunk(hop Hop, number string) tried {
	list, r, ok := c.atTrunk(hop, number)
	if !ok {
		c.spend()
		return r
	}
	r.winner, r.end = c.ring(list)
	if r.winner == nil {
		c.unseize(hop)
		r.later = c.retryAfter
		c.sooner(r.later)
		if c.stopped {
			return r
		}
		return c.redirected(list[0].trunk, list[0].hop, r)
	}
	return r
}

// atTrunk is the attempt at a trunk, with a place there; ok is false when there is none, and r why.
func (c *Call) atTrunk(hop Hop, number string) (list []attempt, r tried, ok bool) {
	hop.Number = cmp.Or(hop.Number, number)
	if cause := c.mayCall(hop); !cause.IsZero() {
		return nil, tried{end: bySystem(cause), barred: true}, false
	}
	if cause := c.unavailable(hop); !cause.IsZero() {
		return nil, c.passes(hop, cause), false
	}
	if why := c.loss(hop); why != "" {
		return nil, c.passes(hop, call.Cause{Q850: 21, SIP: 403, Text: why}), false
	}
	targets, cause := c.g.targets(hop, hop.Number, &c.rec.call, c.src)
	if !cause.IsZero() {
		c.decide(hop.String() + ": " + cause.Text)
		return nil, tried{end: bySystem(cause)}, false
	}
	if cause = c.seize(hop, targets[0]); !cause.IsZero() {
		return nil, c.passes(hop, cause), false
	}
	targets[0].lease = c.lent(hop.Number)
	return []attempt{{targets[0], hop}}, tried{}, true
}

// unavailable is why a trunk isn't even tried.
func (c *Call) unavailable(hop Hop) call.Cause {
	t := c.g.trunks[hop.Trunk]
	if t == nil {
		return call.Cause{Q850: 3, SIP: 404, Text: "trunk " + hop.Trunk + " is not configured"}
	}
	if c.src.urgent {
		return call.Cause{}
	}
	if !t.up() {
		return t.downCause()
	}
	if left, why := t.aside(); left > 0 && !c.src.urgent {
		c.sooner(left)
		return call.Cause{Q850: 42, SIP: 503, Text: "trunk " + t.ID + " is put aside for " + left.Round(time.Second).String() + " more after " + why}
	}
	return call.Cause{}
}

// attempt is one INVITE of a hop.
type attempt struct {
	target
	hop Hop
}

// ring calls all of a list at once; the first to answer wins.
func (c *Call) ring(list []attempt) (winner *sipLeg, end ending) {
	defer func() {
		if winner == nil {
			c.spend()
		}
	}()
	var ringing []*sipLeg
	cause := call.Failure
	c.retryAfter, c.redirect = 0, nil
	for _, a := range list {
		if !c.wishes(&a.target) {
			cause = noCodec(c.wish.Codecs)
			continue
		}
		a.party.urgent = c.src.urgent
		l, err := c.invite(a.target, a.hop)
		if err != nil {
			c.log.Warn("attempt could not begin", "to", a.uri.String(), "err", err)
			c.rec.note(0, time.Now(), call.Note{Text: "attempt could not begin: " + err.Error()})
			var sc causeError
			if errors.As(err, &sc) {
				cause = sc.cause
			}
			if c.stopped { // nothing more can be written
				break
			}
			continue
		}
		l.hop, l.cost, l.lease = a.hop.key(), a.hop.Cost, a.lease
		ringing = append(ringing, l)
	}
	if end, gone := c.left(); gone {
		c.drop(ringing, end.cause)
		return nil, end
	}
	if len(ringing) == 0 {
		return nil, bySystem(cause)
	}
	return c.await(ringing)
}

// await watches ringing attempts, and the caller, until one answers or all have failed.
func (c *Call) await(ringing []*sipLeg) (*sipLeg, ending) {
	end := bySystem(call.NoAnswer)
	best := 0
	for len(ringing) > 0 {
		c.several = len(ringing) > 1
		select {
		case e := <-c.events:
			l := e.Leg.(*sipLeg)
			if l == c.caller {
				if c.callerWhileRinging(e) {
					c.drop(ringing, e.Cause)
					return nil, c.gone(e)
				}
				continue
			}
			if l.over {
				continue
			}
			switch e.Kind {
			case LegProgress:
				c.progress(l, e)
			case LegOffered:
				c.earlyOffer(l, e)
			case LegMoved:
				c.rec.note(l.no, e.At, call.Note{Text: e.Phrase})
				c.rec.note(l.no, e.At, call.Dialog{Dialog: l.state()}) // a crash must find it there
			case LegFailed: // of early media
				l.broken = e.Phrase
			case LegForked:
				c.rec.note(l.no, e.At, call.Note{Text: e.Phrase})
			case LegAnswered:
				c.noteAnswer(l, e)
				c.talks(l, e.At)
				if l.trunk != nil {
					l.trunk.takesPart()
				}
				c.drop(without(ringing, l), call.ElsewhereDone)
				return l, ending{}
			case LegEnded:
				c.attemptEnded(l, e)
				ringing = without(ringing, l)
				if r := rank(e.Cause); r >= best {
					best, end = r, bySystem(e.Cause)
					c.retryAfter, c.redirect = e.Later, e.Contacts
					if e.ByPeer {
						end.by = call.Callee
					}
				}
			}
		case cmd := <-c.box:
			if c.stale(cmd) {
				continue
			}
			if c.names(cmd) {
				continue
			}
			if yes, ends := c.disowned(cmd); ends {
				c.drop(ringing, call.Cancelled)
				c.stopped = true
				return nil, ending{by: call.Caller, cause: call.Cancelled}
			} else if yes {
				continue
			}
			if l, moves := c.pickUp(cmd, ringing); l != nil {
				c.drop(ringing, call.ElsewhereDone)
				return l, ending{}
			} else if moves {
				continue
			}
			if cmd.kind == cmdHangup {
				if cmd.app.from != nil { // it is a caller who gives up
					cmd.cause.SIP = call.Cancelled.SIP
				}
				c.drop(ringing, cmd.cause)
				respond(cmd, nil)
				c.stopped = true
				return nil, ending{by: cmd.by, cause: cmd.cause}
			}
			c.early(cmd)
		case <-c.ctx.Done():
			c.drop(ringing, call.ShuttingDown)
			c.stopped = true
			return nil, bySystem(call.ShuttingDown)
		}
	}
	c.untake(end.cause)
	return nil, end
}

// rank orders the outcomes of parallel attempts for the caller (RFC 3261 16.7 step 6): 6xx before all, then where else the
// callee can be reached, then what a person decided, then what went wrong on the way.
func rank(c call.Cause) int {
	switch {
	case c.SIP >= 600:
		return 5
	case c.SIP >= 300 && c.SIP < 400:
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
		return c.heir == nil
	case LegOffered:
		c.earlyOffer(c.caller, e)
	case LegConfirmed: // of early media, by PRACK
		c.noteMedia(c.caller, e.At)
	case LegRefer:
		_ = e.Refer.Reject(call.Cause{SIP: 603, Q850: 21, Text: "Decline"})
	case LegDigit:
		c.caller.release()
		c.noteDigit(c.caller, e)
		c.tell(AppEvent{Kind: AppDigit, At: e.At, Digit: e.Digit, Held: e.Held})
	case LegFlowing, LegSilent:
		c.caller.silent = e.Kind == LegSilent
	case LegFailed:
		c.caller.broken = e.Phrase
	}
	return false
}

// earlyOffer answers an offer that comes before the call is answered, in PRACK or UPDATE (RFC 3262, RFC 3311). It concerns
// that side alone: what the other is told waits for the answer.
func (c *Call) earlyOffer(l *sipLeg, e LegEvent) {
	r := e.Offer.Remote()
	if r == nil {
		_ = e.Offer.Reject(call.Cause{Q850: 41, SIP: 491, Text: "Request Pending"})
		return
	}
	l.peer = r.Direction()
	l.demands = unmet(r)
	if err := e.Offer.Accept(media.Want{Formats: l.party.order(offered(r)), Direction: direction(r.Direction().Receives(), r.Direction().Sends())}); err != nil {
		c.log.Warn("early offer not answered", "leg", l.no, "err", err)
	}
}

func respond(cmd command, err error) {
	if cmd.reply != nil {
		cmd.reply <- err
	}
}

// left tells whether the caller has gone, and with which ending. It waits for the event that its dialog has on the way.
func (c *Call) left() (ending, bool) {
	if c.caller == nil || c.caller.over || c.heir != nil {
		return ending{}, false
	}
	if !closed(c.caller.d.Ended()) {
		return ending{}, false
	}
	return c.farewell(), true
}

// farewell waits for the last event of a caller whose dialog has ended.
func (c *Call) farewell() ending {
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	for {
		select {
		case e := <-c.events:
			switch l := e.Leg.(*sipLeg); {
			case e.Kind != LegEnded:
			case l == c.caller:
				c.legEnded(l, e)
				return c.gone(e)
			case l == c.callee:
				c.legEnded(l, e)
			default:
				c.attemptEnded(l, e)
			}
		case <-timer.C: // it never comes only if the process is starved
			c.stopped = true
			return ending{by: call.Caller, cause: call.Cancelled}
		}
	}
}

// gone is the ending that a caller brought about before the answer.
func (c *Call) gone(e LegEvent) ending {
	c.stopped = true
	if e.ByPeer {
		return ending{by: call.Caller, cause: e.Cause}
	}
	return bySystem(e.Cause)
}
