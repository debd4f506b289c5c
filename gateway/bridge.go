package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

// noteAnswer records a callee's 2xx.
func (c *Call) noteAnswer(l *sipLeg, e LegEvent) {
	l.answered.Store(c.g.clock.at(e.At))
	c.rec.note(l.no, e.At, call.Answer{RemoteTag: l.d.RemoteTag(), Dialog: l.state()})
}

func (c *Call) noteMedia(l *sipLeg, at time.Time) {
	n := negotiated(l.ep, l.party.dtmf)
	if far := c.far(l); far != nil {
		n.Transcoded = transcodes(l.ep, far.ep)
	}
	c.rec.note(l.no, at, n)
}

// connect answers the caller with what the callee agreed to. The record of the answer is on disk before the 200 leaves.
func (c *Call) connect(l *sipLeg) (ending, bool) {
	c.callee = l
	c.link(l)
	at := time.Now()
	err := c.caller.Answer(c.callerWant(l), func() error {
		at = time.Now()
		c.caller.answered.Store(c.g.clock.at(at))
		c.rec.note(1, at, call.Answer{RemoteTag: c.caller.d.RemoteTag(), Dialog: c.caller.state()})
		c.noteMedia(c.caller, at)
		c.noteMedia(l, at)
		c.rec.note(0, at, call.Bridge{With: l.no})
		return c.rec.commit()
	})
	switch {
	case errors.Is(err, sip.ErrEnded): // the CANCEL crossed: its event follows
		return c.crossed()
	case err != nil:
		c.log.Error("caller could not be answered", "err", err)
		cause := call.Failure
		if errors.Is(err, errStalled) {
			cause = call.JournalDown
		}
		cause.Text += ": " + err.Error()
		return bySystem(cause), false
	}
	c.caller.want = sdp.SendRecv
	c.g.stats.answered.Add(1)
	c.log.Info("call answered", "leg", l.no, "codec", l.ep.Negotiated().Codec, "transcoded", c.rec.call.Transcoded)
	// Digits for a leg are spoken over whatever feeds it.
	for _, to := range []*sipLeg{c.caller, l} {
		if to.digits, err = newDigits(c.pipeline, c.far(to).ep.Source(media.Pad{})); err != nil {
			c.log.Error("DTMF sender", "leg", to.no, "err", err)
		}
	}
	return ending{}, true
}

// crossed waits for the end of a caller who hung up while the callee answered.
func (c *Call) crossed() (ending, bool) {
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	for {
		select {
		case e := <-c.events:
			if e.Leg == Leg(c.caller) && e.Kind == LegEnded {
				c.legEnded(c.caller, e)
				return ending{call.Caller, e.Cause}, false
			}
		case <-timer.C:
			return ending{call.Caller, call.Cancelled}, false
		}
	}
}

// interim is how often an answered call says that it lives (TS 32.260: the interim interval).
const interim = 10 * time.Second

// bridged is the select loop of an answered call; it returns who ended it and why.
func (c *Call) bridged() ending {
	tick := time.NewTicker(interim)
	defer tick.Stop()
	limit := time.NewTimer(c.g.cfg.Limits.Duration)
	defer limit.Stop()
	grant := c.granted()
	defer grant.Stop()
	for {
		select {
		case e := <-c.events:
			l := e.Leg.(*sipLeg)
			if l != c.caller && l != c.callee {
				c.stray(l, e)
				continue
			}
			if end, over := c.event(l, e); over {
				return end
			}
		case cmd := <-c.box:
			if end, over := c.command(cmd); over {
				return end
			}
		case now := <-tick.C:
			c.rec.note(0, now, call.Interim{Quality: c.qualities()})
		case <-limit.C:
			return bySystem(call.TooLong)
		case <-grant.C:
			if cause, ok := c.extend(grant); !ok {
				return bySystem(cause)
			}
		}
	}
}

func (c *Call) qualities() map[int]*call.Quality {
	return map[int]*call.Quality{c.caller.no: quality(c.caller.ep, c.caller.answered.Load()), c.callee.no: quality(c.callee.ep, c.callee.answered.Load())}
}

