package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/tone"
	"github.com/patchbay/patchbay/sip"
)

// maxTransfers bounds how often in a row parties of one conversation may be transferred: phones that send each other's calls on
// would do so for ever.
const maxTransfers = 8

// referring is a transfer that a party of the call has asked for (REFER, RFC 3515). The call goes on until another one takes the
// other party over.
type referring struct {
	by, stays *sipLeg // who asked, whose dialog may have ended; and whom it transfers
	call      *Call   // that takes stays over
	reports   reports // to who asked
	given     bool    // it has done so
	giving    *move   // call wants stays, but a re-offer to it is under way
	ringing   *tone.Tone
	rings     bool // where it is transferred to

	to       string  // as the record shows it
	target   sip.URI // that is to be dialled
	attended bool
	passed   string  // value of Replaces that names a dialog of somebody else's; "" = none
	instead  *sipLeg // attended: whose place in call stays takes
}

// peerRefers begins a transfer, or refuses it.
func (c *Call) peerRefers(l *sipLeg, e LegEvent) {
	uri, replaces := e.Refer.Target()
	r, cause := c.transferOf(l, uri, replaces)
	if !cause.IsZero() {
		c.rec.note(l.no, e.At, call.Note{Text: "transfer to " + clip(uri) + " refused: " + cause.Text})
		if err := e.Refer.Reject(cause); err != nil {
			c.log.Warn("REFER not refused", "err", err)
		}
		return
	}
	if err := e.Refer.Accept(); err != nil {
		c.log.Warn("REFER not accepted", "err", err)
		return
	}
	r.reports.refer, r.reports.log = e.Refer, c.log
	c.refers = r
	c.report(100, "Trying", false)
	if r.attended {
		c.joinTo(r, e.At)
	} else {
		c.sendOn(r, e.At)
	}
}

// transferOf reads what a party wants; the cause says why it can't be had.
func (c *Call) transferOf(l *sipLeg, target, replaces string) (*referring, call.Cause) {
	no := func(status int, text string) (*referring, call.Cause) {
		return nil, call.Cause{Q850: 21, SIP: status, Text: text}
	}
	stays := c.far(l)
	switch {
	case c.app != nil:
		return no(603, "an application talks with this party")
	case c.refers != nil || c.taking != nil:
		return no(491, "another transfer is under way")
	case stays == nil || stays.over:
		return no(481, "there is nobody to transfer")
	case l.trunk != nil && !l.trunk.Transfers:
		return no(403, "trunk "+l.trunk.ID+" may not transfer")
	case c.depth >= maxTransfers:
		return no(403, fmt.Sprintf("more than %d transfers in a row", maxTransfers))
	}
	digits, uri, err := parseTarget("Refer-To", target)
	if err != nil {
		return no(400, err.Error())
	}
	r := &referring{by: l, stays: stays, to: clip(digits), target: uri}
	if replaces != "" {
		if r.instead = c.g.replaced(replaces); r.instead != nil {
			return c.consulted(r, no)
		}
		r.passed = replaces
	}
	if uri.Scheme != "" && uri.Scheme != "tel" && !c.g.ours(uri.Host) && (l.trunk == nil || !l.trunk.own(uri.Host)) {
		return no(404, clip(uri.Host)+" is not ours")
	}
	return r, call.Cause{}
}

// consulted checks a transfer to who is in a call of the same party already.
func (c *Call) consulted(r *referring, no func(int, string) (*referring, call.Cause)) (*referring, call.Cause) {
	o, other := r.instead, r.instead.call.Load()
	switch {
	case o.user != r.by.user || o.trunk != r.by.trunk:
		return no(403, "the other call is somebody else's")
	case other == nil || other == c:
		return no(400, "the other call is this one")
	}
	r.attended, r.call = true, other
	r.to = "call " + other.id.String()
	return r, call.Cause{}
}

// replaced is the leg whose dialog a Replaces value names; nil: it is nobody's.
func (g *Gateway) replaced(value string) *sipLeg {
	d := g.cfg.Front.Replaced(value)
	if d == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.legs[d]
}

// joinTo asks the other call of an attended transfer to take the party over.
func (c *Call) joinTo(r *referring, at time.Time) {
	c.log.Info("transfer", "leg", r.by.no, "to", r.to)
	c.rec.note(r.by.no, at, call.Transfer{To: r.to, Attended: true, Linked: r.call.id})
	ask := &move{from: c, leg: r.stays, instead: r.instead, family: c.rec.call.LinkedID, depth: c.depth}
	c.g.wg.Go(func() { r.call.order(command{kind: cmdReplace, move: ask}) })
	c.mind(r.call)
}

// mind has a transfer fail whose other call ends without a word.
func (c *Call) mind(other *Call) {
	c.g.wg.Go(func() {
		select {
		case <-other.done:
			c.order(command{kind: cmdReferTold, move: &move{from: other, status: 481, phrase: "Call Ended", final: true, cause: call.Cause{Q850: 41, SIP: 481, Text: "the other call has ended"}}})
		case <-c.done:
		}
	})
}

