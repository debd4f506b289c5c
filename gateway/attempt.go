package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtp"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

// invite begins one attempt: endpoint, offer, record, and then the INVITE, which leaves only once the record is on disk.
func (c *Call) invite(t target, hop Hop) (*sipLeg, error) {
	if err := c.dress(&t); err != nil {
		return nil, err
	}
	no := c.nextLeg()
	l, err := c.g.newLeg(no, call.CalleeLeg, t.party, c.events, c.log)
	if err != nil {
		return nil, causeError{call.Congested, err}
	}
	l.user, l.trunk, l.peer = t.user, t.trunk, sdp.SendRecv
	l.call.Store(c)
	c.tries = append(c.tries, l)
	if err := c.pipeline.Add(l.ep); err != nil {
		return nil, err
	}
	want := media.Want{Formats: t.party.order(c.callerFormats()), Direction: c.allowed(l), SRTP: t.party.srtp}
	l.want = want.Direction
	o, err := l.ep.Offer(c.ctx, want)
	if err != nil {
		return nil, err
	}
	l.offer = o
	// The INVITE waits until this goroutine, which owns the record, has written that it will leave.
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(c.ctx)
	p := pending{ready: make(chan struct{}), written: make(chan error, 1)}
	d, err := t.ua.Dial(ctx, sip.Invite{Target: t.uri, To: t.to, From: t.from, Contact: t.contact, MaxForwards: c.hops(), Destination: t.dest, Route: t.route, Headers: t.header, Urgent: c.src.urgent,
		Body: o.SDP(), Location: t.at, Timeout: hop.Ring, TrialTimeout: c.g.cfg.Limits.Response,
		Before: func(d *sip.Dialog) error { return p.before(ctx, d) }})
	if err != nil {
		l.cancel()
		return nil, causeError{call.Cause{Q850: 38, SIP: 503, Text: "attempt could not be sent"}, err}
	}
	medium := "sip"
	if t.party.browser {
		medium = "webrtc"
	}
	begun := call.LegNew{Attempt: c.attempts, Role: call.CalleeLeg, Medium: medium, Direction: call.Out, User: l.user.id(), Trunk: l.trunkID(),
		SIPCallID: d.CallID(), LocalTag: d.LocalTag(), FromURI: t.from.String(), ToURI: t.to.String(), RequestURI: t.uri.String(), Signalling: t.party.peer,
		PAI: sip.Headers(t.header).Get("P-Asserted-Identity"), Diversion: clip(sip.Headers(t.header).Get("Diversion")), Claims: claims(t.header, true)}
	if err := c.begun(l, d, p, begun); err != nil {
		return nil, err
	}
	c.log.Info("attempt", "leg", no, "to", t.uri.String(), "dialog", d.CallID())
	return l, nil
}

// nextLeg is the number of the leg that the next attempt makes: 1 is the caller's.
func (c *Call) nextLeg() int {
	c.attempts++
	return c.attempts + 1
}

// pending is an INVITE that waits until it is written that it leaves.
type pending struct {
	ready   chan struct{}
	written chan error
}

// before is called by the stack when the INVITE is about to leave.
func (p pending) before(ctx context.Context, d *sip.Dialog) error {
	select {
	case p.ready <- struct{}{}:
		return <-p.written
	case <-d.Ended():
		return sip.ErrEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begun writes that an attempt begins, and lets its INVITE go.
func (c *Call) begun(l *sipLeg, d *sip.Dialog, p pending, e call.LegNew) error {
	gone := c.callerGone()
	for {
		select {
		case <-p.ready:
			network, peer := d.Peer()
			l.attach(d)
			if e, ok := l.ep.(*rtp.Endpoint); ok {
				e.SetSignalling(peer.Addr())
			}
			e.Dialog, e.Transport, e.Signalling = l.state(), network, peer
			c.rec.note(l.no, time.Now(), e)
			cause, err := call.JournalDown, c.rec.commit()
			if err != nil {
				c.stopped = true // another hop would wait for the same disk
			} else if closed(c.callerGone()) {
				cause, err = call.Cancelled, sip.ErrEnded
			}
			p.written <- err
			if err != nil {
				c.attemptEnded(l, LegEvent{At: time.Now(), Cause: cause})
				return causeError{cause, err}
			}
			return nil
		case ev := <-d.Events(): // it has ended before anything was sent: no way to the peer
			l.d = d
			c.rec.note(l.no, time.Now(), e)
			end := l.endOf(*ev)
			c.attemptEnded(l, end)
			l.abandon()
			return causeError{end.Cause, errors.New(end.Cause.Text)}
		case <-gone: // while names are resolved, or a connection opens
			l.cancel()
			gone = nil
		}
	}
}

// callerGone is closed once the caller's dialog has ended. An application's orders come through the mailbox: nil.
func (c *Call) callerGone() <-chan struct{} {
	if c.caller == nil {
		return nil
	}
	return c.caller.d.Ended()
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (l *sipLeg) trunkID() string {
	if l.trunk == nil {
		return ""
	}
	return l.trunk.ID
}

// attemptEnded closes an attempt's record and its media.
func (c *Call) attemptEnded(l *sipLeg, e LegEvent) {
	if l.over {
		return
	}
	l.over = true
	defer l.confirm()
	c.hands(l, c.caller, e.Headers)
	if c.app != nil && c.app.current() == l {
		c.app.setLeg(nil)
	}
	if c.rec.call.Leg(l.no) != nil {
		c.rec.note(l.no, e.At, call.LegEnd{Cause: e.Cause, HungUp: e.ByPeer, Quality: counted(l.ep, 0)})
	}
	c.log.Info("attempt ended", "leg", l.no, "cause", e.Cause.String())
	if err := c.pipeline.Remove(l.ep); err != nil {
		c.log.Warn("closing media", "leg", l.no, "err", err)
	}
}

// drop hangs up attempts that aren't needed any more, all at once, and doesn't wait for them.
func (c *Call) drop(list []*sipLeg, why call.Cause) {
	for _, l := range list {
		c.attemptEnded(l, LegEvent{At: time.Now(), Cause: why})
		if err := l.d.Cancel(reason(why)); err != nil { // now: the call's end, which may be near, would take it back without a reason
			l.log.Warn("attempt not cancelled", "err", err)
		}
		c.g.wg.Go(func() {
			ctx, cancel := context.WithTimeout(c.g.ctx, 40*time.Second)
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
