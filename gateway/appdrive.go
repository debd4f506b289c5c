package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

// early obeys an order while phones ring.
func (c *Call) early(cmd command) {
	switch cmd.kind {
	case cmdLink:
		c.joinFamily(cmd)
	case cmdAccept, cmdReject, cmdProgress:
		respond(cmd, ErrAnswered)
	case cmdReplace, cmdGive:
		c.tooLateFor(cmd)
	default:
		respond(cmd, ErrNotAnswered)
	}
}

// obey takes an application's orders to an answered call, and what comes of them.
func (c *Call) obey(cmd command) (ending, bool) {
	switch cmd.kind {
	case cmdHold:
		c.hold(cmd)
	case cmdTransfer:
		c.transfer(cmd)
	case cmdReferred:
		c.referred(cmd)
	case cmdReferLost:
		if c.app != nil && c.app.referral != nil && c.app.referral.id == cmd.no {
			return c.outcome(408, "the peer tells nothing")
		}
	case cmdLink:
		c.joinFamily(cmd)
	default:
		respond(cmd, ErrAnswered)
	}
	return ending{}, false
}

// joinFamily links the call's record to another's.
func (c *Call) joinFamily(cmd command) {
	with := cmd.app.with
	if with.IsZero() {
		with = c.rec.call.LinkedID
	}
	if with != c.rec.call.LinkedID || cmd.app.session != "" {
		c.rec.note(0, time.Now(), call.Link{LinkedID: with, SessionID: cmd.app.session})
	}
	respond(cmd, nil)
}

// appLeg is the peer of an application.
func (c *Call) appLeg() *sipLeg { return c.parties()[0] }

// hold begins a hold or a resume by the application; who asked is answered when the peer has agreed.
func (c *Call) hold(cmd command) {
	a := c.app
	switch {
	case a.holding != nil:
		respond(cmd, ErrBusy)
		return
	case a.holds == cmd.app.hold:
		respond(cmd, nil)
		return
	}
	a.holds, a.holding = cmd.app.hold, cmd.reply
	c.align(c.appLeg())
}

// settleHold answers who waits for a hold, once the peer has agreed to it.
func (c *Call) settleHold(l *sipLeg) {
	a := c.app
	if a == nil || a.holding == nil || c.reoffers[l] != nil && c.reoffers[l].running || l.want != c.allowed(l) {
		return
	}
	now := time.Now()
	if a.holds {
		c.rec.note(a.no, now, call.Hold{})
	} else {
		c.rec.note(a.no, now, call.Resume{})
	}
	a.holding <- nil
	a.holding = nil
}

// holdFailed answers who waits for a hold that the peer refused: what was agreed stands.
func (c *Call) holdFailed(dir sdp.Direction, err error) {
	if a := c.app; a != nil && a.holding != nil {
		a.holds = !a.holds
		a.holding <- err
		a.holding = nil
	}
}

// referral is a transfer under way.
type referral struct {
	id       int
	reply    chan error // of who asked, until the peer has accepted
	target   string
	attended bool
	with     call.ID
}

// referTime is how long the peer has to tell how a transfer went (the duration of its subscription, RFC 3515 2.4.4).
const referTime = 3 * time.Minute

// Transfer asks the peer to call a number or URI in place of this call (REFER, RFC 3515). It returns when the peer has
// agreed to try: AppTransferred tells how it went. When it worked the call ends, else it goes on.
func (a *AppCall) Transfer(ctx context.Context, to string) error {
	digits, uri, err := parseTarget("to", to)
	if err != nil {
		return err
	}
	l := a.current()
	if l == nil {
		return ErrNotAnswered
	}
	if uri.IsZero() || uri.Scheme == "tel" {
		if uri, err = sip.NewURI(digits, l.host(), 0); err != nil {
			return bad("to", "%q: %v", clip(to), err)
		}
	}
	return a.do(ctx, command{kind: cmdTransfer, app: appOrder{target: clip(to), uri: uri.Bare().String()}})
}