// report tells who asked for a transfer how it goes.
func (c *Call) report(status int, phrase string, final bool) {
	c.refers.reports.add(c.g, report{status, phrase, final})
}

// referTold takes what the other call tells of a transfer.
func (c *Call) referTold(m *move) (ending, bool) {
	r := c.refers
	if r == nil || r.call != m.from {
		return ending{}, false
	}
	if !m.final {
		c.report(m.status, m.phrase, false)
		r.rings = r.rings || m.status == 180
		c.awaited(r)
		return ending{}, false
	}
	c.report(m.status, m.phrase, true)
	if m.status < 300 { // by the carrier itself: nobody is left here
		r.given = true
		return ending{by: call.Party(r.by.side), cause: call.Transferred}, true
	}
	c.log.Info("transfer failed", "to", r.to, "cause", m.cause.String())
	c.rec.note(r.by.no, time.Now(), call.Note{Text: "transfer to " + r.to + " failed: " + m.cause.String()})
	c.refers = nil
	if r.by.over { // there is nobody to go back to
		return bySystem(m.cause), true
	}
	return ending{}, false
}

// ringback lets a party whose transferor has gone hear that the next one rings.
func (c *Call) ringback(r *referring) {
	if r.ringing != nil {
		return
	}
	t, err := tone.New(tone.Config{Sound: tone.Ringback(), Clock: c.pipeline.Clock(), Registry: c.pipeline.Registry()})
	if err == nil {
		err = c.pipeline.Add(t)
	}
	if err == nil {
		err = c.pipeline.Link(t, r.stays.ep, media.Pad{})
	}
	if err != nil {
		c.log.Warn("ringback tone", "err", err)
		return
	}
	r.ringing = t
	t.Start()
}

// vacate lets a party go whose call goes on without it.
func (c *Call) vacate(l *sipLeg, e LegEvent) {
	c.legOver(l, e, true)
	c.paysFor(l, e.At, e.Cause)
	c.out(l)
	if err := c.pipeline.Remove(l.ep); err != nil {
		c.log.Warn("closing media", "leg", l.no, "err", err)
	}
	c.tries = append(c.tries, l)
	c.awaited(c.refers)
}

// out takes a party from its side of the call.
func (c *Call) out(l *sipLeg) {
	if far := c.far(l); far != nil {
		c.pipeline.Unbridge(l.ep, far.ep, media.Pad{})
	}
	switch l {
	case c.caller:
		c.caller = nil
	case c.callee:
		c.callee = nil
	}
}

// report is one NOTIFY about a transfer.
type report struct {
	status int
	phrase string
	final  bool
}

// reports sends them in order. Only the call's goroutine adds to it; done is closed when the final one is confirmed, or given up.
type reports struct {
	refer PeerRefer
	log   interface{ Info(string, ...any) }
	queue chan report
	done  chan struct{}
	over  bool // nothing more is told
}

// reportTime is how long a peer has to confirm what it is told.
const reportTime = 5 * time.Second

func (r *reports) add(g *Gateway, rep report) {
	if r.queue == nil {
		r.queue, r.done = make(chan report, 32), make(chan struct{})
		g.wg.Go(func() { r.run(g.ctx, r.queue, r.done) })
	}
	if r.over || len(r.queue) >= cap(r.queue)-1 && !rep.final {
		return
	}
	r.queue <- rep
	if rep.final {
		r.stop()
	}
}

// stop lets go of who is told, once it has been told what is on its way.
func (r *reports) stop() {
	if r.queue != nil && !r.over {
		r.over = true
		close(r.queue)
	}
}

func (r *reports) run(ctx context.Context, queue chan report, done chan struct{}) {
	defer close(done)
	for rep := range queue {
		ctx, cancel := context.WithTimeout(ctx, reportTime)
		err := r.refer.Notify(ctx, rep.status, headerText(rep.phrase), rep.final)
		cancel()
		if err != nil && !closed(ctx.Done()) {
			r.log.Info("transferor not told", "status", rep.status, "err", err)
		}
	}
}

// partingTime is how long who transferred has to hang up by itself once it is told that it worked (RFC 5589 6.1).
const partingTime = time.Second

// part tells who transferred that it worked, and lets it hang up first.
func (r *referring) part() {
	<-r.reports.done
	select {
	case <-r.by.d.Ended():
	case <-time.After(partingTime):
	}
}

// referredBy names who transfers (RFC 3892), by the number that others know, unless it wants to be private.
func (c *Call) referredBy(l *sipLeg) []sip.Header {
	who := c.identity(l)
	u, err := sip.NewURI(who.raw, c.g.cfg.Domain, 0)
	if err != nil || who.privacy.hidden {
		return nil
	}
	return []sip.Header{{Name: "Referred-By", Value: "<" + u.String() + ">"}}
}