// event handles one event of a bridged leg; over when it ended the call.
func (c *Call) event(l *sipLeg, e LegEvent) (ending, bool) {
	switch e.Kind {
	case LegEnded:
		c.legEnded(l, e)
		by := call.System
		if e.ByPeer {
			by = call.Party(l.role)
		}
		return ending{by, e.Cause}, true
	case LegConfirmed:
		c.rec.note(l.no, e.At, call.Dialog{Dialog: l.state()})
	case LegForked:
		c.rec.note(l.no, e.At, call.Note{Text: e.Phrase})
	case LegOffered:
		c.peerOffers(l, e)
	case LegRefer:
		if err := e.Refer.Reject(call.Cause{Q850: 21, SIP: 603, Text: "Decline"}); err != nil {
			c.log.Warn("REFER not refused", "err", err)
		}
		to, _ := e.Refer.Target()
		c.rec.note(l.no, e.At, call.Note{Text: "transfer to " + clip(to) + " refused: this gateway doesn't transfer yet"})
	case LegDigit:
		c.digit(l, e)
	case LegSilent:
		// A leg that we, or it, put on hold sends nothing: that is as agreed.
		if l.peer.Sends() && l.want.Receives() {
			cause := call.MediaLost
			cause.Text = "no media from the " + string(l.role) + " for " + (time.Duration(e.Held) * time.Millisecond).String()
			return bySystem(cause), true
		}
	}
	return ending{}, false
}

// stray takes events of attempts that lost.
func (c *Call) stray(l *sipLeg, e LegEvent) {
	if e.Kind == LegAnswered || e.Kind == LegForked {
		c.rec.note(l.no, e.At, call.Note{Text: "answered too late; hung up"})
	}
}

// peerOffers answers a re-INVITE and carries what it means, hold or resume, to the far party.
func (c *Call) peerOffers(l *sipLeg, e LegEvent) {
	far := c.far(l)
	dir, fs := l.peer, l.current()
	if r := e.Offer.Remote(); r != nil {
		dir, fs = r.Direction(), offered(r)
	}
	want := media.Want{Formats: only(common(firstOf(formats(l.party.codecs, l.party.dtmf), far.current()), fs)),
		Direction: direction(far.peer.Sends(), far.peer.Receives())}
	if err := e.Offer.Accept(want); err != nil {
		c.log.Warn("re-offer refused", "leg", l.no, "err", err)
		c.rec.note(l.no, e.At, call.Note{Text: "the peer's re-offer was refused: " + err.Error()})
		return
	}
	was := l.peer
	l.peer = dir
	l.want = direction(want.Direction.Sends() && dir.Receives(), want.Direction.Receives() && dir.Sends())
	c.rec.note(l.no, e.At, call.Dialog{Dialog: l.state()})
	c.noteMedia(l, e.At)
	switch {
	case was == sdp.SendRecv && dir != sdp.SendRecv:
		c.rec.note(l.no, e.At, call.Hold{})
		c.log.Info("hold", "leg", l.no, "direction", dir.String())
	case was != sdp.SendRecv && dir == sdp.SendRecv:
		c.rec.note(l.no, e.At, call.Resume{})
		c.log.Info("resume", "leg", l.no)
	}
	c.align(far)
}

func common(own, theirs []*media.Format) []*media.Format {
	var out []*media.Format
	for _, f := range own {
		if find(theirs, f) != nil {
			out = append(out, f)
		}
	}
	return out
}

// digit records a DTMF digit and, where the two sides carry digits in different ways, hands it across.
func (c *Call) digit(l *sipLeg, e LegEvent) {
	by := "info"
	if e.InMedia {
		by = "rfc4733"
	}
	shown := "*masked*"
	if c.g.cfg.Digits {
		shown = string(e.Digit)
	}
	c.rec.note(l.no, e.At, call.DTMF{Digit: shown, DurationMS: e.Held, By: by})
	far := c.far(l)
	if e.InMedia && far.ep.Negotiated().Events {
		return // relayed already, frame by frame
	}
	held := time.Duration(max(e.Held, 80)) * time.Millisecond
	if far.ep.Negotiated().Events {
		if err := far.Digit(e.Digit, held); err != nil {
			c.log.Warn("digit not sent", "leg", far.no, "err", err)
		}
		return
	}
	c.g.wg.Go(func() { // INFO waits for its answer; the call doesn't
		if err := far.Digit(e.Digit, held); err != nil {
			c.log.Warn("digit not sent", "leg", far.no, "err", err)
		}
	})
}