// TransferTo joins the peer with that of another answered call: it is asked to call that one in place of the other call
// (REFER with Replaces, RFC 3891; RFC 5589 7). The rest is as with Transfer.
func (a *AppCall) TransferTo(ctx context.Context, other *AppCall) error {
	l := other.current()
	if l == nil || l.answered.Load() == 0 || a.current() == nil {
		return ErrNotAnswered
	}
	if a.c == other.c {
		return bad("to", "is the call itself")
	}
	s := l.d.State()
	if s.Target == "" || s.RemoteTag == "" {
		return ErrNotAnswered
	}
	// The tags as the one who is called sees them: to-tag is its own.
	replaces := s.CallID + ";to-tag=" + s.RemoteTag + ";from-tag=" + s.LocalTag
	return a.do(ctx, command{kind: cmdTransfer, app: appOrder{target: "call " + other.ID().String(), uri: s.Target, replaces: replaces, with: other.ID()}})
}

func (a *AppCall) current() *sipLeg {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.leg
}

// host is where a leg's peer finds the numbers that it dials.
func (l *sipLeg) host() string {
	if l.trunk != nil {
		return l.trunk.Domain
	}
	return l.g.cfg.Domain
}

// transfer sends the REFER beside the call's goroutine.
func (c *Call) transfer(cmd command) {
	a := c.app
	if a.referral != nil {
		respond(cmd, ErrBusy)
		return
	}
	c.referrals++
	o := cmd.app
	r := &referral{id: c.referrals, reply: cmd.reply, target: o.target, attended: o.replaces != "", with: o.with}
	a.referral = r
	l := c.appLeg()
	c.log.Info("transfer", "to", o.target, "leg", l.no)
	c.g.wg.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, 32*time.Second)
		defer cancel()
		c.order(command{kind: cmdReferred, no: r.id, err: l.Refer(ctx, o.uri, o.replaces)})
	})
}

// referred takes the answer to a REFER.
func (c *Call) referred(cmd command) {
	r := c.app.referral
	if r == nil || r.id != cmd.no || r.reply == nil { // a NOTIFY came before it
		return
	}
	if cmd.err != nil {
		c.app.referral = nil
		c.rec.note(c.app.no, time.Now(), call.Note{Text: "transfer to " + r.target + " refused: " + cmd.err.Error()})
		var status *sip.StatusError
		if errors.As(cmd.err, &status) {
			r.reply <- &Refusal{call.FromStatus(status.Status, status.Phrase)}
			return
		}
		r.reply <- cmd.err
		return
	}
	c.accepted(r)
}

// accepted tells who asked for a transfer that the peer tries.
func (c *Call) accepted(r *referral) {
	if r.reply == nil {
		return
	}
	c.rec.note(c.app.no, time.Now(), call.Transfer{To: r.target, Attended: r.attended, Linked: r.with})
	r.reply <- nil
	r.reply = nil
	c.clocks = append(c.clocks, time.AfterFunc(referTime, func() { c.order(command{kind: cmdReferLost, no: r.id}) }))
}

// notified takes what the peer tells of a transfer.
func (c *Call) notified(e LegEvent) (ending, bool) {
	if c.app == nil || c.app.referral == nil || e.Status < 200 && !e.Final {
		return ending{}, false
	}
	c.accepted(c.app.referral)
	return c.outcome(e.Status, e.Phrase)
}

// outcome ends a transfer: the call with it if it worked.
func (c *Call) outcome(status int, phrase string) (ending, bool) {
	r := c.app.referral
	c.app.referral = nil
	c.log.Info("transferred", "to", r.target, "status", status)
	c.tell(AppEvent{Kind: AppTransferred, Status: status, Phrase: clip(phrase)})
	if status < 200 || status > 299 {
		c.rec.note(c.app.no, time.Now(), call.Note{Text: "transfer to " + r.target + " failed: " + itoa(max(0, min(status, 999))) + " " + clip(phrase)})
		return ending{}, false
	}
	return ending{by: c.app.party(), cause: call.Transferred}, true
}
