package gateway

import (
	"cmp"
	"context"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

// outside has the transferred party's own carrier transfer it, by REFER (RFC 5589), where its trunk says so and the call would go
// there anyway: then neither its media nor its signalling comes through here any more. over: the transfer has worked, or failed
// for good; a carrier that doesn't take REFER leaves it to us.
func (c *Call) outside(plan Plan) (over bool) {
	l, hop := c.errand.leg, plan.Hops[0]
	t := l.trunk
	if t == nil || !t.Refer || hop.Trunk != t.ID || c.errand.passed || c.src.urgent {
		return false
	}
	number := cmp.Or(hop.Number, plan.Number)
	hop.Number = number
	if cause := c.mayCall(hop); !cause.IsZero() {
		c.fail(bySystem(cause))
		return true
	}
	targets, cause := c.g.targets(hop, number, &c.rec.call, c.src)
	if !cause.IsZero() {
		return false
	}
	uri := targets[0].uri
	c.decide("trunk " + t.ID + " is asked to transfer its party to " + uri.String())
	asked := make(chan error, 1)
	c.g.wg.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, 32*time.Second)
		defer cancel()
		asked <- l.d.Refer(ctx, uri, "", c.wish.Headers...)
	})
	timer := time.NewTimer(referTime)
	defer timer.Stop()
	for {
		select {
		case err := <-asked:
			if err != nil {
				c.decide("trunk " + t.ID + " doesn't transfer, we do: " + err.Error())
				return false
			}
		case cmd := <-c.box:
			switch {
			case cmd.kind == cmdOutside && cmd.move.status < 300:
				c.moved()
				return true
			case cmd.kind == cmdOutside:
				c.fail(ending{by: call.Callee, cause: call.FromStatus(cmd.move.status, cmd.move.phrase)})
				return true
			case cmd.kind == cmdHangup:
				respond(cmd, nil)
				c.fail(ending{by: cmd.by, cause: cmd.cause})
				return true
			}
			c.early(cmd)
		case <-timer.C:
			c.fail(bySystem(call.NoResponse))
			return true
		case <-c.ctx.Done():
			c.fail(bySystem(call.ShuttingDown))
			return true
		}
	}
}

// moved closes the record of a call that a carrier has taken off our hands.
func (c *Call) moved() {
	now := time.Now()
	c.decide("the carrier has transferred its party")
	cause := call.Transferred
	cause.SIP = 200
	c.settle(cause)
	_ = c.rec.commit(c.rec.event(0, now, call.End{By: call.Callee, Cause: cause}))
	c.errand.from.order(command{kind: cmdReferTold, move: &move{from: c, status: 200, phrase: "OK", final: true}})
}

// outsideTold takes what a carrier tells of a transfer that it does itself.
func (c *Call) outsideTold(l *sipLeg, e LegEvent) {
	r := c.refers
	if r == nil || l != r.stays || r.attended || r.call == nil {
		return
	}
	if e.Status < 200 && !e.Final {
		c.report(max(e.Status, 100), e.Phrase, false)
		return
	}
	if e.Status < 200 { // it stops telling before there is an outcome
		e.Status, e.Phrase = 408, "the carrier tells nothing"
	}
	other, m := r.call, &move{from: c, status: e.Status, phrase: clip(e.Phrase)}
	c.g.wg.Go(func() { other.order(command{kind: cmdOutside, move: m}) })
}