func (c *Call) command(cmd command) (ending, bool) {
	switch cmd.kind {
	case cmdHangup:
		respond(cmd, nil)
		return ending{cmd.by, cmd.cause}, true
	case cmdReoffered:
		c.reoffered(cmd.leg, cmd.dir, cmd.err)
	case cmdDigits:
		respond(cmd, c.sendDigits(cmd.no, cmd.text))
	}
	return ending{}, false
}

func (c *Call) sendDigits(no int, digits string) error {
	for _, l := range []*sipLeg{c.caller, c.callee} {
		if l.no != no {
			continue
		}
		for _, d := range []byte(digits) {
			if err := l.Digit(d, 100*time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.New("the call has no such leg")
}

// far is the leg on the other side, nil before the bridge.
func (c *Call) far(l *sipLeg) *sipLeg {
	if l == c.caller {
		return c.callee
	}
	return c.caller
}

// legEnded writes that a leg is over; on disk before its peer's request is confirmed.
func (c *Call) legEnded(l *sipLeg, e LegEvent) {
	defer l.confirm()
	if l.over {
		return
	}
	l.over = true
	_ = c.rec.commit(c.rec.event(l.no, e.At, call.LegEnd{Cause: e.Cause, HungUp: e.ByPeer, Quality: quality(l.ep, l.answered.Load())}))
}

// close hangs up what is left and closes the record.
func (c *Call) close(end ending) {
	by, cause, ended := end.by, end.cause, time.Now()
	var hanging sync.WaitGroup
	for _, l := range []*sipLeg{c.caller, c.callee} {
		if l == nil || l.over {
			continue
		}
		l.over = true
		c.rec.note(l.no, ended, call.LegEnd{Cause: cause, Quality: quality(l.ep, l.answered.Load())})
		hanging.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 34*time.Second)
			defer cancel()
			if err := l.Hangup(ctx, cause); err != nil && !errors.Is(err, sip.ErrEnded) {
				l.log.Warn("leg not hung up", "err", err)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		hanging.Wait()
		close(done)
	}()
	c.drainUntil(done)
	if c.authed {
		c.g.cfg.Charger.Settle(c.grant, Used{Talk: time.Duration(c.rec.call.Bill) * time.Millisecond, Cause: cause})
	}
	at := ended
	if l := c.rec.call.Leg(1); l != nil && by == call.Caller && l.EndedAt != nil {
		at = *l.EndedAt
	}
	if l := c.callee; l != nil && by == call.Callee {
		if r := c.rec.call.Leg(l.no); r != nil && r.EndedAt != nil {
			at = *r.EndedAt
		}
	}
	if c.rec.call.AnsweredAt != nil && cause.SIP == 0 {
		cause.SIP = 200 // the call's final response, however it ended
	}
	_ = c.rec.commit(c.rec.event(0, at, call.End{By: by, Cause: cause}))
	if c.rec.call.AnsweredAt == nil {
		c.g.stats.failed.Add(1)
	}
	c.g.count(cause)
	c.log.Info("call ended", "by", by, "cause", cause.String(), "duration", c.rec.call.Duration, "bill", c.rec.call.Bill)
}

// drainUntil keeps taking events, so that nobody waits for a call that is ending.
func (c *Call) drainUntil(done <-chan struct{}) {
	for {
		select {
		case e := <-c.events:
			if e.Kind == LegOffered {
				_ = e.Offer.Reject(call.Cause{Q850: 41, SIP: 481, Text: "Call Ended"})
			}
		case cmd := <-c.box:
			respond(cmd, ErrNoCall)
		case <-done:
			return
		}
	}
}

// granted fires when the charger's grant is used up; never without one.
func (c *Call) granted() *time.Timer {
	if !c.authed || c.grant.For == 0 {
		t := time.NewTimer(time.Hour)
		t.Stop()
		return t
	}
	return time.NewTimer(c.grant.For)
}

func (c *Call) extend(t *time.Timer) (call.Cause, bool) {
	spent := call.Cause{Q850: 16, Text: "credit is used up"}
	if c.grant.Final {
		return spent, false
	}
	g, err := c.g.cfg.Charger.Extend(c.ctx, c.grant)
	if err != nil {
		var r *Refusal
		if errors.As(err, &r) {
			return r.Cause, false
		}
		c.log.Error("charging", "err", err)
		return spent, false
	}
	c.grant = g
	if g.For > 0 {
		t.Reset(g.For)
	}
	return call.Cause{}, true
}
